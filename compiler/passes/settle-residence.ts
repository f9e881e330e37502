/**
 * Residence applied: the decision of `residence.ts`, the layers of `kept-layers.ts`, and what both make of the weights
 * that ranks hold and of their names.
 */
import type { TransitionGraph, WeightReshard } from '../ir/transitions.js';
import type { Plan } from '../plan/plan.js';
import { chooseKeptLayers, describeKept } from './kept-layers.js';
import type { KnownWeights } from './memory.js';
import { decideResidence, type MemoryLayout } from './residence.js';
import {
  keepLayers,
  layerTensors,
  renamedLayers,
  renameResident,
  renameStage,
  residentBytes,
  type Renaming,
  type StageWeights,
} from './resident-weights.js';
import type { StageChange } from './transitions.js';

export interface Settled {
  /** Without re-shards. */
  readonly transitions: TransitionGraph;
  readonly layout: MemoryLayout;
  /** What the ranks of every stage hold while it is active, under its final names. */
  readonly held: readonly StageWeights[];
  readonly renaming?: Renaming;
}

/**
 * Decides which weights of stages that re-shard stay resident together.
 *
 * @param inTurns what holds if none do
 * @param reshards what then moves, planned; none where the plan asks for both shardings
 * @param changes stages that would take turns
 * @param layOut device memory when the ranks hold these weights
 * @param partly whether some layers may stay where not all do
 */
export function settleResidence(
  plan: Plan,
  inTurns: Settled,
  changes: readonly StageChange[],
  reshards: readonly WeightReshard[],
  layOut: (held: readonly StageWeights[], known?: KnownWeights) => MemoryLayout,
  partly: boolean,
): Settled {
  const { transitions: planned, held: weights } = inTurns;
  if (changes.length === 0) return inTurns;
  const names = (plan.residence ?? 'switch') === 'switch' ? undefined : renameResident(weights);
  const together = names && layOut(weights, { resident: residentBytes(weights, names) });
  const decision = decideResidence(plan, reshards, inTurns.layout, together);
  const stages = [...new Set(changes.flatMap(({ from, to }) => [from, to]))];
  const transitions = { ...planned, residence: { stages, ...decision } };
  if (!names || !together || (!decision.both && !partly)) return { ...inTurns, transitions };
  if (decision.both) {
    const held = weights.map((stage) => renameStage(stage, names));
    return { transitions, layout: together, held, renaming: names };
  }
  const keep = (layers: readonly number[]): Pick<Settled, 'held' | 'renaming'> => {
    const renaming = renamedLayers(names, weights, new Set(layers));
    return { held: keepLayers(weights, new Set(layers), renaming), renaming };
  };
  const tensors = layerTensors(weights);
  const kept = chooseKeptLayers(
    plan,
    reshards,
    inTurns.layout,
    (layers) => layOut(keep(layers).held),
    (tensor) => tensors.get(tensor) ?? -1,
  );
  if (!kept) return { ...inTurns, transitions };
  const stay = [...tensors].flatMap(([name, layer]) => (kept.layers.includes(layer) ? [name] : []));
  const why = `${decision.why}; ${describeKept(kept, plan.model.shape.layers)}`;
  return {
    transitions: {
      ...transitions,
      residence: { stages, both: false, layers: kept.layers, why },
      resident: stay.sort(),
    },
    layout: kept.layout,
    ...keep(kept.layers),
  };
}
