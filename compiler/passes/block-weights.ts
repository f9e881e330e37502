/**
 * The weights a sharded block uses and how each lies as a matrix. This is the one place that knows which dimensions
 * of a weight are rows and which are columns; holdings and buffer layouts are both made from it.
 */
import type { Dim } from '../ir/logical.js';
import type { ShardedBlock, ShardedStage, ShardedValue } from '../ir/sharded.js';
import type { Interval } from '../ir/transitions.js';
import { groupSpan, type TpLayout } from './placement.js';
import { area, type Rectangle } from '../ir/rectangles.js';
import { once } from '../once.js';
import type { DType } from '../model/shape.js';
import type { WeightType } from '../model/weight-types.js';

/** A weight seen as a matrix; a vector has no row dimensions. */
export interface MatrixWeight {
  readonly value: ShardedValue;
  readonly rowDims: readonly Dim[];
  readonly colDims: readonly Dim[];
  /** A bias added to a partial sum: held by tp rank 0 alone, so that the sum has it once. */
  readonly firstRankOnly: boolean;
  /** Element type in device memory, whatever the model's: kernels read some weights in one type only. */
  readonly readAs?: DType;
}

/** A rank's part of a weight: the rectangle it holds and the size of the buffer it lies in. */
export interface WeightPart {
  /** Of its tensor; none where the rank has nothing of it. */
  readonly rectangle: Rectangle | undefined;
  readonly rows: number;
  readonly cols: number;
}

/** Weights of a block by value id. Throws where an op reads a weight and nothing here says how that lies: nobody would hold it. */
export function blockWeights(block: ShardedBlock): ReadonlyMap<string, MatrixWeight> {
  const values = new Map(block.values.map((value) => [value.id, value]));
  const found = new Map<string, MatrixWeight>();
  const vector = (id: string, firstRankOnly = false, readAs?: DType): void => {
    const value = values.get(id)!;
    const weight = { value, rowDims: [], colDims: value.type.dims, firstRankOnly };
    found.set(id, readAs ? { ...weight, readAs } : weight);
  };
  for (const op of block.ops) {
    if (op.kind === 'embed') {
      const value = values.get(op.inputs[1]!)!;
      found.set(value.id, {
        value,
        rowDims: value.type.dims.slice(0, 1),
        colDims: value.type.dims.slice(1),
        firstRankOnly: false,
      });
    } else if (op.kind === 'rms_norm') {
      vector(op.inputs[1]!);
    } else if (op.kind === 'qk_norm') {
      vector(op.inputs[1]!, false, 'f32');
    } else if (op.kind === 'linear') {
      const [input, weight, bias] = op.inputs.map((id) => values.get(id)!);
      const contracted = input!.type.dims.filter((dim) => dim.size !== undefined).length;
      const dims = weight!.type.dims;
      found.set(weight!.id, {
        value: weight!,
        rowDims: dims.slice(0, dims.length - contracted),
        colDims: dims.slice(dims.length - contracted),
        firstRankOnly: false,
      });
      if (bias) vector(bias.id, bias.sharding.partial.includes('tp'));
    }
    const unknown = op.inputs.find((id) => values.get(id)?.kind === 'weight' && !found.has(id));
    if (unknown !== undefined) throw new Error(`how ${unknown} of ${op.kind} lies as a matrix is not known`);
  }
  return found;
}

/** The part of a weight on tp rank `tp`, the same in all layers that the weight is one of. */
export function weightPart(weight: MatrixWeight, layout: TpLayout, tp: number): WeightPart {
  const { sharding, firstRow = 0 } = weight.value;
  const rows = groupSpan(weight.rowDims, sharding, layout, tp);
  const cols = groupSpan(weight.colDims, sharding, layout, tp);
  const [first, end] = rows.held;
  const rectangle = { rows: [firstRow + first, firstRow + end] as const, cols: cols.held };
  const held = area(rectangle) > 0 && !(weight.firstRankOnly && tp !== 0);
  return { rectangle: held ? rectangle : undefined, rows: rows.extent, cols: cols.extent };
}

/** The blocks of a pipeline stage in order, with the layer number of each (-1 outside layers). */
export function segmentBlocks(
  stage: ShardedStage,
  pp: number,
): readonly { readonly block: ShardedBlock; readonly layer: number }[] {
  const segment = stage.segments.find((candidate) => candidate.pp === pp)!;
  const blocks: { block: ShardedBlock; layer: number }[] = [];
  if (segment.embed) blocks.push({ block: stage.embed, layer: -1 });
  for (let layer = segment.firstLayer; layer <= segment.lastLayer; layer++) {
    blocks.push({ block: layerBlock(stage, layer), layer });
  }
  if (segment.head) blocks.push({ block: stage.head, layer: -1 });
  return blocks;
}

/** The block of a layer. */
export function layerBlock(stage: ShardedStage, layer: number): ShardedBlock {
  const found = stage.layers.find(({ firstLayer, lastLayer }) => firstLayer <= layer && layer <= lastLayer);
  if (!found) throw new Error(`stage ${stage.name} has no layer ${layer}`);
  return found.block;
}

/** Layers of a pipeline stage. */
export function segmentLayers(stage: ShardedStage, pp: number): Interval {
  const segment = stage.segments.find((candidate) => candidate.pp === pp)!;
  return [segment.firstLayer, segment.lastLayer + 1];
}

/** Checkpoint name of a weight in layer `layer`. */
export function tensorName({ value: { tensor } }: MatrixWeight, layer: number): string {
  if (tensor === undefined) throw new Error('a weight has no tensor');
  return tensor.replaceAll('{layer}', String(layer));
}

/** Checkpoint names of weights, made once each: all ranks have theirs in common. */
export function tensorNames(): (weight: MatrixWeight, layer: number) => string {
  const byLayer = once((weight: MatrixWeight) => once((layer: number) => tensorName(weight, layer)));
  return (weight, layer) => byLayer(weight)(layer);
}

/** Element type of a weight of layer `layer` in device memory. */
export function weightType(weight: MatrixWeight, layer: number): WeightType {
  const { value, readAs } = weight;
  if (readAs !== undefined) return readAs;
  const stored = value.stored?.[tensorName(weight, layer)];
  if (stored !== undefined) return stored;
  const { dtype } = value.type;
  if (dtype === 'u32') throw new Error(`${value.id} is a weight of integers`);
  return dtype;
}
