/**
 * A GGUF file seen as a Hugging Face model: metadata as the fields of a `config.json`, tensors under the names that
 * checkpoints of the family have. What the compiler knows of models it so knows of GGUF files as well.
 *
 * Files of the llama architecture have the rows of q and k reordered, for rotary embeddings that turn neighbours
 * `(2i, 2i + 1)` instead of halves `(i, i + head_dim / 2)`; such tensors are marked, and read in the order of halves.
 */
import type { StoredTensor } from '../safetensors.js';
import { ARCHITECTURES, type Architecture } from './architectures.js';
import { givenFields, type Field, type Fields } from './fields.js';
import { damagedGguf, readGgufHeader, type GgufHeader, type GgufValue } from './header.js';
import { ropeFields } from './rope.js';

export interface GgufModel {
  readonly configJson: Fields;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Types without blocks, as a `config.json` names them. */
const PLAIN_TYPES: Readonly<Record<string, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** Names of tensors outside layers and, after `blk.N.`, of those in one. */
const NAMES: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};
const LAYER_NAMES: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** Opens a file; reads its header, and what its rotary embeddings need. Fails with FC0910, FC0911 or FC0913. */
export function openGgufModel(path: string): GgufModel {
  const header = readGgufHeader(path);
  const architecture = header.metadata.get('general.architecture');
  if (typeof architecture !== 'string')
    throw damagedGguf(path, 'its metadata names no `general.architecture`');
  const known = Object.hasOwn(ARCHITECTURES, architecture) ? ARCHITECTURES[architecture] : undefined;
  const configJson = configOf(path, header, architecture, known);
  const headDim = configJson['head_dim'];
  const tensors = new Map<string, StoredTensor>();
  for (const { name, type, shape, offset, bytes } of header.tensors) {
    const stored = checkpointName(name, known);
    if (tensors.has(stored)) throw damagedGguf(path, `it has two tensors ${name}`, name);
    const plusOne = known?.unitNorms === true && name.endsWith('norm.weight');
    if (plusOne && type !== 'F32') throw damagedGguf(path, `norm ${name} is ${type}, not F32`, name);
    const reordered = known?.neighbours === true && /^blk\.\d+\.attn_[qk]\./.test(name);
    const order = reordered && typeof headDim === 'number' ? { neighboursOf: headDim } : {};
    tensors.set(stored, {
      name,
      file: path,
      dtype: type,
      shape,
      offset,
      bytes,
      ...order,
      ...(plusOne && { plusOne }),
    });
  }
  return { configJson, tensors };
}

/** The name that a tensor has in a Hugging Face checkpoint; an unknown one keeps its own, and nobody asks for it. */
function checkpointName(name: string, known: Architecture | undefined): string {
  const [, layer, part, ending] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (part === undefined) return name;
  if (layer === undefined) return Object.hasOwn(NAMES, part) ? `${NAMES[part]}.${ending}` : name;
  const names = { ...LAYER_NAMES, ...known?.layerNames };
  return Object.hasOwn(names, part) ? `model.layers.${layer}.${names[part]}.${ending}` : name;
}

function configOf(
  path: string,
  { metadata, tensors }: GgufHeader,
  architecture: string,
  known: Architecture | undefined,
): Fields {
  const field: Field = (key) => plain(metadata.get(`${architecture}.${key}`));
  const has = (name: string): boolean => tensors.some((tensor) => tensor.name === name);
  const table = tensors.find((tensor) => tensor.name === 'token_embd.weight');
  const [hidden, heads] = [field('embedding_length'), field('attention.head_count')];
  const headDim =
    field('attention.key_length') ??
    (typeof hidden === 'number' && typeof heads === 'number' ? hidden / heads : undefined);
  const config: Fields = {
    architectures: [known?.class ?? architecture],
    hidden_size: hidden,
    num_hidden_layers: field('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: field('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    intermediate_size: field('feed_forward_length'),
    max_position_embeddings: field('context_length'),
    rms_norm_eps: field('attention.layer_norm_rms_epsilon'),
    rope_theta: field('rope.freq_base'),
    ...ropeFields(path, tensors, headDim, known, field),
    vocab_size: table?.shape[0],
    tie_word_embeddings: !has('output.weight'),
    attention_bias: has('blk.0.attn_q.bias'),
    num_experts: field('expert_count') || undefined,
    tensor_types: tensorTypes(tensors, known),
    torch_dtype: table && PLAIN_TYPES[table.type],
    ...known?.fields?.(field),
  };
  return givenFields(config);
}

/** Types of the matrices, as the file names them; undefined where none of them is quantised. */
function tensorTypes(
  tensors: GgufHeader['tensors'],
  known: Architecture | undefined,
): Readonly<Record<string, string>> | undefined {
  const matrices = tensors.filter(({ shape }) => shape.length === 2);
  if (matrices.every(({ type }) => type in PLAIN_TYPES)) return undefined;
  return Object.fromEntries(matrices.map(({ name, type }) => [checkpointName(name, known), type]));
}

/** Metadata as JSON would have it. */
function plain(value: GgufValue | undefined): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}
