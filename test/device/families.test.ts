/**
 * Every model family in miniature, random weights in a checkpoint of the family's own form, against the f64 reference:
 * prompts shorter and longer than windows and pages, prefilled by a pipeline, decoded by tensor-parallel ranks.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import { makePlan } from '../compiler/support/make-plan.js';
import type { StageOptions } from '../compiler/support/make-plan.js';
import { writeRandomModel } from '../fixtures/random-model.js';
import type { RandomModelOptions } from '../fixtures/random-model.js';
import { seededRandom } from '../fixtures/random.js';
import { referenceModel } from '../reference/model.js';
import { expectReferenceAnswers } from './support/clerk.js';
import { shapeOf } from './support/shape.js';

const NEW_TOKENS = 24;
const CONTEXT = 96;

const small = { layers: 3, hidden: 32, heads: 4, kvHeads: 2, ffn: 48, vocab: 200 };
const steps = { microbatchTokens: 33, batchRequests: 6 };
const RESHARDED: readonly StageOptions[] = [
  { name: 'prefill', mesh: { pp: 2 }, ...steps },
  { name: 'decode', mesh: { tp: 2 }, ...steps },
];
const FUSED: readonly StageOptions[] = [{ name: 'serve', mesh: { tp: 2, pp: 2 }, ...steps }];

interface Case {
  readonly model: Omit<RandomModelOptions, 'seed'>;
  readonly stages?: readonly StageOptions[];
  readonly weights?: 'f32' | 'f16' | 'bf16';
}

/** Divisors of LongRoPE that differ from pair to pair. */
const divisors = (pairs: number, most: number): readonly number[] =>
  Array.from({ length: pairs }, (_, i) => 1 + (most * i) / pairs);

const CASES: Readonly<Record<string, Case>> = {
  'llama 2 with dynamic rope scaling': {
    model: { ...small, kvHeads: 4, ropeScaling: { type: 'dynamic', factor: 4 } },
  },
  'llama with yarn': {
    model: {
      ...small,
      headDim: 16,
      ropeScaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 24, beta_fast: 8 },
    },
  },
  'tinyllama: many query heads a kv head': {
    model: { ...small, heads: 16, kvHeads: 2, headDim: 4, dtype: 'bf16' },
    weights: 'bf16',
  },
  'smollm: 9 heads, 3 kv heads, tied': {
    model: { ...small, hidden: 36, heads: 9, kvHeads: 3, tied: true },
    stages: [
      { name: 'prefill', mesh: { pp: 3 }, ...steps },
      { name: 'decode', mesh: { tp: 3 }, ...steps },
    ],
  },
  'mistral with a window': {
    model: { ...small, family: 'mistral', config: { sliding_window: 11 } },
  },
  'qwen2 whose upper layers slide': {
    model: {
      ...small,
      family: 'qwen2',
      config: { use_sliding_window: true, sliding_window: 20, max_window_layers: 1 },
    },
  },
  'qwen3 over a pipeline of tensor-parallel ranks': {
    model: { ...small, family: 'qwen3', headDim: 12, tied: true },
    stages: FUSED,
  },
  gemma2: {
    model: {
      ...small,
      family: 'gemma2',
      headDim: 12,
      tied: true,
      logitScale: 8,
      config: {
        sliding_window: 13,
        query_pre_attn_scalar: 20,
        attn_logit_softcapping: 4,
        final_logit_softcapping: 9,
      },
    },
  },
  'gemma2 with bf16 weights over a pipeline of tensor-parallel ranks': {
    model: {
      ...small,
      family: 'gemma2',
      tied: true,
      dtype: 'bf16',
      config: { sliding_window: 8, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
    },
    stages: FUSED,
    weights: 'bf16',
  },
  'gemma3 with a rotary base for each kind of layer': {
    model: {
      ...small,
      family: 'gemma3',
      layers: 4,
      headDim: 10,
      tied: true,
      ropeTheta: 1e6,
      ropeScaling: { rope_type: 'linear', factor: 8 },
      config: { sliding_window: 9, sliding_window_pattern: 2, rope_local_base_freq: 100 },
    },
  },
  'phi3 with a window': {
    model: { ...small, family: 'phi3', config: { sliding_window: 30 } },
  },
  'phi3 with longrope and part of the head rotated, f16': {
    model: {
      ...small,
      family: 'phi3',
      headDim: 16,
      dtype: 'f16',
      shards: 2,
      ropeScaling: { type: 'longrope', short_factor: divisors(6, 1), long_factor: divisors(6, 8) },
      config: { partial_rotary_factor: 0.75, original_max_position_embeddings: 32 },
    },
    weights: 'f16',
  },
};

describe('model families', () => {
  const root = mkdtempSync(join(tmpdir(), 'fulcrum-families-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it.each(Object.entries(CASES))('%s', async (name, { model, stages = RESHARDED, weights = 'f32' }) => {
    const seed = Object.keys(CASES).indexOf(name) + 1;
    const directory = writeRandomModel(join(root, String(seed)), { ...model, seed, context: CONTEXT });
    const random = seededRandom(200 + seed);
    const reference = referenceModel(directory);
    const expected = [1, 7, 16, 29, 47, 66].map((length) => {
      const prompt = Array.from({ length }, () => random.below(model.vocab));
      return { prompt, steps: reference.greedySteps(prompt, NEW_TOKENS, [1]) };
    });
    const plan = makePlan({ shape: shapeOf(directory), stages, weights, kv: { pageTokens: 8 } });
    const { runtime, diagnostics } = compilePlan(plan);
    expect(diagnostics).toEqual([]);
    await expectReferenceAnswers(runtime, directory, expected);
  });
});
