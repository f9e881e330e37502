/** Cache of `fusedCourse`: stages whose batch or KV room differs without effect share one result. */
import type { KvView } from '../model/kv-window.js';
import type { BoundedPlan } from './bounded-plan.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { fusedCourse, type FusedFigures } from './fused-course.js';
import type { StageLoad, StepSeconds } from './stage-load.js';

/**
 * As `fusedCourse`, for plans with the same KV view and overhead. Stages with about as much room get the course of the
 * one that was asked for first.
 */
export type KnownFused = (
  load: StageLoad,
  room: number,
  inOrder: SequencesInOrder,
  kv: KvView,
  overhead: BoundedPlan['overhead'],
) => FusedFigures;

interface Known {
  readonly load: StageLoad;
  readonly room: number;
  readonly inOrder: SequencesInOrder;
  readonly figures: FusedFigures;
}

/** Part of the room for KV by which rooms may differ and count as the same. */
const SAME_ROOM = 3e-3;

/** `fusedCourse` with an empty cache. */
export function knownFused(): KnownFused {
  /** By the seconds of their steps, which stages with the same programs on the same devices share. */
  const known = new Map<StepSeconds, Known[]>();
  return (load, room, inOrder, kv, overhead) => {
    const others = known.get(load.stepSeconds) ?? [];
    const like = others.find((each) => goesAlike(each, load, room, inOrder));
    if (like !== undefined) return like.figures;
    const figures = fusedCourse(load, room, inOrder, kv, overhead);
    known.set(load.stepSeconds, [...others, { load, room, inOrder, figures }]);
    return figures;
  };
}

/** Whether a stage has the known course: with another batch as well, where neither batch holds anything back. */
function goesAlike(
  { load, room: otherRoom, inOrder: others, figures }: Known,
  { stage, sizes }: StageLoad,
  room: number,
  inOrder: SequencesInOrder,
): boolean {
  if (others !== inOrder || load.sizes.maxTokens !== sizes.maxTokens) return false;
  if (Math.abs(otherRoom / room - 1) > SAME_ROOM) return false;
  if (figures.reachedBatch) return load.stage.batchRequests === stage.batchRequests;
  return figures.mostIn <= stage.batchRequests && figures.mostOfStep <= sizes.maxSequences;
}
