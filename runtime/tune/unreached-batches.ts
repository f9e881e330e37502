/**
 * Batches that no trial ever reached. A plan whose decode never kept a request out for its batch would have run the same
 * with a larger one, as far as it got, but for a page or two of KV that the arguments of larger steps take the
 * place of. Such batches are not tried: that is no bound, but a choice of what is looked at.
 */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { numbered } from '../../compiler/numbered.js';
import { stepSizes } from '../../compiler/passes/step-sizes.js';
import type { PlanBound } from '../../compiler/planner/bound.js';
import type { Candidate } from '../../compiler/planner/candidates.js';
import { secondsToSpare, type Trial, type TrialEnd } from './trial.js';

/** A compiled candidate. */
interface Compiled {
  readonly candidate: Candidate;
  readonly bound: PlanBound;
  readonly compiled: Pick<RuntimeGraph, 'pools'>;
}

/** The batches of trials that are under way or have ended. */
export interface UnreachedBatches {
  /** A trial begins. */
  readonly started: (trial: Trial) => void;
  /** A trial that began has ended. */
  readonly ended: (trial: Trial, end: Omit<TrialEnd, 'outcome'>) => void;
  /**
   * Whether a trial of the same plan with a smaller batch that was never reached has ended, of a plan with as many
   * pages or more; and where it was given up midway, whether the candidate would have been as well, to be done by `by`.
   */
  readonly cover: (compiled: Compiled, by: number) => false | 'to the end' | 'midway';
  /** Whether a trial that is under way may yet show that. */
  readonly mayCover: (compiled: Compiled) => boolean;
}

/** What tells trials apart whose plans differ in nothing but the batch. */
interface Tried {
  readonly batch: number;
  /** KV pages by pool. */
  readonly pages: readonly number[];
  /** Where it was given up midway. */
  readonly left?: TrialEnd['left'];
}

/** @param byEstimate as in `TrialSetting` */
export function unreachedBatches(byEstimate: boolean): UnreachedBatches {
  const keyOf = exceptBatch();
  const underWay = new Map<string, readonly Tried[]>();
  const unreached = new Map<string, readonly Tried[]>();
  const triedOf = ({ stages }: Candidate, { pools }: Pick<RuntimeGraph, 'pools'>): Tried => ({
    batch: stages.at(-1)!.batchRequests,
    pages: pools.map(({ pages }) => pages),
  });
  /** The trials with a smaller batch and as many pages or more. */
  const likeIt = (
    tried: ReadonlyMap<string, readonly Tried[]>,
    { candidate, compiled }: Compiled,
  ): readonly Tried[] => {
    const { batch, pages } = triedOf(candidate, compiled);
    const others = tried.get(keyOf(candidate)) ?? [];
    return others.filter((one) => one.batch < batch && one.pages.every((each, pool) => each >= pages[pool]!));
  };
  const add = (
    to: Map<string, readonly Tried[]>,
    { candidate, runtime }: Trial,
    left?: Tried['left'],
  ): void => {
    const key = keyOf(candidate);
    to.set(key, [...(to.get(key) ?? []), { ...triedOf(candidate, runtime), ...(left && { left }) }]);
  };
  return {
    started: (trial) => add(underWay, trial),
    ended(trial, { reachedBatch, left }) {
      const key = keyOf(trial.candidate);
      const { batch } = triedOf(trial.candidate, trial.runtime);
      underWay.set(
        key,
        underWay.get(key)!.filter((one) => one.batch !== batch),
      );
      if (!reachedBatch) add(unreached, trial, left);
    },
    cover(compiled, by) {
      const like = likeIt(unreached, compiled);
      if (like.some(({ left }) => left === undefined)) return 'to the end';
      const isLate = like.some(({ left }) => secondsToSpare(left!, compiled, by, byEstimate) <= 0);
      return isLate && 'midway';
    },
    mayCover: (compiled) => likeIt(underWay, compiled).length > 0,
  };
}

/**
 * A key that is the same for candidates, of one `findCandidates`, that differ in nothing but the batch of their decode: it
 * goes by the values that these share.
 */
export function exceptBatch(): (candidate: Candidate) => string {
  const idOf = numbered<unknown>();
  return ({ base, stages }) => {
    const decode = stages.at(-1)!;
    const before = stages.length > 1 ? stages[0] : undefined;
    // Of a stage for both phases a large batch makes steps with more prompt tokens, too.
    const tokens = decode.phases.length > 1 ? stepSizes(decode).maxTokens : 0;
    return `${[base, before, decode.devices, decode.mesh].map(idOf).join()} ${tokens}`;
  };
}
