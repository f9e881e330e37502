/** Candidates that run the same as others, as is known before they are tried. */
import { once } from '../../compiler/once.js';
import type { Plan, Stage } from '../../compiler/plan/plan.js';
import type { Candidate } from '../../compiler/planner/candidates.js';
import type { Demand } from '../../compiler/planner/demand.js';
import type { RoughBound } from '../../compiler/planner/rough-bound.js';
import { exceptBatch } from './unreached-batches.js';

/**
 * Tells candidates that are needless for their batch. Of batches beyond what memory has room for, the least alone is
 * worth a look: larger ones are never reached either, and leave less room.
 */
export function needlessBatches(): (candidate: Candidate, rough: RoughBound) => boolean {
  const least = new Map<string, number>();
  const keyOf = exceptBatch();
  return (candidate, { sequences }) => {
    const { batchRequests } = candidate.stages.at(-1)!;
    if (batchRequests <= sequences) return false;
    const key = keyOf(candidate);
    const known = Math.min(least.get(key) ?? Infinity, batchRequests);
    least.set(key, known);
    return batchRequests > known;
  };
}

/** Where no request decodes, plans that have a stage for prefill in common run the same: one that was tried covers the others. */
export function alikeInPrefill({ decodeRows }: Demand): {
  readonly ended: (candidate: Candidate) => void;
  readonly cover: (candidate: Candidate) => boolean;
} {
  const tried = once((_base: Plan) => new Set<Stage>());
  return {
    ended: ({ base, stages }) => void tried(base).add(stages[0]!),
    cover: ({ base, stages }) => decodeRows === 0 && stages.length > 1 && tried(base).has(stages[0]!),
  };
}
