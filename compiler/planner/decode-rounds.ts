/** Rounds of decode where sequences take their turn in order of arrival. In a round each that is under way has one row. */

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
  const ends = createEnds(places);
  let last = 0;
  for (const each of rows) {
    if (each > 0) last = Math.max(last, ends.begin(each));
  }
  return last;
}

interface Ends {
  /** Begins a sequence in the place that is free first, and says after which round it ends. */
  readonly begin: (rounds: number) => number;
}

/** A binary heap of the rounds after which places are free: a search asks for many numbers of places, each with all rows. */
function createEnds(places: number): Ends {
  const ends: number[] = [];
  const append = (end: number): void => {
    let at = ends.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (ends[parent]! <= end) break;
      ends[at] = ends[parent]!;
      at = parent;
    }
    ends[at] = end;
  };
  const replaceFirst = (end: number): void => {
    let at = 0;
    for (let child = 1; child < places; child = 2 * at + 1) {
      if (child + 1 < places && ends[child + 1]! < ends[child]!) child++;
      if (end <= ends[child]!) break;
      ends[at] = ends[child]!;
      at = child;
    }
    ends[at] = end;
  };
  return {
    begin(rounds) {
      if (ends.length < places) {
        append(rounds);
        return rounds;
      }
      const end = ends[0]! + rounds;
      replaceFirst(end);
      return end;
    },
  };
}
