/**
 * The layers worth keeping resident in both shardings where not all of them are.
 *
 * A transition saves what the kept layers would have moved; KV loses the room that they take while the other stage is
 * active. Layers are kept in rounds, one of every pipeline stage, so that no device holds many more of them than
 * others. What is saved grows evenly with every round, what is lost is nothing at first and then grows ever faster:
 * rounds are added for as long as each is worth it, and the last of those is found by halving.
 */
import type { Plan } from '../plan/plan.js';
import { formatTime } from '../reshard/describe.js';
import type { MovesEstimate } from '../reshard/estimate-moves.js';
import { cyclePoolLoss, whyUnfit, type MemoryLayout } from './residence.js';
import { pipelineSegments } from './shard.js';

export interface KeptLayers {
  /** Ascending. */
  readonly layers: readonly number[];
  readonly layout: MemoryLayout;
  /** Seconds a cycle of transitions takes less, and seconds that the smaller KV pool costs in it. */
  readonly saved: number;
  readonly lost: number;
}

/**
 * The layers that are best kept, or undefined when keeping any costs more than it saves.
 *
 * @param changes what transitions take if none is
 * @param layOut device memory when these layers are kept
 * @param layerOf layer of a tensor, -1 outside layers
 */
export function chooseKeptLayers(
  plan: Plan,
  changes: readonly MovesEstimate[],
  inTurns: MemoryLayout,
  layOut: (layers: readonly number[]) => MemoryLayout,
  layerOf: (tensor: string) => number,
): KeptLayers | undefined {
  const rounds = keepingRounds(plan);
  const savings = secondsByLayer(changes, layerOf);
  const known = new Map<number, KeptLayers>();
  const keep = (count: number): KeptLayers => {
    const found = known.get(count);
    if (found) return found;
    const layers = rounds
      .slice(0, count)
      .flat()
      .sort((a, b) => a - b);
    const layout = layOut(layers);
    const kept: KeptLayers = {
      layers,
      layout,
      saved: layers.reduce((sum, layer) => sum + (savings.get(layer) ?? 0), 0),
      lost: whyUnfit(plan, layout) ? Infinity : cyclePoolLoss(plan, inTurns, layout),
    };
    known.set(count, kept);
    return kept;
  };
  const net = (count: number): number => (count === 0 ? 0 : keep(count).saved - keep(count).lost);
  // Rounds up to `low` are worth keeping, that after `high` is not.
  let [low, high] = [0, rounds.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (net(middle) > net(middle - 1)) low = middle;
    else high = middle - 1;
  }
  return low > 0 && net(low) > 0 ? keep(low) : undefined;
}

/** In words, with the figures. */
export function describeKept({ layers, saved, lost }: KeptLayers, of: number): string {
  const cost = lost === 0 ? 'nothing' : formatTime(lost);
  return (
    `${layers.length} of ${of} layers stay in both shardings, which saves ` +
    `${formatTime(saved)} of transitions in a cycle and costs ${cost} of KV room`
  );
}

/** By round: the next layer of every pipeline stage of the deepest pipeline that has one left. */
function keepingRounds(plan: Plan): readonly (readonly number[])[] {
  const deepest = plan.stages.reduce((sofar, stage) =>
    stage.layerSplit.length > sofar.layerSplit.length ? stage : sofar,
  );
  const { layerSplit } = deepest;
  const firsts = pipelineSegments(deepest).map(({ firstLayer }) => firstLayer);
  return Array.from({ length: Math.max(...layerSplit) }, (_, place) =>
    firsts.filter((_first, pp) => place < layerSplit[pp]!).map((first) => first + place),
  );
}

/** Estimated seconds of all transitions, dealt to layers by the bytes that change. */
function secondsByLayer(
  changes: readonly MovesEstimate[],
  layerOf: (tensor: string) => number,
): ReadonlyMap<number, number> {
  const byLayer = new Map<number, number>();
  for (const { seconds, bytes } of changes) {
    const changing = [...bytes.values()].reduce((sum, some) => sum + some, 0);
    for (const [tensor, some] of bytes) {
      const layer = layerOf(tensor);
      byLayer.set(layer, (byLayer.get(layer) ?? 0) + (seconds * some) / changing);
    }
  }
  return byLayer;
}
