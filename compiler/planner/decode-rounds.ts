/** Rounds of decode where sequences take their turn in order of arrival. In a round each that is under way has one row. */
import { once } from '../once.js';
import { createHeap } from '../reshard/heap.js';

/**
 * Rounds until all rows are done, with no more than so many sequences under way at once: each begins as soon as one
 * before it has made room.
 *
 *     rows 3, 1, 4 with 2 places: 3 . .
 *                                 1 4 4 4 4     5 rounds
 *
 * @param rows of decode by sequence, in order of arrival
 */
export function decodeRounds(rows: readonly number[], places: number): number {
  let known = knownRounds.get(rows);
  if (known === undefined) knownRounds.set(rows, (known = once((each) => countRounds(rows, each))));
  return known(places);
}

/** Of a workload, for all the plans that are estimated for it. */
const knownRounds = new WeakMap<readonly number[], (places: number) => number>();

function countRounds(rows: readonly number[], places: number): number {
  /** The rounds after which those under way end. */
  const ends = createHeap<number>((a, b) => a - b);
  let [underWay, last] = [0, 0];
  for (const each of rows) {
    if (each <= 0) continue;
    const begin = underWay < places ? 0 : ends.pop()!;
    if (underWay < places) underWay++;
    ends.push(begin + each);
    last = Math.max(last, begin + each);
  }
  return last;
}
