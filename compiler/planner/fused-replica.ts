/**
 * A replica of a stage for both phases: which sequences it has, where their pages are, and which of them have a row in the
 * next step. For `fused-course`, which asks for hundreds of thousands of rows: numbers by sequence, in arrays.
 */
import type { Host } from '../cost/host-queue.js';
import type { SequencesInOrder } from './decode-rounds.js';

/** The state of all sequences, by their index in the order of arrival. */
export interface Sequences {
  /** Tokens that are in steps, or done. */
  readonly tokens: Int32Array;
  /** Tokens that it has in the end. */
  readonly last: Int32Array;
  /** Prompt tokens that are in no step yet. */
  readonly prompt: Int32Array;
  /** Seconds at which it had its first token and began to decode. */
  readonly since: Float64Array;
  /** KV pages that it has. */
  readonly pages: Int32Array;
  /** KV pages that it has in the end. */
  readonly lastPages: Int32Array;
  /** Number of tokens with which its next row is its last one or needs another page: until then rows need no look. */
  readonly stop: Int32Array;
  readonly pageTokens: number;
}

/** A step in flight on a replica. */
interface FlyingStep {
  /** Seconds at which it is out of the way of the next step. */
  at: number;
  /** Decode rows of the step. */
  readonly rows: number;
  /** Keys that these rows see. */
  keys: number;
  /** Whether one of them is the last of its sequence. */
  readonly lasts: boolean;
  /** Sequences whose prompts end with the step. */
  readonly ended: readonly number[];
}

/** A sequence whose pages are moved, and the seconds at which they are there. */
interface MovedSequence {
  readonly at: number;
  readonly sequence: number;
}

/** The state of a replica. */
export interface Replica {
  readonly host: Host;
  /** Seconds at which the group of each pipeline stage is through with all that it was given so far. */
  readonly free: Float64Array;
  /** Steps in flight, the first to end at the front. */
  readonly steps: FlyingStep[];
  /** Seconds at which the step that was given out last is out of the way of the next. */
  left: number;
  /** The sequence whose pages are on their way to the host tier: one at a time. */
  leaving: MovedSequence | undefined;
  /** Sequences whose pages are on their way back. */
  readonly arriving: MovedSequence[];
  /**
   * A ring of those that decode: first those in steps, in order of these, then from `idle` to `end` those that wait for
   * one, the one that has waited longest first. Places count on, a power of two of them is there.
   */
  readonly ring: Int32Array;
  first: number;
  idle: number;
  end: number;
  /** Steps of rows alone that are sure to come before one with the last row of a sequence; undefined until it is looked up. */
  quietSteps: number | undefined;
  /** Sequences with prompt tokens that are in no step yet. */
  readonly prefilling: number[];
  /** Prompt tokens of these that are in no step yet. */
  unscheduled: number;
  /** Sequences that are let in. */
  members: number;
  /** Sequences that decode. */
  running: number;
  /** Sequences that decode and have yet to take more pages. */
  growing: number;
  /** KV pages that are free. */
  pages: number;
}

/** The state of sequences before any of them is let in. */
export function sequencesOf({ computed, prompts, rows }: SequencesInOrder, pageTokens: number): Sequences {
  const count = computed.length;
  const last = Int32Array.from(computed, (tokens, index) => tokens + prompts[index]! + rows[index]!);
  return {
    tokens: Int32Array.from(computed),
    last,
    prompt: Int32Array.from(prompts),
    since: new Float64Array(count),
    pages: new Int32Array(count),
    stop: new Int32Array(count),
    pageTokens,
    lastPages: last.map((tokens) => Math.ceil(tokens / pageTokens)),
  };
}

function setPages({ pages, last, stop, pageTokens }: Sequences, sequence: number, count: number): void {
  pages[sequence] = count;
  stop[sequence] = Math.min(count * pageTokens, last[sequence]! - 1);
}

/** A replica with no sequences on it, with `pages` KV pages and a ring that has room for all sequences. */
export function newReplica(host: Host, pp: number, pages: number, sequences: number): Replica {
  return {
    host,
    free: new Float64Array(pp),
    steps: [],
    left: 0,
    leaving: undefined,
    arriving: [],
    ring: new Int32Array(2 ** Math.ceil(Math.log2(sequences + 1))),
    first: 0,
    idle: 0,
    end: 0,
    quietSteps: undefined,
    prefilling: [],
    unscheduled: 0,
    members: 0,
    running: 0,
    growing: 0,
    pages,
  };
}

/** Lets a sequence in, with its first pages. */
export function enter(replica: Replica, sequences: Sequences, sequence: number, pages: number): void {
  replica.members++;
  replica.pages -= pages;
  setPages(sequences, sequence, pages);
}

/** Takes a sequence out; its pages are free at once. */
export function leave(replica: Replica, { pages }: Sequences, sequence: number): void {
  replica.members--;
  replica.pages += pages[sequence]!;
}

/** Has a sequence decode: from now on it has a row in every round. */
export function beginRows(replica: Replica, { pages, lastPages }: Sequences, sequence: number): void {
  replica.running++;
  if (pages[sequence]! < lastPages[sequence]!) replica.growing++;
  replica.quietSteps = undefined;
  const { ring } = replica;
  ring[replica.end++ & (ring.length - 1)] = sequence;
}

/**
 * Ends the rows of a step that is through: their sequences wait for the next step, but for those that are done.
 *
 * @param ended told of the sequences that are done
 */
