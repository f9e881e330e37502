/**
 * The checked plan: names resolved, units in base units (bytes, seconds, bytes/s, FLOP/s, tokens), every default
 * filled in and recorded. It says what is placed where; nothing here says how to get there.
 */
import type { EngineModel } from '../cost/engine-model.js';
import type { Origin } from '../diagnostics/diagnostic.js';
import type { DType, ModelSpec } from '../model/shape.js';
import type { Workload } from './workload.js';

/** Where properties of a declaration stand, by their names in plan files: those that it has. */
export type PropertyOrigins = Readonly<Record<string, Origin>>;

/** Where a block stands, and what it has. */
export interface Declared {
  readonly origin: Origin;
  readonly propertyOrigins?: PropertyOrigins;
}

export interface DeviceKind {
  /** What the file of the topology calls it: no two kinds of one topology are called the same. */
  readonly name: string;
  /** Bytes. */
  readonly memory: number;
  /** Bytes per second of device memory. */
  readonly bandwidth: number;
  /** Peak FLOP/s by element type, as declared (`f16`, `f32`, `bf16`, `int8` ...). */
  readonly compute: Readonly<Record<string, number>>;
  /** Fractions of the peaks that large kernels reach. */
  readonly sustained: { readonly compute: number; readonly bandwidth: number };
  /** Fraction of the peak that matrix products of so many rows reach, where declared. */
  readonly gemm?: Readonly<Record<number, number>>;
  /** Fraction of what bandwidth and compute allow that a kernel reaches, by its name; those left out reach all of it. */
  readonly kernels?: Readonly<Record<string, number>>;
  /**
   * Rows of one sequence that attention computes together, where a step has more than one of any: those that a sequence
   * has too few of are computed all the same. Absent where each row is computed for itself.
   */
  readonly attentionRows?: number;
  /**
   * Of devices that share a processor, those of the kind in one group: the fraction of its speed that each keeps while so
   * many compute at once. Absent where each has a processor of its own.
   */
  readonly shared?: Readonly<Record<number, number>>;
  /**
   * Of the same: the fraction of its speed that what the host does for one device keeps while the others of so many
   * compute. Absent where that is as `shared` has it.
   */
  readonly sharedHost?: Readonly<Record<number, number>>;
  /** Bytes of the largest range of a buffer that a kernel can see, where declared: see `largest-binding.ts`. */
  readonly largestBinding?: number;
  /** Fractions of `sustained` that the declaration leaves out. */
  readonly assumed?: readonly ('compute' | 'bandwidth')[];
  readonly origin: Origin;
  readonly propertyOrigins?: PropertyOrigins;
}

export interface PlacedDevice {
  /** Index in `Topology.devices`, in declaration order, outer groups slowest. */
  readonly id: number;
  /** `gpu[3]`, `node[2].gpu[5]`. */
  readonly path: string;
  /** Group instance the device stands in: `''` or `node[2]`. */
  readonly group: string;
  readonly kind: DeviceKind;
}

/** A memory other than a device's that can hold KV pages or weights. A tier with a path is a disk. */
export interface Tier {
  /** `host`, `node[2].host`. */
  readonly path: string;
  readonly name: string;
  readonly group: string;
  readonly medium: 'host' | 'disk';
  /** Bytes. */
  readonly capacity: number;
  /** Directory of a disk tier. */
  readonly directory?: string;
  readonly origin: Origin;
  readonly propertyOrigins?: PropertyOrigins;
}

/**
 * A link declaration after its scope: `from` and `to` name device arrays, tiers or groups of that scope. One record
 * stands for all instances of the scope pattern (`node[*]`), so that a pod of 1,000 devices has a handful of links.
 */
