/**
 * What has been tried, by its estimates: whether another promises anything beside it. What estimates leave out, plans that
 * are much alike have in common, so that these tell such plans apart better than they say what each takes. No bound.
 */
import type { Candidate } from '../../compiler/planner/candidates.js';
import type { Bounded } from './closer-look.js';
import { meshKeys, stepKeys } from './mesh-key.js';
import type { Goal, TrialEnd } from './trial.js';
import { exceptBatch } from './unreached-batches.js';

/**
 * A plan that differs from one that was given up in batch or prefill steps alone is not tried where its estimate is shorter
 * by no more than that one was late by, less this: what estimates of such plans leave out differs by up to 0.9%.
 */
const UNLIKE = 0.01;

/**
 * A front has steps: what takes longer than a plan on it has to save so much of the time between tokens, and what has more of
 * that so much of the seconds.
 */
export const STEP_OF_BETWEEN = 0.05;
export const STEP_OF_SECONDS = 0.01;

/** Estimates that differ by less are the same. */
const ALIKE = 5e-4;

function isAlike(a: number, b: number): boolean {
  return Math.abs(a - b) <= ALIKE * b;
}

/** Whether sequences decode alike, but for how many: on devices of their own, and with the same mesh. */
function decodeAlike(a: Candidate, b: Candidate): boolean {
  if (a.strategy !== 'disaggregated' || b.strategy !== 'disaggregated') return false;
  const [one, other] = [a.stages.at(-1)!, b.stages.at(-1)!];
  return one.devices === other.devices && one.mesh === other.mesh;
}

type Figures = Pick<Bounded, 'estimate' | 'between'>;

/** What is known of a candidate when it is tried. */
type Estimated = Figures & Pick<Bounded, 'candidate' | 'index' | 'estimated'>;

export interface Tried {
  readonly add: (each: Estimated) => void;
  /** Its trial has shown what it takes, or was given up, or has shown that it cannot serve the workload. */
  readonly ended: (candidate: Candidate, end: Pick<TrialEnd, 'outcome' | 'late'>) => void;
  /** What was known of one by then. */
  readonly known: (candidate: Candidate) => Estimated;
  /**
   * Whether a candidate promises no more than one that was tried, or too little to be worth a trial.
   *
   * @param best of those whose trials have ended
   */
  readonly covers: (each: Estimated, best: Candidate | undefined) => boolean;
}

/**
 * @param goal of throughput, estimates say enough by themselves: nothing is asked for it
 * @param tolerance as in `TuneOptions`
 */
export function createTried(goal: Goal, tolerance: number): Tried {
  const tried = new Map<Candidate, Estimated>();
  /** Seconds between two tokens, as trials have shown them. */
  const shown = new Map<Candidate, number>();
  /** Known to fall behind what was the best by then, and by which part of the time that they had. */
  const givenUp = new Map<Candidate, number>();
  /** Of those that were not given up: estimates, and what trials have shown in their place. */
  const onFront = new Map<Candidate, Figures>();
  const meshesOf = meshKeys();
  const stepsOf = stepKeys();
  const bySteps = new Map<string, Estimated[]>();
  const exceptDecode = exceptBatch();
  /** Whether one was tried to which another batch, or another cap of KV in the host tier, makes no difference. */
  const isTwin = ({ candidate, estimate, between }: Estimated): boolean =>
    (bySteps.get(stepsOf(candidate)) ?? []).some(
      (each) => isAlike(each.estimate, estimate) && isAlike(each.between, between),
    );
  const isBehind = ({ candidate, estimate }: Estimated, like: Candidate, late: number): boolean => {
    if (meshesOf(candidate) !== meshesOf(like) || candidate.base !== like.base) return false;
    if (candidate.strategy === 'static' && exceptDecode(candidate) !== exceptDecode(like)) return false;
    return estimate >= tried.get(like)!.estimate * (1 - late + UNLIKE);
  };
  /** Whether it gains nothing on the best, if estimates leave out as much as of one like it. */
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
    add(each) {
      tried.set(each.candidate, each);
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
