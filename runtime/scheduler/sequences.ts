/**
 * A sequence's life in the scheduler, and queues of sequences in order of arrival.
 *
 *     waiting -> prefill -> running                                     (decode reads the same pages)
 *     waiting -> prefill -> prefilled -> paging_out -> on_host -> paging_in -> running
 *     running -> paging_out (swapped out)      prefill | running -> waiting (pages dropped, computed again)
 *     any -> gone (finished, cancelled)
 */
import type { DecodeStage, Lane } from './machine.js';
import type { SchedulerRequest } from './types.js';

export type Place =
  'waiting' | 'prefill' | 'prefilled' | 'paging_out' | 'on_host' | 'paging_in' | 'running' | 'gone';

export interface Sequence {
  readonly id: number;
  /** Order of arrival: the lower, the sooner served and the later preempted. */
  readonly order: number;
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  place: Place;
  /** Tokens sampled so far. Sampled tokens outlive dropped pages: they are then part of what is prefilled. */
  generated: number;
  /** Tokens of the prefill under way: the prompt and what had been generated when it began. */
  target: number;
  /** Tokens from 0 that steps were given out for, and tokens whose steps are done. */
  scheduled: number;
  computed: number;
  pages: number[];
  /** Pages held in the host tier; from admission on where the prefill stage hands over through it. */
  hostPages: number[];
  /** Where it prefills or decodes, or to which it is paged in. */
  lane: Lane | undefined;
  /** Stage whose decode batch it counts in. */
  batch: DecodeStage | undefined;
  stepsInFlight: number;
  /** Id of its latest step: least recently stepped sequences go first. */
  lastStep: number;
}

export function createSequence(request: SchedulerRequest, order: number): Sequence {
  return {
    id: request.id,
    order,
    promptTokens: request.promptTokens,
    maxNewTokens: request.maxNewTokens,
    place: 'waiting',
    generated: 0,
    target: request.promptTokens,
    scheduled: 0,
    computed: 0,
    pages: [],
    hostPages: [],
    lane: undefined,
    batch: undefined,
    stepsInFlight: 0,
    lastStep: -1,
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

export interface ArrivalQueue {
  /** The oldest sequence still in `place`; those that left it meanwhile are forgotten. */
  peek(): Sequence | undefined;
  shift(): Sequence | undefined;
  insert(sequence: Sequence): void;
}

/** Queue of the sequences in one place, oldest first. Appending and shifting are O(1) amortised. */
export function createArrivalQueue(place: Place): ArrivalQueue {
  let items: Sequence[] = [];
  let head = 0;
  const settle = (): void => {
    while (head < items.length && items[head]!.place !== place) head++;
    if (head > 1024 && head * 2 > items.length) {
      items = items.slice(head);
      head = 0;
    }
  };
  const peek = (): Sequence | undefined => {
    settle();
    return items[head];
  };
  return {
    peek,
    shift() {
      const first = peek();
      if (first !== undefined) head++;
      return first;
    },
    insert(sequence) {
      let low = head;
      let high = items.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (items[middle]!.order < sequence.order) low = middle + 1;
        else high = middle;
      }
      items.splice(low, 0, sequence);
    },
  };
}
