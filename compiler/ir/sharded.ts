/**
 * The sharded graph: the logical graph of one stage laid over its mesh. Every value has a sharding and every
 * disagreement between a producer and a consumer has become an explicit collective or transfer op.
 */
import type { Origin } from '../diagnostics/diagnostic.js';
import type { Mesh, Phase } from '../plan/plan.js';
import type { DimName, LogicalOp, LogicalValue } from './logical.js';

export type MeshAxis = 'dp' | 'pp' | 'tp';

/**
 * Where a value lies: each named dimension may be split over axes (major to minor), and `partial` lists the axes
 * over which the value is still a sum to be reduced. Dimensions not listed are replicated.
 * Axes of size one never appear. A partial weight (the bias of a partial sum) is held by the first rank of the axis;
 * the others hold zeros. Printed as `f32[tokens@dp, hidden]{partial tp}`.
 */
export interface Sharding {
  readonly dims: Readonly<Partial<Record<DimName, readonly MeshAxis[]>>>;
  readonly partial: readonly MeshAxis[];
}

export interface ShardedValue extends LogicalValue {
  readonly sharding: Sharding;
  /** Why it is so: the plan token that decided the sharding. */
  readonly origin: Origin;
}

/** An op the compiler inserted: its input and output differ in sharding only. */
export interface CollectiveOp {
  readonly id: string;
  readonly kind: 'all_reduce' | 'all_gather' | 'reduce_scatter' | 'slice';
  readonly axis: MeshAxis;
  /** Dimension gathered, scattered or sliced. */
  readonly dim?: DimName;
  readonly inputs: readonly [string];
  readonly output: string;
  readonly part: LogicalOp['part'];
  /** The plan token that caused the op, and in words why it had to be inserted. */
  readonly origin: Origin;
  readonly reason: string;
}

export type ShardedOp = LogicalOp | CollectiveOp;

export interface ShardedBlock {
  readonly name: 'embed' | 'layer' | 'head';
  readonly input: string;
  readonly output: string;
  readonly values: readonly ShardedValue[];
  readonly ops: readonly ShardedOp[];
}

/** Layers with one and the same sharding share a block. */
export interface LayerClass {
  readonly firstLayer: number;
  readonly lastLayer: number;
  readonly block: ShardedBlock;
}

/** What one pipeline stage holds. */
export interface PipelineSegment {
  readonly pp: number;
  readonly firstLayer: number;
  readonly lastLayer: number;
  readonly embed: boolean;
  readonly head: boolean;
  /** Activations sent to the next pipeline stage after each microbatch; absent on the last. */
  readonly sendsTo?: number;
  readonly origin: Origin;
}

export interface ShardedStage {
  readonly name: string;
  readonly phases: readonly Phase[];
  readonly mesh: Mesh;
  readonly devices: readonly number[];
  readonly embed: ShardedBlock;
  readonly layers: readonly LayerClass[];
  readonly head: ShardedBlock;
  readonly segments: readonly PipelineSegment[];
  readonly kvReplicas: number;
  readonly microbatchTokens: number;
  readonly batchRequests: number;
}

export interface ShardedGraph {
  readonly model: string;
  readonly stages: readonly ShardedStage[];
}
