/**
 * How the host writes pieces of a weight to a device. Devices are written in words of four bytes: where 16-bit elements
 * of a piece share a word with a neighbour's, the rows they lie in come whole. Whoever predicts bytes and whoever writes
 * them both ask here.
 */
import { packedBytes } from '../model/weight-types.js';
import { bufferRectangle } from './pieces.js';
import { weightRowBytes, pieceBytes } from './device-layout.js';
import type { RuntimeWeight, WeightPiece } from './runtime-graph.js';
import type { Interval } from './transitions.js';

/** Pieces that are written as they are, and rows of the buffer that are written whole, in order. */
export interface Writes {
  readonly pieces: readonly WeightPiece[];
  readonly rows: readonly Interval[];
}

/** What is written to bring some pieces of a weight. */
export function writesOf(weight: RuntimeWeight, wanted: readonly WeightPiece[]): Writes {
  const pieces = wanted.filter((piece) => isWholeWords(weight, piece));
  const rows = wanted
    .filter((piece) => !isWholeWords(weight, piece))
    .map((piece) => bufferRectangle(piece).rows);
  return { pieces, rows: union(rows) };
}

/** Bytes of all that. */
export function writtenBytes(weight: RuntimeWeight, wanted: readonly WeightPiece[]): number {
  let bytes = 0;
  // Nearly all are whole words, and then no rows are joined.
  for (const piece of wanted) {
    if (!isWholeWords(weight, piece))
      return bytesByPiece(weight, wanted).reduce((sum, each) => sum + each, 0);
    bytes += pieceBytes(weight, piece);
  }
  return bytes;
}

/** The same piece by piece: rows that are written for several count with the first of these. */
export function bytesByPiece(weight: RuntimeWeight, wanted: readonly WeightPiece[]): readonly number[] {
  let rows: readonly Interval[] = [];
  const lengthOf = (intervals: readonly Interval[]): number =>
    intervals.reduce((sum, [start, end]) => sum + end - start, 0);
  return wanted.map((piece) => {
    if (isWholeWords(weight, piece)) return pieceBytes(weight, piece);
    const before = lengthOf(rows);
    rows = union([...rows, bufferRectangle(piece).rows]);
    return (lengthOf(rows) - before) * weightRowBytes(weight);
  });
}

/** Whether a piece shares no word with others. Rows begin with words, so it depends on its columns. */
export function isWholeWords({ dtype }: RuntimeWeight, { at, cols }: WeightPiece): boolean {
  return packedBytes(dtype, at[1]) % 4 === 0 && packedBytes(dtype, cols[1] - cols[0]) % 4 === 0;
}

function union(intervals: readonly Interval[]): readonly Interval[] {
  const merged: [number, number][] = [];
  for (const [start, end] of [...intervals].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}
