/** Element types of weights, activations and KV pages. */
export type DType = 'f32' | 'f16' | 'bf16';

export const BYTES_OF: Readonly<Record<DType, number>> = { f32: 4, f16: 2, bf16: 2 };

/** Frequency scaling of rotary embeddings, as `rope_scaling` in a Hugging Face `config.json`. */
export type RopeScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalContext: number;
    };

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
  /** q and k pass an RMS norm over head_dim before rope (Qwen3). */
  readonly qkNorm: boolean;
}

/** A model as a plan names it. */
export interface ModelSpec {
  readonly name: string;
  /** Directory or `hf:org/name` as written, relative to `sourceBase`; absent for a model declared by shape alone. */
  readonly source?: string;
  /** Path of the plan file that `source` is relative to. */
  readonly sourceBase?: string;
  readonly shape: ModelShape;
  /** Element type of weights in device memory. */
  readonly weights: DType;
  /** `random(seed)`: runnable weights of this shape. */
  readonly randomSeed?: number;
}
