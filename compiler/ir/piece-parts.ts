/**
 * Pieces of a weight, taken apart along ranges of its bytes: what of a piece is in place, and what is missing.
 *
 * A range that begins or ends within a row has a part of it. Of that only whole elements count, and of a quantised
 * weight whole blocks.
 */
import { WEIGHT_FORMATS } from '../model/weight-types.js';
import { weightLayout, weightRowBytes } from './device-layout.js';
import { bufferRectangle } from './pieces.js';
import { intersect, subtractAll, type Rectangle } from './rectangles.js';
import type { ByteRange, RuntimeWeight, WeightPiece } from './runtime-graph.js';

/** Whether ranges, which lie apart, are all of a weight. */
export function isWhole(weight: RuntimeWeight, ranges: readonly ByteRange[]): boolean {
  return ranges.length === 1 && ranges[0]!.bytes === weight.bytes;
}

/** The parts of a piece that are in none of the ranges of its weight. */
export function missingParts(
  weight: RuntimeWeight,
  piece: WeightPiece,
  there: readonly ByteRange[],
): readonly WeightPiece[] {
  if (there.length === 0) return [piece];
  const inBuffer = bufferRectangle(piece);
  const known = there.flatMap((range) => rectanglesOf(weight, range));
  return subtractAll(inBuffer, known).map((part) => partOf(piece, part));
}

/** The parts of a piece that are in ranges of its weight. */
export function partsThere(
  weight: RuntimeWeight,
  piece: WeightPiece,
  there: readonly ByteRange[],
): readonly WeightPiece[] {
  if (isWhole(weight, there)) return [piece];
  const inBuffer = bufferRectangle(piece);
  return there.flatMap((range) =>
    rectanglesOf(weight, range).flatMap((rectangle) => {
      const part = intersect(rectangle, inBuffer);
      return part ? [partOf(piece, part)] : [];
    }),
  );
}

/** The rows and columns of a weight's buffer that lie whole in a range: a part of a row, whole rows, a part of a row. */
function rectanglesOf(weight: RuntimeWeight, { at, bytes }: ByteRange): readonly Rectangle[] {
  const rowBytes = weightRowBytes(weight);
  const { stride } = weightLayout(weight);
  const format = WEIGHT_FORMATS[weight.dtype];
  const end = at + bytes;
  const [first, last] = [Math.floor(at / rowBytes), Math.floor(end / rowBytes)];
  const start = Math.ceil((at % rowBytes) / format.bytes) * format.block;
  const stop = Math.floor((end % rowBytes) / format.bytes) * format.block;
  if (first === last) return start < stop ? [{ rows: [first, first + 1], cols: [start, stop] }] : [];
  // Most ranges are whole rows.
  if (start === 0 && stop === 0) return [{ rows: [first, last], cols: [0, stride] }];
  const whole = start === 0 ? first : first + 1;
  return [
    ...(start > 0 && start < stride
      ? [{ rows: [first, first + 1], cols: [start, stride] } satisfies Rectangle]
      : []),
    ...(whole < last ? [{ rows: [whole, last], cols: [0, stride] } satisfies Rectangle] : []),
    ...(stop > 0 ? [{ rows: [last, last + 1], cols: [0, stop] } satisfies Rectangle] : []),
  ];
}

/** The part of a piece that lies in these rows and columns of the buffer. */
function partOf({ tensor, at, rows, cols }: WeightPiece, part: Rectangle): WeightPiece {
  const [down, right] = [rows[0] - at[0], cols[0] - at[1]];
  return {
    tensor,
    rows: [part.rows[0] + down, part.rows[1] + down],
    cols: [part.cols[0] + right, part.cols[1] + right],
    at: [part.rows[0], part.cols[0]],
  };
}
