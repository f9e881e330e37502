/** Cache of `fusedCourse`: stages whose batch or KV room differs without effect share one result. */
import { once } from '../once.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { fusedCourse, type FusedFigures, type FusedSetting } from './fused-course.js';
import type { StageLoad, StepCostOf } from './stage-load.js';

/**
 * As `fusedCourse`, for plans with the same KV view and overhead. Stages with about as much room get one course, that of
 * `sharedRoom`: which are asked for, and in which order, changes nothing.
 */
export type KnownFused = (load: StageLoad, setting: FusedSetting) => FusedFigures;

interface Known {
  readonly batchRequests: number;
  readonly figures: FusedFigures;
}

/** Part of the room for KV by which rooms may differ that count as the same. */
const SAME_ROOM = 3e-3;

/** Keeps powers that lie a rounding below a whole number of pages at that. */
const ROUNDING = 1e-9;

/**
 * The room that stands for `room` and all that count as the same, in whole pages. It is the most of them: more room as a
 * rule takes no longer, and an estimate that is too long may cost the best plan.
 */
export function sharedRoom(room: number): number {
  const step = Math.ceil(Math.log(room) / SAME_ROOM - ROUNDING);
  return Math.floor(Math.exp(step * SAME_ROOM) * (1 + ROUNDING));
}

/** `fusedCourse` with an empty cache. */
export function knownFused(): KnownFused {
  /** By the seconds of their steps, which stages with the same programs on the same devices share. */
  const known = once((_stepSeconds: StepCostOf) =>
    once((_sequences: SequencesInOrder) => once((_tokensAndRoom: string): Known[] => [])),
  );
  return (load, setting) => {
    const room = sharedRoom(setting.room);
    const others = known(load.stepSeconds)(setting.sequences)(`${load.sizes.maxTokens} ${room}`);
    const like = others.find((each) => goesAlike(each, load));
    if (like !== undefined) return like.figures;
    const figures = fusedCourse(load, { ...setting, room });
    others.push({ batchRequests: load.stage.batchRequests, figures });
    return figures;
  };
}

/** Whether a stage has the known course: with another batch as well, where neither batch holds anything back. */
function goesAlike({ batchRequests, figures }: Known, { stage, sizes }: StageLoad): boolean {
  if (figures.reachedBatch) return batchRequests === stage.batchRequests;
  return figures.mostIn <= stage.batchRequests && figures.mostOfStep <= sizes.maxSequences;
}
