/** The search of places in order, against looking at all of them. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { firstAbove } from '../../compiler/first-above.js';

it('finds the first that is above a limit', () => {
  const numbers = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 12 });
  fc.assert(
    fc.property(numbers, fc.integer({ min: -1, max: 21 }), fc.boolean(), (unsorted, limit, typed) => {
      const values = unsorted.sort((a, b) => a - b);
      const found = values.findIndex((value) => value > limit);
      expect(firstAbove(typed ? Float64Array.from(values) : values, limit)).toBe(
        found < 0 ? values.length : found,
      );
    }),
  );
});
