/**
 * Quantisation at load: rows of f32 to the blocks of `compiler/model/weight-types.ts`.
 *
 * A block of `int8` is scaled so that its greatest magnitude becomes 127. With the 16 levels of `int4` it matters that
 * there is one more below zero than above: the element of greatest magnitude becomes -8, whatever its sign, and of a
 * few scales somewhat below that one, which cut it off, the block takes that with the least squared error. An
 * infinity or a NaN makes its whole block NaN.
 */
import { packedBytes, WEIGHT_FORMATS, type QuantisedType } from '../../compiler/model/weight-types.js';

/** Scales tried for an `int4` block, as parts of the one that cuts nothing off. */
const INT4_TRIES = [1, 0.95, 0.9, 0.85, 0.8] as const;

/** Packs row-major f32 elements of rows of `cols` columns; the last block of a row is filled up with zeros. */
export function quantise(values: Float32Array, cols: number, type: QuantisedType): Uint8Array<ArrayBuffer> {
  const { block, bytes } = WEIGHT_FORMATS[type];
  const rows = cols === 0 ? 0 : values.length / cols;
  const out = new Uint8Array(rows * packedBytes(type, cols));
  const view = new DataView(out.buffer);
  const pack = type === 'int8' ? packInt8 : packInt4;
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col += block, at += bytes) {
      const first = row * cols + col;
      pack(values.subarray(first, first + Math.min(block, cols - col)), view, at);
    }
  }
  return out;
}

function packInt8(values: Float32Array, out: DataView, at: number): void {
  const scale = Math.fround(Math.abs(extreme(values)) / 127);
  out.setFloat32(at, scale, true);
  const inverse = scale > 0 ? 1 / scale : 0;
  for (let i = 0; i < values.length; i++)
    out.setInt8(at + 4 + i, clamp(Math.round(values[i]! * inverse), -127, 127));
}

function packInt4(values: Float32Array, out: DataView, at: number): void {
  const widest = extreme(values) / -8;
  let scale = Math.fround(widest);
  let least = Infinity;
  for (const part of widest === 0 ? [] : INT4_TRIES) {
    const tried = Math.fround(widest * part);
    let error = 0;
    for (const value of values) error += (value - tried * level(value, tried)) ** 2;
    if (error < least) [least, scale] = [error, tried];
  }
  out.setFloat32(at, scale, true);
  for (let i = 0; i < WEIGHT_FORMATS.int4.block; i += 2) {
    const nibble = (k: number): number => level(values[k] ?? 0, scale) + 8;
    out.setUint8(at + 4 + i / 2, nibble(i) | (nibble(i + 1) << 4));
  }
}

/** The nearest of the levels -8..7. */
function level(value: number, scale: number): number {
  return scale === 0 ? 0 : clamp(Math.round(value / scale), -8, 7);
}

/** The element of greatest magnitude, the first of equals; NaN where there is an infinity or a NaN. */
function extreme(values: Float32Array): number {
  let found = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) return NaN;
    if (Math.abs(value) > Math.abs(found)) found = value;
  }
  return found;
}

function clamp(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}
