/** What goes into a simulation and what comes out. */
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import type { RequestLengths } from '../../compiler/planner/demand.js';
import type { CostKind } from '../../compiler/cost/program-cost.js';
import type { SchedulerState } from '../scheduler/scheduler.js';
import type { TransitionMode } from '../scheduler/types.js';
import type { LaneUse } from './lanes.js';
import type { Timeline } from './timeline.js';

/** A request as the clock knows it: lengths, and what its prompt has in common with others. */
export interface SimulatedRequest extends RequestLengths {
  /** An earlier request, by its position, and how many tokens of its prompt this one begins with: those of a run say so. */
  readonly like?: { readonly request: number; readonly tokens: number };
  /** Its answer was to be longer than `outputTokens`, which is what the context has room for. */
  readonly cut?: true;
  /** Its prompt was drawn longer than `promptTokens`, which is what the context has room for. */
  readonly promptCut?: true;
}

/** How to simulate. */
export interface SimulateOptions {
  /** Default: the engine that the topology declares. */
  readonly engine?: EngineModel;
  /** How devices change stage. Default `dataflow`. */
  readonly transitions?: TransitionMode;
  /** Told of everything that takes time. */
  readonly timeline?: Timeline;
}

/** Where the time of a device went, and how much of its memory was in use. */
export interface DeviceTime {
  /** Index of the device in the topology. */
  readonly id: number;
  /** Its path. */
  readonly device: string;
  /** Seconds by category. */
  readonly seconds: Readonly<Record<CostKind, number>>;
  /**
   * Seconds in which it had nothing to do but wait for weights, or page moves kept its queue waiting for a link that
   * weights had.
   */
  readonly exposedTransition: number;
  /** Seconds in which page moves kept its queue busy otherwise, waits for other moves on their links included. */
  readonly pages: number;
  /** Seconds in which it had nothing to do, or waited within steps for kernels of slower devices of its group. */
  readonly idle: number;
  /** The part of `idle` between its first work and its last: the rest is warm-up and tail. */
  readonly bubbles: number;
  /** Bytes of its memory; `kv` is what its pages held at most, `total` with the room of all pages. */
  readonly peak: {
    readonly weights: number;
    readonly workspace: number;
    readonly kv: number;
    readonly total: number;
  };
  /** Bytes that the plan may use of it. */
  readonly budget: number;
}

/**
 * A moment of a simulation: `device`, `host` and `disk` are the fractions of their KV pages in use, the rest are
 * numbers of requests by what they do.
 */
export interface KvSample {
  readonly time: number;
  readonly device: number;
  readonly host: number;
  readonly disk: number;
  readonly waiting: number;
  readonly prefilling: number;
  /** With KV on its way between tiers. */
  readonly moving: number;
  readonly onHost: number;
  readonly onDisk: number;
  readonly running: number;
}

/** What a simulation came to. */
export interface Simulation {
  /** Seconds from the first request to the last result. */
  readonly makespan: number;
  /** `cut`: those of the finished ones whose answers ended early, where context or KV pool had no more room. */
  readonly requests: { readonly finished: number; readonly rejected: number; readonly cut: number };
  /** `prompt`: prefilled, whether computed or found. */
  readonly tokens: { readonly prompt: number; readonly output: number };
  /** Prompt tokens that were found and not computed, by the tier where they were. */
  readonly reused: SchedulerState['reused'];
  /** Device pages that were copied for tokens found. */
  readonly copiedPages: number;
  /** Steps of all replicas. */
  readonly steps: number;
  /** Changes of stage, with their seconds and the bytes that they bring onto devices. */
  readonly transitions: { readonly count: number; readonly seconds: number; readonly bytes: number };
  /** Sequences that lost their device pages: to a tier, or with their KV dropped. */
  readonly preemptions: { readonly swapped: number; readonly dropped: number };
  /** Bytes moved, by kind; of an exchange those that all ranks give and take. */
  readonly bytes: {
    readonly allReduce: number;
    readonly allGather: number;
    readonly send: number;
    readonly kvOut: number;
    readonly kvIn: number;
    /** Between the host tier and the disk tier. */
    readonly kvSpilled: number;
    readonly kvFetched: number;
  };
  /** In the order of the graph's devices. */
  readonly devices: readonly DeviceTime[];
  readonly links: readonly LaneUse[];
  /** Samples over time; none where nobody asked for a timeline. */
  readonly kv: readonly KvSample[];
  /** The most bytes of KV that the tiers held. */
  readonly tierPeak: { readonly host: number; readonly disk: number };
  /** Means over the finished requests, all of which were there from the start. */
  readonly latency: {
    /** Seconds to the last token. */
    readonly completion: number;
    /** Seconds between two tokens, of those with more than one. */
    readonly betweenTokens: number;
  };
  /** Mean sequences in a decode step. */
  readonly meanDecodeBatch: number;
}
