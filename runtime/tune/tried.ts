/**
 * What has been tried, by its estimates: whether another promises anything beside it. What estimates leave out, plans that
 * are much alike have in common, so that these tell such plans apart better than they say what each takes. No bound.
 */
import type { Candidate } from '../../compiler/planner/candidates.js';
import type { Bounded } from './closer-look.js';
import { meshKeys, stepKeys } from './mesh-key.js';
import type { Goal, TrialOutcome } from './trial.js';
import { exceptBatch } from './unreached-batches.js';

/** Of plans that were given up another batch of decode that promises less than this to be done sooner is not tried. */
const SOONER = 2e-3;

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

/** Whether sequences decode alike, but for how many: on devices of their own, and with the same mesh. */
function decodeAlike(a: Candidate, b: Candidate): boolean {
  if (a.strategy !== 'disaggregated' || b.strategy !== 'disaggregated') return false;
  const [one, other] = [a.stages.at(-1)!, b.stages.at(-1)!];
  return one.devices === other.devices && one.mesh === other.mesh;
}

type Figures = Pick<Bounded, 'estimate' | 'between'>;

type Estimated = Figures & Pick<Bounded, 'candidate' | 'index'>;

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

/**
 * @param goal of throughput, estimates say enough by themselves: nothing is asked for it
 * @param tolerance as in `TuneOptions`
 */
export function createTried(goal: Goal, tolerance: number): Tried {
  const tried = new Map<Candidate, Estimated>();
  /** Seconds between two tokens, as trials have shown them. */
  const shown = new Map<Candidate, number>();
  /** Known to fall behind what was the best by then. */
  const givenUp = new Set<Candidate>();
  /** Of those that were not given up; with time between tokens as trials have shown it, once they have. */
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
  /** Part of the seconds of one like it that another must promise less than. */
  const leastOfSeconds = (candidate: Candidate, like: Candidate): number => {
    if (meshesOf(candidate) !== meshesOf(like) || candidate.base !== like.base) return Infinity;
    if (exceptDecode(candidate) === exceptDecode(like)) return 1 - SOONER;
    return candidate.strategy === 'static' ? Infinity : 1 + SURELY_LONGER;
  };
  const isBehind = ({ candidate, estimate }: Estimated, like: Candidate): boolean =>
    estimate >= tried.get(like)!.estimate * leastOfSeconds(candidate, like);
  /** Whether it gains nothing on the best, if estimates leave out as much as of one like it. */
  const isNoBetter = (
    { candidate, between }: Estimated,
    like: Candidate,
    found: number,
    best: number,
  ): boolean => {
    if (meshesOf(candidate) !== meshesOf(like) && !decodeAlike(candidate, like)) return false;
    return found * (between / tried.get(like)!.between) >= best * (1 - tolerance);
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
      if (outcome === 'unfit') {
        const key = stepsOf(candidate);
        bySteps.set(
          key,
          bySteps.get(key)!.filter((each) => each.candidate !== candidate),
        );
      } else if (outcome === 'givenUp') givenUp.add(candidate);
      else {
        const { betweenTokens } = outcome.latency;
        shown.set(candidate, betweenTokens);
        // What estimates leave out of the seconds, they leave out of those of others as well.
        onFront.set(candidate, { estimate: tried.get(candidate)!.estimate, between: betweenTokens });
      }
    },
    indexOf: (candidate) => tried.get(candidate)!.index,
    covers(each, best) {
      if (isTwin(each)) return true;
      if (goal.kind === 'front') return isBesideFront(each);
      if ([...givenUp].some((like) => isBehind(each, like))) return true;
      const ofBest = best && shown.get(best);
      return (
        ofBest !== undefined && [...shown].some(([like, found]) => isNoBetter(each, like, found, ofBest))
      );
    },
  };
}
