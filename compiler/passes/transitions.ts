/**
 * Sharded graph to transition graph: what each pair of stages must move.
 *
 * Weights, per device and destination rectangle D of tensor T, with S the rectangles of T the device held before:
 * every D ∩ S stays (`keep` when the whole rectangle is unchanged, else `copy`), every D \ S is uploaded, and every
 * S \ D' over all destinations D' is evicted. Rectangles of one tensor on one device do not overlap, so the moves
 * cover the destination exactly once.
 *
 * Example: layer weight [8, 8], before rows 0..4 (pp 1, tp 2), after rows 0..2 (tp 4): copy rows 0..2, evict 2..4.
 */
import { byTensor } from '../ir/pieces.js';
import type { ShardedGraph } from '../ir/sharded.js';
import type {
  RankHolding,
  TensorPiece,
  TransitionGraph,
  WeightMove,
  WeightReshard,
} from '../ir/transitions.js';
import { BYTES_OF } from '../model/shape.js';
import type { Plan } from '../plan/plan.js';
import { stageHoldings } from './holdings.js';
import { kvEdges } from './kv-edges.js';
import { area, intersect, sameRectangle, subtractAll } from '../ir/rectangles.js';

/** The transition graph of a sharded plan. */
export function buildTransitions(sharded: ShardedGraph, plan: Plan): TransitionGraph {
  const holdings = Object.fromEntries(sharded.stages.map((stage) => [stage.name, stageHoldings(stage)]));
  const weights: WeightReshard[] = [];
  for (const from of sharded.stages) {
    for (const to of sharded.stages) {
      if (from === to) continue;
      const reshard = reshardWeights(holdings[from.name]!, holdings[to.name]!, BYTES_OF[plan.model.weights]);
      if (!reshard) continue;
      const origin = plan.stages.find((stage) => stage.name === to.name)!.meshOrigin;
      weights.push({ from: from.name, to: to.name, ...reshard, origin });
    }
  }
  return { weights, kv: kvEdges(plan, holdings), holdings };
}

type Moves = Pick<WeightReshard, 'moves' | 'evict' | 'bytes' | 'lowerBound'>;

/** Moves between two sets of holdings over the devices they share; undefined when nothing differs there. */
export function reshardWeights(
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  elementBytes: number,
): Moves | undefined {
  const moves: WeightMove[] = [];
  const evict: { device: number; piece: TensorPiece; bytes: number }[] = [];
  let lowerBound = 0;
  for (const rank of to) {
    const before = from.find((candidate) => candidate.device === rank.device);
    if (!before) continue;
    const held = byTensor(before.weights);
    const wanted = byTensor(rank.weights);
    const bytes = (piece: TensorPiece): number => area(piece) * elementBytes;
    for (const piece of rank.weights) {
      const sources = held.get(piece.tensor) ?? [];
      const add = (kind: WeightMove['kind'], part: TensorPiece): void => {
        moves.push({ device: rank.device, piece: part, kind, bytes: bytes(part) });
      };
      if (sources.some((source) => sameRectangle(source, piece))) {
        add('keep', piece);
        continue;
      }
      for (const source of sources) {
        const common = intersect(source, piece);
        if (common) add('copy', { tensor: piece.tensor, ...common });
      }
      for (const rest of subtractAll(piece, sources)) {
        const part = { tensor: piece.tensor, ...rest };
        lowerBound += bytes(part);
        add('upload', part);
      }
    }
    for (const piece of before.weights) {
      for (const rest of subtractAll(piece, wanted.get(piece.tensor) ?? [])) {
        const part = { tensor: piece.tensor, ...rest };
        evict.push({ device: rank.device, piece: part, bytes: bytes(part) });
      }
    }
  }
  const total = (kind: WeightMove['kind']): number =>
    moves.reduce((sum, move) => (move.kind === kind ? sum + move.bytes : sum), 0);
  const evicted = evict.reduce((sum, entry) => sum + entry.bytes, 0);
  if (evicted === 0 && moves.every((move) => move.kind === 'keep')) return undefined;
  return {
    moves,
    evict,
    bytes: { keep: total('keep'), copy: total('copy'), upload: total('upload'), evict: evicted },
    lowerBound,
  };
}
