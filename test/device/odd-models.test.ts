/**
 * Models of shapes nobody tuned for: odd head counts and sizes, GQA ratios, vocabularies, layer counts that pp does
 * not divide, rope settings, biases, norms, dtypes and file layouts, each under several shardings.
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

interface Case {
  readonly model: Omit<RandomModelOptions, 'seed'>;
  readonly stages: readonly StageOptions[];
  readonly weights?: 'f32' | 'f16' | 'bf16';
}

const small = { microbatchTokens: 33, batchRequests: 6 };

const CASES: Readonly<Record<string, Case>> = {
  'odd sizes: 3 heads of 10, vocab 331, ffn 53, 5 layers over pp 3': {
    model: { layers: 5, hidden: 30, heads: 3, kvHeads: 1, headDim: 10, ffn: 53, vocab: 331, dtype: 'f32' },
    stages: [
      { name: 'prefill', mesh: { pp: 3 }, ...small },
      { name: 'decode', mesh: { dp: 3 }, ...small },
    ],
  },
  'vocab 259 padded over tp 4, tied, f16 in two files': {
    model: {
      layers: 3,
      hidden: 64,
      heads: 8,
      kvHeads: 4,
      ffn: 80,
      vocab: 259,
      tied: true,
      dtype: 'f16',
      shards: 2,
    },
    stages: [
      { name: 'prefill', mesh: { tp: 4 }, ...small },
      { name: 'decode', mesh: { pp: 2, tp: 2 }, ...small },
    ],
  },
  'multi-query attention with 12 heads of 6 on bf16 weights': {
    model: { layers: 2, hidden: 48, heads: 12, kvHeads: 1, headDim: 6, ffn: 100, vocab: 128, dtype: 'bf16' },
    stages: [{ name: 'serve', mesh: { pp: 2 }, ...small }],
    weights: 'bf16',
  },
  'no grouping, llama3 rope scaling, theta 500000, biases everywhere': {
    model: {
      layers: 4,
      hidden: 40,
      heads: 4,
      kvHeads: 4,
      ffn: 60,
      vocab: 200,
      attentionBias: true,
      mlpBias: true,
      ropeTheta: 500000,
      ropeScaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    },
    stages: [
      { name: 'prefill', mesh: { pp: 4 }, ...small },
      { name: 'decode', mesh: { tp: 4 }, ...small },
    ],
  },
  'qwen2 with linear rope scaling': {
    model: {
      family: 'qwen2',
      layers: 3,
      hidden: 56,
      heads: 7,
      kvHeads: 7,
      ffn: 77,
      vocab: 300,
      ropeScaling: { rope_type: 'linear', factor: 2 },
    },
    stages: [
      { name: 'prefill', mesh: { dp: 2 }, ...small },
      { name: 'decode', mesh: { pp: 2 }, ...small },
    ],
  },
  'qwen3 with q/k norms, heads wider than hidden, f16 weights': {
    model: {
      family: 'qwen3',
      layers: 3,
      hidden: 32,
      heads: 6,
      kvHeads: 2,
      headDim: 16,
      ffn: 64,
      vocab: 256,
      dtype: 'f16',
    },
    stages: [
      { name: 'prefill', mesh: { pp: 2 }, ...small },
      { name: 'decode', mesh: { tp: 2 }, ...small },
    ],
    weights: 'f16',
  },
  'mistral with head size 80 and five query heads a kv head': {
    model: {
      family: 'mistral',
      layers: 2,
      hidden: 96,
      heads: 10,
      kvHeads: 2,
      headDim: 80,
      ffn: 96,
      vocab: 512,
    },
    stages: [
      { name: 'prefill', mesh: { pp: 2 }, devices: [0, 1], ...small },
      { name: 'decode', mesh: { tp: 2 }, devices: [2, 3], ...small },
    ],
  },
};

describe('models of odd shapes', () => {
  const root = mkdtempSync(join(tmpdir(), 'fulcrum-odd-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it.each(Object.entries(CASES))('%s', async (name, { model, stages, weights }) => {
    const seed = Object.keys(CASES).indexOf(name) + 1;
    const directory = writeRandomModel(join(root, String(seed)), { ...model, seed, context: 96 });
    const random = seededRandom(100 + seed);
    const reference = referenceModel(directory);
    const expected = Array.from({ length: 9 }, (_, i) => {
      const prompt = Array.from({ length: 1 + 8 * i }, () => random.below(model.vocab));
      return { prompt, steps: reference.greedySteps(prompt, NEW_TOKENS, [1]) };
    });
    const plan = makePlan({
      shape: shapeOf(directory),
      stages,
      weights: weights ?? 'f32',
      kv: { pageTokens: 8 },
    });
    const { runtime, diagnostics } = compilePlan(plan);
    expect(diagnostics).toEqual([]);
    await expectReferenceAnswers(runtime!, directory, expected);
  });
});
