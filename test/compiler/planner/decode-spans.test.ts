/** Where lines that rise with the number of steps meet curves that fall with it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leastOfAll, type FallingCurve, type RisingLine } from '../../../compiler/planner/decode-spans.js';

const lines: fc.Arbitrary<RisingLine[]> = fc.array(
  fc.record({
    atFewest: fc.double({ min: 0, max: 10, noNaN: true }),
    perStep: fc.constantFrom(0, 0.01, 0.5, 2),
  }),
  { minLength: 1, maxLength: 3 },
);
const curves: fc.Arbitrary<FallingCurve[]> = fc.array(
  fc.record({
    base: fc.double({ min: -5, max: 10, noNaN: true }),
    over: fc.double({ min: 0, max: 100, noNaN: true }),
  }),
  { maxLength: 3 },
);

describe('leastOfAll', () => {
  it('is what the highest comes to where that is least', () => {
    fc.assert(
      fc.property(lines, curves, fc.double({ min: 0.1, max: 20, noNaN: true }), (rising, falling, fewest) => {
        const least = leastOfAll(fewest, rising, falling);
        const highest = (steps: number): number =>
          Math.max(
            ...rising.map(({ atFewest, perStep }) => atFewest + perStep * (steps - fewest)),
            ...falling.map(({ base, over }) => base + over / steps),
          );
        // Steps ever further apart, up to where curves are flat.
        const tried = Array.from({ length: 4000 }, (_, i) => highest(fewest * 1.005 ** i));
        expect(least).toBeLessThanOrEqual(Math.min(...tried) * (1 + 1e-9) + 1e-9);
        expect(least).toBeGreaterThan(Math.min(...tried) * 0.98 - 0.01);
      }),
    );
  });

  it('is that of the lines where there are no steps', () => {
    expect(leastOfAll(0, [{ atFewest: 3, perStep: 1 }], [{ base: 7, over: 0 }])).toBe(3);
  });

  it('is where a line and a curve meet', () => {
    expect(leastOfAll(1, [{ atFewest: 2, perStep: 2 }], [{ base: 0, over: 18 }])).toBeCloseTo(6, 12);
  });
});
