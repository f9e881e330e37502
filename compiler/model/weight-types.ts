/**
 * Element types of weights in device memory, and how they are packed.
 *
 * Every type is a sequence of blocks along K (the columns of a matrix): so many elements in so many bytes. A plain
 * element is a block of its own. A block of a quantised type has integers and what turns them back into numbers; it
 * is never taken apart, so rectangles of quantised weights begin at multiples of the block and end there or at the
 * end of the row, whose last block is filled up with zeros. A block depends on the checkpoint's elements alone, and so
 * a model has the same quantised weights under every sharding.
 *
 * - `int8`: an f32 scale, then 32 signed bytes `q`; an element is `scale * q`.
 * - `int4`: an f32 scale, then 32 nibbles `n`, lower ones first; an element is `scale * (n - 8)`.
 *
 * A scale of four bytes keeps every block on a word boundary, for one bit per element (f16: half a bit).
 *
 * The other block types come from GGUF files, whose blocks are kept byte for byte. Blocks of 34, 18 or 210 bytes would
 * leave word boundaries, so for these a block here is two of the file: rows of an odd number end with one of zeros.
 * Super-scales `d` and `m` are f16.
 *
 * - `q8_0`: twice `d`, then 32 signed bytes `q`; an element is `d * q`.
 * - `q4_0`: twice `d`, then 16 bytes, whose lower nibbles `n` are the first 16 elements and whose upper ones the others;
 *   an element is `d * (n - 8)`.
 * - `q4_k`: `d`, `m`, twelve bytes with eight scales `s` and eight minima `t` of six bits, 128 bytes of nibbles; 64
 *   elements lie in 32 bytes, the first half in the lower nibbles. An element is `d * s * n - m * t`.
 * - `q6_k`: twice 128 bytes of lower nibbles, 64 of two upper bits, 16 signed scales `s`, then `d`; an element is
 *   `d * s * (v - 32)`.
 */
import type { DType } from './shape.js';

/** Types that weights are quantised to when they are loaded. */
export type QuantisedType = 'int8' | 'int4';
/** Types of GGUF files. */
export type FileType = 'q8_0' | 'q4_0' | 'q4_k' | 'q6_k';
export type BlockType = QuantisedType | FileType;
export type WeightType = DType | BlockType;

export const QUANTISED_TYPES: readonly QuantisedType[] = ['int8', 'int4'];
export const FILE_TYPES: readonly FileType[] = ['q8_0', 'q4_0', 'q4_k', 'q6_k'];
/** What a plan may ask for. */
export const PLAN_WEIGHT_TYPES = ['f32', 'f16', 'bf16', ...QUANTISED_TYPES] as const;
export const WEIGHT_TYPES: readonly WeightType[] = [...PLAN_WEIGHT_TYPES, ...FILE_TYPES];

/** Elements of a block and bytes that it takes. */
export interface WeightFormat {
  readonly block: number;
  readonly bytes: number;
}

export const WEIGHT_FORMATS: Readonly<Record<WeightType, WeightFormat>> = {
  f32: { block: 1, bytes: 4 },
  f16: { block: 1, bytes: 2 },
  bf16: { block: 1, bytes: 2 },
  int8: { block: 32, bytes: 36 },
  int4: { block: 32, bytes: 20 },
  q8_0: { block: 64, bytes: 68 },
  q4_0: { block: 64, bytes: 36 },
  q4_k: { block: 256, bytes: 144 },
  q6_k: { block: 512, bytes: 420 },
};

export function isQuantised(type: WeightType): type is BlockType {
  return WEIGHT_FORMATS[type].block > 1;
}

export function isFileType(type: WeightType): type is FileType {
  return FILE_TYPES.some((each) => each === type);
}

/** Bytes of consecutive elements of a row that begin with a block; a block that is begun counts whole. */
export function packedBytes(type: WeightType, elements: number): number {
  const { block, bytes } = WEIGHT_FORMATS[type];
  return Math.ceil(elements / block) * bytes;
}

/** Bytes per element of whole blocks. */
export function bytesPerElement(type: WeightType): number {
  return WEIGHT_FORMATS[type].bytes / WEIGHT_FORMATS[type].block;
}

/**
 * Element type of a model's vectors (norms and biases) when its weights are of `type`: they are a thousandth of the
 * model, and every element of a token passes through them.
 */
export function vectorType(type: WeightType): DType {
  return isQuantised(type) ? 'f32' : type;
}

/**
 * Element type of the embedding table and the output projection. `int4` has them in 8 bits: every token enters and
 * leaves the model through one row of them, where errors of other rows do not average out.
 */
export function tableType(type: WeightType): WeightType {
  return type === 'int4' ? 'int8' : type;
}
