/** The search for the least of a convex function: never above it, and close to it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leastOfConvex } from '../../../compiler/planner/least-of-convex.js';

const line = fc.record({ slope: fc.integer({ min: -20, max: 20 }), at: fc.integer({ min: 0, max: 100 }) });

describe('leastOfConvex', () => {
  it('is no higher than the least value, and hardly lower', () => {
    fc.assert(
      fc.property(
        fc.array(line, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 2, max: 2000 }),
        (lines, end) => {
          const valueAt = (x: number): number =>
            Math.max(...lines.map(({ slope, at }) => 1000 + slope * (x - at)));
          const least = Math.min(...Array.from({ length: end + 1 }, (_, x) => valueAt(x)));
          const found = leastOfConvex(valueAt, end);
          expect(found).toBeLessThanOrEqual(least + 1e-9 * Math.abs(least));
          // Between two whole numbers a line of each side may meet below both.
          expect(found).toBeGreaterThanOrEqual(least - 20);
        },
      ),
    );
  });
});
