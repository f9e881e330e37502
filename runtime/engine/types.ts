/** The engine as jobs see it: prompts in, tokens out. Tokenizers, files and stop strings live outside. */
import type { HostTime } from '../exec/host-time.js';
import type { LogitAdjustments } from '../sampling/adjust.js';
import type { TokenConstraint } from '../sampling/constraint.js';

export interface SamplingParams {
  /** 0 is greedy. */
  readonly temperature: number;
  readonly topP: number;
  /** 0: off. */
  readonly topK: number;
  readonly minP: number;
  /** Unsigned 32 bits. The token drawn at a position depends on seed and position alone, not on the batch. */
  readonly seed: number;
  /** Top alternatives to report per token; 0 for none. At most 20. */
  readonly topLogprobs: number;
  /** Report the chosen token's logprob. */
  readonly logprobs: boolean;
}

export interface GeneratedToken {
  readonly id: number;
  readonly logprob?: number;
  readonly top?: readonly { readonly id: number; readonly logprob: number }[];
}

export type FinishReason = 'stop' | 'length';

export interface EngineRequest {
  readonly promptIds: readonly number[];
  readonly maxNewTokens: number;
  /** Ids that end the sequence (not reported as output text by jobs). Empty with ignore_eos. */
  readonly stopIds: readonly number[];
  readonly sampling: SamplingParams;
  /** Absent: logits are sampled as the model gives them. */
  readonly adjust?: LogitAdjustments;
  /** Which tokens may come; the engine disposes of it when the sequence ends. */
  readonly constraint?: TokenConstraint;
  /** Called for every generated token, in order; true ends the sequence (a stop string was found). */
  readonly onToken: (token: GeneratedToken) => boolean;
  /** When given, the full row of (adjusted) logits behind every token is read back and handed over before `onToken`. */
  readonly onLogits?: (logits: Float32Array) => void;
  readonly onFinish: (reason: FinishReason) => void;
  /** This request cannot be served (longer than the KV pool ...); the others go on. */
  readonly onError: (error: Error) => void;
}

/** Bytes and counts of a run so far. */
export interface EngineStats {
  /** Prefilled, whether computed or found. */
  readonly promptTokens: number;
  /** Prompt tokens whose KV was found and not computed, by where it was. */
  readonly reusedTokens: { readonly device: number; readonly host: number; readonly disk: number };
  /** Device pages that were copied for prompts that had a part of them in common. */
  readonly copiedPages: number;
  readonly generatedTokens: number;
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
  /**
   * From the moment a switch is given out to its last move being enqueued (with barriers: done), on the wall clock. With
   * dataflow that includes the wait for the old stage's last steps.
   */
  readonly transitionSeconds: number;
  /**
   * The part of it in which the host knew of no kernels running on the devices that switch: no step was between its
   * first submit on a tp group and its last exchange or read there, other than waiting for weights with all it had
   * submitted done. Kernels of steps that nobody reads from may run on unseen, so it is an upper bound.
   */
  readonly transitionExposedSeconds: number;
  readonly transitions: number;
  readonly steps: { readonly prefill: number; readonly decode: number };
  /** Seconds of the host's own work: on scheduling all in all, and on the steps of each kind. */
  readonly host: {
    readonly schedule: number;
    readonly prefill: Readonly<HostTime>;
    readonly decode: Readonly<HostTime>;
  };
  readonly bytes: {
    /** Weights uploaded before the first step. */
    readonly load: number;
    /** Weights uploaded by transitions. */
    readonly weights: number;
    readonly kvOut: number;
    readonly kvIn: number;
    /** KV written to the disk tier and read back from it. */
    readonly kvSpilled: number;
    readonly kvFetched: number;
    readonly allReduce: number;
    readonly allGather: number;
    readonly send: number;
  };
  /** What became of sequences that lost their device pages, and of moves to and from the disk tier. */
  readonly tiers: {
    /** Preempted sequences whose KV went to the host tier, and those whose KV is computed again. */
    readonly swapped: number;
    readonly dropped: number;
    /** Moves that failed: the KV stayed in the host tier, or was computed again. */
    readonly failedSpills: number;
    readonly failedFetches: number;
    /** By tier: how often KV was not kept or loaded because computing it again is quicker. */
    readonly passedOver: { readonly host: number; readonly disk: number };
  };
  /** Peak bytes of live buffers by device path. */
  readonly peakMemory: Readonly<Record<string, number>>;
  /** The same without what was taken of spare memory, to bring weights in ahead of transitions. */
  readonly plannedPeak: Readonly<Record<string, number>>;
}

/** What an engine has in hand at one moment. */
export interface EngineWork {
  /** Sequences by where they are; `host` and `disk` hold the KV of some, `moving` are those on their way to or from it. */
  readonly requests: Readonly<
    Record<'waiting' | 'prefilling' | 'running' | 'moving' | 'host' | 'disk', number>
  >;
  /** KV pages: of every pool and replica, of the host tier and of the disk tier. */
  readonly pages: readonly {
    readonly tier: 'device' | 'host' | 'disk';
    /** Pool and replica, or the tier again. */
    readonly pool: string;
    readonly total: number;
    readonly used: number;
  }[];
}

export interface Engine {
  /** Queues a request; it may be called at any time, also while `run` is under way. */
  submit(request: EngineRequest): void;
  /**
   * Runs until every submitted request has finished, or the signal aborts (then unfinished requests get no further
   * callback). Rejects with RuntimeFailure when a device is lost: finished requests were
   * reported before, the others get no further callback.
   */
  run(signal?: AbortSignal): Promise<void>;
  readonly stats: () => EngineStats;
  readonly work: () => EngineWork;
  /** Requests queued or in work. */
  readonly pending: () => number;
  dispose(): Promise<void>;
}
