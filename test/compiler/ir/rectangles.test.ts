import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  contains,
  intersect,
  subtract,
  subtractAll,
  type Rectangle,
} from '../../../compiler/ir/rectangles.js';

const SIDE = 7;

const interval = fc
  .tuple(fc.integer({ min: 0, max: SIDE }), fc.integer({ min: 0, max: SIDE }))
  .filter(([a, b]) => a !== b)
  .map(([a, b]): readonly [number, number] => [Math.min(a, b), Math.max(a, b)]);
const rectangle = fc.record({ rows: interval, cols: interval });

/** Cells of a rectangle, as a set of names. */
function cells({ rows, cols }: Rectangle): ReadonlySet<string> {
  const found = new Set<string>();
  for (let row = rows[0]; row < rows[1]; row++) {
    for (let col = cols[0]; col < cols[1]; col++) found.add(`${row},${col}`);
  }
  return found;
}

describe('rectangles against sets of cells', () => {
  it('intersect', () => {
    fc.assert(
      fc.property(rectangle, rectangle, (a, b) => {
        const common = intersect(a, b);
        const inB = cells(b);
        const expected = [...cells(a)].filter((cell) => inB.has(cell));
        expect(common ? [...cells(common)] : []).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it('subtract leaves disjoint parts that are exactly the rest', () => {
    fc.assert(
      fc.property(rectangle, fc.array(rectangle, { maxLength: 4 }), (a, others) => {
        const parts = subtractAll(a, others).flatMap((part) => [...cells(part)]);
        const gone = new Set(others.flatMap((other) => [...cells(other)]));
        expect(parts.sort()).toEqual([...cells(a)].filter((cell) => !gone.has(cell)).sort());
      }),
      { numRuns: 2000 },
    );
  });

  it('contains when nothing is left', () => {
    fc.assert(
      fc.property(rectangle, rectangle, (a, b) => {
        expect(contains(a, b)).toBe(subtract(b, a).length === 0);
      }),
      { numRuns: 2000 },
    );
  });
});
