/**
 * Batches that no trial ever reached. A plan whose decode never had as many requests as it may have would have run the
 * same with a larger batch, which only takes more room for the arguments of steps: larger ones are not worth a trial.
 */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { numbered } from '../../compiler/numbered.js';
import { stepSizes } from '../../compiler/passes/step-sizes.js';
import type { Candidate } from '../../compiler/planner/candidates.js';
import type { Trial } from './trial.js';

/** A candidate that is compiled. */
interface Compiled {
  readonly candidate: Candidate;
  readonly compiled: Pick<RuntimeGraph, 'pools'>;
}

export interface UnreachedBatches {
  readonly started: (trial: Trial) => void;
  readonly ended: (trial: Trial, reachedBatch: boolean) => void;
  /** Whether a trial with a smaller batch that was never reached has ended, of a plan with as many pages or more. */
  readonly cover: (compiled: Compiled) => boolean;
  /** Whether one that is under way may yet show that. */
  readonly mayCover: (compiled: Compiled) => boolean;
}

/** Of a plan what trials are told apart by, if they are of the same plan but for its batch. */
interface Tried {
  readonly batch: number;
  /** By pool. */
  readonly pages: readonly number[];
}

export function unreachedBatches(): UnreachedBatches {
  const idOf = numbered<unknown>();
  const underWay = new Map<string, readonly Tried[]>();
  const unreached = new Map<string, readonly Tried[]>();
  const keyOf = ({ base, stages }: Candidate): string => {
    const decode = stages.at(-1)!;
    const before = stages.length > 1 ? stages[0] : undefined;
    // Of a stage for both phases a large batch makes steps with more prompt tokens, too.
    const tokens = decode.phases.length > 1 ? stepSizes(decode).maxTokens : 0;
    return `${[base, before, decode.devices, decode.mesh].map(idOf).join()} ${tokens}`;
  };
  const triedOf = ({ stages }: Candidate, { pools }: Pick<RuntimeGraph, 'pools'>): Tried => ({
    batch: stages.at(-1)!.batchRequests,
    pages: pools.map(({ pages }) => pages),
  });
  const isCovered = (
    by: ReadonlyMap<string, readonly Tried[]>,
    { candidate, compiled }: Compiled,
  ): boolean => {
    const { batch, pages } = triedOf(candidate, compiled);
    const others = by.get(keyOf(candidate)) ?? [];
    return others.some((one) => one.batch < batch && one.pages.every((each, pool) => each >= pages[pool]!));
  };
  const add = (to: Map<string, readonly Tried[]>, { candidate, runtime }: Trial): void => {
    const key = keyOf(candidate);
    to.set(key, [...(to.get(key) ?? []), triedOf(candidate, runtime)]);
  };
  return {
    started: (trial) => add(underWay, trial),
    ended(trial, reachedBatch) {
      const key = keyOf(trial.candidate);
      const { batch } = triedOf(trial.candidate, trial.runtime);
      underWay.set(
        key,
        underWay.get(key)!.filter((one) => one.batch !== batch),
      );
      if (!reachedBatch) add(unreached, trial);
    },
    cover: (compiled) => isCovered(unreached, compiled),
    mayCover: (compiled) => isCovered(underWay, compiled),
  };
}
