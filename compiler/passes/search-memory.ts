/**
 * What plans for one model over one topology have in common: a search compiles many whose stages are laid out alike and
 * differ in the sizes of steps or in the room for KV. What must move between two layouts is the same for all of those,
 * and most of the work of compiling them.
 */
import type { LogicalGraph } from '../ir/logical.js';
import type { TransitionGraph } from '../ir/transitions.js';
import type { Plan } from '../plan/plan.js';
import type { LoweredStage } from './lower.js';
import type { LoweredMoves } from './lower-moves.js';
import type { PlannedMoves } from './foresee-moves.js';
import type { ChangeEstimate } from './transitions.js';

export interface SearchMemory {
  logical?: LogicalGraph;
  /** By `layoutKey`. */
  readonly transitions: Map<string, TransitionGraph>;
  /** By `layoutKey`. */
  readonly estimates: Map<string, readonly ChangeEstimate[]>;
  /** By what a stage computes and how its mesh cuts that: stages of many layouts have it in common. */
  readonly stages: Map<string, LoweredStage>;
  /** By `layoutKey` and what of the weights stays resident. */
  readonly planned: Map<string, PlannedMoves>;
  readonly lowered: Map<PlannedMoves, LoweredMoves>;
}

export function createSearchMemory(): SearchMemory {
  return {
    transitions: new Map(),
    stages: new Map(),
    estimates: new Map(),
    planned: new Map(),
    lowered: new Map(),
  };
}

/** Where a plan's stages have their weights and their KV. */
export function layoutKey({ stages, residence }: Plan): string {
  const layouts = stages.map(({ name, phases, devices, mesh, layerSplit, sharding, overrides }) => {
    const parts = overrides.map(({ origin: _origin, ...rest }) => rest);
    return [name, phases, devices, mesh, layerSplit, sharding, parts];
  });
  return JSON.stringify([residence, layouts]);
}
