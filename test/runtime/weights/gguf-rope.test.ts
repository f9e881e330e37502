/** Rotary embeddings of GGUF files: the same frequencies as of the directory that a file was made from. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { shapeFromConfig } from '../../../compiler/model/config.js';
import { ropeAmplitude } from '../../../compiler/model/rope.js';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { ropeFrequencies } from '../../../runtime/exec/rope.js';
import { openModelDirectory } from '../../../runtime/weights/model-dir.js';
import {
  ggufBytes,
  writeGgufModel,
  type GgufFixtureArchitecture,
  type GgufFixtureMetadata,
} from '../../fixtures/gguf-file.js';
import { llama3Divisors } from '../../fixtures/llama3-divisors.js';
import { writeRandomModel, type RandomModelOptions } from '../../fixtures/random-model.js';
import { referenceConfig } from '../../reference/config.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-gguf-rope-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const SHAPE = { layers: 1, hidden: 64, heads: 2, kvHeads: 1, headDim: 32, ffn: 20, vocab: 40, seed: 3 };
const LLAMA_3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};
const ramp = (steps: number): readonly number[] => Array.from({ length: 16 }, (_, i) => 1 + (i * steps) / 16);

interface Case {
  readonly family: GgufFixtureArchitecture;
  readonly ropeScaling: Readonly<Record<string, unknown>>;
  readonly context: number;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly metadata?: GgufFixtureMetadata;
  readonly vectors?: Readonly<Record<string, readonly number[]>>;
}

const longrope = { rope_type: 'longrope', short_factor: ramp(1), long_factor: ramp(40) };
const factors = { rope_factors_short: ramp(1), rope_factors_long: ramp(40) };
const CASES: Readonly<Record<string, Case>> = {
  'Llama 3.1, whose scaling is a list of divisors': {
    family: 'llama',
    ropeScaling: LLAMA_3,
    context: 512,
    vectors: { rope_freqs: llama3Divisors(32, 10000, LLAMA_3) },
  },
  'linear scaling': {
    family: 'llama',
    ropeScaling: { rope_type: 'linear', factor: 4 },
    context: 512,
    metadata: { 'rope.scaling.type': 'linear', 'rope.scaling.factor': 4 },
  },
  'Qwen with YaRN': {
    family: 'qwen2',
    ropeScaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128, beta_fast: 16 },
    context: 512,
    metadata: {
      'rope.scaling.type': 'yarn',
      'rope.scaling.factor': 4,
      'rope.scaling.original_context_length': 128,
      'rope.scaling.yarn_beta_fast': 16,
    },
  },
  'Phi-3 of long context': {
    family: 'phi3',
    ropeScaling: longrope,
    context: 512,
    config: { original_max_position_embeddings: 64 },
    metadata: {
      'rope.scaling.original_context_length': 64,
      'rope.scaling.attn_factor': Math.sqrt(1 + Math.log(8) / Math.log(64)),
    },
    vectors: factors,
  },
  'Phi-3 within its first context': {
    family: 'phi3',
    ropeScaling: longrope,
    context: 64,
    config: { original_max_position_embeddings: 64 },
    metadata: { 'rope.scaling.original_context_length': 64 },
    vectors: factors,
  },
};

function shapeOf(config: unknown): ModelShape {
  const read = shapeFromConfig(config as Readonly<Record<string, unknown>>);
  if (read.kind !== 'shape') throw new Error(JSON.stringify(read));
  return read.shape;
}

describe('rotary embeddings of a GGUF file', () => {
  it.each(Object.entries(CASES))(
    '%s',
    (name, { family, ropeScaling, context, config, metadata, vectors }) => {
      const options: RandomModelOptions = {
        ...SHAPE,
        ...(family === 'llama' ? {} : { family: family as 'qwen2' | 'phi3' }),
        ropeScaling,
        context,
        ...(config && { config }),
      };
      const dir = writeRandomModel(join(scratch, name), options);
      const json = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as Record<string, unknown>;
      const path = join(dir, 'model.gguf');
      const more: GgufFixtureMetadata = {
        ...(family === 'phi3' ? { 'attention.sliding_window': 0 } : {}),
        ...metadata,
      };
      const written = { ...referenceConfig(json), ropeTheta: 10000 };
      writeGgufModel(path, family, written, () => undefined, 'f32', undefined, more, vectors);
      const found = shapeOf({ ...openModelDirectory(path).configJson, vocab_size: SHAPE.vocab });
      const wanted = shapeOf(json);
      const frequencies = ropeFrequencies(found);
      ropeFrequencies(wanted).forEach((value, i) => expect(frequencies[i]! / value).toBeCloseTo(1, 5));
      expect(ropeAmplitude(found)).toBeCloseTo(ropeAmplitude(wanted), 6);
    },
  );

  it.each([
    [{ 'llama.rope.scaling.type': 'ntk' }, 'ntk of GGUF'],
    [
      { 'llama.rope.scaling.type': 'yarn', 'llama.rope.scaling.yarn_attn_factor': 0.5 },
      'yarn with factors of its own',
    ],
    [{ 'llama.rope.dimension_count': 8, 'llama.attention.key_length': 16 }, 'rope.dimension_count of GGUF'],
  ] as const)('of another kind is refused by its name: %#', (metadata, message) => {
    const path = join(scratch, 'other.gguf');
    writeFileSync(path, ggufBytes({ 'general.architecture': 'llama', ...metadata }, []));
    const read = shapeFromConfig(openModelDirectory(path).configJson);
    expect(JSON.stringify(read)).toMatch(message);
  });

  it('has divisors in F32 and no scaling beside them', () => {
    const path = join(scratch, 'divisors.gguf');
    const half = { name: 'rope_freqs.weight', shape: [4], type: 1, data: new Uint8Array(8) };
    writeFileSync(path, ggufBytes({ 'general.architecture': 'llama' }, [half]));
    expect(() => openModelDirectory(path)).toThrow(
      /rope_freqs.weight is F16\[4\]; divisors of frequencies are/,
    );
    const whole = { ...half, type: 0, data: new Uint8Array(16) };
    writeFileSync(
      path,
      ggufBytes({ 'general.architecture': 'llama', 'llama.rope.scaling.type': 'linear' }, [whole]),
    );
    const read = shapeFromConfig(openModelDirectory(path).configJson);
    expect(JSON.stringify(read)).toMatch('linear with divisors of GGUF');
  });
});
