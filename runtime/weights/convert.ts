/**
 * Conversions from the element types of checkpoints to those of device memory, as loops over typed arrays. f32 to 16 bits rounds to nearest,
 * ties to even, and overflows to infinity; every other step is exact. A NaN stays a NaN.
 */
import type { DType } from '../../compiler/model/shape.js';
import { isFileType, isQuantised, type WeightType } from '../../compiler/model/weight-types.js';
import { quantise } from './quantise.js';

/** f32 bit pattern of every f16 bit pattern; made on first use. */
let f16Table: Uint32Array | undefined;

/**
 * Converts little-endian elements of rows of `cols` columns to another type. Returns the input itself when there is
 * nothing to convert. What is quantised already cannot be turned into anything else, and nothing into a file's types.
 */
export function convertRows(source: Uint8Array, from: WeightType, to: WeightType, cols: number): Uint8Array {
  if (from === to) return source;
  if (isQuantised(from) || isFileType(to)) throw new RangeError(`${from} weights cannot become ${to}`);
  if (!isQuantised(to)) return convertBytes(source, from, to);
  const wide = words(convertBytes(source, from, 'f32'));
  return quantise(new Float32Array(wide.buffer, wide.byteOffset, wide.length), cols, to);
}

/** Converts little-endian elements to another type. Returns the input itself when there is nothing to convert. */
export function convertBytes(source: Uint8Array, from: DType, to: DType): Uint8Array {
  if (from === to) return source;
  if (from === 'f32') return bytesOf(to === 'f16' ? f32ToF16(words(source)) : f32ToBf16(words(source)));
  const wide = from === 'f16' ? f16ToF32(halves(source)) : bf16ToF32(halves(source));
  if (to === 'f32') return bytesOf(wide);
  return convertBytes(bytesOf(wide), 'f32', to);
}

/** f32 bit patterns of f16 bit patterns. */
export function f16ToF32(source: Uint16Array): Uint32Array {
  const table = (f16Table ??= makeF16Table());
  const out = new Uint32Array(source.length);
  for (let i = 0; i < source.length; i++) out[i] = table[source[i]!]!;
  return out;
}

/** f32 bit patterns of bf16 bit patterns. */
export function bf16ToF32(source: Uint16Array): Uint32Array {
  const out = new Uint32Array(source.length);
  for (let i = 0; i < source.length; i++) out[i] = source[i]! << 16;
  return out;
}

/** bf16 bit patterns of f32 bit patterns. */
export function f32ToBf16(source: Uint32Array): Uint16Array {
  const out = new Uint16Array(source.length);
  for (let i = 0; i < source.length; i++) {
    const bits = source[i]!;
    const isNaN = (bits & 0x7fffffff) > 0x7f800000;
    // Adding just under half a unit, plus the unit's own parity, carries exactly when rounding goes up.
    out[i] = isNaN ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** f16 bit patterns of f32 bit patterns. */
export function f32ToF16(source: Uint32Array): Uint16Array {
  const out = new Uint16Array(source.length);
  for (let i = 0; i < source.length; i++) {
    const bits = source[i]!;
    out[i] = ((bits >>> 16) & 0x8000) | f16Magnitude(bits & 0x7fffffff);
  }
  return out;
}

/** f16 bits of a non-negative f32 bit pattern. */
function f16Magnitude(bits: number): number {
  if (bits > 0x7f800000) return 0x7e00;
  if (bits >= 0x477ff000) return 0x7c00;
  if (bits >= 0x38800000) return (bits + 0xfff + ((bits >>> 13) & 1) - 0x38000000) >>> 13;
  // Subnormal in f16: count units of 2^-24.
  const shift = 126 - (bits >>> 23);
  if (shift > 24) return 0;
  const mantissa = (bits & 0x7fffff) | 0x800000;
  const units = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (units & 1) === 1) ? units + 1 : units;
}

function makeF16Table(): Uint32Array {
  const table = new Uint32Array(65536);
  const value = new Float32Array(1);
  const bits = new Uint32Array(value.buffer);
  for (let half = 0; half < 0x8000; half++) {
    const exponent = half >>> 10;
    const mantissa = half & 0x3ff;
    if (exponent === 0) {
      value[0] = mantissa * 2 ** -24;
      table[half] = bits[0]!;
    } else if (exponent === 31) table[half] = 0x7f800000 | (mantissa << 13);
    else table[half] = ((exponent + 112) << 23) | (mantissa << 13);
    table[half | 0x8000] = table[half]! | 0x80000000;
  }
  return table;
}

function bytesOf(values: Uint32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function words(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, bytes.byteLength / 4);
}

function halves(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, bytes.byteLength / 2);
}
