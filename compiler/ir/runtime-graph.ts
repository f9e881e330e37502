/**
 * The runtime graph: the contract between the compiler and every executor. A plain JSON value.
 *
 * Conventions
 * - Weights and activations lie in device memory as `device-layout.ts` says. The rows of an activation are the tokens of
 *   the step or the sampled rows, and their number is a run-time argument.
 * - A KV pool is a set of pages. A page holds `pageTokens` tokens of all layers and kv heads of its rank, stored as
 *   `[layer, kv head, token, K|V, head_dim]`, one buffer per layer group so that no buffer outgrows a binding.
 *   The same order over all layers and heads is the neutral order of the KV tiers.
 */
import type { Origin } from '../diagnostics/diagnostic.js';
import type { DType, ModelSpec } from '../model/shape.js';
import type { WeightType } from '../model/weight-types.js';
import type { FlowRule, Mesh, Phase } from '../plan/plan.js';
import type { Program } from './runtime-program.js';
import type { Interval, KvReshard } from './transitions.js';

export const RUNTIME_GRAPH_FORMAT = 'fulcrum-runtime-graph';
export const RUNTIME_GRAPH_VERSION = 3;

export interface RuntimeGraph {
  readonly format: typeof RUNTIME_GRAPH_FORMAT;
  readonly version: typeof RUNTIME_GRAPH_VERSION;
  readonly plan: string;
  /** Without the types of stored tensors: every weight of a shard has its own. */
  readonly model: Omit<ModelSpec, 'stored'>;
  readonly devices: readonly RuntimeDevice[];
  readonly stages: readonly RuntimeStage[];
  readonly pools: readonly KvPool[];
  /** Host-memory KV tier: carries KV between stages and holds what is preempted. Absent when the plan names none. */
  readonly hostTier?: {
    readonly name: string;
    readonly pageBytes: number;
    /** Of all hosts together. */
    readonly pages: number;
    /**
     * Ids of the devices beside each host, where there are several: what a device puts out lies with the host beside it.
     * Graphs of earlier builds do not say.
     */
    readonly hosts?: readonly (readonly number[])[];
  };
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

/** A weight of the new stage that is written, and the old one that must not be needed any more. */
export interface WeightWrite {
  readonly weight: string;
  readonly behind?: string;
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
  /**
   * The weights that are written, in an order in which they can be (`move-order.ts`), in memory laid out like that.
   * `behind`: of the old weights in its place the one that a step of the old stage reads last; absent where it reads
   * none of them. A weight may be written when the steps given out before are past that. Absent where none is written, and
   * in graphs of earlier builds, which do not say.
   */
  readonly writes?: readonly WeightWrite[];
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
