/**
 * A copy of a model's weights in host memory, from which devices are filled again after every transition without
 * touching a file. Elements are kept as the devices want them, so that most moves are views of the copy; where the
 * devices want wider ones than the source has, or not all the same, they stay as in the source to save memory.
 *
 * Promise: each element that any rank needs is held once, and no other element is. The rectangles that ranks ask for
 * overlap (tensor-parallel slices inside pipeline slices), so they are first cut into disjoint blocks: the rows are
 * cut at every rectangle's edge, the columns of each band at the edges of the rectangles in it, and neighbouring bands
 * with the same columns become one block. A rectangle is then whole rows of one or more blocks, each contiguous: what
 * a device wants are views of memory whatever its sharding, and rows are put together on the device. Example: rows 0..4 x
 * cols 0..8 and rows 0..8 x cols 0..4 give the blocks rows 0..8 x cols 0..4 and rows 0..4 x cols 4..8.
 */
import type { Interval } from '../../compiler/ir/transitions.js';
import {
  contains,
  containsInterval,
  intersect,
  sameInterval,
  type Rectangle,
} from '../../compiler/ir/rectangles.js';
import { bytesPerElement, packedBytes, type WeightType } from '../../compiler/model/weight-types.js';
import { convertRows } from './convert.js';
import type { NeededTensor } from './graph-tensors.js';
import { checkedRectangle, type SourceTensor, type WeightSource } from './weight-source.js';

export interface HostWeights extends WeightSource {
  /** Reads whatever has not been read yet. */
  readonly load: () => void;
  /** Bytes held so far. */
  readonly bytes: () => number;
}

/** Largest block, so that no allocation outgrows what one array buffer may hold. */
const MAX_BLOCK_BYTES = 1 << 30;

interface Block extends Rectangle {
  data?: Uint8Array;
}

/** A host copy of what `needed` lists, filled from `source` on first use (or by `load`). Closing drops the copy. */
export function hostWeights(source: WeightSource, needed: Iterable<NeededTensor>): HostWeights {
  const blocks = new Map<string, Block[]>();
  const tensors = new Map<string, SourceTensor>();
  let held = 0;
  for (const tensor of needed) {
    const found = source.tensor(tensor.name);
    const { dtype } = tensor;
    if (found && dtype && bytesPerElement(dtype) <= bytesPerElement(found.dtype))
      tensors.set(tensor.name, { ...found, dtype });
    const rowLimit = found
      ? Math.max(1, Math.floor(MAX_BLOCK_BYTES / packedBytes(found.dtype, found.cols)))
      : Infinity;
    blocks.set(
      tensor.name,
      disjointBlocks(tensor.rectangles).flatMap((block) => splitRows(block, rowLimit)),
    );
  }
  const kept = (name: string): SourceTensor | undefined => tensors.get(name) ?? source.tensor(name);
  const dataOf = (name: string, block: Block): Uint8Array => {
    if (!block.data) {
      const stored = source.tensor(name)!.dtype;
      const read = source.read(name, block.rows, block.cols);
      const width = block.cols[1] - block.cols[0];
      block.data = convertRows(read, stored, kept(name)!.dtype, width);
      held += block.data.length;
    }
    return block.data;
  };
  return {
    tensor: kept,
    read: (name, rows, cols, into) => {
      const found = kept(name);
      const own = blocks.get(name);
      if (!found || !own) return source.read(name, rows, cols, into);
      checkedRectangle(found, name, rows, cols);
      const rowBytes = packedBytes(found.dtype, cols[1] - cols[0]);
      const whole = own.find((block) => containsInterval(block.rows, rows) && sameInterval(block.cols, cols));
      if (whole) {
        const first = (rows[0] - whole.rows[0]) * rowBytes;
        return dataOf(name, whole).subarray(first, first + (rows[1] - rows[0]) * rowBytes);
      }
      const bytes = (rows[1] - rows[0]) * rowBytes;
      const out =
        into !== undefined && into.length >= bytes ? into.subarray(0, bytes) : new Uint8Array(bytes);
      return gather(own, (block) => dataOf(name, block), { rows, cols }, found.dtype, name, out);
    },
    parts: (name, rows, cols) =>
      blocks.get(name)?.flatMap((block) => intersect(block, { rows, cols }) ?? []) ?? [{ rows, cols }],
    load: () => {
      for (const [name, own] of blocks) for (const block of own) dataOf(name, block);
    },
    bytes: () => held,
    close: () => {
      blocks.clear();
      held = 0;
      source.close();
    },
  };
}

/** Disjoint rectangles whose union is that of the given ones; each of those is whole rows of some of them. */
export function disjointBlocks(rectangles: readonly Rectangle[]): Rectangle[] {
  const edges = edgesOf(rectangles.map(({ rows }) => rows));
  const blocks: Rectangle[] = [];
  let open: Rectangle[] = [];
  for (const band of edges) {
    const here = rectangles
      .filter((r) => containsInterval(r.rows, band) && r.cols[0] < r.cols[1])
      .map((r) => r.cols);
    const runs = edgesOf(here).filter((run) => here.some((cols) => containsInterval(cols, run)));
    const continued = runs.map((cols) => {
      const above = open.find((block) => block.rows[1] === band[0] && sameInterval(block.cols, cols));
      return { rows: [above?.rows[0] ?? band[0], band[1]], cols } as const;
    });
    blocks.push(...open.filter((block) => !continued.some((next) => contains(next, block))));
    open = continued;
  }
  return [...blocks, ...open];
}

/** The intervals between neighbouring edges of the given ones, in order. */
function edgesOf(intervals: readonly Interval[]): Interval[] {
  const edges = [...new Set(intervals.flat())].sort((a, b) => a - b);
  return edges.slice(1).map((end, i): Interval => [edges[i]!, end]);
}

function splitRows(block: Rectangle, limit: number): Block[] {
  const parts: Block[] = [];
  for (let row = block.rows[0]; row < block.rows[1]; row += limit) {
    parts.push({ rows: [row, Math.min(block.rows[1], row + limit)], cols: block.cols });
  }
  return parts;
}

/** Copies the parts of `wanted` out of the blocks that hold them into `out`. */
function gather(
  blocks: readonly Block[],
  dataOf: (block: Block) => Uint8Array,
  wanted: Rectangle,
  dtype: WeightType,
  name: string,
  out: Uint8Array,
): Uint8Array {
  const rowBytes = packedBytes(dtype, wanted.cols[1] - wanted.cols[0]);
  let copied = 0;
  for (const block of blocks) {
    const common = intersect(block, wanted);
    if (common === undefined) continue;
    const { rows, cols } = common;
    const data = dataOf(block);
    const blockRowBytes = packedBytes(dtype, block.cols[1] - block.cols[0]);
    const bytes = packedBytes(dtype, cols[1] - cols[0]);
    const fromCol = packedBytes(dtype, cols[0] - block.cols[0]);
    const toCol = packedBytes(dtype, cols[0] - wanted.cols[0]);
    for (let row = rows[0]; row < rows[1]; row++) {
      const from = (row - block.rows[0]) * blockRowBytes + fromCol;
      const to = (row - wanted.rows[0]) * rowBytes + toCol;
      out.set(data.subarray(from, from + bytes), to);
    }
    copied += (rows[1] - rows[0]) * bytes;
  }
  if (copied !== out.length)
    throw new RangeError(`the host copy of ${name} does not hold all that is asked for`);
  return out;
}