export function endRows(
  replica: Replica,
  { tokens, last }: Sequences,
  { rows, lasts }: FlyingStep,
  ended: (sequence: number) => void,
): void {
  const { ring } = replica;
  const mask = ring.length - 1;
  const until = replica.first + rows;
  let { end } = replica;
  for (let place = replica.first; place < until; place++) {
    const sequence = ring[place & mask]!;
    if (!lasts || tokens[sequence]! < last[sequence]!) ring[end++ & mask] = sequence;
    else {
      replica.running--;
      ended(sequence);
    }
  }
  replica.first = until;
  replica.end = end;
  if (lasts) replica.quietSteps = undefined;
}

/**
 * Moves a replica on by some rounds of all its steps, and by the seconds that these take. There are pages for all rows.
 *
 * @param seconds of all these rounds together
 */
export function movePast(replica: Replica, sequences: Sequences, rounds: number, seconds: number): void {
  const { ring, steps, free } = replica;
  const { tokens, pages, lastPages, pageTokens } = sequences;
  for (let place = replica.first; place < replica.end; place++) {
    const sequence = ring[place & (ring.length - 1)]!;
    tokens[sequence]! += rounds;
    const had = pages[sequence]!;
    const needed = Math.ceil(tokens[sequence]! / pageTokens);
    if (needed <= had) continue;
    replica.pages -= needed - had;
    setPages(sequences, sequence, needed);
    if (needed === lastPages[sequence]) replica.growing--;
  }
  for (const step of steps) {
    step.at += seconds;
    step.keys += rounds * step.rows;
  }
  for (let pp = 0; pp < free.length; pp++) free[pp]! += seconds;
  replica.left += seconds;
  if (replica.quietSteps !== undefined) replica.quietSteps -= rounds * steps.length;
}

/**
 * Takes rows for a step, those that waited longest first, as many as there may be.
 *
 * @param waiting sequences that have not begun and lose their pages for one that came before wait again
 */
export function takeRows(
  replica: Replica,
  sequences: Sequences,
  most: number,
  now: number,
  waiting: number[],
): Pick<FlyingStep, 'rows' | 'keys' | 'lasts'> {
  const { tokens, last, stop, pages, pageTokens } = sequences;
  const { ring, idle: from, leaving } = replica;
  const mask = ring.length - 1;
  const taken: Taken = { next: from, passed: [] };
  let [next, count, keys, lasts] = [from, 0, 0, false];
  for (; next < replica.end && count < most; next++) {
    const sequence = ring[next & mask]!;
    const seen = tokens[sequence]!;
    if (seen === stop[sequence]) {
      taken.next = next;
      if (replica.leaving !== leaving && replica.leaving?.sequence === sequence) continue;
      const isFull = seen === pages[sequence]! * pageTokens;
      if (isFull && !grow(replica, sequences, sequence, { now, waiting, taken })) {
        taken.passed.push(next);
        continue;
      }
      lasts ||= seen + 1 === last[sequence];
    } else if (replica.leaving !== leaving && replica.leaving?.sequence === sequence) continue;
    tokens[sequence] = seen + 1;
    keys += seen + 1;
    count++;
  }
  replica.idle = from + count;
  if (count > 0 && replica.quietSteps !== undefined) replica.quietSteps--;
  // As a rule all of the first: then they are where they belong.
  if (count < next - from || replica.leaving !== leaving) sortRing(replica, from, { ...taken, next });
  return { rows: count, keys, lasts };
}

/**
 * Which of the sequences that wait are in the step: those before `next` in the ring, but for `passed` and the one that
 * leaves.
 */
interface Taken {
  next: number;
  readonly passed: number[];
}

/** Sorts the ring from a place on: first the sequences that are in the step, then those that wait for one. */
function sortRing(replica: Replica, from: number, { next, passed }: Taken): void {
  const { ring } = replica;
  const mask = ring.length - 1;
  const waiting: number[] = [];
  let to = from;
  for (let place = from; place < replica.end; place++) {
    const sequence = ring[place & mask]!;
    if (sequence === replica.leaving?.sequence) continue;
    if (place < next && !passed.includes(place)) ring[to++ & mask] = sequence;
    else waiting.push(sequence);
  }
  for (const each of waiting) ring[to++ & mask] = each;
  replica.end = to;
}

/** A step that is being formed. */
interface Forming {
  readonly now: number;
  readonly waiting: number[];
  readonly taken: Taken;
}

/** Takes a page for a sequence; false where there is none, though others may have given up theirs for it. */
function grow(replica: Replica, sequences: Sequences, sequence: number, forming: Forming): boolean {
  while (replica.pages <= 0)
    if (replica.leaving !== undefined || !giveUp(replica, sequences, sequence, forming)) return false;
  const { pages, lastPages } = sequences;
  replica.pages--;
  setPages(sequences, sequence, pages[sequence]! + 1);
  if (pages[sequence] === lastPages[sequence]) replica.growing--;
  return true;
}

/** The last sequence that is in no step gives up its pages, if it came after this one: at once where it has not begun. */
function giveUp(
  replica: Replica,
  sequences: Sequences,
  order: number,
  { now, waiting, taken }: Forming,
): boolean {
  const { prefilling, ring } = replica;
  const { pages, lastPages, prompt } = sequences;
  const last = prefilling.at(-1);
  if (last !== undefined && last > order && prefilling.length > 1) {
    prefilling.pop();
    replica.unscheduled -= prompt[last]!;
    leave(replica, sequences, last);
    waiting.push(last);
    return true;
  }
  let youngest = order;
  for (let place = replica.idle; place < replica.end; place++) {
    const each = ring[place & (ring.length - 1)]!;
    if (each > youngest && (place >= taken.next || taken.passed.includes(place))) youngest = each;
  }
  if (youngest === order) return false;
  replica.running--;
  replica.quietSteps = undefined;
  if (pages[youngest]! < lastPages[youngest]!) replica.growing--;
  // Its pages are free once they are moved.
  replica.members--;
  replica.leaving = { at: Math.max(now, ...replica.free), sequence: youngest };
  return true;
}
