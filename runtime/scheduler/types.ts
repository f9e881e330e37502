/**
 * The scheduler's values. The scheduler is a pure state machine: executors feed it events and carry out the actions
 * it returns; it knows no device, no clock and no promise. The Dawn executor and the simulator run this same module.
 */
import type { LoadCosts } from '../../compiler/ir/runtime-graph.js';
import type { FlowRule, Phase } from '../../compiler/plan/plan.js';
import type { PageKey } from './pages.js';

export interface SchedulerStage {
  readonly name: string;
  readonly phases: readonly Phase[];
  /** Replicas; a step runs on one of them. */
  readonly dp: number;
  /** Pipeline depth: steps of one replica that may be in flight at once. */
  readonly depth: number;
  readonly maxTokens: number;
  /** Sequences of one step. */
  readonly maxSequences: number;
  /** Requests decoding at once over all replicas. */
  readonly batchRequests: number;
  readonly pool: string;
  /** Stages of one residence group share devices and cannot be resident together: a switch lies between them. Stages with the same `residence` need no switch. */
  readonly group: string;
  readonly residence: string;
}

/**
 * How a group of devices changes stage. `barrier`: no step of the group is in flight when the switch is given out, and
 * none is given out before it is done. `dataflow`: the switch comes as soon as the old stage has no step left to give
 * out, while its last ones are still in flight, and steps of the new stage may follow at once. It is then up to the
 * executor to let the old steps pass each device before its moves, and a weight arrive before it is used.
 */
export type TransitionMode = 'dataflow' | 'barrier';

export interface SchedulerConfig {
  readonly stages: readonly SchedulerStage[];
  /** `within`: the pool whose pages these are, replica by replica, of which this one may hold `pages` at most. */
  readonly pools: readonly {
    readonly id: string;
    readonly dp: number;
    readonly pages: number;
    readonly within?: string;
    /**
     * By replica the hosts that its ranks put pages out to: any numbers that tell hosts apart. Absent where there is one
     * for all.
     */
    readonly hosts?: readonly (readonly number[])[];
  }[];
  readonly pageTokens: number;
  /** Positions that a row sees in every layer, its own included; all before it when absent. */
  readonly window?: number;
  /** Pages of the host tier; 0 when there is none. */
  readonly hostPages: number;
  readonly hostTier: string;
  /** Pages of the disk tier, reached through the host tier; 0 when there is none. */
  readonly diskPages: number;
  readonly diskTier: string;
  /** What loads and prefill cost as declared; events replace it by what was measured. */
  readonly costs: LoadCosts;
  /** Stage names in flow order: prefill stage(s) first. */
  readonly flow: readonly string[];
  readonly rules: readonly FlowRule[];
  readonly transitions: TransitionMode;
  /** Longest sequence. */
  readonly context: number;
}

export interface SchedulerRequest {
  readonly id: number;
  readonly promptTokens: number;
  /** Upper bound of generated tokens (max_tokens cut to the context). */
  readonly maxNewTokens: number;
  /**
   * Keys of the full pages of the prompt, in order; two are equal only where all tokens up to the end of the page are.
   * Absent: its KV is shared with nobody.
   */
  readonly pageKeys?: readonly PageKey[];
  /**
   * The tokens of the prompt, or as many of the first as others may have too: those that the keys stand for, and less than
   * a page more. Absent: whole pages of it are shared, and nothing of a page that is alike in part.
   */
  readonly promptIds?: readonly number[];
}

/** Part of a sequence in a step: `count` tokens from position `start`. `sample`: the last row yields a token. */
export interface StepItem {
  readonly sequence: number;
  readonly start: number;
  readonly count: number;
  readonly sample: boolean;
  /** Device pages of the sequence in the stage's pool: of all that its rows see, up to `start + count` tokens. */
  readonly pages: readonly number[];
  /** Position of the first of them in the sequence: those before it no row sees. */
  readonly firstPage: number;
  /**
   * Another's page, to be copied to the one that the first row goes to before the step writes or reads any: its slots
   * before that row hold what this page should. Steps of a replica given out before may yet have to write them.
   */
  readonly copyOf?: number;
}

