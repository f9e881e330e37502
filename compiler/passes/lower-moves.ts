/**
 * The weight moves of all transitions: placed on devices, laid out in their memory, and then known to the byte.
 *
 * What is in its place already hangs on the layout of memory, and that on what two stages have in common, not on who
 * sends the rest. So moves are lowered once to see what stays; where devices send to each other, they are then planned once more
 * without it, to balance the links again.
 */
import { groupBy } from '../group-by.js';
import type { Residing } from '../ir/residences.js';
import type { RuntimeTransition } from '../ir/runtime-graph.js';
import type { LastingPieces, RankHolding, TensorPiece, TransitionGraph } from '../ir/transitions.js';
import type { Stage } from '../plan/plan.js';
import { lowerTransition, type StagePlacement } from './lower-transitions.js';
import { cutShard } from './lower-weights.js';
import type { KnownWeights } from './memory.js';
import type { MemoryLayout } from './residence.js';
import type { StageWeights } from './resident-weights.js';
import { settleReshard, type SettledStage } from './settle-moves.js';
import type { Settled } from './settle-residence.js';
import { placedRanks } from './stage-ranks.js';
import { onShared, replanWeights, type WeightPlanning } from './transitions.js';
import { lastingPieces, turningWeights, withInPlace, type TurningWeights } from './turning-weights.js';

export interface SettledMoves extends Settled {
  readonly placements: ReadonlyMap<string, StagePlacement>;
  readonly moves: readonly RuntimeTransition[];
  /** What the moves need of memory: by that it was laid out. Absent where nothing moves. */
  readonly known?: KnownWeights;
}

/** Whether devices send weights to each other. */
export function sendsWeights({ weights }: TransitionGraph): boolean {
  return weights.some(({ bytes }) => bytes.peer > 0);
}

/**
 * Lowers the moves of what was settled, and lays memory out by what they need.
 *
 * @param expected what devices will have all along, as far as it is known; senders are chosen by that
 */
export function lowerMoves(
  planning: WeightPlanning,
  stages: readonly Stage[],
  settled: Settled,
  layOut: (held: readonly StageWeights[], known: KnownWeights) => MemoryLayout,
  expected: readonly LastingPieces[] | undefined,
): SettledMoves {
  const { held, transitions } = settled;
  const planned =
    expected && sendsWeights(transitions)
      ? { ...transitions, weights: replanWeights(planning, transitions, expected) }
      : transitions;
  const { residing, placements, turning } = placeMoves(stages, held, planned);
  if (residing.transitions.length === 0) return { ...settled, placements, moves: [] };
  const moves = residing.transitions.map((each) => withInPlace(residing, each, turning));
  const lasting = lastingPieces(residing, turning);
  const stageOf = settledStages(lasting);
  const context = { ...planning, resident: new Set(transitions.resident) };
  const weights = planned.weights.map((reshard) => {
    const { from, to } = reshard;
    const placed = moves.find(({ transition }) => transition.from === from && transition.to === to);
    if (placed === undefined) return reshard;
    const [before, after] = onShared(transitions.holdings, from, to);
    return settleReshard(reshard, placed, stageOf(from, before), stageOf(to, after), context);
  });
  const known = { turning: new Map([...turning].map(([device, planned]) => [device, planned.bytes])) };
  return {
    ...settled,
    transitions: { ...transitions, weights, ...(lasting.length > 0 && { lasting }) },
    placements,
    moves: moves.map(({ transition }) => transition),
    known,
    layout: layOut(held, known),
  };
}

interface PlacedMoves {
  readonly placements: ReadonlyMap<string, StagePlacement>;
  readonly residing: Residing;
  readonly turning: TurningWeights;
}

function placeMoves(
  stages: readonly Stage[],
  held: readonly StageWeights[],
  transitions: TransitionGraph,
): PlacedMoves {
  const placements = new Map(
    held.map((weights) => [weights.stage, placeShards(weights, transitions.holdings, transitions)]),
  );
  const moves = transitions.weights
    .filter(({ from, to }) => placements.has(from) && placements.has(to))
    .map((reshard) => lowerTransition(reshard, placements.get(reshard.from)!, placements.get(reshard.to)!));
  const placed = stages.map((stage) => {
    const { devices, cut } = placements.get(stage.name)!;
    return { name: stage.name, ranks: placedRanks(stage, devices), shards: cut };
  });
  const residing = { stages: placed, transitions: moves };
  return { placements, residing, turning: turningWeights(residing) };
}

/** Cuts each shard along what other stages hold on the devices that it is on, and along what peers send to those. */
function placeShards(
  { stage, shards, devices }: StageWeights,
  holdings: Readonly<Record<string, readonly RankHolding[]>>,
  { weights }: TransitionGraph,
): StagePlacement {
  const arriving = weights.filter((reshard) => reshard.to === stage);
  // By shard: distinct lists of pieces that its devices hold before or receive. Replicas have the same ones.
  const others = shards.map(() => new Set<readonly TensorPiece[]>());
  for (const { from } of arriving)
    for (const { device, weights: held } of holdings[from]!) others[devices.get(device) ?? -1]?.add(held);
  for (const [plan, groups] of groupBy(
    arriving.flatMap((reshard) => reshard.groups),
    (group) => group.plan,
  )) {
    const received = groupBy(
      plan.moves.filter((move) => move.kind === 'peer'),
      (move) => move.device,
    );
    for (const [place, moves] of received) {
      const pieces = moves.map((move) => move.piece);
      for (const group of groups) others[devices.get(group.devices[place]!) ?? -1]?.add(pieces);
    }
  }
  const cut = shards.map((shard, index) => {
    const pieces = [...others[index]!];
    return pieces.length === 0 ? shard : cutShard(shard, pieces.flat());
  });
  return { devices, plain: shards, cut };
}

const NOTHING: readonly TensorPiece[] = [];

function settledStages(
  lasting: readonly LastingPieces[],
): (stage: string, ranks: readonly RankHolding[]) => SettledStage {
  const known = new Map(lasting.map(({ stage, device, pieces }) => [`${stage} ${device}`, pieces]));
  return (stage, ranks) => {
    return { holdings: ranks, lasting: (device) => known.get(`${stage} ${device}`) ?? NOTHING };
  };
}
