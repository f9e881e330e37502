/**
 * Residence applied: the decision of `residence.ts`, the layers of `kept-layers.ts`, and what both make of the weights
 * that ranks hold, of their names and of the transitions.
 */
import type { TransitionGraph } from '../ir/transitions.js';
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
import { weightReshards, type WeightPlanning } from './transitions.js';

export interface Settled {
  readonly transitions: TransitionGraph;
  readonly layout: MemoryLayout;
  /** What the ranks of every stage hold while it is active, under its final names. */
  readonly held: readonly StageWeights[];
  readonly renaming?: Renaming;
}

/**
 * Decides which weights of stages that re-shard stay resident together, and what then remains of the transitions.
 *
 * @param inTurns what holds if none do
 * @param layOut device memory when the ranks hold these weights
 * @param partly whether some layers may stay where not all do
 */
export function settleResidence(
  planning: WeightPlanning,
  plan: Plan,
  inTurns: Settled,
  layOut: (held: readonly StageWeights[], known?: KnownWeights) => MemoryLayout,
  partly: boolean,
): Settled {
  const { transitions: planned, held: weights } = inTurns;
  if (planned.weights.length === 0) return inTurns;
  const names = (plan.residence ?? 'switch') === 'switch' ? undefined : renameResident(weights);
  const together = names && layOut(weights, { resident: residentBytes(weights, names) });
  const decision = decideResidence(plan, planned.weights, inTurns.layout, together);
  const stages = [...new Set(planned.weights.flatMap(({ from, to }) => [from, to]))];
  const transitions = { ...planned, residence: { stages, ...decision } };
  if (!names || !together || (!decision.both && !partly)) return { ...inTurns, transitions };
  if (decision.both) {
    const held = weights.map((stage) => renameStage(stage, names));
    return { transitions: { ...transitions, weights: [] }, layout: together, held, renaming: names };
  }
  const keep = (layers: readonly number[]): Pick<Settled, 'held' | 'renaming'> => {
    const renaming = renamedLayers(names, weights, new Set(layers));
    return { held: keepLayers(weights, new Set(layers), renaming), renaming };
  };
  const tensors = layerTensors(weights);
  const kept = chooseKeptLayers(
    plan,
    planned.weights,
    inTurns.layout,
    (layers) => layOut(keep(layers).held),
    (tensor) => tensors.get(tensor) ?? -1,
  );
  if (!kept) return { ...inTurns, transitions };
  const stay = new Set([...tensors].flatMap(([name, layer]) => (kept.layers.includes(layer) ? [name] : [])));
  const why = `${decision.why}; ${describeKept(kept, plan.model.shape.layers)}`;
  return {
    transitions: {
      ...transitions,
      weights: weightReshards(planning, plan, planned.holdings, stay),
      residence: { stages, both: false, layers: kept.layers, why },
      resident: [...stay].sort(),
    },
    layout: kept.layout,
    ...keep(kept.layers),
  };
}
