/** The order in which candidates are looked at, and tried. */
import { likelyBetween, type Bounded } from './closer-look.js';
import { leastByEstimate, type Goal } from './trial.js';

type Ordered = Pick<
  Bounded,
  'candidate' | 'index' | 'least' | 'estimate' | 'betweenTokens' | 'between' | 'estimated' | 'atLeast'
>;

/** Estimates that differ by less are equal: of plans that may well run the same, that with the least batch goes first. */
const EQUAL = 1e-3;

/** The place of an estimate, such that those that are equal have the same. */
export function placeOf(estimate: number): number {
  return Math.round(Math.log(estimate) / EQUAL);
}

/**
 * Of two candidates the one that may be better goes first, by what they take no less than: none is tried before all others
 * that are bounded are known to promise no more.
 */
export function inOrderOf({ kind }: Goal): (a: Ordered, b: Ordered) => number {
  const secondsOf = (each: Ordered): number => Math.max(each.least, each.atLeast ?? 0, leastByEstimate(each));
  const inTime = (a: Ordered, b: Ordered): number =>
    placeOf(secondsOf(a)) - placeOf(secondsOf(b)) || a.index - b.index;
  if (kind !== 'latency') return inTime;
  return (a, b) => placeOf(likelyBetween(a)) - placeOf(likelyBetween(b)) || inTime(a, b);
}
