/**
 * An estimate of decode, round by round, where sequences begin in order of arrival: how many are under way at once, as
 * far as batch and KV room let them, and what their rounds take. In a round each that is under way has one row. No
 * bound.
 *
 * From one that begins or ends to the next nothing changes but keys, so that the rounds in between are costed as one, by a
 * step with as many keys as in their mean. Where pages run out the one that came last goes back, as the scheduler has it.
 * Pages are counted as if sequences were spread evenly over what a page holds: a half of each last one is free.
 */
import type { KvView } from '../model/kv-window.js';
import { once } from '../once.js';
import type { Stage } from '../plan/plan.js';
import { createHeap } from '../reshard/heap.js';
import type { HostTimes } from './bounded-plan.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { linesInKeys } from './linear-in-keys.js';
import type { PromptCourse } from './prompt-course.js';
import { createPromptTurns, type TurnSetting } from './prompt-turns.js';
import { SHOWN_MOVES, sum, type StageLoad } from './stage-load.js';

/**
 * The part of `StageLoad` that estimating decode needs: the cost of a step, seconds per page from the host tier, mesh
 * and batch.
 */
export interface DecodingStage extends Pick<StageLoad, 'stepSeconds' | 'in'> {
  readonly stage: Pick<Stage, 'mesh' | 'batchRequests'>;
}

/** How sequences come to decode. */
export type Arrival =
  /**
   * From a stage on devices of its own: seconds at which each has its first token, and at which its KV is there to
   * begin.
   */
  | { readonly kind: 'beside'; readonly first: ArrayLike<number>; readonly ready: ArrayLike<number> }
  /** From a stage on the same devices, with which decode takes turns. */
  | ({ readonly kind: 'in turns' } & Pick<PromptCourse, 'shown'> & TurnSetting);

/** A sequence waiting to decode: `computed` tokens have KV, `rows` tokens are still to be generated. */
interface Waiting {
  readonly computed: number;
  readonly rows: number;
  /** Whether its pages are on the devices. */
  readonly begun: boolean;
  /** Seconds at which it may begin. */
  readonly ready: number;
  /** Seconds at which it had its first token. */
  readonly since: number;
  /** Rows that it had to decode then. */
  readonly of: number;
}

/** What a course comes to: its seconds, and those between tokens. */
export interface CourseFigures {
  /** Seconds until all is done. */
  readonly seconds: number;
  /** Seconds between two tokens of a sequence: the mean over sequences of theirs. */
  readonly betweenTokens: number;
}

/** A sequence that decodes. */
interface UnderWay {
  /** As in `Waiting`. */
  readonly since: number;
  readonly of: number;
  /** Its tokens less the number of rounds so far: constant, as both grow by one with each round. */
  readonly ahead: number;
  /** Number of the round after which it ends. */
  readonly end: number;
  /** It has ended, or has lost its pages. */
  left: boolean;
}

/**
 * Estimates the decode of all rows that sequences have.
 *
 * @param room KV pages of a replica
 * @param apart pages come in beside kernels, by copy engines
 * @param arrival by default all sequences are there at once, with their first tokens
 */