export interface Link {
  /** Scope pattern the names live in: `''` for the topology itself, `node[*]` for the inside of every node. */
  readonly scope: string;
  readonly from: string;
  readonly to: string;
  /** Bytes per second in each direction. */
  readonly bandwidth: number;
  /** Bytes per second from `to` to `from`, where that is not the same: `bandwidth` then is from `from` to `to`. */
  readonly bandwidthBack?: number;
  /** Bytes per second of weights, where they do not move as other bytes do; the clock alone goes by it. */
  readonly weights?: number;
  /** Seconds. */
  readonly latency: number;
  /** All-reduce algorithm bandwidth (tensor bytes / time) by group size. */
  readonly allreduce: Readonly<Record<number, number>>;
  /** Seconds of an all-reduce of next to nothing by group size, where declared; else it is that of the link. */
  readonly allreduceLatency?: Readonly<Record<number, number>>;
  /** The same of an all-gather; where it is not declared, half of that. */
  readonly allgatherLatency?: Readonly<Record<number, number>>;
  readonly origin: Origin;
  readonly propertyOrigins?: PropertyOrigins;
}

/**
 * What the engine itself costs, for simulation. Seconds: of the host per step and per request in it, of the devices per
 * layer and per kernel.
 */
export interface Overhead {
  readonly step: number;
  readonly layer: number;
  readonly request: number;
  readonly kernel: number;
  /** Of handing the kernels between two exchanges to the ranks of a group, by its size; absent where it takes none. */
  readonly submit?: Readonly<Record<number, number>>;
  /** Of reading samples back from so many ranks; absent where it takes none. */
  readonly read?: Readonly<Record<number, number>>;
  /** Of the host to choose the token of a row from them; absent where it takes none. */
  readonly choose?: number;
  /**
   * Of the host to record a kernel for one device, which it does for one device at a time: a part of what `submit` says,
   * and beside other groups a wait. Absent where it takes none.
   */
  readonly encode?: number;
  /** In what the engine hands activations from device to device; absent where in `f32`, as Fulcrum does. */
  readonly activations?: 'f32' | 'f16';
  /** And in what its kernels read and write them in device memory; absent where in `f32`. */
  readonly activationsInMemory?: 'f32' | 'f16';
}

export interface Topology {
  readonly name: string;
  readonly devices: readonly PlacedDevice[];
  readonly tiers: readonly Tier[];
  readonly links: readonly Link[];
  readonly overhead: Overhead;
  /** The topology's `overhead` block; absent where it has none. */
  readonly overheadDeclared?: Declared;
  /** Effects of the engine that differ from those of Fulcrum's; absent where none is declared. */
  readonly engine?: Partial<EngineModel>;
  readonly origin: Origin;
}

export type Phase = 'prefill' | 'decode';

/** Axis sizes. Rank of coordinates: `(dp * pp.size + pp) * tp.size + tp`. */
export interface Mesh {
  readonly dp: number;
  readonly pp: number;
  readonly tp: number;
}

/** Named dimensions that `tp` may split. */
export type TpDim = 'heads' | 'kv_heads' | 'ffn' | 'vocab';

/** How the named dimensions of one layer (or of the embedding and head) lie on `tp`. */
export interface LayerSharding {
  readonly onTp: readonly TpDim[];
  /** Copies of each kv head when tp exceeds kv_heads (`replicate kv_heads by 2`); 1 when none. */
  readonly kvReplicas: number;
}

export interface Stage {
  readonly name: string;
  readonly phases: readonly Phase[];
  /** Topology device ids in rank order. */
  readonly devices: readonly number[];
  readonly mesh: Mesh;
  /** Layers of each pp stage, in order; sums to the model's layers. */
  readonly layerSplit: readonly number[];
  /** Default sharding; `overrides` replace it for the layers they name. */
  readonly sharding: LayerSharding;
  readonly overrides: readonly {
    readonly firstLayer: number;
    readonly lastLayer: number;
    readonly part: 'attention' | 'mlp';
    readonly sharding: LayerSharding;
    readonly origin: Origin;
  }[];
  /** Most tokens one step of one replica carries (a microbatch). */
  readonly microbatchTokens: number;
  /** Most requests decoding at once in the whole stage. */
  readonly batchRequests: number;
  readonly origin: Origin;
  readonly meshOrigin: Origin;
}

