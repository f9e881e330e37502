/** A lower bound on the minimum of a convex function, found with few of its values. */

/** Rounds of a search, at most: what it has found by then is a bound all the same. */
const SEARCH_ROUNDS = 12;

/**
 * A lower bound on the minimum of a convex function over the whole numbers from 0 to `end`. Between two places with a
 * line through each and its neighbour, one falling and one rising, the function is above both lines: the least is no
 * lower than where they meet, and what is there takes the place of one of them.
 *
 *     |x - 5| from 0 to 8: lines 5 - x and x - 5 meet at (5, 0), which is the value there
 */
export function leastOfConvex(valueAt: (at: number) => number, end: number): number {
  const line = (at: number, neighbour: number): Line => {
    const value = valueAt(at);
    return { at, value, slope: (valueAt(neighbour) - value) / (neighbour - at) };
  };
  let falling = line(0, 1);
  let rising = line(end, end - 1);
  if (falling.slope >= 0) return falling.value;
  if (rising.slope <= 0) return rising.value;
  for (let round = 0; ; round++) {
    const rise = rising.value - rising.slope * (rising.at - falling.at) - falling.value;
    const meeting = falling.at + rise / (falling.slope - rising.slope);
    const least = falling.value + falling.slope * (meeting - falling.at);
    const middle = Math.floor(meeting);
    if (round === SEARCH_ROUNDS || middle <= falling.at || middle + 1 >= rising.at) return least;
    const next = line(middle, middle + 1);
    if (next.value <= least * (1 + SEARCH_ROUNDING)) return least;
    if (next.slope === 0) return next.value;
    if (next.slope < 0) falling = next;
    else rising = { at: middle + 1, value: next.value + next.slope, slope: next.slope };
  }
}

const SEARCH_ROUNDING = 1e-6;

interface Line {
  readonly at: number;
  readonly value: number;
  readonly slope: number;
}
