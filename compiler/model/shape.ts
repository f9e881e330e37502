import type { Origin } from '../diagnostics/diagnostic.js';
import type { WeightType } from './weight-types.js';

/** Element types of numbers: of checkpoints, activations and KV pages; `weight-types.ts` has those of weights. */
export type DType = 'f32' | 'f16' | 'bf16';

export const BYTES_OF: Readonly<Record<DType, number>> = { f32: 4, f16: 2, bf16: 2 };

/** The most layers a model may have: far beyond any there is, and few enough to be listed one by one. */
export const MAX_LAYERS = 10_000;

/** The most heads a model may have, and the largest of its other sizes. */
export const MAX_SIZE = 10_000_000;

/** The longest sequence of a model, in tokens. */
export const MAX_CONTEXT = 1_000_000_000;

/** Frequency scaling of rotary embeddings, as `rope_scaling` in a Hugging Face `config.json`. */
export type RopeScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      /** Rotated queries and keys are multiplied by it. */
      readonly attentionFactor: number;
      /** Turns over the original context above which a pair is kept, and below which it is slowed down by `factor`. */
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalContext: number;
      /** The pairs between which the ramp runs are rounded outwards to whole ones. */
      readonly truncate: boolean;
    }
  | {
      readonly type: 'longrope';
      /** Context over original context. */
      readonly factor: number;
      readonly attentionFactor: number;
      /** Divisor of each pair's frequency: the short or the long list of the file, by the context of the model. */
      readonly divisors: readonly number[];
      readonly originalContext: number;
    }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalContext: number;
    };

/** Activations of a gate that a shape names; one that names none has silu. */
export const ACTIVATIONS = ['gelu_tanh'] as const;

export type Activation = 'silu' | (typeof ACTIVATIONS)[number];

/** Layers whose rows see the last positions only. */
export interface SlidingAttention {
  /** Positions that a row sees, its own included. */
  readonly window: number;
  /** Layer numbers in ascending order. */
  readonly layers: readonly number[];
  /** Base of the rotary embeddings of these layers, which then have no scaling either (Gemma 3). */
  readonly ropeTheta?: number;
}

/** Everything about a decoder model that decides its graph; sizes are element counts of the whole model. */
export interface ModelShape {
  readonly family: string;
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffn: number;
  readonly vocab: number;
  /** Longest sequence, prompt and output together, in tokens. */
  readonly context: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling?: RopeScaling;
  /** The output projection shares the embedding table. */
  readonly tied: boolean;
  /** q, k and v projections have biases (Qwen2). */
  readonly qkvBias: boolean;
  /** The attention output projection has a bias (`attention_bias` of Llama). */
  readonly outputBias: boolean;
  /** The three MLP projections have biases (`mlp_bias` of Llama). */
  readonly mlpBias: boolean;
  /** q and k pass an RMS norm over head_dim before rope (Qwen3, Gemma 3). */
  readonly qkNorm: boolean;
  /** Dimensions of a head that are rotated, from its first on; all of them when absent (Phi-4 mini). */
  readonly rotaryDim?: number;
  readonly sliding?: SlidingAttention;
  /** Attention scores are divided by the root of it; of head_dim when absent (Gemma). */
  readonly queryScalar?: number;
  /** Attention scores s become c * tanh(s / c) (Gemma 2). */
  readonly attentionSoftcap?: number;
  /** The same of logits. */
  readonly logitSoftcap?: number;
  /** Of the gate of the MLP; silu when absent. */
  readonly activation?: (typeof ACTIVATIONS)[number];
  /** Embeddings are multiplied by the root of hidden (Gemma). */
  readonly scaledEmbedding?: true;
  /** Norms multiply by 1 + weight (Gemma). */
  readonly unitNorms?: true;
  /** The outputs of attention and MLP pass a norm before they are added (Gemma 2 and 3). */
  readonly postNorms?: true;
}

/** Sizes that a model's tensors have, by the names that plan files give them. */
export function tensorSizes(shape: ModelShape): readonly (readonly [name: string, size: number])[] {
  return [
    ['layers', shape.layers],
    ['hidden', shape.hidden],
    ['heads', shape.heads],
    ['kv_heads', shape.kvHeads],
    ['head_dim', shape.headDim],
    ['ffn', shape.ffn],
    ['vocab', shape.vocab],
  ];
}

/** A model as a plan names it. */
export interface ModelSpec {
  readonly name: string;
  /** Directory or `hf:org/name` as written, relative to `sourceBase`; absent for a model declared by shape alone. */
  readonly source?: string;
  /** Path of the plan file that `source` is relative to. */
  readonly sourceBase?: string;
  readonly shape: ModelShape;
  /** Element type of weights in device memory; `weight-types.ts` says which of them have another. */
  readonly weights: WeightType;
  /**
   * Types of matrices by tensor, where a file has blocks that are kept as they are. `weights` is then the smallest of
   * them: what is not known tensor by tensor is reckoned with it.
   */
  readonly stored?: Readonly<Record<string, WeightType>>;
  /** `random(seed)`: runnable weights of this shape. */
  readonly randomSeed?: number;
  /** Where the plan says what the model is; graphs of earlier builds do not. */
  readonly origin?: Origin;
}
