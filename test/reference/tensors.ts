/** The reference's own safetensors reader: every tensor of a model directory as f64, whole files in memory. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bf16ToNumber, f16ToNumber } from '../fixtures/halves.js';

/** A tensor with row-major values. */
export interface ReferenceTensor {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** Gives a tensor by its Hugging Face name, or undefined when the model has none of that name. */
export type TensorProvider = (name: string) => ReferenceTensor | undefined;

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Tensors of all `*.safetensors` files of a directory, converted on first use. */
export function directoryTensors(dir: string): TensorProvider {
  if (!existsSync(dir)) throw new Error(`no model directory ${dir}`);
  const entries = new Map<string, { readonly entry: Entry; readonly data: Buffer }>();
  for (const file of readdirSync(dir).filter((name) => name.endsWith('.safetensors'))) {
    const bytes = readFileSync(join(dir, file));
    const headerBytes = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<string, Entry>;
    const data = bytes.subarray(8 + headerBytes);
    for (const [name, entry] of Object.entries(header)) {
      if (name !== '__metadata__') entries.set(name, { entry, data });
    }
  }
  const cache = new Map<string, ReferenceTensor>();
  return (name) => {
    const found = entries.get(name);
    if (!found) return undefined;
    let tensor = cache.get(name);
    if (!tensor) {
      const [from, to] = found.entry.data_offsets;
      tensor = { shape: found.entry.shape, values: decode(found.data.subarray(from, to), found.entry.dtype) };
      cache.set(name, tensor);
    }
    return tensor;
  };
}

function decode(bytes: Buffer, dtype: string): Float64Array {
  if (dtype === 'F32') {
    return Float64Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  }
  if (dtype !== 'F16' && dtype !== 'BF16') throw new Error(`reference cannot read dtype ${dtype}`);
  const toNumber = dtype === 'F16' ? f16ToNumber : bf16ToNumber;
  return Float64Array.from({ length: bytes.length / 2 }, (_, i) => toNumber(bytes.readUInt16LE(2 * i)));
}
