/**
 * The model families Fulcrum compiles: one row each. A row says which class of `config.json` it is, what a checkpoint
 * calls its tensors, which optional parts its models have, and the values that a `config.json` or a plan may leave out
 * (those of the model's class in the transformers library). Whatever else needs to know families reads this table; a
 * family that differs in more than this needs new ops.
 */
import type { SlidingRule } from './sliding.js';
import type { ModelShape } from './shape.js';

/**
 * Tensor names; `{layer}` stands for the layer number. Projections lack the `.weight` or `.bias` at their end. Those
 * that share a name lie in one tensor, one after the other by rows, in the order of q, k, v and of gate, up.
 */
export interface TensorNames {
  readonly embed: string;
  readonly attnNorm: string;
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly qNorm: string;
  readonly kNorm: string;
  readonly o: string;
  readonly attnPostNorm: string;
  readonly mlpNorm: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  readonly mlpPostNorm: string;
  readonly finalNorm: string;
  readonly lmHead: string;
}

/** Present, absent, or as a flag of `config.json` says. */
export type Presence = boolean | 'attention_bias' | 'mlp_bias';

export interface ModelFamily {
  /** As plans write it. */
  readonly name: string;
  /** Class name in `architectures` of `config.json`, and its `model_type`. */
  readonly architecture: string;
  readonly modelType: string;
  readonly tensors: TensorNames;
  readonly qkvBias: Presence;
  readonly outputBias: Presence;
  readonly mlpBias: Presence;
  readonly qkNorm: boolean;
  /** Field of `config.json` with the activation, which is that of `parts`. */
  readonly activationField: 'hidden_act' | 'hidden_activation';
  /** Parts that every model of the family has. */
  readonly parts: Pick<ModelShape, 'activation' | 'scaledEmbedding' | 'unitNorms' | 'postNorms'>;
  /** Models have a scale of their own for attention scores, and may have soft caps on scores and logits. */
  readonly capped?: true;
  readonly sliding: SlidingRule;
  /** `partial_rotary_factor` may be below 1. */
  readonly partialRotary?: true;
  /** Fields that change what is computed and that no model of the family may set to more than nothing. */
  readonly refused?: readonly string[];
  readonly defaults: {
    readonly theta: number;
    readonly context: number;
    readonly normEps: number;
    readonly tied: boolean;
    /** hidden / heads when absent. */
    readonly headDim?: number;
    /** Of a file that does not mention `sliding_window`; one that says null has none. */
    readonly window?: number;
    /** Base of the rotary embeddings of sliding layers, where they have their own. */
    readonly localTheta?: number;
    readonly queryScalar?: number;
    readonly attentionSoftcap?: number;
    readonly logitSoftcap?: number;
    /** `original_max_position_embeddings`, where the class has the field. */
    readonly originalContext?: number;
  };
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
  attnPostNorm: `${LAYER}.post_attention_layernorm`,
  mlpNorm: `${LAYER}.post_attention_layernorm`,
  gate: `${LAYER}.mlp.gate_proj`,
  up: `${LAYER}.mlp.up_proj`,
  down: `${LAYER}.mlp.down_proj`,
  mlpPostNorm: `${LAYER}.post_feedforward_layernorm`,
  finalNorm: 'model.norm',
  lmHead: 'lm_head',
};

const GEMMA_DECODER: TensorNames = { ...HF_DECODER, mlpNorm: `${LAYER}.pre_feedforward_layernorm` };

const PHI3_DECODER: TensorNames = {
  ...HF_DECODER,
  q: `${LAYER}.self_attn.qkv_proj`,
  k: `${LAYER}.self_attn.qkv_proj`,
  v: `${LAYER}.self_attn.qkv_proj`,
  gate: `${LAYER}.mlp.gate_up_proj`,
  up: `${LAYER}.mlp.gate_up_proj`,
};

/** What Llama is; the other rows say in what they differ. */
const LLAMA: ModelFamily = {
  name: 'llama',
  architecture: 'LlamaForCausalLM',
  modelType: 'llama',
  tensors: HF_DECODER,
  qkvBias: 'attention_bias',
  outputBias: 'attention_bias',
  mlpBias: 'mlp_bias',
  qkNorm: false,
  activationField: 'hidden_act',
  parts: {},
  sliding: 'never',
  defaults: { theta: 10_000, context: 2048, normEps: 1e-6, tied: false },
};

const GEMMA2: ModelFamily = {
  ...LLAMA,
  name: 'gemma2',
  architecture: 'Gemma2ForCausalLM',
  modelType: 'gemma2',
  tensors: GEMMA_DECODER,
  mlpBias: false,
  activationField: 'hidden_activation',
  parts: { activation: 'gelu_tanh', scaledEmbedding: true, unitNorms: true, postNorms: true },
  capped: true,
  sliding: 'every other',
  refused: ['use_bidirectional_attention'],
  defaults: {
    theta: 10_000,
    context: 8192,
    normEps: 1e-6,
    tied: true,
    headDim: 256,
    window: 4096,
    queryScalar: 256,
    attentionSoftcap: 50,
    logitSoftcap: 30,
  },
};

export const MODEL_FAMILIES: readonly ModelFamily[] = [
  LLAMA,
  {
    ...LLAMA,
    name: 'mistral',
    architecture: 'MistralForCausalLM',
    modelType: 'mistral',
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    sliding: 'always',
    defaults: { ...LLAMA.defaults, context: 131_072, window: 4096 },
  },
  {
    ...LLAMA,
    name: 'qwen2',
    architecture: 'Qwen2ForCausalLM',
    modelType: 'qwen2',
    qkvBias: true,
    outputBias: false,
    mlpBias: false,
    sliding: 'upper when asked',
    defaults: { ...LLAMA.defaults, context: 32_768 },
  },
  {
    ...LLAMA,
    name: 'qwen3',
    architecture: 'Qwen3ForCausalLM',
    modelType: 'qwen3',
    mlpBias: false,
    qkNorm: true,
    sliding: 'upper when asked',
    defaults: { ...LLAMA.defaults, context: 32_768, headDim: 128 },
  },
  GEMMA2,
  {
    ...GEMMA2,
    name: 'gemma3',
    architecture: 'Gemma3ForCausalLM',
    modelType: 'gemma3_text',
    qkNorm: true,
    sliding: 'five of six',
    defaults: {
      theta: 1_000_000,
      context: 131_072,
      normEps: 1e-6,
      tied: true,
      headDim: 256,
      window: 4096,
      localTheta: 10_000,
      queryScalar: 256,
    },
  },
  {
    ...LLAMA,
    name: 'phi3',
    architecture: 'Phi3ForCausalLM',
    modelType: 'phi3',
    tensors: PHI3_DECODER,
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    sliding: 'always',
    partialRotary: true,
    defaults: { ...LLAMA.defaults, context: 4096, normEps: 1e-5, originalContext: 4096 },
  },
];

/** Architectures that can be compiled, as `config.json` names them. */
export const KNOWN_ARCHITECTURES: readonly string[] = MODEL_FAMILIES.map((family) => family.architecture);

/** Properties of a shape that no model of the family has. */
export function foreignTo({ sliding, capped }: ModelFamily) {
  return [
    ...(sliding === 'never' ? (['window'] as const) : []),
    ...(capped ? [] : (['attention_softcap', 'logit_softcap'] as const)),
  ];
}

/** The family of that name, as `ModelShape.family` has it. */
export function familyNamed(name: string): ModelFamily | undefined {
  return MODEL_FAMILIES.find((family) => family.name === name);
}
