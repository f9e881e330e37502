/**
 * Weights for a model declared by shape with `random(seed)`. An element depends on the seed, its tensor's name and
 * its place in the tensor alone, so every sharding sees the same model. Matrices keep the variance of their input,
 * norms are one, biases small, and the output head spreads the logits over a few units.
 */
import type { SourceTensor, WeightSource } from './weight-source.js';
import { checkedRectangle } from './weight-source.js';

/** Logits' standard deviation, about. */
const HEAD_GAIN = 3;

/** A source of f32 tensors of the given sizes. */
export function randomWeightSource(
  seed: number,
  sizes: ReadonlyMap<string, { readonly rows: number; readonly cols: number }>,
): WeightSource {
  const tensor = (name: string): SourceTensor | undefined => {
    const size = sizes.get(name);
    return size && { dtype: 'f32', rows: size.rows, cols: size.cols, origin: `random(${seed})` };
  };
  return {
    tensor,
    read: (name, rows, cols) => {
      const found = tensor(name);
      if (!found) throw new RangeError(`the shape has no tensor ${name}`);
      checkedRectangle(found, name, rows, cols);
      const out = new Float32Array((rows[1] - rows[0]) * (cols[1] - cols[0]));
      fill(out, name, seed, found, rows[0], cols[0], cols[1] - cols[0]);
      return new Uint8Array(out.buffer);
    },
    close: () => undefined,
  };
}

function fill(
  out: Float32Array,
  name: string,
  seed: number,
  tensor: SourceTensor,
  firstRow: number,
  firstCol: number,
  width: number,
): void {
  if (name.endsWith('norm.weight')) {
    out.fill(1);
    return;
  }
  // Uniform on [-sqrt 3, sqrt 3] has variance one.
  const scale = (Math.sqrt(3) * deviation(name, tensor)) / 2 ** 31;
  const key = hashText(name, seed);
  for (let i = 0; i < out.length; i++) {
    const index = (firstRow + Math.floor(i / width)) * tensor.cols + firstCol + (i % width);
    const high = Math.floor(index / 2 ** 32);
    out[i] = (mix(mix(key ^ high) + (index | 0)) | 0) * scale;
  }
}

function deviation(name: string, tensor: SourceTensor): number {
  if (name.endsWith('.bias')) return 0.1;
  const isHead = name.includes('embed_tokens') || name.startsWith('lm_head');
  return (isHead ? HEAD_GAIN : 1) / Math.sqrt(tensor.cols);
}

/** A 32-bit finaliser (murmur3's): every input bit reaches every output bit. */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function hashText(text: string, seed: number): number {
  let hash = mix(seed ^ 0x9e3779b9);
  for (let i = 0; i < text.length; i++) hash = mix(hash ^ text.charCodeAt(i));
  return hash;
}
