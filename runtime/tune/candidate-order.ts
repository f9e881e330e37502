/** The order in which candidates are looked at, and tried. */
import { likelyBetween, type Bounded } from './closer-look.js';
import { leastByEstimate, type Goal } from './trial.js';
import { usualSeconds } from './usual-seconds.js';

type Ordered = Pick<
  Bounded,
  | 'candidate'
  | 'index'
  | 'least'
  | 'estimate'
  | 'betweenTokens'
  | 'between'
  | 'estimated'
  | 'timesFilled'
  | 'atLeast'
>;

/**
 * Part by which estimates may differ and count as equal: of plans that may well run the same, that with the least batch
 * goes first.
 */
const EQUAL = 1e-3;

/** A whole number that ascends with the estimate: estimates that count as equal have the same one. */
export function placeOf(estimate: number): number {
  return Math.round(Math.log(estimate) / EQUAL);
}

/**
 * Orders candidates by seconds, or first by time between tokens where that is the goal. Where estimates decide the one
 * that may be better goes first: none is tried before all others that are bounded are known to promise no more. Where
 * bounds do, all that may be better are tried, and the one that likely is the best goes first: of the others less is simulated
 * then.
 */
export function inOrderOf({ kind }: Goal, byEstimate: boolean): (a: Ordered, b: Ordered) => number {
  const secondsOf = (each: Ordered): number => {
    if (byEstimate) return Math.max(each.least, each.atLeast ?? 0, leastByEstimate(each));
    return each.estimated === undefined ? each.least : Math.max(each.least, usualSeconds(each));
  };
  const inTime = (a: Ordered, b: Ordered): number =>
    placeOf(secondsOf(a)) - placeOf(secondsOf(b)) || a.index - b.index;
  if (kind !== 'latency') return inTime;
  return (a, b) => placeOf(likelyBetween(a)) - placeOf(likelyBetween(b)) || inTime(a, b);
}
