/**
 * Residence applied: the decision of `residence.ts`, the layers of `kept-layers.ts`, and what both make of the weights
 * that ranks hold and of their names.
 */
import type { TransitionGraph } from '../ir/transitions.js';
import type { Plan } from '../plan/plan.js';
import type { MovesEstimate } from '../reshard/estimate-moves.js';
import { chooseKeptLayers, describeKept } from './kept-layers.js';
import type { KnownWeights } from './memory.js';
import { decideResidence, type MemoryLayout } from './residence.js';
import {
  keepLayers,
  keptSizes,
  layerTensors,
  renamedLayers,
  renameResident,
  renameStage,
  residentBytes,
  type Renaming,
  weightSizes,
  type StageWeights,
  type WeightSizes,
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
 * @param changes stages that would take turns
 * @param estimate what their transitions would take
 * @param layOut device memory when the ranks hold weights of these sizes
 * @param partly whether some layers may stay where not all do
 */
export function settleResidence(
  plan: Plan,
  inTurns: Settled,
  changes: readonly StageChange[],
  estimate: () => readonly MovesEstimate[],
  layOut: (sizes: readonly WeightSizes[], known?: KnownWeights) => MemoryLayout,
  partly: boolean,
): Settled {
  const { transitions: planned, held: weights } = inTurns;
  if (changes.length === 0) return inTurns;
  const names = (plan.residence ?? 'switch') === 'switch' ? undefined : renameResident(weights);
  const together = names && layOut(weights.map(weightSizes), { resident: residentBytes(weights, names) });
  const decision = decideResidence(plan, estimate, inTurns.layout, together);
  const stages = [...new Set(changes.flatMap(({ from, to }) => [from, to]))];
  const transitions = { ...planned, residence: { stages, ...decision } };
  if (!names || !together || (!decision.both && !partly)) return { ...inTurns, transitions };
  if (decision.both) {
    const held = weights.map((stage) => renameStage(stage, names));
    return { transitions, layout: together, held, renaming: names };
  }
  const sizesOf = keptSizes(weights, names);
  const tensors = layerTensors(weights);
  const kept = chooseKeptLayers(
    plan,
    estimate(),
    inTurns.layout,
    (layers) => layOut(sizesOf(layers)),
    (tensor) => tensors.get(tensor) ?? -1,
  );
  if (!kept) return { ...inTurns, transitions };
  const layers = new Set(kept.layers);
  const stay = [...tensors].flatMap(([name, layer]) => (layers.has(layer) ? [name] : []));
  const renaming = renamedLayers(names, weights, layers);
  const why = `${decision.why}; ${describeKept(kept, plan.model.shape.layers)}`;
  return {
    transitions: {
      ...transitions,
      residence: { stages, both: false, layers: kept.layers, why },
      resident: stay.sort(),
    },
    layout: kept.layout,
    held: keepLayers(weights, layers, renaming),
    renaming,
  };
}
