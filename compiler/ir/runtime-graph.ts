/**
 * The runtime graph: the contract between the compiler and every executor. A plain JSON value.
 *
 * Conventions
 * - A matrix of weights is `[N, K]` (row = output). In device memory N is padded with zero rows to a multiple of 4
 *   and K with zero columns to a multiple of 4 (f32), 8 (16-bit types) or of a block (quantised types).
 * - An activation is `[rows, cols]` f32 with a row stride of `cols` rounded up to a multiple of 4; the pad columns
 *   are zero. `rows` is the token count of the step or the number of sampled rows: a run-time argument.
 * - A KV pool is a set of pages. A page holds `pageTokens` tokens of all layers and kv heads of its rank, stored as
 *   `[layer, kv head, token, K|V, head_dim]`, one buffer per layer group so that no buffer outgrows a binding.
 *   The same order over all layers and heads is the neutral order of the KV tiers.
 */
import type { Origin } from '../diagnostics/diagnostic.js';
import type { DType, ModelSpec } from '../model/shape.js';
import { isQuantised, packedBytes, WEIGHT_FORMATS, type WeightType } from '../model/weight-types.js';
import type { FlowRule, Mesh, Phase } from '../plan/plan.js';
import type { Interval, KvReshard } from './transitions.js';

export const RUNTIME_GRAPH_FORMAT = 'fulcrum-runtime-graph';
export const RUNTIME_GRAPH_VERSION = 3;

export interface RuntimeGraph {
  readonly format: typeof RUNTIME_GRAPH_FORMAT;
  readonly version: typeof RUNTIME_GRAPH_VERSION;
  readonly plan: string;
  readonly model: ModelSpec;
  readonly devices: readonly RuntimeDevice[];
  readonly stages: readonly RuntimeStage[];
  readonly pools: readonly KvPool[];
  /** Host-memory KV tier: carries KV between stages and holds what is preempted. Absent when the plan names none. */
  readonly hostTier?: { readonly name: string; readonly pageBytes: number; readonly pages: number };
  /** Disk tier behind the host tier, with pages of the same size, in files below `directory`. */
  readonly diskTier?: {
    readonly name: string;
    readonly directory: string;
    readonly pages: number;
    /** Where the plan names it; graphs of earlier builds do not say. */
    readonly origin?: Origin;
  };
  readonly kv: {
    readonly pageTokens: number;
    readonly dtype: DType;
    readonly edges: readonly KvReshard[];
    readonly costs: LoadCosts;
  };
  /** `origin`: where the plan has it; graphs of earlier builds do not say. */
  readonly flow: {
    readonly stages: readonly string[];
    readonly rules: readonly FlowRule[];
    readonly origin?: Origin;
  };
  /** One per ordered pair of stages that cannot be resident together. */
  readonly transitions: readonly RuntimeTransition[];
}

/** Rates by which loading KV is weighed against computing it again, in seconds. */
export interface LoadCosts {
  /** To prefill one token when the devices have enough of them. */
  readonly prefillToken: number;
  /** To bring one page from the host tier to a device. */
  readonly hostPage: number;
  /** To bring one page from the disk tier to the host tier. */
  readonly diskPage: number;
}

export interface RuntimeDevice {
  /** Topology device id. */
  readonly id: number;
  readonly path: string;
  /** Bytes: what the plan may use, and what it does use at its peak. */
  readonly budget: number;
  readonly peak: {
    readonly weights: number;
    readonly workspace: number;
    readonly kv: number;
    readonly total: number;
  };
}

