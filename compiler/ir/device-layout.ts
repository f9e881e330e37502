/**
 * How matrices lie in device memory. A matrix of weights is `[N, K]` (row = output): N is padded with zero rows to a
 * multiple of 4 and K with zero columns to a multiple of 4 (f32), 8 (16-bit types) or of a block (quantised types). An
 * activation is `[rows, cols]` f32 with a row stride of `cols` rounded up to a multiple of 4; the pad columns are zero.
 */
import { isQuantised, packedBytes, WEIGHT_FORMATS } from '../model/weight-types.js';
import type { RuntimeWeight, WeightPiece } from './runtime-graph.js';

/** Padded row count and row stride (in elements) of a weight in device memory. Vectors are padded the same way. */
export function weightLayout(weight: Pick<RuntimeWeight, 'dtype' | 'rows' | 'cols'>): {
  readonly rows: number;
  readonly stride: number;
} {
  const { dtype } = weight;
  const quantum = isQuantised(dtype) ? WEIGHT_FORMATS[dtype].block : dtype === 'f32' ? 4 : 8;
  return {
    rows: weight.rows === 1 ? 1 : roundUp(weight.rows, 4),
    stride: roundUp(weight.cols, quantum),
  };
}

/** Device bytes of a weight, padding included. */
export function weightBytes(weight: Pick<RuntimeWeight, 'dtype' | 'rows' | 'cols'>): number {
  const { rows, stride } = weightLayout(weight);
  return rows * packedBytes(weight.dtype, stride);
}

/** Bytes from one row of a weight to the next, in device memory. */
export function weightRowBytes(weight: Pick<RuntimeWeight, 'dtype' | 'rows' | 'cols'>): number {
  return packedBytes(weight.dtype, weightLayout(weight).stride);
}

/** Bytes of the elements of a piece in device memory. */
export function pieceBytes(
  { dtype }: Pick<RuntimeWeight, 'dtype'>,
  { rows, cols }: Pick<WeightPiece, 'rows' | 'cols'>,
): number {
  return (rows[1] - rows[0]) * packedBytes(dtype, cols[1] - cols[0]);
}

/** Row stride, in elements, of an activation with this many columns. */
export function activationStride(cols: number): number {
  return roundUp(cols, 4);
}

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