/** One KV tier in spill order; the first is always device memory. */
export interface KvTier {
  readonly name: string;
  readonly medium: 'device' | 'host' | 'disk';
  /** Bytes this plan may use of each instance of the tier. Absent where that is all it has, and for device memory. */
  readonly cap?: number;
  readonly directory?: string;
  readonly origin: Origin;
}

export interface KvSpec {
  readonly pageTokens: number;
  readonly dtype: DType;
  readonly tiers: readonly KvTier[];
  readonly origin: Origin;
}

/** Observable of a flow rule: `host.full`, `host.used < 0.2`, `requests.empty`. */
export type Condition =
  | { readonly kind: 'tier_full'; readonly tier: string }
  | {
      readonly kind: 'tier_used';
      readonly tier: string;
      readonly op: '<' | '<=' | '>' | '>=';
      readonly fraction: number;
    }
  | { readonly kind: 'tier_empty'; readonly tier: string }
  | { readonly kind: 'requests_empty' }
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly kind: 'not'; readonly operand: Condition };

export interface FlowRule {
  /** Stage that the rule switches to. */
  readonly to: string;
  readonly when: Condition;
  /** Absent for the default rule. */
  readonly origin?: Origin;
}

export interface Flow {
  /** Stage names between `requests` and `results`, in order. */
  readonly stages: readonly string[];
  readonly rules: readonly FlowRule[];
  readonly origin: Origin;
}

export type Comparison = '<' | '<=' | '>' | '>=' | '==' | '!=';

/** A line of an `expect` block with its names looked up; evaluated once the plan is compiled, simulated or has run. */
export type CheckedExpectation =
  | {
      readonly kind: 'bound';
      /**
       * - `peak(stage, devices)`: bytes of device memory, the largest of the devices
       * - `collectives(stage, per: layer)`: collective ops of one layer, or of one step
       * - `bytes(from -> to, per: token)`: bytes of KV that the flow edge moves per token, of weights by one transition,
       *   or of both in a whole run
       * - `transitions`: switches of stage in a run
       * - `time`: seconds of a run, from the first request to the last result
       */
      readonly measure: 'peak' | 'collectives' | 'bytes' | 'transitions' | 'time';
      readonly stage?: string;
      /** Devices that it is about, as they are written and by their ids. */
      readonly devices?: { readonly text: string; readonly ids: readonly number[] };
      readonly edge?: { readonly from: string; readonly to: string };
      readonly per?: 'layer' | 'step' | 'token' | 'transition';
      readonly op: Comparison;
      /** Bytes for `peak` and `bytes`, seconds for `time`, else a count. */
      readonly limit: number;
      /** The unit of bytes that the limit is written in, where it is a plain quantity. */
      readonly unit?: string;
      /** Of measures of a run: the workload that is run; without one, any of the file. */
      readonly workload?: Workload;
      readonly origin: Origin;
    }
  | {
      readonly kind: 'never';
      readonly op: 'all_reduce' | 'all_gather' | 'reduce_scatter' | 'send';
      readonly of?: 'weights' | 'kv' | 'activations';
      readonly stage?: string;
      readonly origin: Origin;
    };

/** A default the checker filled in, for `explain`. */
export interface DefaultTaken {
  readonly what: string;
  readonly value: string;
  readonly why: string;
}

export interface Plan {
  readonly name: string;
  readonly model: ModelSpec;
  readonly topology: Topology;
  readonly stages: readonly Stage[];
  readonly kv: KvSpec;
  readonly flow: Flow;
  /** Fraction of device memory the plan may use. */
  readonly memoryUse: number;
  /**
   * Whether the weights of stages on the same devices stay together or take turns; the compiler decides when `auto`.
   * Absent means `switch`. Where no stages share devices it says nothing of this plan.
   */
  readonly residence?: 'auto' | 'both' | 'switch';
  readonly defaults: readonly DefaultTaken[];
  readonly expectations?: readonly CheckedExpectation[];
  /** Values the params had (`decode_tp = 4`). */
  readonly params: Readonly<Record<string, number | string | boolean>>;
  readonly origin: Origin;
  readonly propertyOrigins?: PropertyOrigins;
}
