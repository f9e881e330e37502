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
import type { ReshardBytes, TensorPiece, TransitionGraph, WeightReshard } from '../ir/transitions.js';
import { packedBytes } from '../model/weight-types.js';
import type { Plan } from '../plan/plan.js';
import { kvCost } from '../reshard/kv-cost.js';
import { planWeights } from '../reshard/plan-weights.js';
import type { Roads } from '../reshard/roads.js';
import { stageHoldings, tensorTypes } from './holdings.js';
import { kvEdges } from './kv-edges.js';

/**
 * The transition graph of a sharded plan.
 *
 * @param roads those of the plan's topology
 */
export function buildTransitions(sharded: ShardedGraph, plan: Plan, roads: Roads): TransitionGraph {
  const holdings = Object.fromEntries(sharded.stages.map((stage) => [stage.name, stageHoldings(stage)]));
  const weights = weightReshards(sharded, plan, holdings, roads);
  const kv = kvEdges(plan, holdings);
  const kvCosts = kv.map((edge) => kvCost(plan, edge, holdings[edge.from]!, holdings[edge.to]!, roads));
  return { weights, kv, kvCosts, holdings };
}

/** Moves of weights between every two stages; the tensors of `stay` are resident in both shardings. */
export function weightReshards(
  sharded: ShardedGraph,
  plan: Plan,
  holdings: TransitionGraph['holdings'],
  roads: Roads,
  stay?: ReadonlySet<string>,
): readonly WeightReshard[] {
  const types = tensorTypes(sharded);
  const bytesOf = ({ tensor, rows, cols }: TensorPiece): number =>
    intervalLength(rows) * packedBytes(types.get(tensor)!, intervalLength(cols));
  return Object.entries(holdings).flatMap(([from, before]) => {
    const there = new Set(before.map(({ device }) => device));
    return Object.entries(holdings).flatMap(([to, after]) => {
      if (from === to) return [];
      const shared = after.filter(({ device }) => there.has(device));
      const reshard = planWeights(before, shared, bytesOf, roads, stay);
      if (movesNothing(reshard.bytes)) return [];
      const origin = plan.stages.find((stage) => stage.name === to)!.meshOrigin;
      return [{ from, to, ...reshard, origin }];
    });
  });
}

function movesNothing({ copy, peer, upload, evict }: ReshardBytes): boolean {
  return copy + peer + upload + evict === 0;
}
