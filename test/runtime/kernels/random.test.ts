import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gumbel, pcg, uniform } from '../../../runtime/kernels/random.js';

const word = fc.integer({ min: 0, max: 0xffffffff });

describe('sampling noise', () => {
  it('hashes words to words, deterministically and without a fixed small range', () => {
    fc.assert(
      fc.property(word, (value) => {
        const hash = pcg(value);
        expect(Number.isInteger(hash) && hash >= 0 && hash <= 0xffffffff).toBe(true);
        expect(pcg(value)).toBe(hash);
      }),
    );
    expect(new Set(Array.from({ length: 1000 }, (_, i) => pcg(i))).size).toBe(1000);
  });

  it('is uniform in [0, 1) over positions and over seeds', () => {
    const count = 20_000;
    for (const draw of [(i: number) => uniform(7, i), (i: number) => uniform(i, 7)]) {
      const bins = new Array<number>(10).fill(0);
      for (let i = 0; i < count; i++) bins[Math.floor(draw(i) * 10)]!++;
      const chi2 = bins.reduce((sum, n) => sum + (n - count / 10) ** 2 / (count / 10), 0);
      // 99.99th percentile of chi-squared with 9 degrees of freedom.
      expect(chi2).toBeLessThan(33.7);
    }
  });

  it('is finite for every word and Gumbel distributed over ids', () => {
    fc.assert(
      fc.property(word, word, word, (seed, position, id) => {
        expect(Number.isFinite(gumbel(seed, position, id))).toBe(true);
      }),
    );
    const count = 20_000;
    const draws = Array.from({ length: count }, (_, id) => gumbel(1, 2, id));
    const mean = draws.reduce((sum, x) => sum + x, 0) / count;
    const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / count;
    expect(Math.abs(mean - 0.5772)).toBeLessThan(0.04);
    expect(Math.abs(variance - Math.PI ** 2 / 6)).toBeLessThan(0.12);
  });
});
