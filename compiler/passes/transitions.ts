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
import { byTensor } from '../ir/pieces.js';
import { intervalLength, sameRectangle } from '../ir/rectangles.js';
import type {
  LastingPieces,
  RankHolding,
  TensorPiece,
  TransitionGraph,
  WeightReshard,
} from '../ir/transitions.js';
import { packedBytes } from '../model/weight-types.js';
import type { Plan } from '../plan/plan.js';
import { layoutKey, type SearchMemory } from './search-memory.js';
import { kvCost } from '../reshard/kv-cost.js';
import { estimateWeights, type MovesEstimate } from '../reshard/estimate-moves.js';
import { planSenders, type SendingGroup } from '../reshard/plan-weights.js';
import { planningMemo, type PlanningMemo } from '../reshard/planning-memo.js';
import type { Roads } from '../reshard/roads.js';
import { stageHoldings, tensorTypes } from './holdings.js';
import type { WeightSizes } from './resident-weights.js';
import { kvEdges } from './kv-edges.js';

/**
 * The transition graph of a sharded plan, as far as it is known before memory is laid out: without re-shards.
 *
 * @param roads those of the plan's topology
 */
export function buildTransitions(
  sharded: ShardedGraph,
  plan: Plan,
  roads: Roads,
  memory?: SearchMemory,
): TransitionGraph {
  const key = memory && layoutKey(plan);
  const known = memory?.transitions.get(key!);
  if (known !== undefined) return known;
  const holdings = Object.fromEntries(sharded.stages.map((stage) => [stage.name, stageHoldings(stage)]));
  const kv = kvEdges(plan, holdings);
  const kvCosts = kv.map((edge) => kvCost(plan, edge, holdings[edge.from]!, holdings[edge.to]!, roads));
  const transitions = { weights: [], kv, kvCosts, holdings };
  memory?.transitions.set(key!, transitions);
  return transitions;
}

/** Two stages between which devices change what they hold. */
export type StageChange = Pick<WeightReshard, 'from' | 'to' | 'origin'>;

/** Every two stages that hold different weights on a device; the tensors of `stay` are resident in both shardings. */
export function stageChanges(
  plan: Plan,
  holdings: TransitionGraph['holdings'],
  stay: ReadonlySet<string> = new Set(),
): readonly StageChange[] {
  return Object.keys(holdings).flatMap((from) =>
    Object.keys(holdings).flatMap((to): readonly StageChange[] => {
      if (from === to || !differ(...onShared(holdings, from, to), stay)) return [];
      return [{ from, to, origin: plan.stages.find((stage) => stage.name === to)!.meshOrigin }];
    }),
  );
}

/** Whether a device holds something else after than before. Lists that many devices have are compared once. */
function differ(
  before: readonly RankHolding[],
  after: readonly RankHolding[],
  stay: ReadonlySet<string>,
): boolean {
  const held = new Map(before.map((rank) => [rank.device, rank.weights]));
  const pairs = new Map<RankHolding['weights'], Set<RankHolding['weights']>>();
  for (const { device, weights } of after) {
    const olds = pairs.get(weights) ?? new Set();
    pairs.set(weights, olds.add(held.get(device)!));
  }
  return [...pairs].some(([weights, olds]) => [...olds].some((old) => !holdSame(old, weights, stay)));
}

function holdSame(
  old: RankHolding['weights'],
  weights: RankHolding['weights'],
  stay: ReadonlySet<string>,
): boolean {
  const moving = ({ tensor }: TensorPiece): boolean => !stay.has(tensor);
  const [before, after] = [old.filter(moving), weights.filter(moving)];
  if (before.length !== after.length) return false;
  const there = byTensor(before);
  return after.every((piece) => there.get(piece.tensor)?.some((other) => sameRectangle(other, piece)));
}

/** What devices send to each other in a change of stage. */
export interface PlannedSending extends StageChange {
  readonly groups: readonly SendingGroup[];
}

/**
 * What devices send to each other in some changes of stage.
 *
 * @param lasting what devices have of every stage all along: it stays where it is
 */
export function planSending(
  { bytesOf, roads, memo }: WeightPlanning,
  changes: readonly StageChange[],
  holdings: TransitionGraph['holdings'],
  stay: ReadonlySet<string>,
  lasting: readonly LastingPieces[],
): readonly PlannedSending[] {
  const known = new Map(lasting.map(({ stage, device, pieces }) => [`${stage} ${device}`, pieces]));
  return changes.map(({ from, to, origin }) => {
    const [before, after] = onShared(holdings, from, to);
    const lasts = after.map((rank) => {
      const pieces = known.get(`${to} ${rank.device}`);
      return pieces ? { ...rank, lasting: pieces } : rank;
    });
    return { from, to, groups: planSenders(before, lasts, bytesOf, roads, stay, memo), origin };
  });
}

/** What a change of stage will about take. */
export interface ChangeEstimate extends MovesEstimate {
  readonly from: string;
  readonly to: string;
}

/** Seconds of a change when some tensors stay: bytes that change take their part of them. */
export function secondsWithout({ seconds, bytes }: MovesEstimate, stay: ReadonlySet<string>): number {
  let [changing, staying] = [0, 0];
  for (const [tensor, some] of bytes) {
    changing += some;
    if (stay.has(tensor)) staying += some;
  }
  return changing === 0 ? 0 : seconds * (1 - staying / changing);
}

/**
 * Estimates the moves of some changes of stage.
 *
 * @param sizes of the weights of every stage
 */
export function estimateChanges(
  { bytesOf, roads, memo }: WeightPlanning,
  changes: readonly StageChange[],
  holdings: TransitionGraph['holdings'],
  sizes: ReadonlyMap<string, WeightSizes>,
): readonly ChangeEstimate[] {
  const bytesOn = (stage: string, device: number): number => {
    const held = sizes.get(stage);
    return held?.sizes[held.devices.get(device) ?? -1]?.weights ?? 0;
  };
  return changes.map(({ from, to }) => {
    const others = changes.filter((change) => change.to === to).map((change) => change.from);
    // Weights lie over each other: the end of the longest lasts.
    const lasting = (device: number): number =>
      Math.max(0, bytesOn(to, device) - Math.max(...others.map((other) => bytesOn(other, device))));
    return { from, to, ...estimateWeights(...onShared(holdings, from, to), bytesOf, roads, memo, lasting) };
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
 * @param kvBytes of KV that host memory has room for beside a copy of the model, where there is a disk
 */
export function weightPlanning(sharded: ShardedGraph, roads: Roads, kvBytes = 0): WeightPlanning {
  const bytesOf = pieceSizes(sharded);
  return { bytesOf, roads, memo: planningMemo(bytesOf, roads, kvBytes) };
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
