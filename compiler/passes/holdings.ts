/**
 * What every rank of a stage holds: exact rectangles of checkpoint tensors and its part of the KV cache, read off the
 * shardings of the sharded graph. Nothing is derived from names, so a tied embedding is one holding where table and
 * output projection agree, and two where they do not.
 */
import type { ShardedBlock, ShardedGraph, ShardedStage } from '../ir/sharded.js';
import type { Interval, RankHolding, TensorPiece } from '../ir/transitions.js';
import type { WeightType } from '../model/weight-types.js';
import {
  blockWeights,
  layerBlock,
  segmentBlocks,
  segmentLayers,
  tensorName,
  weightPart,
  weightType,
} from './block-weights.js';
import { dimSpan } from './placement.js';
import { contains } from '../ir/rectangles.js';

/** Holdings in rank order. */
export function stageHoldings(stage: ShardedStage): readonly RankHolding[] {
  const { dp: replicas, pp: depth, tp: width } = stage.mesh;
  const shards = Array.from({ length: depth * width }, (_, shard) =>
    shardPieces(stage, Math.floor(shard / width), shard % width),
  );
  const holdings: RankHolding[] = [];
  for (let dp = 0; dp < replicas; dp++) {
    for (let pp = 0; pp < depth; pp++) {
      for (let tp = 0; tp < width; tp++) {
        holdings.push({
          device: stage.devices[(dp * depth + pp) * width + tp]!,
          dp,
          pp,
          tp,
          weights: shards[pp * width + tp]!,
          kv: { layers: segmentLayers(stage, pp), heads: stageKvHeads(stage, tp) },
        });
      }
    }
  }
  return holdings;
}

/** Whether two stages are on the same devices, and the ranks of each device are of the same replica and alike. */
export function alikeByDevice(
  a: readonly RankHolding[],
  b: readonly RankHolding[],
  alike: (a: RankHolding, b: RankHolding) => boolean,
): boolean {
  const there = new Map(b.map((rank) => [rank.device, rank]));
  return (
    a.length === b.length &&
    a.every((rank) => {
      const other = there.get(rank.device);
      return other !== undefined && other.dp === rank.dp && alike(rank, other);
    })
  );
}

/** Element type in device memory of every tensor that some stage holds. */
export function tensorTypes(sharded: ShardedGraph): ReadonlyMap<string, WeightType> {
  const types = new Map<string, WeightType>();
  for (const stage of sharded.stages) {
    for (let pp = 0; pp < stage.mesh.pp; pp++) {
      for (const { block, layer } of segmentBlocks(stage, pp)) {
        for (const weight of blockWeights(block).values())
          types.set(tensorName(weight, layer), weightType(weight, layer));
      }
    }
  }
  return types;
}

/** KV heads that tp rank `tp` of a stage holds: the same in every layer, as an override of a layer cannot place them. */
export function stageKvHeads(stage: ShardedStage, tp: number): Interval {
  return blockKvHeads(stage, layerBlock(stage, 0), tp);
}

function blockKvHeads(stage: ShardedStage, block: ShardedBlock, tp: number): Interval {
  const append = block.ops.find((op) => op.kind === 'kv_append');
  const keys = block.values.find((value) => value.id === append?.inputs[0]);
  const heads = keys?.type.dims.find((dim) => dim.name === 'kv_heads');
  if (!keys || !heads) throw new Error(`a layer of stage ${stage.name} appends no keys`);
  return dimSpan(heads, keys.sharding, { tp: stage.mesh.tp, kvReplicas: stage.kvReplicas }, tp).held;
}

function shardPieces(stage: ShardedStage, pp: number, tp: number): readonly TensorPiece[] {
  const layout = { tp: stage.mesh.tp, kvReplicas: stage.kvReplicas };
  const byTensor = new Map<string, readonly TensorPiece[]>();
  for (const { block, layer } of segmentBlocks(stage, pp)) {
    for (const weight of blockWeights(block).values()) {
      const { piece } = weightPart(weight, layout, tp, layer);
      if (!piece) continue;
      const held = byTensor.get(piece.tensor) ?? [];
      if (held.some((other) => contains(other, piece))) continue;
      byTensor.set(piece.tensor, [...held.filter((other) => !contains(piece, other)), piece]);
    }
  }
  return [...byTensor.values()].flat();
}
