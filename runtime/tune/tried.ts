/**
 * Whether a candidate promises anything beside those that were tried, by the estimates of all. What estimates leave out
 * is much the same for plans that are much alike, so that estimates tell such plans apart better than they say what
 * each takes. No bound.
 */
import type { Candidate } from '../../compiler/planner/candidates.js';
import type { Bounded } from './closer-look.js';
import { UNLIKE } from './estimate-margins.js';
import { meshKeys, stepKeys } from './mesh-key.js';
import type { Goal, TrialEnd } from './trial.js';
import { exceptBatch } from './unreached-batches.js';

/** Steps of a front. A plan that takes longer than one on the front must have less time between tokens by this part. */
export const STEP_OF_BETWEEN = 0.05;
/** A plan that has more time between tokens than one on the front must take fewer seconds by this part. */
export const STEP_OF_SECONDS = 0.01;

/** Part by which estimates may differ and count as the same. */
const ALIKE = 5e-4;

function isAlike(a: number, b: number): boolean {
  return Math.abs(a - b) <= ALIKE * b;
}

/**
 * Whether sequences decode alike in two plans, whatever their number: on the same devices of their own, and with the
 * same mesh.
 */
function decodeAlike(a: Candidate, b: Candidate): boolean {
  if (a.strategy !== 'disaggregated' || b.strategy !== 'disaggregated') return false;
  const [one, other] = [a.stages.at(-1)!, b.stages.at(-1)!];
  return one.devices === other.devices && one.mesh === other.mesh;
}

/** Estimates of a candidate, or what its trial has shown in their place. */
type Figures = Pick<Bounded, 'estimate' | 'between'>;

/** What is known of a candidate when it is tried. */
type Estimated = Figures & Pick<Bounded, 'candidate' | 'index' | 'estimated'>;

/** The candidates that were tried. */
export interface Tried {
  /** The trial of a candidate begins. */
  readonly add: (each: Estimated) => void;
  /** The trial of a candidate has shown what it takes, was given up, or has shown that it cannot serve the workload. */
  readonly ended: (candidate: Candidate, end: Pick<TrialEnd, 'outcome' | 'late'>) => void;
  /** What was known of a candidate when its trial began. */
  readonly known: (candidate: Candidate) => Estimated;
  /**
   * Whether a candidate promises no more than one that was tried, or too little to be worth a trial.
   *
   * @param best of those whose trials have ended
   */
  readonly covers: (each: Estimated, best: Candidate | undefined) => boolean;
}

/**
 * Begins with nothing tried.
 *
 * @param goal what is searched for. Of throughput estimates say enough by themselves: then `covers` is not asked
 * @param tolerance as in `TuneOptions`
 */
export function createTried(goal: Goal, tolerance: number): Tried {
  const tried = new Map<Candidate, Estimated>();
  /** Seconds between two tokens that trials have shown, by candidate. */
  const shown = new Map<Candidate, number>();
  /** Candidates that were given up, and by which part of the time that they had they were late. */
  const givenUp = new Map<Candidate, number>();
  /** Candidates that were not given up, with their estimates, or with what trials have shown in their place. */
  const onFront = new Map<Candidate, Figures>();
  const meshesOf = meshKeys();
  const stepsOf = stepKeys();
  const bySteps = new Map<string, Estimated[]>();
  const exceptDecode = exceptBatch();
  /**
   * Whether a candidate was tried that differs in its batch, or in its cap of KV in the host tier, and that makes no
   * difference.
   */
  const isTwin = ({ candidate, estimate, between }: Estimated): boolean =>
    (bySteps.get(stepsOf(candidate)) ?? []).some(
      (each) => isAlike(each.estimate, estimate) && isAlike(each.between, between),
    );
  const isBehind = ({ candidate, estimate }: Estimated, like: Candidate, late: number): boolean => {
    if (meshesOf(candidate) !== meshesOf(like) || candidate.base !== like.base) return false;
    if (candidate.strategy === 'fused' && exceptDecode(candidate) !== exceptDecode(like)) return false;
    return estimate >= tried.get(like)!.estimate * (1 - late + UNLIKE);
  };
  /**
   * Whether it has no less time between tokens than the best, but for what is tolerated, if its estimates leave out as
   * much as those of a plan like it.
   */
  const isNoBetter = (
    { candidate, between, estimated }: Estimated,
    like: Candidate,
    found: number,
    best: number,
  ): boolean => {
    const before = tried.get(like)!;
    // Rough estimates know nothing of the prompts that come to devices of their own.
    const close = estimated === 'closely' && before.estimated === 'closely';
    const isLike =
      candidate.strategy === 'disaggregated' && !close
        ? stepsOf(candidate) === stepsOf(like)
        : meshesOf(candidate) === meshesOf(like) || decodeAlike(candidate, like);
    return isLike && found * (between / before.between) >= best * (1 - tolerance);
  };
  const isBesideFront = (each: Estimated): boolean =>
    [...onFront].some(([candidate, found]) => {
      // What estimates leave out of the seconds, they leave out of those of plans with the same meshes as well.
      const isLike = meshesOf(each.candidate) === meshesOf(candidate);
      const { estimate } = isLike ? tried.get(candidate)! : found;
      return (
        each.estimate >= estimate * (1 - STEP_OF_SECONDS) &&
        each.between >= found.between * (1 - STEP_OF_BETWEEN)
      );
    });
  return {
    add({ candidate, index, estimate, between, estimated }) {
      // And nothing else of it: a compiled plan is large.
      const each: Estimated = {
        candidate,
        index,
        estimate,
        between,
        ...(estimated !== undefined && { estimated }),
      };
      tried.set(candidate, each);
      onFront.set(each.candidate, each);
      const key = stepsOf(each.candidate);
      bySteps.set(key, [...(bySteps.get(key) ?? []), each]);
    },
    ended(candidate, { outcome, late = 0 }) {
      onFront.delete(candidate);
      if (outcome === 'unfit') {
        const key = stepsOf(candidate);
        bySteps.set(
          key,
          bySteps.get(key)!.filter((each) => each.candidate !== candidate),
        );
      } else if (outcome === 'givenUp') givenUp.set(candidate, late);
      else {
        const { betweenTokens: between } = outcome.latency;
        shown.set(candidate, between);
        onFront.set(candidate, { estimate: outcome.makespan, between });
      }
    },
    known: (candidate) => tried.get(candidate)!,
    covers(each, best) {
      if (isTwin(each)) return true;
      if (goal.kind === 'front') return isBesideFront(each);
      const ofBest = best && shown.get(best);
      // While nothing is found, a plan that is likely too slow is better than none.
      if (ofBest === undefined) return false;
      if ([...givenUp].some(([like, late]) => isBehind(each, like, late))) return true;
      return [...shown].some(([like, found]) => isNoBetter(each, like, found, ofBest));
    },
  };
}
