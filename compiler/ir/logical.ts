/**
 * The logical graph: what the model computes, on named dimensions and without devices.
 *
 * A decoder is three blocks: `embed` once, `layer` repeated for every layer, `head` once. A block is straight-line
 * code over values in single-assignment form, so the graph of a 126-layer model is as short as that of a 2-layer
 * one. A weight's tensor name may contain `{layer}`.
 */
import type { ModelShape } from '../model/shape.js';
import type { WeightType } from '../model/weight-types.js';

/** Named dimensions. `tokens` is the rows of a step and `samples` its rows that need logits: both only known at run time. */
export type DimName = 'tokens' | 'samples' | 'hidden' | 'heads' | 'kv_heads' | 'head_dim' | 'ffn' | 'vocab';

export interface Dim {
  readonly name: DimName;
  /** Element count of the whole model; absent for the run-time sizes `tokens` and `samples`. */
  readonly size?: number;
}

export interface TensorType {
  readonly dtype: WeightType | 'u32';
  readonly dims: readonly Dim[];
}

export interface LogicalValue {
  /** Unique in its block (`q`, `attn_norm`, `gate`). */
  readonly id: string;
  readonly kind: 'input' | 'weight' | 'activation' | 'kv';
  readonly type: TensorType;
  /** For weights: tensor name in the checkpoint, `{layer}` standing for the layer number. Stored as `[N, K]`. */
  readonly tensor?: string;
  /** First row in the tensor, where it lies in a part of it; 0 when absent. */
  readonly firstRow?: number;
  /** Element types by tensor where they are not `type.dtype`, which may differ from layer to layer. */
  readonly stored?: Readonly<Record<string, WeightType>>;
}

/** Ops that multiply `up` by an activation of `gate`. The kernel of one has its name, and takes both from one buffer. */
export type Gating = 'silu_mul' | 'gelu_mul';

/**
 * - `embed`      (ids, table[vocab, hidden])                -> x[tokens, hidden]
 * - `rms_norm`   (x, weight[hidden])                        -> y
 * - `linear`     (x[.., K], w[N, K], bias?[N])              -> y[.., N]; contracts the dims of K
 * - `qk_norm`    (q|k [tokens, heads, head_dim], w[head_dim]) -> same shape
 * - `rope`       (q|k)                                      -> same shape
 * - `kv_append`  (k, v, kv)                                 -> kv (pages now hold the step's tokens)
 * - `attention`  (q, kv)                                    -> o[tokens, heads, head_dim]
 * - `silu_mul`   (gate, up)                                 -> h[tokens, ffn]
 * - `gelu_mul`   (gate, up)                                 -> h[tokens, ffn], with the tanh form of GELU
 * - `add`        (a, b)                                     -> a + b
 * - `soft_cap`   (logits)                                   -> c * tanh(logits / c)
 * - `select`     (x[tokens, hidden])                        -> x[samples, hidden], the rows that need logits
 * - `sample`     (logits[samples, vocab])                   -> ids[samples]
 */
export type LogicalOpKind =
  | Gating
  | 'embed'
  | 'rms_norm'
  | 'linear'
  | 'qk_norm'
  | 'rope'
  | 'kv_append'
  | 'attention'
  | 'add'
  | 'soft_cap'
  | 'select'
  | 'sample';

export interface LogicalOp {
  /** Unique in its block; equals the id of its (only) output. */
  readonly id: string;
  readonly kind: LogicalOpKind;
  readonly inputs: readonly string[];
  readonly output: string;
  /** `attention` for the ops of the attention half of a layer, `mlp` for the other; what `override` names. */
  readonly part: 'attention' | 'mlp' | 'embed' | 'head';
}

export interface LogicalBlock {
  readonly name: 'embed' | 'layer' | 'head';
  /** Times the block runs, one after the other; its `output` feeds its `input`. */
  readonly repeat: number;
  /** Value id that enters the block from the block before (`ids` for `embed`). */
  readonly input: string;
  readonly output: string;
  readonly values: readonly LogicalValue[];
  readonly ops: readonly LogicalOp[];
}

export interface LogicalGraph {
  readonly model: string;
  readonly shape: ModelShape;
  readonly weights: WeightType;
  readonly blocks: readonly LogicalBlock[];
}
