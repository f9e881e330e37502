/**
 * The weight moves of all transitions before they are lowered: what devices have of both stages gives the places of all
 * weights, those give what lasts whatever the stage, and what then is missing is planned.
 *
 * Who sends what changes nothing of that: what is sent is what a device has not, and places depend on what it has. So moves
 * are planned once, and lowered once.
 */
import { placeWeights, type PlacedWeights } from '../ir/device-weights.js';
import type { Residing } from '../ir/residences.js';
import type { LastingPieces, RankHolding, TransitionGraph } from '../ir/transitions.js';
import type { RuntimeWeight, WeightShard } from '../ir/runtime-graph.js';
import { packedBytes, WEIGHT_FORMATS } from '../model/weight-types.js';
import type { Stage } from '../plan/plan.js';
import {
  lowerOwnMoves,
  shardSources,
  type OwnTransition,
  type SourcesOf,
  type StagePlacement,
} from './lower-transitions.js';
import { shardCutter } from './lower-weights.js';
import type { KnownWeights } from './memory.js';
import type { StageWeights } from './resident-weights.js';
import { placedRanks } from './stage-ranks.js';
import { planSending, type PlannedSending, type StageChange, type WeightPlanning } from './transitions.js';
import { lastingPieces, planByDevice } from './turning-weights.js';

export interface PlannedMoves {
  /** Every stage with its shards cut along what other stages hold on its devices. */
  readonly placements: ReadonlyMap<string, StagePlacement>;
  /** With those shards, and with transitions in which nobody sends anything. */
  readonly residing: Residing;
  /** One per transition of `residing`. */
  readonly own: readonly OwnTransition[];
  readonly sourcesOf: SourcesOf;
  /** By device. */
  readonly places: ReadonlyMap<number, PlacedWeights>;
  readonly lasting: readonly LastingPieces[];
  /** One per change. */
  readonly sending: () => readonly PlannedSending[];
  /**
   * What the moves need of memory, as they will when they are lowered; absent where nothing moves, and where it depends on
   * who sends what.
   */
  readonly foreseen: () => KnownWeights | undefined;
}

/**
 * Plans the moves of some changes of stage.
 *
 * @param held what the ranks of every stage hold while it is active
 * @param resident tensors that are resident in both shardings
 */
export function planWeightMoves(
  planning: WeightPlanning,
  stages: readonly Stage[],
  held: readonly StageWeights[],
  holdings: TransitionGraph['holdings'],
  changes: readonly StageChange[],
  resident: ReadonlySet<string>,
): PlannedMoves {
  const cut = shardCutter(planning.memo.sorted);
  const placements = new Map(
    held.map((weights) => [weights.stage, placeShards(weights, holdings, changes, cut)]),
  );
  const sourcesOf = shardSources();
  const own = changes
    .filter(({ from, to }) => placements.has(from) && placements.has(to))
    .map((change) =>
      lowerOwnMoves(change, placements.get(change.from)!, placements.get(change.to)!, sourcesOf),
    );
  const residing = residingOf(
    stages,
    placements,
    own.map(({ transition }) => transition),
  );
  const places = planByDevice(residing, (residences, transitions) => placeWeights(residences, transitions));
  const lasting = lastingPieces(residing, places);
  let sent: readonly PlannedSending[] | undefined;
  const sending = (): readonly PlannedSending[] =>
    (sent ??= planSending(planning, changes, holdings, resident, lasting));
  const isForeseen = own.length > 0 && stages.length === 2 && isCutAtWords(held);
  const foreseen = (): KnownWeights | undefined => {
    if (!isForeseen) return undefined;
    return { turning: new Map([...places].map(([device, { neededBytes }]) => [device, neededBytes()])) };
  };
  return { placements, residing, own, sourcesOf, places, lasting, sending, foreseen };
}

/**
 * Whether all parts that there can be of these weights begin and end with words of device memory. Then those that are sent
 * change nothing of what is written and copied, as long as no third stage has other boundaries.
 */
function isCutAtWords(held: readonly StageWeights[]): boolean {
  const isAtWord = (dtype: RuntimeWeight['dtype'], col: number): boolean =>
    col % WEIGHT_FORMATS[dtype].block === 0 && packedBytes(dtype, col) % 4 === 0;
  const isCutSo = ({ dtype, pieces }: RuntimeWeight): boolean =>
    pieces.every(({ at, cols }) => [at[1], ...cols].every((col) => isAtWord(dtype, col)));
  return held.every(({ shards }) => shards.every((shard: WeightShard) => shard.weights.every(isCutSo)));
}

/** The stages with their shards as they are cut, and some transitions between them. */
export function residingOf(
  stages: readonly Stage[],
  placements: ReadonlyMap<string, StagePlacement>,
  transitions: Residing['transitions'],
): Residing {
  const placed = stages.map((stage) => {
    const { devices, cut } = placements.get(stage.name)!;
    return { name: stage.name, ranks: placedRanks(stage, devices), shards: cut };
  });
  return { stages: placed, transitions };
}

/** Cuts each shard along what other stages hold on the devices that it is on. */
function placeShards(
  { stage, shards, devices }: StageWeights,
  holdings: TransitionGraph['holdings'],
  changes: readonly StageChange[],
  cut: ReturnType<typeof shardCutter>,
): StagePlacement {
  // By shard: distinct lists of pieces that its devices hold before. Replicas have the same ones.
  const others = shards.map(() => new Set<RankHolding['weights']>());
  for (const { from, to } of changes)
    if (to === stage)
      for (const { device, weights } of holdings[from]!) others[devices.get(device) ?? -1]?.add(weights);
  return { devices, plain: shards, cut: shards.map((shard, index) => cut(shard, others[index]!)) };
}
