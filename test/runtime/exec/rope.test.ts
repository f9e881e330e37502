import { describe, expect, it } from 'vitest';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { ropeFrequencies } from '../../../runtime/exec/rope.js';

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
});
