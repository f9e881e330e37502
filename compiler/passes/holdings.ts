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
  tensorNames,
  weightPart,
  weightType,
} from './block-weights.js';
import { dimSpan } from './placement.js';
import { contains, type Rectangle } from '../ir/rectangles.js';
import { once } from '../once.js';

/** Holdings in rank order. */
export function stageHoldings(stage: ShardedStage): readonly RankHolding[] {
  const { dp: replicas, pp: depth, tp: width } = stage.mesh;
  const partsOf = blockParts(stage);
  const shards = Array.from({ length: depth * width }, (_, shard) => {
    const [pp, tp] = [Math.floor(shard / width), shard % width];
    return {
      pp,
      tp,
      weights: shardPieces(segmentBlocks(stage, pp), partsOf(tp)),
      kv: { layers: segmentLayers(stage, pp), heads: stageKvHeads(stage, tp) },
    };
  });
  return Array.from({ length: replicas }, (_, dp) =>
    shards.map((shard, place) => ({ device: stage.devices[dp * shards.length + place]!, dp, ...shard })),
  ).flat();
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
  const weightsOf = once((block: ShardedBlock) => [...blockWeights(block).values()]);
  for (const stage of sharded.stages) {
    for (let pp = 0; pp < stage.mesh.pp; pp++) {
      for (const { block, layer } of segmentBlocks(stage, pp)) {
        for (const weight of weightsOf(block))
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

/** What a rank holds of a weight of a block, by layer. */
interface BlockPart extends Rectangle {
  readonly tensor: (layer: number) => string;
}

/** Answers what a tp rank holds of blocks. Layers of one block have their rectangles in common, ranks their names. */
function blockParts(stage: ShardedStage): (tp: number) => (block: ShardedBlock) => readonly BlockPart[] {
  const layout = { tp: stage.mesh.tp, kvReplicas: stage.kvReplicas };
  const nameOf = tensorNames();
  const weightsOf = once((block: ShardedBlock) => [...blockWeights(block).values()]);
  return once((tp: number) =>
    once((block: ShardedBlock) =>
      weightsOf(block).flatMap((weight) => {
        const { rectangle } = weightPart(weight, layout, tp);
        return rectangle ? [{ ...rectangle, tensor: (layer) => nameOf(weight, layer) }] : [];
      }),
    ),
  );
}

function shardPieces(
  blocks: ReturnType<typeof segmentBlocks>,
  partsOf: (block: ShardedBlock) => readonly BlockPart[],
): readonly TensorPiece[] {
  const byTensor = new Map<string, TensorPiece[]>();
  for (const { block, layer } of blocks) {
    for (const { tensor: name, rows, cols } of partsOf(block)) {
      const piece = { tensor: name(layer), rows, cols };
      const held = byTensor.get(piece.tensor);
      if (held === undefined) byTensor.set(piece.tensor, [piece]);
      else if (!held.some((other) => contains(other, piece)))
        byTensor.set(piece.tensor, [...held.filter((other) => !contains(piece, other)), piece]);
    }
  }
  return [...byTensor.values()].flat();
}
