/**
 * How closer looks, and trials at last, change estimates. They change those of plans with the same meshes much alike,
 * so that looks at some of them say enough of others. No bound.
 */
import type { Candidate } from '../../compiler/planner/candidates.js';
import { isCompiled, type Bounded } from './closer-look.js';
import { meshKeys, stepKeys } from './mesh-key.js';
import { leastByEstimate } from './trial.js';

/** The looks and trials of a search so far. */
export interface LooksAtOthers {
  /** Notes that a candidate has been looked at closer. */
  readonly add: (before: Bounded, after: Bounded) => void;
  /** Notes that a candidate takes so many seconds, or more, by its trial. */
  readonly tried: (each: Pick<Bounded, 'candidate' | 'estimate' | 'estimated'>, seconds: number) => void;
  /** Seconds that a candidate takes no less than, as far as looks at others tell; 0 where they tell nothing. */
  readonly atLeast: (each: Bounded) => number;
}

/**
 * Part by which a close estimate may be less than the rough one times the least ratio of a close to a rough estimate
 * that was found: of re-sharded plans with the same meshes and steps for prefill, and of those with devices of their
 * own with the same mesh for decode. Of plans for the paper's machines, models and workloads, whole and cut, it is at
 * most 0.022 of 1,175 and 0.111 of 559; with short answers, or where all are as long, 0.036 and 0.072; for machines as
 * small and as odd as tests make them 0.013 and 0.127. Of static plans looks tell too little: what rough estimates
 * leave out of them hangs on batch and steps, by up to a fifth where answers are short.
 */
const LESS = { 're-sharded': 0.04, disaggregated: 0.13 } as const;

/**
 * How many times as long a rough estimate may be as the shortest one that was looked at closer: of longer ones looks
 * tell little.
 */
const NEAR = 1.3;

/**
 * As `LESS`, for close estimates of compiled plans and those before compiling, with the same meshes and prefill steps:
 * 0.003 of 160.
 */
const LESS_COMPILED = 0.003;

/**
 * Part by which a plan may take less than close estimates say together with the trial of another plan with the same
 * meshes, where the close estimates of the two differ by no more than `AS_LONG`: of 4,308 pairs of plans for the
 * paper's machines, models and workloads, whole and cut, it is more for 75, and at most 0.014.
 */
const LESS_TRIED = 0.005;
/** Part by which close estimates may differ for a trial of one plan to tell of the other. */
const AS_LONG = 0.003;

/**
 * Part by which a rough estimate may be less than that of another plan with a lower bound and the same mesh and batch
 * for decode, both with devices of its own for decode: that takes as long, roughly, whatever prefill is like, or longer
 * with a slower one. Of 6,933 such plans for the paper's machines, models and workloads it is 0.0135 at most.
 */
const LESS_ROUGHLY = 0.03;

/** What closer looks made of rough estimates: the shortest rough one, and the least ratio of a close to a rough one. */
interface Looked {
  readonly estimate: number;
  readonly part: number;
}

/** A close estimate, and how many times as long a trial took (`part`). */
interface Tried {
  readonly estimate: number;
  readonly part: number;
}

/** The least of some rough estimates, and the least bound of the plans that have them. */
interface Estimated {
  readonly estimate: number;
  readonly bound: number;
}

/** No looks and trials yet. */
export function looksAtOthers(): LooksAtOthers {
  const [meshesOf, stepsOf] = [meshKeys(), stepKeys()];
  const decodeOf = ({ stages }: Candidate): string => meshesOf({ stages: stages.slice(-1) });
  const batchOf = (candidate: Candidate): string =>
    `${decodeOf(candidate)} ${candidate.stages.at(-1)!.batchRequests}`;
  const keyOf = (candidate: Candidate): string =>
    candidate.strategy === 'disaggregated' ? decodeOf(candidate) : stepsOf(candidate);
  const rough = new Map<string, Estimated>();
  const close = new Map<string, Looked>();
  /** The least ratio of a close estimate after compiling to the one before, by meshes and prefill steps. */
  const compiled = new Map<string, number>();
  const trials = new Map<string, readonly Tried[]>();
  /** The most seconds that it takes no less than by the trials of plans like it. */
  const byTrials = ({ candidate, estimate }: Bounded): number => {
    const alike = (trials.get(meshesOf(candidate)) ?? []).filter(
      (each) => Math.abs(each.estimate - estimate) <= AS_LONG * estimate,
    );
    return alike.reduce((most, each) => Math.max(most, estimate * each.part * (1 - LESS_TRIED)), 0);
  };
  /** Its rough estimate, or one that its own is no less than; undefined where none is known. */
  const roughOf = ({ candidate, estimate, estimated, least }: Bounded): number | undefined => {
    if (estimated === 'roughly') return estimate;
    const known = candidate.strategy === 'disaggregated' ? rough.get(batchOf(candidate)) : undefined;
    return known === undefined || known.bound > least ? undefined : known.estimate * (1 - LESS_ROUGHLY);
  };
  return {
    add(before, { candidate, estimate, estimated, least, ...after }) {
      if (estimated === 'roughly' && candidate.strategy === 'disaggregated') {
        const known = rough.get(batchOf(candidate)) ?? { estimate, bound: least };
        rough.set(batchOf(candidate), {
          estimate: Math.min(known.estimate, estimate),
          bound: Math.min(known.bound, least),
        });
      }
      if (estimated !== 'closely') return;
      const part = estimate / before.estimate;
      if (before.estimated === 'closely' && after.compiled !== undefined) {
        const key = stepsOf(candidate);
        compiled.set(key, Math.min(compiled.get(key) ?? Infinity, part));
      }
      if (before.estimated !== 'roughly') return;
      const known = close.get(keyOf(candidate)) ?? { estimate: before.estimate, part };
      close.set(keyOf(candidate), {
        estimate: Math.min(known.estimate, before.estimate),
        part: Math.min(known.part, part),
      });
    },
    tried({ candidate, estimate, estimated }, seconds) {
      if (estimated !== 'closely') return;
      const key = meshesOf(candidate);
      trials.set(key, [...(trials.get(key) ?? []), { estimate, part: seconds / estimate }]);
    },
    atLeast(each) {
      const { candidate, estimated } = each;
      const { strategy } = candidate;
      if (estimated === 'no closer') return 0;
      if (isCompiled(each)) return byTrials(each);
      const ofCompiled = (compiled.get(stepsOf(candidate)) ?? 1) * (1 - LESS_COMPILED);
      if (estimated === 'closely') return Math.max(each.estimate * ofCompiled, byTrials(each));
      const estimate = roughOf(each);
      if (estimate === undefined) return 0;
      const looked = strategy === 'static' ? undefined : close.get(keyOf(candidate));
      if (strategy === 'static' || looked === undefined || estimate > looked.estimate * NEAR)
        return leastByEstimate({ candidate, estimate, estimated: 'roughly' });
      return estimate * looked.part * (1 - LESS[strategy]) * Math.max(1, ofCompiled);
    },
  };
}
