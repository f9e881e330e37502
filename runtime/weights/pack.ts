/**
 * Assembles the device bytes of a weight from rectangles of checkpoint tensors: converted to the device's element
 * type, rows and columns padded with zeros as `weightLayout` says.
 */
import { weightLayout, type RuntimeWeight } from '../../compiler/ir/runtime-graph.js';
import type { Interval } from '../../compiler/ir/transitions.js';
import { BYTES_OF } from '../../compiler/model/shape.js';
import { RuntimeFailure } from '../failure.js';
import { convertBytes } from './convert.js';
import type { WeightSource } from './weight-source.js';

/** Bytes to write at a byte offset of a weight's buffer. */
export interface WeightRange {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** All device bytes of the weight: `weightBytes(weight)` of them. Fails with FC0912 when the source lacks a tensor. */
export function packWeight(weight: RuntimeWeight, source: WeightSource): Uint8Array {
  return packRows(weight, source, [0, weightLayout(weight).rows]);
}

/**
 * Byte ranges that bring the pieces with these indices into the buffer. Whole rows are written, other pieces in the
 * same rows with them, so ranges start and end at multiples of 16 bytes and never spoil a neighbour. The zero rows
 * below the last piece are written too: the buffer may have held another weight.
 */
export function packPieces(
  weight: RuntimeWeight,
  source: WeightSource,
  indices: readonly number[],
): WeightRange[] {
  const bandOf = (piece: RuntimeWeight['pieces'][number]): Interval => [
    piece.at[0],
    piece.at[0] + piece.rows[1] - piece.rows[0],
  ];
  const used = Math.max(0, ...weight.pieces.map((piece) => bandOf(piece)[1]));
  const padding: Interval = [used, weightLayout(weight).rows];
  const bands = [...indices.map((index) => bandOf(weight.pieces[index]!)), padding]
    .filter(([start, end]) => start < end)
    .sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [start, end] of bands) {
    const last = merged.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  const rowBytes = weightLayout(weight).stride * BYTES_OF[weight.dtype];
  return merged.map((rows) => ({ at: rows[0] * rowBytes, bytes: packRows(weight, source, rows) }));
}

/** Device bytes of some rows of the buffer. */
function packRows(weight: RuntimeWeight, source: WeightSource, band: Interval): Uint8Array {
  const elementBytes = BYTES_OF[weight.dtype];
  const rowBytes = weightLayout(weight).stride * elementBytes;
  const out = new Uint8Array((band[1] - band[0]) * rowBytes);
  for (const piece of weight.pieces) {
    const first = Math.max(piece.at[0], band[0]);
    const last = Math.min(piece.at[0] + piece.rows[1] - piece.rows[0], band[1]);
    if (first >= last) continue;
    const shift = piece.rows[0] - piece.at[0];
    const bytes = readConverted(weight, source, piece.tensor, [first + shift, last + shift], piece.cols);
    const pieceRowBytes = (piece.cols[1] - piece.cols[0]) * elementBytes;
    const start = (first - band[0]) * rowBytes + piece.at[1] * elementBytes;
    if (pieceRowBytes === rowBytes) out.set(bytes, start);
    else {
      for (let row = 0; row < last - first; row++) {
        out.set(bytes.subarray(row * pieceRowBytes, (row + 1) * pieceRowBytes), start + row * rowBytes);
      }
    }
  }
  return out;
}

function readConverted(
  weight: RuntimeWeight,
  source: WeightSource,
  name: string,
  rows: Interval,
  cols: Interval,
): Uint8Array {
  const tensor = source.tensor(name);
  if (!tensor) throw new RuntimeFailure('FC0912', `the model has no tensor ${name}`, { subject: name });
  return convertBytes(source.read(name, rows, cols), tensor.dtype, weight.dtype);
}
