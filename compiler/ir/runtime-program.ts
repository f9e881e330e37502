/**
 * The program of a pipeline stage as the runtime graph has it: values in shared buffers, and ops in an order that every
 * rank of the stage may follow.
 */
import type { Origin } from '../diagnostics/diagnostic.js';
import type { WeightType } from '../model/weight-types.js';
import type { Interval } from './transitions.js';

/** Straight-line code of one pipeline stage, run by each of its ranks on their own shards. */
export interface Program {
  readonly pp: number;
  readonly layers: Interval;
  /** Buffers shared by values whose lifetimes do not overlap. */
  readonly slots: readonly { readonly id: number; readonly bytes: number }[];
  readonly values: readonly ProgramValue[];
  readonly ops: readonly RuntimeOp[];
}

export interface ProgramValue {
  readonly id: number;
  readonly name: string;
  readonly rows: 'tokens' | 'samples';
  readonly cols: number;
  readonly slot: number;
}

/** Tables of rotary frequencies: a model has the second where its sliding layers have a base of their own. */
export type RopeTable = 'rope' | 'rope_local';

/** What a kernel reads or writes. `step` regions are filled by the executor before every step. */
export type Operand =
  | { readonly value: number }
  | { readonly weight: string }
  /** `rows`: vec4u per row (token id, position, kv slot, page table start); `table`: page ids; `tiles`: attention tiles; `samples`: sampled rows. */
  | { readonly step: 'rows' | 'table' | 'tiles' | 'samples' }
  /** Buffer of a layer group of the rank's pool. */
  | { readonly kv: number }
  /** f32 inverse rotary frequencies, one for each rotated pair, scaling applied; `rope_local` has those of sliding layers. */
  | { readonly constant: RopeTable };

interface OpBase {
  /** Position in the program; `after` lists earlier ops that must have finished (data, buffer reuse, order of collectives). */
  readonly id: number;
  readonly after: readonly number[];
  readonly layer?: number;
  /** The plan token that caused the op. */
  readonly origin: Origin;
}

export type RuntimeOp = KernelOp | CollectiveRuntimeOp | SendOp | RecvOp | SampleOp;

/**
 * Kernels, by name; operands in the order given, the output last. `cols` style parameters are those of this rank.
 * Parameters after a semicolon are given only where they are needed.
 * - `embed`        (step.rows, table, out[tokens, hidden])   params vocabRows, split (0|1), hidden; scale. A rank's slice starts at id
 *                  `split ? tp * vocabRows : 0`; ids outside the slice give zeros (the all_reduce that follows sums the ranks).
 *                  Rows are multiplied by `scale`.
 * - `rms_norm`     (x, weight, out)                          params cols, eps; offset, which is added to the weight
 * - `add_rms_norm` (x, delta, weight, out)                   params cols, eps; offset. x += delta in place, out = norm(x) * weight.
 * - `add`          (x, delta)                                params cols. x += delta in place.
 * - `matmul`       (a, weight, bias?, out)                   params n, k, bias (0|1); outStart, outCols. The bias is a vector of the weight's dtype, f32 for quantised weights.
 *                  Products of other element types may share the output: this one is columns outStart to outStart + n of outCols.
 *                  Where the output is a partial sum over tp, every rank has a bias buffer and only that of tp 0 is not zero.
 * - `rope_append`  (step.rows, rope, qNorm?, kNorm?, qkv, kv) params heads, kvHeads, headDim, pageTokens, layer (in group), groupLayers, qkNorm (0|1), eps;
 *                  rotary, amplitude, offset.
 *                  Rotates q in place in qkv (row = [q | k | v]) and stores rotated k and v into the pages.
 *                  qNorm and kNorm are f32 vectors whatever the weights are (`dtype` is that of the pages); offset is added to them.
 *                  Only the first `rotary` dimensions of a head are rotated, and multiplied by `amplitude`.
 * - `attention`    (step.tiles, step.table, qkv, kv, out)    params heads, kvHeads, headDim, pageTokens, layer, groupLayers, scale;
 *                  window (positions that a row sees, its own included), softcap (scaled scores s become softcap * tanh(s / softcap)),
 *                  rowHeads, pageHeads. The rank attends with `heads` query heads. Where a row of qkv has more (`rowHeads`, all of tp),
 *                  they are those from tp * heads on; where the pages have the kv heads of `pageHeads` query heads (all of tp), its
 *                  head h is number tp * heads + h of these. Number i of n query heads reads kv head floor(i * kvHeads / n).
 * - `silu_mul`     (gateUp[rows, 2*ffn], out[rows, ffn])     params cols (ffn of this rank); row = [gate | up], up starts at column ffn
 * - `gelu_mul`     as silu_mul, with gelu(v) = v / 2 * (1 + tanh(sqrt(2 / pi) * (v + 0.044715 v^3)))
 * - `soft_cap`     (x)                                       params cols, cap. x = cap * tanh(x / cap) in place.
 * - `gather_rows`  (step.samples, x[tokens], out[samples])   params cols
 */
export type KernelName =
  | 'embed'
  | 'rms_norm'
  | 'add_rms_norm'
  | 'add'
  | 'matmul'
  | 'rope_append'
  | 'attention'
  | 'silu_mul'
  | 'gelu_mul'
  | 'soft_cap'
  | 'gather_rows';

export interface KernelOp extends OpBase {
  readonly op: 'kernel';
  readonly kernel: KernelName;
  readonly params: Readonly<Record<string, number>>;
  /** Which run-time count sizes the dispatch. */
  readonly rows: 'tokens' | 'samples';
  readonly operands: readonly Operand[];
  /** Element type of the weight operand, where there is one; of the pages for `rope_append` and `attention`. */
  readonly dtype?: WeightType;
}

/** An exchange among the ranks of an axis. */
export type CollectiveRuntimeOp = AllReduceOp | AllGatherOp;

/** Sums a value over the ranks, in rank order, in place. */
export interface AllReduceOp extends OpBase {
  readonly op: 'collective';
  readonly kind: 'all_reduce';
  readonly axis: 'tp';
  readonly value: number;
}

/** Lays the columns that the ranks have of a value side by side in `out`, in rank order, on every rank. */
export interface AllGatherOp extends OpBase {
  readonly op: 'collective';
  readonly kind: 'all_gather';
  readonly axis: 'tp';
  readonly value: number;
  readonly out: number;
}

/** Hands a value to the rank of the next pipeline stage with the same dp and tp. */
export interface SendOp extends OpBase {
  readonly op: 'send';
  readonly toPp: number;
  readonly value: number;
}

export interface RecvOp extends OpBase {
  readonly op: 'recv';
  readonly fromPp: number;
  readonly value: number;
}

/**
 * Chooses a token per sampled row from logits that may be split over `tp`: each rank reduces its own columns to a
 * few candidates, only these leave the device.
 */
export interface SampleOp extends OpBase {
  readonly op: 'sample';
  readonly logits: number;
  /** First vocabulary id of this program's tp rank 0, columns per rank, and the true vocabulary size (padding beyond it is never chosen). */
  readonly vocabPerRank: number;
  readonly vocab: number;
  /** `tp` when each rank holds its own slice, `none` when every rank holds all columns. */
  readonly split: 'tp' | 'none';
}
