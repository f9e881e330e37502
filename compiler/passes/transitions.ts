/**
 * Sharded graph to transition graph: what each pair of stages must move.
 *
 * Weights, per device and destination rectangle D of tensor T, with S the rectangles of T the device held before:
 * every D ∩ S stays (`keep` when the whole rectangle is unchanged, else `copy`), every D \ S comes from a peer or the
 * host, and every S \ D' over all destinations D' is evicted. Rectangles of one tensor on one device do not overlap,
 * so the moves cover the destination exactly once. A device that only one of the stages uses keeps what it has.
 *
 * Example: layer weight [8, 8], before rows 0..4 (pp 1, tp 2), after rows 0..2 (tp 4): copy rows 0..2, evict 2..4.
 */
import type { ShardedGraph } from '../ir/sharded.js';
import { intervalLength } from '../ir/rectangles.js';
import type {
  LastingPieces,
  RankHolding,
  ReshardBytes,
  TensorPiece,
  TransitionGraph,
  WeightReshard,
} from '../ir/transitions.js';
import { packedBytes } from '../model/weight-types.js';
import type { Plan } from '../plan/plan.js';
import { layoutKey, type SearchMemory } from './search-memory.js';
import { kvCost } from '../reshard/kv-cost.js';
import { planWeights } from '../reshard/plan-weights.js';
import { planningMemo, type PlanningMemo } from '../reshard/planning-memo.js';
import type { Roads } from '../reshard/roads.js';
import { stageHoldings, tensorTypes } from './holdings.js';
import { kvEdges } from './kv-edges.js';

/**
 * The transition graph of a sharded plan.
 *
 * @param planning that of the same graph
 */
export function buildTransitions(
  sharded: ShardedGraph,
  plan: Plan,
  planning: WeightPlanning,
  memory?: SearchMemory,
): TransitionGraph {
  const key = memory && layoutKey(plan);
  const known = memory?.transitions.get(key!);
  const holdings =
    known?.holdings ?? Object.fromEntries(sharded.stages.map((stage) => [stage.name, stageHoldings(stage)]));
  const weights = known?.weights ?? weightReshards(planning, plan, holdings);
  memory?.transitions.set(key!, { weights, holdings });
  const kv = kvEdges(plan, holdings);
  const kvCosts = kv.map((edge) =>
    kvCost(plan, edge, holdings[edge.from]!, holdings[edge.to]!, planning.roads),
  );
  return { weights, kv, kvCosts, holdings };
}

/** Moves of weights between every two stages; the tensors of `stay` are resident in both shardings. */
export function weightReshards(
  { bytesOf, roads, memo }: WeightPlanning,
  plan: Plan,
  holdings: TransitionGraph['holdings'],
  stay?: ReadonlySet<string>,
): readonly WeightReshard[] {
  return Object.keys(holdings).flatMap((from) =>
    Object.keys(holdings).flatMap((to) => {
      if (from === to) return [];
      const reshard = planWeights(...onShared(holdings, from, to), bytesOf, roads, stay, memo);
      if (movesNothing(reshard.bytes)) return [];
      const origin = plan.stages.find((stage) => stage.name === to)!.meshOrigin;
      return [{ from, to, ...reshard, origin }];
    }),
  );
}

/** The moves of a transition graph chosen anew, now that it is known what devices have all along. */
export function replanWeights(
  { bytesOf, roads, memo }: WeightPlanning,
  { weights, holdings, resident }: TransitionGraph,
  lasting: readonly LastingPieces[],
): readonly WeightReshard[] {
  const stay = new Set(resident);
  const known = new Map(lasting.map(({ stage, device, pieces }) => [`${stage} ${device}`, pieces]));
  return weights.map((reshard) => {
    const [before, after] = onShared(holdings, reshard.from, reshard.to);
    const lasts = after.map((rank) => {
      const pieces = known.get(`${reshard.to} ${rank.device}`);
      return pieces ? { ...rank, lasting: pieces } : rank;
    });
    return { ...reshard, ...planWeights(before, lasts, bytesOf, roads, stay, memo) };
  });
}

/** What all re-shards of a sharded plan are planned with. */
export interface WeightPlanning {
  /** Bytes of pieces in device memory. */
  readonly bytesOf: (piece: TensorPiece) => number;
  readonly roads: Roads;
  readonly memo: PlanningMemo;
}

/**
 * Prepares to plan re-shards.
 *
 * @param roads those of the plan's topology
 */
export function weightPlanning(sharded: ShardedGraph, roads: Roads): WeightPlanning {
  const bytesOf = pieceSizes(sharded);
  return { bytesOf, roads, memo: planningMemo(bytesOf, roads) };
}

function pieceSizes(sharded: ShardedGraph): (piece: TensorPiece) => number {
  // Only asked for where something moves.
  let types: ReturnType<typeof tensorTypes> | undefined;
  return ({ tensor, rows, cols }) => {
    types ??= tensorTypes(sharded);
    return intervalLength(rows) * packedBytes(types.get(tensor)!, intervalLength(cols));
  };
}

/** What all ranks of a stage hold, and what those of another hold that share their devices. */
export function onShared(
  holdings: TransitionGraph['holdings'],
  from: string,
  to: string,
): readonly [before: readonly RankHolding[], after: readonly RankHolding[]] {
  const before = holdings[from]!;
  const there = new Set(before.map(({ device }) => device));
  return [before, holdings[to]!.filter(({ device }) => there.has(device))];
}

function movesNothing({ copy, peer, upload, evict }: ReshardBytes): boolean {
  return copy + peer + upload + evict === 0;
}