export interface RuntimeStage {
  readonly name: string;
  readonly phases: readonly Phase[];
  readonly mesh: Mesh;
  /** Rows of one step of one replica at most. */
  readonly maxTokens: number;
  /** Sequences in one step of one replica at most; also the most sampled rows. */
  readonly maxSequences: number;
  /** Requests decoding at once in the whole stage at most. */
  readonly batchRequests: number;
  /** KV pool the stage's kernels read and write. */
  readonly pool: string;
  /** One program per pipeline stage, in order. */
  readonly programs: readonly Program[];
  /**
   * One set of weights per (pp, tp) coordinate, or several where devices also keep weights of other stages. Those are
   * there while this stage is active, but no kernel of it reads them.
   */
  readonly shards: readonly WeightShard[];
  readonly ranks: readonly RuntimeRank[];
  readonly origin: Origin;
}

export interface RuntimeRank {
  readonly rank: number;
  /** Topology device id. */
  readonly device: number;
  readonly dp: number;
  readonly pp: number;
  readonly tp: number;
  /** Index in `RuntimeStage.programs`. */
  readonly program: number;
  /** Index in `RuntimeStage.shards`. */
  readonly shard: number;
}

/** The weights of one rank position. Stages with equal shards on the same device share the memory. */
export interface WeightShard {
  readonly pp: number;
  readonly tp: number;
  readonly weights: readonly RuntimeWeight[];
}

/** One weight buffer, assembled from rectangles of checkpoint tensors; what no piece covers is zero. */
export interface RuntimeWeight {
  /** Unique in the shard (`layers.3.qkv`). */
  readonly id: string;
  readonly dtype: WeightType;
  /** Rows (N) and columns (K) before padding; a vector has one row. */
  readonly rows: number;
  readonly cols: number;
  readonly pieces: readonly WeightPiece[];
  /** Device bytes, padding included: see `weightBytes`. */
  readonly bytes: number;
}

/** A rectangle of a checkpoint tensor in a weight's buffer. */
export interface WeightPiece {
  readonly tensor: string;
  readonly rows: Interval;
  readonly cols: Interval;
  /** Where the rectangle's first element lands in the buffer. */
  readonly at: readonly [row: number, col: number];
}

/** Padded row count and row stride (in elements) of a weight in device memory. Vectors are padded the same way. */
export function weightLayout(weight: Pick<RuntimeWeight, 'dtype' | 'rows' | 'cols'>): {
  readonly rows: number;
  readonly stride: number;
} {
  const { dtype } = weight;
  const quantum = isQuantised(dtype) ? WEIGHT_FORMATS[dtype].block : dtype === 'f32' ? 4 : 8;
  return {
    rows: weight.rows === 1 ? 1 : roundUp(weight.rows, 4),
    stride: roundUp(weight.cols, quantum),
  };
}

/** Device bytes of a weight, padding included. */
export function weightBytes(weight: Pick<RuntimeWeight, 'dtype' | 'rows' | 'cols'>): number {
  const { rows, stride } = weightLayout(weight);
  return rows * packedBytes(weight.dtype, stride);
}

/** Bytes from one row of a weight to the next, in device memory. */
export function weightRowBytes(weight: Pick<RuntimeWeight, 'dtype' | 'rows' | 'cols'>): number {
  return packedBytes(weight.dtype, weightLayout(weight).stride);
}

/** Bytes of the elements of a piece in device memory. */
export function pieceBytes(
  { dtype }: Pick<RuntimeWeight, 'dtype'>,
  { rows, cols }: Pick<WeightPiece, 'rows' | 'cols'>,
): number {
  return (rows[1] - rows[0]) * packedBytes(dtype, cols[1] - cols[0]);
}

/** Row stride, in elements, of an activation with this many columns. */
export function activationStride(cols: number): number {
  return roundUp(cols, 4);
}

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

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

/** KV pages of one stage, or of several stages that read the same pages. */
export interface KvPool {
  readonly id: string;
  readonly stages: readonly string[];
  /** Pages of each dp replica; with `within`, the most of the other pool's pages that it may hold. */
  readonly pages: number;
  /**
   * Pool whose buffers these pages lie in: on every device its groups are as many and of the same bytes a page. A page
   * is held by one of the two at a time.
   */
  readonly within?: string;
  readonly ranks: readonly {
    readonly device: number;
    readonly dp: number;
    readonly layers: Interval;
    readonly heads: Interval;
    /** Partition of `layers`; `Operand.kv` is an index into it. */
    readonly groups: readonly Interval[];
    /** Bytes of one page over all groups. */
    readonly pageBytes: number;
  }[];
}

