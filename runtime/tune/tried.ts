/**
 * What has been tried, by its estimates: whether another promises anything beside it. What estimates leave out, plans that
 * are much alike have in common, so that these tell such plans apart better than they say what each takes. No bound.
 */
import type { Candidate } from '../../compiler/planner/candidates.js';
import type { Bounded } from './closer-look.js';
import { meshKeys } from './mesh-key.js';
import type { Goal, TrialOutcome } from './trial.js';
import { exceptBatch } from './unreached-batches.js';

/** Another batch of decode that promises less than this is not tried; nor are other steps where time between tokens counts. */
export const LEAST_GAIN = 2e-3;

/**
 * Nor are other prefill steps of which estimates say that they take longer by this. Of 188 pairs of plans for the paper's
 * machines, models and workloads, cut to 400 requests, that leaves out the better one in three, by 0.3 to 0.9%: replicas
 * of these shared out prompts otherwise.
 */
const SURELY_LONGER = 1e-3;

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

type Estimated = Pick<Bounded, 'candidate' | 'index' | 'estimate' | 'between'>;

export interface Tried {
  readonly add: (each: Estimated) => void;
  /** Its trial has shown what it takes, or was given up, or has shown that it cannot serve the workload. */
  readonly ended: (candidate: Candidate, outcome: TrialOutcome) => void;
  /** Its place among the candidates. */
  readonly indexOf: (candidate: Candidate) => number;
  /**
   * Whether a candidate promises no more than one that was tried, or too little to be worth a trial.
   *
   * @param best of those whose trials have ended
   */
  readonly covers: (each: Estimated, best: Candidate | undefined) => boolean;
}

export function createTried(goal: Goal): Tried {
  const tried = new Map<Candidate, Estimated>();
  /** Of those that were not given up; with time between tokens as trials have shown it, once they have. */
  const onFront = new Map<Candidate, Pick<Estimated, 'estimate' | 'between'>>();
  const meshesOf = meshKeys();
  const stepsOf = (candidate: Candidate): string =>
    `${meshesOf(candidate)} ${candidate.stages[0]!.microbatchTokens}`;
  const bySteps = new Map<string, Estimated[]>();
  const exceptDecode = exceptBatch();
  /** Whether one was tried to which another batch, or another cap of KV in the host tier, makes no difference. */
  const isTwin = ({ candidate, estimate, between }: Estimated): boolean =>
    (bySteps.get(stepsOf(candidate)) ?? []).some(
      (each) => isAlike(each.estimate, estimate) && isAlike(each.between, between),
    );
  /** Whether it is the best in other sizes, and no better by its estimate. */
  const isNoBetter = ({ candidate, estimate, between }: Estimated, best: Candidate): boolean => {
    if (meshesOf(candidate) !== meshesOf(best)) return false;
    const known = tried.get(best)!;
    if (goal.kind === 'latency') return between >= known.between * (1 - LEAST_GAIN);
    if (candidate.base !== best.base) return false;
    if (exceptDecode(candidate) === exceptDecode(best)) return estimate >= known.estimate * (1 - LEAST_GAIN);
    return candidate.strategy !== 'static' && estimate >= known.estimate * (1 + SURELY_LONGER);
  };
  const isBesideFront = ({ estimate, between }: Estimated): boolean =>
    [...onFront.values()].some(
      (each) =>
        estimate >= each.estimate * (1 - STEP_OF_SECONDS) && between >= each.between * (1 - STEP_OF_BETWEEN),
    );
  return {
    add(each) {
      tried.set(each.candidate, each);
      onFront.set(each.candidate, each);
      const key = stepsOf(each.candidate);
      bySteps.set(key, [...(bySteps.get(key) ?? []), each]);
    },
    ended(candidate, outcome) {
      onFront.delete(candidate);
      if (outcome === 'givenUp') return;
      if (outcome !== 'unfit') {
        // What estimates leave out of the seconds, they leave out of those of others as well.
        const { estimate } = tried.get(candidate)!;
        onFront.set(candidate, { estimate, between: outcome.latency.betweenTokens });
        return;
      }
      const key = stepsOf(candidate);
      bySteps.set(
        key,
        bySteps.get(key)!.filter((each) => each.candidate !== candidate),
      );
    },
    indexOf: (candidate) => tried.get(candidate)!.index,
    covers(each, best) {
      if (isTwin(each)) return true;
      if (goal.kind === 'front') return isBesideFront(each);
      return best !== undefined && isNoBetter(each, best);
    },
  };
}
