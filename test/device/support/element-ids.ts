/**
 * Weights whose elements are ids of where they belong. In f32 every element of a model has an id of its own; in 16
 * bits ids are spread over the positive numbers below two and repeat after 16384.
 */
import { weightLayout } from '../../../compiler/ir/device-layout.js';
import type { RuntimeWeight } from '../../../compiler/ir/runtime-graph.js';
import type { Interval } from '../../../compiler/ir/transitions.js';
import { BYTES_OF, type DType } from '../../../compiler/model/shape.js';
import { plainType } from '../../../runtime/kernels/wgsl.js';
import type { WeightSource } from '../../../runtime/weights/weight-source.js';

/** The bits of an element, by its position in the model. */
function bitsOf(id: number, dtype: DType): number {
  if (dtype !== 'f32') return Math.imul(id, 40503) & 0x3fff;
  return new Uint32Array(Float32Array.of(id).buffer)[0]!;
}

/** Rows and columns of the tensors of a model. */
export type TensorSizes = ReadonlyMap<string, { readonly rows: number; readonly cols: number }>;

export interface ElementIds {
  /** A source of weights made of ids, stored as `dtype`. */
  readonly source: WeightSource;
  /** The bytes that a weight's place on a device must have, padding zero. */
  readonly packed: (weight: RuntimeWeight) => Uint8Array;
}

/** Numbers the elements of all tensors from 1. */
export function elementIds(sizes: TensorSizes, dtype: DType): ElementIds {
  const firsts = new Map<string, number>();
  let next = 1;
  for (const [name, { rows, cols }] of sizes) {
    firsts.set(name, next);
    next += rows * cols;
  }
  const idAt = (tensor: string, row: number, col: number): number =>
    firsts.get(tensor)! + row * sizes.get(tensor)!.cols + col;
  const source: WeightSource = {
    tensor: (name) => {
      const size = sizes.get(name);
      return size && { ...size, dtype, origin: 'ids' };
    },
    read: (name, rows, cols) => {
      const ids: number[] = [];
      each(rows, (row) => each(cols, (col) => ids.push(idAt(name, row, col))));
      return packBits(ids, dtype);
    },
    close: () => undefined,
  };
  const packed = (weight: RuntimeWeight): Uint8Array => {
    const { rows: height, stride } = weightLayout(weight);
    const ids = new Array<number>(height * stride).fill(0);
    for (const { tensor, rows, cols, at } of weight.pieces) {
      each(rows, (row) =>
        each(cols, (col) => {
          ids[(at[0] + row - rows[0]) * stride + at[1] + col - cols[0]] = idAt(tensor, row, col);
        }),
      );
    }
    return packBits(ids, plainType(weight.dtype));
  };
  return { source, packed };
}

/** Id 0 is zero in every type. */
function packBits(ids: readonly number[], dtype: DType): Uint8Array {
  const bits = ids.map((id) => bitsOf(id, dtype));
  return new Uint8Array((BYTES_OF[dtype] === 4 ? Uint32Array.from(bits) : Uint16Array.from(bits)).buffer);
}

function each([start, end]: Interval, visit: (index: number) => void): void {
  for (let index = start; index < end; index++) visit(index);
}
