/**
 * The order in which candidates are looked at. It decides nothing but how soon a good plan is found, which lets others go
 * early, and the sizes that a mesh is tried with first.
 */
import type { Candidate } from '../../compiler/planner/candidates.js';
import { likelyBetween, type Bounded } from './closer-look.js';
import type { Goal } from './trial.js';

type Ordered = Pick<
  Bounded,
  'candidate' | 'index' | 'least' | 'estimate' | 'betweenTokens' | 'between' | 'estimated'
>;

/**
 * What plans take of their estimates: the median over some 250 plans for the paper's machines, models and workloads, cut to
 * 400 requests. Of static plans that are estimated roughly it is the median over the best one of each search for these.
 */
function asARule({ candidate: { strategy, stages }, estimated }: Ordered): number {
  if (estimated === 'closely') return strategy === 'static' ? 1.008 : 1.006;
  if (strategy === 'static') return 1.1;
  if (strategy === 'disaggregated') return 1.21;
  return stages.at(-1)!.mesh.pp > 1 ? 1.08 : 1.05;
}

/** Seconds that a plan takes by its estimate, as a rule. */
export function usualSeconds(each: Ordered): number {
  return each.estimate * asARule(each);
}

/** Other caps of KV than the first have no higher bounds, and are hardly ever better. */
const CAPS_LATER = 1.05;

/** Estimates that differ by less are equal: of plans that may well run the same, that with the least batch goes first. */
const EQUAL = 1e-3;

/** The place of an estimate, such that those that are equal have the same. */
export function placeOf(estimate: number): number {
  return Math.round(Math.log(estimate) / EQUAL);
}

export function inOrderOf({ kind }: Goal, { base: first }: Candidate): (a: Ordered, b: Ordered) => number {
  // A front is gone along: whatever may be quicker than a plan, or as quick, is looked at before that is tried.
  const secondsOf = (each: Ordered): number => {
    if (kind === 'front') return each.estimated === undefined ? each.least : each.estimate;
    const seconds = usualSeconds(each);
    return each.candidate.base === first ? seconds : seconds * CAPS_LATER;
  };
  const inTime = (a: Ordered, b: Ordered): number =>
    placeOf(secondsOf(a)) - placeOf(secondsOf(b)) || a.index - b.index;
  if (kind !== 'latency') return inTime;
  return (a, b) => placeOf(likelyBetween(a)) - placeOf(likelyBetween(b)) || inTime(a, b);
}