/**
 * `rows` runs of `runBytes` bytes each: run i goes from `oldAt + i * oldStride` of the old buffer to `at + i * stride` of
 * the new one. Bytes throughout, all multiples of 4. A contiguous copy has `rows` 1.
 */
export interface WeightCopy {
  readonly weight: string;
  readonly at: number;
  readonly stride: number;
  readonly old: string;
  readonly oldAt: number;
  readonly oldStride: number;
  readonly runBytes: number;
  readonly rows: number;
}

/**
 * A piece that another device of the transition held before: as a copy, but `old` is a buffer of that peer in the
 * stage that is left. What the sender has there must last until it is taken: a receiver reads before the sender's
 * transition reuses or frees the buffer.
 */
export interface WeightReceive extends WeightCopy {
  /** Index into the pieces of `weight`. */
  readonly piece: number;
  /** Index into the peers of the device. */
  readonly peer: number;
}

/** The contiguous runs of a copy, in order. */
export function copyRanges(
  copy: WeightCopy,
): readonly { readonly at: number; readonly oldAt: number; readonly bytes: number }[] {
  return Array.from({ length: copy.rows }, (_, row) => ({
    at: copy.at + row * copy.stride,
    oldAt: copy.oldAt + row * copy.oldStride,
    bytes: copy.runBytes,
  }));
}

/** `bytes` from byte `at` of a weight's buffer on. */
export interface ByteRange {
  readonly at: number;
  readonly bytes: number;
}

/** What a device does to its weights to change stage. Everything not listed as kept, copied or received is uploaded. */
export interface DeviceMoves {
  /** Weight ids whose buffer is the same in both stages, with the old id. */
  readonly keep: readonly { readonly weight: string; readonly old: string }[];
  /** Ranges copied inside the device from an old buffer to a new one; `copyRanges` lists the contiguous parts. */
  readonly copy: readonly WeightCopy[];
  /** Pieces that come from other devices; absent where none do. */
  readonly receive?: readonly WeightReceive[];
  /**
   * Pieces of `weight` that come from the host copy (indices into its `pieces`; none for a weight that is all zero).
   * After a transition every byte that no piece covers is zero, as after a first upload.
   */
  readonly upload: readonly { readonly weight: string; readonly pieces: readonly number[] }[];
  /** Old weight ids whose places are free for others. */
  readonly evict: readonly string[];
  /**
   * Ranges of new weights that are there already, whatever the lists above say of them, where memory is laid out as
   * `weight-arena.ts` does for buffers of any size: what the old stage has in the same place, and what no other stage
   * ever writes over. Absent where there are none.
   */
  readonly inPlace?: readonly (ByteRange & { readonly weight: string })[];
  /** Bytes that are uploaded, as the host writes them (`written-bytes.ts`), without what is in place. */
  readonly uploadBytes: number;
  /** The same of what is received; absent where nothing is. */
  readonly receiveBytes?: number;
}

/** How the devices that two stages share get from one to the other. */
export interface RuntimeTransition {
  readonly from: string;
  readonly to: string;
  /** Each serves all devices that do the same: replicas, as a rule. */
  readonly moves: readonly DeviceMoves[];
  readonly devices: readonly {
    readonly device: number;
    /** Index in `RuntimeTransition.moves`. */
    readonly moves: number;
    /** Devices that it receives pieces from. */
    readonly peers: readonly number[];
  }[];
  readonly origin: Origin;
}

/** What one device does in a transition; undefined when it takes no part. */
export function movesOfDevice(transition: RuntimeTransition, device: number): DeviceMoves | undefined {
  const entry = transition.devices.find((each) => each.device === device);
  return entry && transition.moves[entry.moves];
}
