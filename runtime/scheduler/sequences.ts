/**
 * A sequence's life in the scheduler, and queues of sequences in order of arrival.
 *
 *     waiting -> prefill -> running                                     (decode reads the same pages)
 *     waiting -> prefill -> prefilled -> paging_out -> on_host -> paging_in -> running
 *     on_host -> spilling -> on_disk -> fetching -> on_host             (host pages are wanted, and are there again)
 *     running -> preempted -> paging_out ...                            (decoding goes on where it stopped)
 *     prefill -> preempted -> paging_out -> waiting -> paging_in -> prefill     (so does prefill)
 *     waiting -> fetching -> waiting                                    (its beginning was on disk alone)
 *     running | prefill | on_disk | fetching -> waiting                 (KV lost or not worth keeping: computed again)
 *     any -> gone (finished, cancelled)
 *
 * A *half* sequence is one whose prefill was interrupted, or whose first tokens others have left on disk: it waits with
 * the KV of its first tokens kept in a tier.
 */
import type { LoadSource } from './costs.js';
import type { DecodeStage, Lane, PoolReplica } from './machine.js';
import type { PageTable } from './page-table.js';
import type { PageKey } from './pages.js';
import type { SchedulerRequest } from './types.js';

/** How far a sequence is in its life, see above. */
export type SequenceState =
  | 'waiting'
  | 'prefill'
  | 'prefilled'
  | 'preempted'
  | 'paging_out'
  | 'on_host'
  | 'spilling'
  | 'on_disk'
  | 'fetching'
  | 'paging_in'
  | 'running'
  | 'gone';

export interface Sequence {
  readonly id: number;
  /** Order of arrival: the lower, the sooner served and the later preempted. */
  readonly order: number;
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  /** Of the full pages of its prompt. */
  readonly keys: readonly PageKey[];
  /** Tokens of its prompt that others may have too, from the first on. */
  readonly promptIds: readonly number[];
  state: SequenceState;
  /** How often it changed its state: tells a queue which of its entries are out of date. */
  stay: number;
  /** The stay in which its load was found not to pay. */
  passedOver: number;
  /** Tokens sampled so far. Sampled tokens outlive dropped pages: they are then part of what is prefilled. */
  generated: number;
  /** Tokens of the prefill under way: the prompt and what had been generated when it began. */
  target: number;
  /** Tokens from 0 that steps were given out for or whose KV was found, and tokens whose KV is there for sure. */
  scheduled: number;
  computed: number;
  /** The most tokens that ever were given out or passed over, and those since then that came from a tier for it. */
  reached: number;
  readonly loaded: Record<LoadSource, number>;
  /** Pages held on the devices, a new list whenever they change: steps under way name those that they had. */
  pages: PageTable;
  /** Pages held in the host tier; from admission on where the prefill stage hands over through it. */
  hostPages: PageTable;
  /** Pages held in the disk tier. */
  diskPages: PageTable;
  /** Where it prefills or decodes, or to which it is paged in. */
  lane: Lane | undefined;
  /** Whose ranks put its pages out to the host tier, the last that did. */
  storedBy: PoolReplica | undefined;
  /** Stage whose decode batch it counts in. */
  batch: DecodeStage | undefined;
  stepsInFlight: number;
  /** The higher, the later its latest step: least recently stepped sequences go first. */
  lastStep: number;
  /** What is to be left free for its next tokens while it decodes, in quarters of a page: see `headroom.ts`. */
  decodeNeed: number;
}

export function createSequence(request: SchedulerRequest, order: number): Sequence {
  return {
    id: request.id,
    order,
    promptTokens: request.promptTokens,
    maxNewTokens: request.maxNewTokens,
    keys: request.pageKeys ?? [],
    promptIds: request.promptIds ?? [],
    state: 'waiting',
    stay: 0,
    passedOver: -1,
    generated: 0,
    target: request.promptTokens,
    scheduled: 0,
    computed: 0,
    reached: 0,
    loaded: { host: 0, disk: 0 },
    pages: [],
    hostPages: [],
    diskPages: [],
    lane: undefined,
    storedBy: undefined,
    batch: undefined,
    stepsInFlight: 0,
    lastStep: -1,
    decodeNeed: 0,
  };
}

/** Tokens whose values are known: the prompt and everything generated. All but the last have KV once it runs. */
export function knownTokens(sequence: Sequence): number {
  return sequence.promptTokens + sequence.generated;
}

/** Tokens whose KV it needs at most: its last generated token is never computed. */
export function mostTokens(sequence: Sequence): number {
  return sequence.promptTokens + sequence.maxNewTokens - 1;
}

/** Whether its prefill is not done: what KV it has is the beginning of it. */
export function isHalf(sequence: Sequence): boolean {
  return sequence.computed < sequence.target;
}

/** Sequences that entered a state; those that left it meanwhile are forgotten. */
export interface ArrivalQueue {
  /** The oldest. */
  peek(): Sequence | undefined;
  shift(): Sequence | undefined;
  /** Takes the youngest. */
  pop(): Sequence | undefined;
  /** All, the oldest first. */
  forwards(): Iterable<Sequence>;
  /** All, the youngest first. */
  backwards(): Iterator<Sequence, undefined>;
  /** To be called after the sequence has entered its state. */
  insert(sequence: Sequence): void;
}

/** Queue of sequences, oldest first. Appending, and taking from either end, are O(1) amortised. */
export function createArrivalQueue(): ArrivalQueue {
  let items: { readonly sequence: Sequence; readonly stay: number }[] = [];
  let head = 0;
  const isStale = (at: number): boolean => items[at]!.stay !== items[at]!.sequence.stay;
  const settle = (): void => {
    while (head < items.length && isStale(head)) head++;
    while (head < items.length && isStale(items.length - 1)) items.pop();
    if (head > 1024 && head * 2 > items.length) {
      items = items.slice(head);
      head = 0;
    }
  };
  const peek = (): Sequence | undefined => {
    settle();
    return items[head]?.sequence;
  };
  return {
    peek,
    shift() {
      const first = peek();
      if (first !== undefined) head++;
      return first;
    },
    pop() {
      settle();
      return head < items.length ? items.pop()!.sequence : undefined;
    },
    *forwards() {
      for (let at = head; at < items.length; at++) if (!isStale(at)) yield items[at]!.sequence;
    },
    *backwards() {
      for (let at = items.length - 1; at >= head; at--) if (!isStale(at)) yield items[at]!.sequence;
      return undefined;
    },
    insert(sequence) {
      let low = head;
      let high = items.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (items[middle]!.sequence.order < sequence.order) low = middle + 1;
        else high = middle;
      }
      items.splice(low, 0, { sequence, stay: sequence.stay });
    },
  };
}

/** The sequences of two queues, the youngest first. */
export function* youngestFirst(one: ArrivalQueue, other: ArrivalQueue): Generator<Sequence> {
  const [ones, others] = [one.backwards(), other.backwards()];
  let [first, second] = [ones.next().value, others.next().value];
  while (first !== undefined || second !== undefined) {
    if (second === undefined || (first !== undefined && first.order > second.order)) {
      yield first!;
      first = ones.next().value;
    } else {
      yield second;
      second = others.next().value;
    }
  }
}
