/**
 * The model families Fulcrum compiles: one entry each, saying what a checkpoint calls its tensors. All are Llama-like
 * decoders; which optional parts a model has (biases, q/k norms) is in its shape. A family that differs in more than
 * names needs new ops.
 */

/** Tensor names; `{layer}` stands for the layer number. Projections lack the `.weight` or `.bias` at their end. */
export interface TensorNames {
  readonly embed: string;
  readonly attnNorm: string;
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly qNorm: string;
  readonly kNorm: string;
  readonly o: string;
  readonly mlpNorm: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  readonly finalNorm: string;
  readonly lmHead: string;
}

export interface ModelFamily {
  readonly name: string;
  readonly tensors: TensorNames;
}

const LAYER = 'model.layers.{layer}';

const HF_DECODER: TensorNames = {
  embed: 'model.embed_tokens',
  attnNorm: `${LAYER}.input_layernorm`,
  q: `${LAYER}.self_attn.q_proj`,
  k: `${LAYER}.self_attn.k_proj`,
  v: `${LAYER}.self_attn.v_proj`,
  qNorm: `${LAYER}.self_attn.q_norm`,
  kNorm: `${LAYER}.self_attn.k_norm`,
  o: `${LAYER}.self_attn.o_proj`,
  mlpNorm: `${LAYER}.post_attention_layernorm`,
  gate: `${LAYER}.mlp.gate_proj`,
  up: `${LAYER}.mlp.up_proj`,
  down: `${LAYER}.mlp.down_proj`,
  finalNorm: 'model.norm',
  lmHead: 'lm_head',
};

export const MODEL_FAMILIES: readonly ModelFamily[] = [
  { name: 'llama', tensors: HF_DECODER },
  { name: 'mistral', tensors: HF_DECODER },
  { name: 'qwen2', tensors: HF_DECODER },
  { name: 'qwen3', tensors: HF_DECODER },
];

/** The family of that name, as `ModelShape.family` has it. */
export function familyNamed(name: string): ModelFamily | undefined {
  return MODEL_FAMILIES.find((family) => family.name === name);
}
