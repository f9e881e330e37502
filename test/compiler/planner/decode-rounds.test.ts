/** Rounds of decode in order of arrival. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRounds } from '../../../compiler/planner/decode-rounds.js';

/** Round by round: who is under way has a row, who waits begins in order of arrival as soon as there is room. */
function countRounds(rows: readonly number[], places: number): number {
  const waiting = rows.filter((each) => each > 0);
  let underWay: readonly number[] = [];
  let rounds = 0;
  for (;;) {
    underWay = [...underWay, ...waiting.splice(0, places - underWay.length)];
    if (underWay.length === 0) return rounds;
    underWay = underWay.map((each) => each - 1).filter((each) => each > 0);
    rounds++;
  }
}

describe('decodeRounds', () => {
  it('counts what goes round by round', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 45 }),
        (rows, places) => {
          expect(decodeRounds(rows, places)).toBe(countRounds(rows, places));
        },
      ),
    );
  });
});
