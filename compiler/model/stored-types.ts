/**
 * Element types of the matrices of a GGUF file that has quantised blocks, as its configuration lists them in
 * `tensor_types`. Blocks stay as they are in device memory, each tensor with its own type.
 *
 * Products over the same input are one buffer where their types agree, and parts of one output where they do not; a
 * part must begin with a quad of columns. Where one would not (an odd `head_dim`, gate and up of different types),
 * those tensors are turned into f32 at load instead.
 */
import type { ModelShape, ModelSpec } from './shape.js';
import { bytesPerElement, FILE_TYPES, isFileType, type WeightType } from './weight-types.js';

export interface StoredTypes {
  /** By tensor; those of other kinds are left out. */
  readonly types: Readonly<Record<string, WeightType>>;
  readonly smallest: WeightType;
  /** The types for people: `q4_k, q6_k`. */
  readonly shown: string;
}

const TYPES: Readonly<Record<string, WeightType>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  Q8_0: 'q8_0',
  Q4_0: 'q4_0',
  Q4_K: 'q4_k',
  Q6_K: 'q6_k',
};

/** The types of a model's matrices; undefined when no tensor of it has quantised blocks that can be kept. */
export function storedTypes(configJson: unknown, shape: ModelShape): StoredTypes | undefined {
  const listed = (configJson as { readonly tensor_types?: unknown } | null)?.tensor_types;
  if (typeof listed !== 'object' || listed === null) return undefined;
  const found = new Map<string, WeightType>();
  for (const [tensor, name] of Object.entries(listed as Record<string, unknown>)) {
    if (typeof name === 'string' && Object.hasOwn(TYPES, name)) found.set(tensor, TYPES[name]!);
  }
  const smallest = [...found.values()]
    .filter(isFileType)
    .reduce<WeightType | undefined>(
      (least, type) => (least && bytesPerElement(least) <= bytesPerElement(type) ? least : type),
      undefined,
    );
  if (smallest === undefined) return undefined;
  for (let layer = 0; layer < shape.layers; layer++) {
    const attention = ['q', 'k', 'v'].map((part) => `model.layers.${layer}.self_attn.${part}_proj.weight`);
    const mlp = ['gate', 'up'].map((part) => `model.layers.${layer}.mlp.${part}_proj.weight`);
    if (shape.headDim % 4 !== 0) makeEqual(found, attention);
    makeEqual(found, mlp);
  }
  const shown = FILE_TYPES.filter((type) => [...found.values()].includes(type)).join(', ');
  return { types: Object.fromEntries(found), smallest, shown };
}

/** The model with all of its matrices in one type, whatever its file has. */
export function withWeights(model: ModelSpec, weights: WeightType): ModelSpec {
  const { stored: _stored, ...rest } = model;
  return { ...rest, weights };
}

/** Turns tensors that must have one type into f32 where they have several. */
function makeEqual(types: Map<string, WeightType>, tensors: readonly string[]): void {
  if (new Set(tensors.map((tensor) => types.get(tensor))).size === 1) return;
  for (const tensor of tensors) if (types.has(tensor)) types.set(tensor, 'f32');
}
