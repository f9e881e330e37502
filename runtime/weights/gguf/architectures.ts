/** The architectures of GGUF files that are known, and what their files have otherwise than Hugging Face's: one row each. */
import type { Field, Fields } from './fields.js';

export interface Architecture {
  readonly class: string;
  /** Rows of q and k are in the order of neighbours. */
  readonly neighbours?: true;
  /** Norms have one added to their weights. */
  readonly unitNorms?: true;
  /** Names of tensors in a layer that others have otherwise. */
  readonly layerNames?: Readonly<Record<string, string>>;
  /** Fields of a `config.json` that only this architecture has. */
  readonly fields?: (field: Field) => Fields;
}

const GEMMA: Pick<Architecture, 'unitNorms' | 'layerNames'> = {
  unitNorms: true,
  layerNames: {
    post_attention_norm: 'post_attention_layernorm',
    ffn_norm: 'pre_feedforward_layernorm',
    post_ffw_norm: 'post_feedforward_layernorm',
  },
};

/**
 * What attention scores are scaled by is not in a file: it is `head_dim`, but for the largest model of each generation,
 * known by its layers, where it is hidden / heads.
 */
const queryScalar =
  (layersOfLargest: number) =>
  (field: Field): unknown => {
    const [hidden, heads] = [Number(field('embedding_length')), Number(field('attention.head_count'))];
    return field('block_count') === layersOfLargest ? hidden / heads : field('attention.key_length');
  };

/**
 * A file without the field is older than it. The models of that time that see 4,096 tokens have the window that their
 * config.json says, 2,047; that of the others is as long as their context or longer, and shuts nothing out.
 */
function phi3Window(field: Field): unknown {
  const window = field('attention.sliding_window');
  if (window !== undefined) return window === 0 ? null : window;
  return field('context_length') === 4096 ? 2047 : null;
}

/** By `general.architecture`. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { class: 'LlamaForCausalLM', neighbours: true },
  qwen2: { class: 'Qwen2ForCausalLM' },
  qwen3: { class: 'Qwen3ForCausalLM' },
  gemma2: {
    class: 'Gemma2ForCausalLM',
    ...GEMMA,
    fields: (field) => ({
      sliding_window: field('attention.sliding_window'),
      query_pre_attn_scalar: queryScalar(46)(field),
      attn_logit_softcapping: field('attn_logit_softcapping'),
      final_logit_softcapping: field('final_logit_softcapping'),
    }),
  },
  gemma3: {
    class: 'Gemma3ForCausalLM',
    ...GEMMA,
    fields: (field) => ({
      sliding_window: field('attention.sliding_window'),
      query_pre_attn_scalar: queryScalar(62)(field),
      rope_local_base_freq: field('rope.freq_base_swa'),
    }),
  },
  phi3: {
    class: 'Phi3ForCausalLM',
    layerNames: { attn_qkv: 'self_attn.qkv_proj', ffn_up: 'mlp.gate_up_proj' },
    fields: (field) => ({
      sliding_window: phi3Window(field),
      original_max_position_embeddings: field('rope.scaling.original_context_length'),
    }),
  },
};
