/** KV pages of a test: a layer group's buffer addressed by (page, layer, head, token, K|V, dimension). */
import type { DType } from '../../../compiler/model/shape.js';
import { fromBits, toBits } from './harness.js';
import type { Words } from './harness.js';

export interface PageShape {
  readonly dtype: DType;
  readonly pages: number;
  readonly groupLayers: number;
  readonly kvHeads: number;
  readonly pageTokens: number;
  readonly headDim: number;
}

export type PageAddress = (
  page: number,
  layer: number,
  head: number,
  token: number,
  kv: 0 | 1,
  dim: number,
) => number;

/** Element index in the group's buffer. */
export function pageAddress(shape: PageShape): PageAddress {
  const { groupLayers, kvHeads, pageTokens, headDim } = shape;
  return (page, layer, head, token, kv, dim) =>
    ((((page * groupLayers + layer) * kvHeads + head) * pageTokens + token) * 2 + kv) * headDim + dim;
}

export function elementCount({ pages, groupLayers, kvHeads, pageTokens, headDim }: PageShape): number {
  return pages * groupLayers * kvHeads * pageTokens * 2 * headDim;
}

/** A buffer with a value for every element, and the values as stored. */
export function filledPages(
  shape: PageShape,
  value: () => number,
): { readonly words: Words; readonly at: (i: number) => number } {
  const count = elementCount(shape);
  if (shape.dtype === 'f32') {
    const words = Float32Array.from({ length: count }, value);
    return { words, at: (i) => words[i]! };
  }
  const { dtype } = shape;
  const bits = Uint16Array.from({ length: count }, () => toBits(dtype, value()));
  const words = new Uint32Array(Math.ceil(count / 2));
  new Uint16Array(words.buffer).set(bits);
  return { words, at: (i) => fromBits(dtype, bits[i]!) };
}

/** Reads an element from the bytes of a buffer. */
export function elementOf(shape: PageShape, bytes: Uint8Array): (i: number) => number {
  if (shape.dtype === 'f32') {
    const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    return (i) => floats[i]!;
  }
  const { dtype } = shape;
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return (i) => fromBits(dtype, halves[i]!);
}