export function decodeCourse(
  load: DecodingStage,
  room: number,
  sequences: SequencesInOrder,
  { pageTokens }: KvView,
  overhead: HostTimes,
  apart: boolean,
  arrival?: Arrival,
): CourseFigures {
  const { mesh, batchRequests } = load.stage;
  const { computed, begun, prompts, rows } = sequences;
  const turns = arrival?.kind === 'in turns' ? createPromptTurns(sequences, pageTokens, arrival) : undefined;
  const beside = arrival?.kind === 'beside' ? arrival : undefined;
  const pages = room * mesh.dp;
  const pageSeconds = Math.max(...load.in) / mesh.dp;
  const shown = apart ? 0 : SHOWN_MOVES;
  /** For pages that come in beside the last steps of a turn of prefill, before any step of decode. */
  const shownAtTurn = arrival?.kind === 'in turns' ? arrival.shown : shown;
  const roundSeconds = roundsOf(load, overhead);
  const ends = createHeap<UnderWay>((a, b) => a.end - b.end);
  /** In the order in which they began; some of them have ended. */
  const underWay: UnderWay[] = [];
  /** Sent back, the one that goes on first at the end. */
  const back: Waiting[] = [];
  const line = beside
    ? lineAsReady(rows, beside.ready)
    : lineInOrder(rows, () => turns?.done() ?? rows.length);
  let [round, seconds] = [0, 0];
  /** How many are under way, and what of their tokens does not grow with the rounds. */
  let [count, ahead] = [0, 0];
  let [ended, between] = [0, 0];
  /** Whether a step of decode has been since the last turn of prefill, and whether pages come in beside the steps of that. */
  let [stepped, besidePrefill] = [true, false];
  const waiting = (): Waiting | undefined => {
    const next = line.first(seconds);
    const sent = back.at(-1);
    if (sent !== undefined || next === undefined) return sent;
    const ready = beside?.ready[next] ?? 0;
    const tokens = computed[next]! + Math.max(0, prompts[next]!);
    const since = turns?.firstToken(next) ?? beside?.first[next] ?? 0;
    return { computed: tokens, rows: rows[next]!, begun: begun[next]!, ready, since, of: rows[next]! };
  };
  const pagesOf = (tokens: number): number => Math.ceil(tokens / pageTokens);
  /** After which round the pages of so many sequences fill what there is of them. */
  const lastRound = (sequences: number, tokens: number, pages: number): number =>
    Math.floor(((pages - sequences / 2) * pageTokens - tokens) / sequences);
  /** For a row of each; those under way leave a quarter of a page free as well, as in the scheduler's headroom. */
  const hasRoom = (each: Waiting): boolean =>
    count === 0 || lastRound(count + 1, ahead + each.computed - round, pages - count / 4) > round;
  /** Seconds of a round that begins now. */
  const nextRound = (): number => roundSeconds(count, ahead + count * (round + 1));
  const beginSome = (): void => {
    for (
      let each = waiting();
      each !== undefined && each.ready <= seconds && count < batchRequests && hasRoom(each);
      each = waiting()
    ) {
      const { since, of } = each;
      if (back.pop() === undefined) line.take();
      const added = { ahead: each.computed - round, end: round + each.rows, left: false, since, of };
      ends.push(added);
      underWay.push(added);
      count++;
      ahead += added.ahead;
      if (each.begun) continue;
      turns?.add(-pagesOf(each.computed));
      seconds += pagesOf(each.computed) * pageSeconds * (besidePrefill ? shownAtTurn : shown);
    }
  };
  const leave = (each: UnderWay): void => {
    each.left = true;
    count--;
    ahead -= each.ahead;
  };
  const firstToEnd = (): UnderWay | undefined => {
    while (ends.peek()?.left === true) ends.pop();
    return ends.peek();
  };
  for (;;) {
    beginSome();
    const soonest = firstToEnd();
    if (turns?.isDue() && (stepped || soonest === undefined)) {
      const begun = seconds;
      seconds = turns.prefill(seconds);
      [stepped, besidePrefill] = [false, seconds > begun];
      continue;
    }
    if (soonest === undefined) {
      const each = waiting();
      if (each === undefined) return { seconds, betweenTokens: between / Math.max(1, ended) };
      seconds = Math.max(seconds, each.ready);
      continue;
    }
    const last = count === 1 ? soonest.end : Math.min(soonest.end, lastRound(count, ahead, pages));
    const ready = waiting()?.ready ?? 0;
    const isComing = ready > seconds && count < batchRequests;
    const come = isComing ? round + Math.ceil((ready - seconds) / nextRound()) : Infinity;
    // Where prefill is due already, one round goes before it.
    const until = Math.min(last, come, turns?.isDue() ? round + 1 : Infinity);
    // Of every row its own key comes to those before it.
    const keys = ahead + (count * (round + until + 1)) / 2;
    seconds += (until - round) * roundSeconds(count, keys);
    if (until > round) [stepped, besidePrefill] = [true, false];
    round = until;
    if (until < last) continue;
    if (round < soonest.end) {
      let youngest = underWay.pop()!;
      while (youngest.left) youngest = underWay.pop()!;
      leave(youngest);
      const { since, of, end } = youngest;
      const tokens = youngest.ahead + round;
      turns?.add(pagesOf(tokens));
      back.push({ computed: tokens, rows: end - round, begun: false, ready: 0, since, of });
    } else
      for (let each = firstToEnd(); each !== undefined && each.end <= round; each = firstToEnd()) {
        leave(each);
        ended++;
        between += (seconds - each.since) / each.of;
      }
  }
}

/** Sequences with rows to decode, in the order in which they begin. */
interface Line {
  /** The first of those that have not begun at these seconds. */
  readonly first: (seconds: number) => number | undefined;
  /** The first one has begun. */
  readonly take: () => void;
}

/**
 * Sequences in order of arrival.
 *
 * @param done how many of them, the first ones, are there to begin
 */
function lineInOrder(rows: readonly number[], done: () => number): Line {
  let next = 0;
  return {
    first() {
      const end = done();
      while (next < end && rows[next]! <= 0) next++;
      return next < end ? next : undefined;
    },
    take: () => void next++,
  };
}

/** Of those that are ready the first to arrive, as the scheduler has it; before any is, the one that is ready next. */
function lineAsReady(rows: readonly number[], ready: ArrayLike<number>): Line {
  const coming = rows.flatMap((count, place) => (count > 0 ? [place] : []));
  coming.sort((a, b) => ready[a]! - ready[b]!);
  const there = createHeap<number>((a, b) => a - b);
  let come = 0;
  return {
    first(seconds) {
      while (come < coming.length && ready[coming[come]!]! <= seconds) there.push(coming[come++]!);
      return there.peek() ?? coming[come];
    },
    take: () => void there.pop(),
  };
}

/** Seconds of a round by the rows and keys that all replicas have in it. Steps are linear in keys. */
function roundsOf(
  { stage: { mesh }, stepSeconds }: DecodingStage,
  { step, request, hostPerReplica = false }: HostTimes,
): (count: number, keys: number) => number {
  /** A sequence has its next row when its last has passed all groups; every group has all steps of a round, and so has its host. */
  const ofRound = (count: number, keys: number): number => {
    const running = Math.max(1, count / mesh.dp);
    // The scheduler deals them over steps of as many as are one for each group at most.
    const stepsOfReplica = running / Math.ceil(running / mesh.pp);
    const steps = stepsOfReplica * mesh.dp;
    const [rows, seen] = [count / steps, keys / steps];
    const places = stepSeconds({ tokens: rows, samples: rows, pairs: seen, keys: seen, singleRows: true });
    const preparing = step + request * rows;
    const ofHost = preparing * (hostPerReplica ? stepsOfReplica : steps);
    return Math.max(preparing + sum(places), Math.max(...places) * stepsOfReplica, ofHost);
  };
  const lineOf = once((count: number) => linesInKeys(count, (keys) => [ofRound(count, keys)])[0]!);
  return (count, keys) => {
    const { few, perKey } = lineOf(count);
    return few + (keys - count) * perKey;
  };
}
