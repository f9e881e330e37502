/** Stages that are on some device together: with other weights they take turns on it, or keep both there. */
import type { Stage } from './plan.js';

export function shareDevices(stages: readonly Pick<Stage, 'devices'>[]): boolean {
  const ids = stages.flatMap(({ devices }) => devices);
  return new Set(ids).size < ids.length;
}
