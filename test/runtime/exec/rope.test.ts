import { describe, expect, it } from 'vitest';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { ropeFrequencies } from '../../../runtime/exec/rope.js';
import { ropeFrequencies as referenceFrequencies } from '../../reference/config.js';

const shape = { headDim: 128, ropeTheta: 500000 } as ModelShape;

describe('ropeFrequencies', () => {
  it('is theta^(-2i/d) without scaling', () => {
    const plain = ropeFrequencies(shape);
    expect(plain).toHaveLength(64);
    expect(plain[0]).toBe(1);
    expect(plain[32]).toBeCloseTo(500000 ** -0.5, 8);
  });

  it('divides by the factor with linear scaling', () => {
    const plain = ropeFrequencies(shape);
    const scaled = ropeFrequencies({ ...shape, ropeScaling: { type: 'linear', factor: 4 } });
    scaled.forEach((value, i) => expect(value / plain[i]!).toBeCloseTo(0.25, 6));
  });

  it('keeps fast and slows slow frequencies with llama3 scaling', () => {
    const plain = ropeFrequencies(shape);
    const scaled = ropeFrequencies({
      ...shape,
      ropeScaling: { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 8192 },
    });
    const ratio = [...scaled].map((value, i) => value / plain[i]!);
    expect(ratio[0]).toBe(1);
    expect(ratio.at(-1)).toBeCloseTo(1 / 8, 6);
    for (let i = 1; i < ratio.length; i++) expect(ratio[i]!).toBeLessThanOrEqual(ratio[i - 1]! + 1e-6);
    expect(ratio.some((value) => value > 0.13 && value < 0.99)).toBe(true);
  });

  it('has a table of its own for sliding layers, unscaled', () => {
    const gemma: ModelShape = {
      ...shape,
      ropeScaling: { type: 'linear', factor: 8 },
      sliding: { window: 8, layers: [0], ropeTheta: 10_000 },
    };
    expect(ropeFrequencies(gemma, 'rope_local')[32]).toBeCloseTo(0.01, 8);
    expect(ropeFrequencies(gemma)[32]).toBeCloseTo(500000 ** -0.5 / 8, 8);
  });

  it('divides each pair by its number with longrope, over the rotated dimensions only', () => {
    const divisors = [1, 2, 4];
    const scaling = { type: 'longrope', factor: 4, attentionFactor: 1.2, originalContext: 32 } as const;
    const phi = { ...shape, rotaryDim: 6, ropeTheta: 1000, ropeScaling: { ...scaling, divisors } };
    const found = [...ropeFrequencies(phi)];
    [1, 0.1 / 2, 0.01 / 4].forEach((value, i) => expect(found[i]).toBeCloseTo(value, 8));
  });

  it('follows the reference with yarn', () => {
    for (const [headDim, theta, original, fast, truncate] of [
      [128, 10_000, 4096, 32, true],
      [64, 1e6, 32_768, 32, true],
      [96, 500_000, 8192, 20, false],
      [8, 10_000, 16, 32, true],
    ] as const) {
      const [factor, betaFast, originalContext] = [4, fast, original];
      const yarn = { type: 'yarn', factor, attentionFactor: 1, betaFast, betaSlow: 1 } as const;
      const found = ropeFrequencies({
        ...shape,
        headDim,
        ropeTheta: theta,
        ropeScaling: { ...yarn, originalContext, truncate },
      });
      const expected = referenceFrequencies(
        headDim,
        theta,
        { rope_type: 'yarn', factor: 4, beta_fast: fast, truncate },
        { original, longest: 4 * original },
      );
      found.forEach((value, i) => expect(value / expected[i]!).toBeCloseTo(1, 6));
    }
  });
});
