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
 */
import type { DType } from './shape.js';

export type QuantisedType = 'int8' | 'int4';
export type WeightType = DType | QuantisedType;

export const QUANTISED_TYPES: readonly QuantisedType[] = ['int8', 'int4'];
export const WEIGHT_TYPES: readonly WeightType[] = ['f32', 'f16', 'bf16', ...QUANTISED_TYPES];

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
};

export function isQuantised(type: WeightType): type is QuantisedType {
  return WEIGHT_FORMATS[type].block > 1;
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