export type Action =
  | {
      readonly kind: 'step';
      readonly id: number;
      readonly stage: string;
      readonly replica: number;
      readonly items: readonly StepItem[];
    }
  /**
   * Device pages -> host pages, those at `positions` of the sequence's pages: the host tier holds the others already. The
   * sequence gives up its device pages when done.
   */
  | {
      readonly kind: 'page_out';
      readonly id: number;
      readonly sequence: number;
      readonly pool: string;
      readonly replica: number;
      readonly pages: readonly number[];
      readonly hostPages: readonly number[];
      readonly positions: readonly number[];
    }
  /**
   * Host pages -> device pages: the devices hold the sequence's other pages already. It gives up its host pages when done,
   * unless the prefill that goes on hands over through them.
   */
  | {
      readonly kind: 'page_in';
      readonly id: number;
      readonly sequence: number;
      readonly pool: string;
      readonly replica: number;
      readonly pages: readonly number[];
      readonly hostPages: readonly number[];
      readonly positions: readonly number[];
    }
  /** Host pages -> disk pages: the disk tier holds the sequence's others. It gives up its host pages when it has succeeded. */
  | {
      readonly kind: 'spill';
      readonly id: number;
      readonly sequence: number;
      readonly hostPages: readonly number[];
      readonly diskPages: readonly number[];
      readonly positions: readonly number[];
    }
  /** Disk pages -> host pages: the host tier holds the sequence's others. It gives up its disk pages when done. */
  | {
      readonly kind: 'fetch';
      readonly id: number;
      readonly sequence: number;
      readonly diskPages: readonly number[];
      readonly hostPages: readonly number[];
      readonly positions: readonly number[];
    }
  /**
   * Change the group's devices to the weights of `to`. No step of `from` is returned after it. One switch of a group
   * is in flight at a time; which steps may be beside it is a matter of the `TransitionMode`.
   */
  | {
      readonly kind: 'switch';
      readonly id: number;
      readonly group: string;
      readonly from: string;
      readonly to: string;
    }
  /**
   * The group's next switch will be to weights that `to` has: they may be brought near as far as there is room. Without
   * barriers, once between two switches of a group whose stages have two residences. No event answers this.
   */
  | { readonly kind: 'prepare'; readonly group: string; readonly from: string; readonly to: string }
  /** The sequence can never fit. It takes no further part and no event answers this. */
  | { readonly kind: 'reject'; readonly sequence: number; readonly why: string };

/** Actions of a kind. */
export type ActionOf<Kind extends Action['kind']> = Extract<Action, { kind: Kind }>;

export type SchedulerEvent =
  | { readonly kind: 'arrive'; readonly request: SchedulerRequest }
  /** `sampled`: sequences that produced a token in the step, and whether that ended them. */
  | {
      readonly kind: 'step_done';
      readonly id: number;
      readonly sampled: readonly { readonly sequence: number; readonly finished: boolean }[];
    }
  | { readonly kind: 'page_out_done'; readonly id: number }
  | { readonly kind: 'page_in_done'; readonly id: number }
  /** `failed`: not every page was written. The sequence stays in the host tier. */
  | { readonly kind: 'spill_done'; readonly id: number; readonly failed: boolean }
  /** `failed`: not every page could be read, or not as it was written. The sequence's KV is computed again. */
  | { readonly kind: 'fetch_done'; readonly id: number; readonly failed: boolean }
  /** Rates found in the run so far; those left out stay as they are. */
  | { readonly kind: 'measured'; readonly costs: Partial<LoadCosts> }
  | { readonly kind: 'switch_done'; readonly id: number }
  | { readonly kind: 'cancel'; readonly sequence: number };
