/**
 * Assembles the device bytes of a weight from rectangles of checkpoint tensors, converted to the device's element type.
 * Either all of it, rows and columns padded with zeros as `weightLayout` says, or just the elements of some pieces, as
 * runs that the device puts in their rows. Where the source holds bytes as the device wants them they are views of the
 * source and nothing is copied.
 */
import { bufferRectangle } from '../../compiler/ir/pieces.js';
import { containsInterval, type Rectangle } from '../../compiler/ir/rectangles.js';
import { weightLayout, weightRowBytes } from '../../compiler/ir/device-layout.js';
import type { RuntimeWeight, WeightPiece } from '../../compiler/ir/runtime-graph.js';
import type { Interval } from '../../compiler/ir/transitions.js';
import { writesOf } from '../../compiler/ir/written-bytes.js';
import { packedBytes } from '../../compiler/model/weight-types.js';
import { RuntimeFailure } from '../failure.js';
import { convertRows } from './convert.js';
import type { WeightSource } from './weight-source.js';

/** Bytes to write at a byte offset of a weight's buffer. They may be reused when the next range is asked for. */
export interface WeightRange {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Most bytes of a range of more than one row: several fit in a slot of the staging ring. */
export const RANGE_BYTES = 1024 * 1024;

/** Where ranges are put together; one is enough, as only one range is in use at a time. */
let scratch = new Uint8Array(0);

/** All device bytes of the weight, in order. Fails with FC0912 when the source lacks a tensor. */
export function packRanges(weight: RuntimeWeight, source: WeightSource): Generator<WeightRange> {
  return packBands(weight, source, [[0, weightLayout(weight).rows]]);
}

/** The same in one array: `weightBytes(weight)` bytes. */
export function packWeight(weight: RuntimeWeight, source: WeightSource): Uint8Array {
  const out = new Uint8Array(weight.bytes);
  for (const { at, bytes } of packRanges(weight, source)) out.set(bytes, at);
  return out;
}

/**
 * `rows` runs of `runBytes` bytes, dense in `bytes`: run i goes to `at + i * stride` of a weight's buffer. All are
 * multiples of 4. The bytes may be reused when the next runs are asked for.
 */
export interface WeightRuns extends WeightRange {
  readonly stride: number;
  readonly runBytes: number;
  readonly rows: number;
}

/** The elements of these pieces, or parts of pieces, of a weight, as `writesOf` says. */
export function* packPieces(
  weight: RuntimeWeight,
  source: WeightSource,
  wanted: readonly WeightPiece[],
): Generator<WeightRuns> {
  const rowBytes = weightRowBytes(weight);
  const { pieces, rows: whole } = writesOf(weight, wanted);
  for (const piece of pieces) {
    for (const { rows, cols, at, runBytes } of runsOf(weight, source, piece)) {
      const rowLimit = Math.max(1, Math.floor(RANGE_BYTES / runBytes));
      for (let first = rows[0]; first < rows[1]; first += rowLimit) {
        const end = Math.min(first + rowLimit, rows[1]);
        const into = scratchFor(runBytes * (end - first));
        const bytes = readPiece(weight, source, piece.tensor, [first, end], cols, into);
        const runs = { at: at + (first - rows[0]) * rowBytes, stride: rowBytes, bytes };
        // Whole rows follow each other without a gap.
        if (runBytes === rowBytes) yield { ...runs, runBytes: bytes.byteLength, rows: 1 };
        else yield { ...runs, runBytes, rows: end - first };
      }
    }
  }
  for (const { at, bytes } of packBands(weight, source, whole)) {
    yield { at, bytes, stride: rowBytes, runBytes: bytes.byteLength, rows: 1 };
  }
}

interface PieceRun extends Rectangle {
  readonly at: number;
  readonly runBytes: number;
}

/** A piece as the parts that the source has as views; in one where those share words. */
function runsOf(weight: RuntimeWeight, source: WeightSource, piece: WeightPiece): readonly PieceRun[] {
  const { dtype } = weight;
  const rowBytes = weightRowBytes(weight);
  const run = ({ rows, cols }: Rectangle): PieceRun => ({
    rows,
    cols,
    at:
      (piece.at[0] + rows[0] - piece.rows[0]) * rowBytes +
      packedBytes(dtype, piece.at[1] + cols[0] - piece.cols[0]),
    runBytes: packedBytes(dtype, cols[1] - cols[0]),
  });
  const parts = source.parts?.(piece.tensor, piece.rows, piece.cols).map(run) ?? [];
  const areWords = parts.every(({ at, runBytes }) => at % 4 === 0 && runBytes % 4 === 0);
  return parts.length > 0 && areWords ? parts : [run(piece)];
}

/** Cuts bands of rows where a piece begins or ends and by size, and packs the parts. */
function* packBands(
  weight: RuntimeWeight,
  source: WeightSource,
  bands: readonly Interval[],
): Generator<WeightRange> {
  const rowBytes = weightRowBytes(weight);
  const rowLimit = Math.max(1, Math.floor(RANGE_BYTES / rowBytes));
  const edges = weight.pieces.flatMap((piece) => bufferRectangle(piece).rows);
  for (const band of bands) {
    const cuts = [...new Set([...band, ...edges.filter((row) => row > band[0] && row < band[1])])];
    cuts.sort((a, b) => a - b);
    for (let i = 0; i + 1 < cuts.length; i++) {
      const pieces = joinedPieces(weight, cuts[i]!);
      for (let first = cuts[i]!; first < cuts[i + 1]!; first += rowLimit) {
        const rows: Interval = [first, Math.min(first + rowLimit, cuts[i + 1]!)];
        yield { at: first * rowBytes, bytes: packRows(weight, source, pieces, rows, rowBytes) };
      }
    }
  }
}

/** The pieces in a row of the buffer from left to right; neighbours of one tensor that fit together become one. */
function joinedPieces(weight: RuntimeWeight, row: number): WeightPiece[] {
  const here = weight.pieces.filter((piece) => containsInterval(bufferRectangle(piece).rows, [row, row + 1]));
  const joined: WeightPiece[] = [];
  for (const piece of here.sort((a, b) => a.at[1] - b.at[1])) {
    const last = joined.at(-1);
    const fits =
      last !== undefined &&
      last.tensor === piece.tensor &&
      last.rows[0] - last.at[0] === piece.rows[0] - piece.at[0] &&
      last.cols[1] === piece.cols[0] &&
      last.at[1] + last.cols[1] - last.cols[0] === piece.at[1];
    if (fits) joined[joined.length - 1] = { ...last, cols: [last.cols[0], piece.cols[1]] };
    else joined.push(piece);
  }
  return joined;
}

/** Device bytes of some rows of the buffer, all of which have the same pieces. */
function packRows(
  weight: RuntimeWeight,
  source: WeightSource,
  pieces: readonly WeightPiece[],
  rows: Interval,
  rowBytes: number,
): Uint8Array {
  const { dtype } = weight;
  const count = rows[1] - rows[0];
  const bytes = count * rowBytes;
  const read = (piece: WeightPiece, into?: Uint8Array): Uint8Array => {
    const shift = piece.rows[0] - piece.at[0];
    return readPiece(weight, source, piece.tensor, [rows[0] + shift, rows[1] + shift], piece.cols, into);
  };
  const width = (piece: WeightPiece): number => packedBytes(dtype, piece.cols[1] - piece.cols[0]);
  const out = scratchFor(bytes);
  if (pieces.length === 1 && width(pieces[0]!) === rowBytes) return read(pieces[0]!, out);
  if (pieces.reduce((sum, piece) => sum + width(piece), 0) < rowBytes) out.fill(0);
  for (const piece of pieces) {
    const part = read(piece);
    const pieceBytes = width(piece);
    for (let row = 0; row < count; row++) {
      const at = row * rowBytes + packedBytes(dtype, piece.at[1]);
      out.set(part.subarray(row * pieceBytes, (row + 1) * pieceBytes), at);
    }
  }
  return out;
}

/** A rectangle of a tensor in the weight's element type, perhaps put together in `into`. */
function readPiece(
  weight: RuntimeWeight,
  source: WeightSource,
  name: string,
  rows: Interval,
  cols: Interval,
  into?: Uint8Array,
): Uint8Array {
  const tensor = source.tensor(name);
  if (!tensor) {
    throw new RuntimeFailure('FC0912', `the model has no tensor ${name}`, { subject: name });
  }
  return convertRows(source.read(name, rows, cols, into), tensor.dtype, weight.dtype, cols[1] - cols[0]);
}

function scratchFor(bytes: number): Uint8Array {
  if (scratch.byteLength < bytes) scratch = new Uint8Array(Math.max(bytes, RANGE_BYTES));
  return scratch.subarray(0, bytes);
}
