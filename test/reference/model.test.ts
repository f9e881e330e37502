import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../fixtures/halves.js';
import { writeRandomModel } from '../fixtures/random-model.js';
import { ropeFrequencies } from './config.js';
import { referenceModel } from './model.js';

interface Golden {
  readonly cases: readonly {
    readonly custom_id: string;
    readonly prompt_ids: readonly number[];
    readonly output_ids: readonly number[];
    readonly first_logits: readonly number[];
  }[];
}

const CLERK = 'plans/models/clerk';
const golden = JSON.parse(readFileSync(join(CLERK, 'data/golden.json'), 'utf8')) as Golden;
const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-reference-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('reference on clerk', () => {
  const model = referenceModel(CLERK);

  it.each(golden.cases)('$custom_id: golden ids and first logits', (record) => {
    const steps = model.greedySteps(record.prompt_ids, 96, [1]);
    expect(steps.map((step) => step.id)).toEqual(record.output_ids);
    record.first_logits.forEach((logit, i) => {
      expect(Math.abs(steps[0]!.logits[i]! - logit)).toBeLessThan(1e-7 * (1 + Math.abs(logit)));
    });
  });

  it('forward gives the same logits as the cached steps', () => {
    const ids = golden.cases[0]!.prompt_ids.slice(0, 20);
    const all = model.forward(ids);
    expect(all).toHaveLength(20);
    expect([...all[19]!]).toEqual([...model.firstLogits(ids)]);
    expect([...all[7]!]).toEqual([...model.firstLogits(ids.slice(0, 8))]);
  });
});

describe('random models', () => {
  const shape = { layers: 3, hidden: 48, heads: 6, kvHeads: 2, ffn: 100, vocab: 301 };
  const cases = {
    llama: { family: 'llama' },
    'llama biases': { family: 'llama', attentionBias: true, mlpBias: true, tied: true },
    'llama odd head_dim': { family: 'llama', headDim: 10, dtype: 'f16' },
    'llama linear rope': { family: 'llama', ropeScaling: { type: 'linear', factor: 4 } },
    mistral: { family: 'mistral', dtype: 'bf16', shards: 3 },
    qwen2: { family: 'qwen2', tied: true },
    qwen3: { family: 'qwen3', ropeTheta: 1e6 },
    'mistral with a window': { family: 'mistral', config: { sliding_window: 8 } },
    gemma2: {
      family: 'gemma2',
      tied: true,
      config: { sliding_window: 8, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
    },
    gemma3: { family: 'gemma3', config: { sliding_window: 8, sliding_window_pattern: 2 } },
    phi3: { family: 'phi3' },
  } as const;

  it.each(Object.entries(cases))(
    '%s: logits spread and the text is not one repeated token',
    (name, options) => {
      const dir = writeRandomModel(join(scratch, name), { seed: 7, ...shape, ...options });
      const model = referenceModel(dir);
      const steps = model.greedySteps([0, 40, 41, 50, 60, 70], 24, []);
      const logits = steps[0]!.logits;
      const mean = logits.reduce((a, b) => a + b, 0) / logits.length;
      const spread = Math.sqrt(logits.reduce((a, b) => a + (b - mean) ** 2, 0) / logits.length);
      expect(spread).toBeGreaterThan(1);
      expect(spread).toBeLessThan(12);
      expect(new Set(steps.map((step) => step.id)).size).toBeGreaterThan(3);
    },
  );

  it('depends on earlier tokens, on their order, and on the seed', () => {
    const dir = writeRandomModel(join(scratch, 'order'), { seed: 1, ...shape });
    const model = referenceModel(dir);
    const base = model.firstLogits([0, 5, 6, 7]);
    expect(distance(base, model.firstLogits([0, 6, 5, 7]))).toBeGreaterThan(0.1);
    expect(distance(base, model.firstLogits([0, 9, 6, 7]))).toBeGreaterThan(0.1);
    const other = referenceModel(writeRandomModel(join(scratch, 'seed'), { seed: 2, ...shape }));
    expect(distance(base, other.firstLogits([0, 5, 6, 7]))).toBeGreaterThan(0.1);
  });

  it('one file and three shards hold the same model', () => {
    const one = referenceModel(writeRandomModel(join(scratch, 'one'), { seed: 3, ...shape }));
    const three = referenceModel(writeRandomModel(join(scratch, 'three'), { seed: 3, ...shape, shards: 3 }));
    expect(distance(one.firstLogits([0, 5, 6]), three.firstLogits([0, 5, 6]))).toBe(0);
  });
});

describe('rope frequencies', () => {
  it('llama3 keeps high, divides low and blends middle frequencies', () => {
    const scaling = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    const plain = ropeFrequencies(128, 500000, {});
    const scaled = ropeFrequencies(128, 500000, scaling);
    for (let i = 0; i < 64; i++) {
      const wavelength = (2 * Math.PI) / plain[i]!;
      if (wavelength < 8192 / 4) expect(scaled[i]).toBe(plain[i]);
      else if (wavelength > 8192) expect(scaled[i]).toBe(plain[i]! / 8);
      else {
        const smooth = (8192 / wavelength - 1) / (4 - 1);
        expect(scaled[i]).toBeCloseTo((1 - smooth) * (plain[i]! / 8) + smooth * plain[i]!, 14);
      }
    }
  });
});

describe('half conversions', () => {
  it('every 16-bit pattern survives the round trip', () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 65536; bits++) {
      if (!Number.isNaN(f16ToNumber(bits)) && numberToF16(f16ToNumber(bits)) !== bits) wrong.push(bits);
      if (!Number.isNaN(bf16ToNumber(bits)) && numberToBf16(bf16ToNumber(bits)) !== bits) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  it('rounds to nearest, ties to even, and overflows to infinity', () => {
    expect(numberToF16(1 + 2 ** -11)).toBe(0x3c00);
    expect(numberToF16(1 + 3 * 2 ** -11)).toBe(0x3c02);
    expect(numberToF16(65519.99)).toBe(0x7bff);
    expect(numberToF16(65520)).toBe(0x7c00);
    expect(numberToBf16(1 + 2 ** -8)).toBe(0x3f80);
    expect(numberToBf16(3.4e38)).toBe(0x7f80);
    expect(numberToF16(-(2 ** -25))).toBe(0x8000);
  });
});

function distance(a: Float64Array, b: Float64Array): number {
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}
