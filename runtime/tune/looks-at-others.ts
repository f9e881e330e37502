/**
 * How closer looks, and trials at last, change estimates. They change those of plans with the same meshes much alike,
 * so that looks at some of them say enough of others. No bound.
 */
import type { Candidate, Strategy } from '../../compiler/planner/candidates.js';
import { isCompiled, type Bounded } from './closer-look.js';
import {
  AS_LONG,
  AS_NEAR,
  LESS_CLOSELY,
  LESS_COMPILED,
  LESS_ROUGHLY,
  LESS_TRIED,
  MOST_TOLD,
} from './estimate-margins.js';
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

/** What closer looks made of rough estimates: the shortest rough one, and the least ratio of a close to a rough one. */
interface Looked {
  readonly estimate: number;
  readonly part: number;
}

/** A close estimate, and how many times as long a trial took, as far as that is told of others (`part`). */
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
  /** By meshes, and by prefill steps as well where it may depend on these what takes longer than estimated. */
  const trialKeyOf = (candidate: Candidate): string => {
    const { strategy, stages } = candidate;
    const alike = strategy !== 'fused' && stages.at(-1)!.mesh.dp === 1;
    return alike ? meshesOf(candidate) : stepsOf(candidate);
  };
  const trials = new Map<string, readonly Tried[]>();
  /** The most seconds that it takes no less than by the trials of plans like it. */
  const byTrials = ({ candidate, estimate }: Bounded): number => {
    const alike = (trials.get(trialKeyOf(candidate)) ?? []).filter(
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
      const key = trialKeyOf(candidate);
      const part = Math.min(seconds / estimate, MOST_TOLD);
      trials.set(key, [...(trials.get(key) ?? []), { estimate, part }]);
    },
    atLeast(each) {
      const { candidate, estimated, timesFilled } = each;
      const { strategy } = candidate;
      if (estimated === 'no closer') return 0;
      if (isCompiled(each)) return byTrials(each);
      const ofCompiled = (compiled.get(stepsOf(candidate)) ?? 1) * (1 - LESS_COMPILED);
      if (estimated === 'closely') return Math.max(each.estimate * ofCompiled, byTrials(each));
      const estimate = roughOf(each);
      if (estimate === undefined) return 0;
      const byItself = leastByEstimate({ candidate, estimate, estimated: 'roughly', timesFilled });
      if (!isTold(strategy, timesFilled)) return byItself;
      const looked = close.get(keyOf(candidate));
      if (looked === undefined || estimate > looked.estimate * AS_NEAR) return byItself;
      return estimate * looked.part * (1 - LESS_CLOSELY[strategy]) * Math.max(1, ofCompiled);
    },
  };
}

/** Strategies of plans that looks tell of, as a rule. */
type Told = keyof typeof LESS_CLOSELY;

/** Whether looks tell of such a plan: not where what is left out depends on its batch. */
function isTold(strategy: Strategy, timesFilled: number | undefined): strategy is Told {
  return strategy === 'disaggregated' || (strategy === 're-sharded' && timesFilled === undefined);
}
