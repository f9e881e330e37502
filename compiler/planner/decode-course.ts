/**
 * A course is an event-driven estimate: it goes from one event to the next, such as the end of a step or of a sequence,
 * and costs what lies between. No bound.
 *
 * This is that of decode, round by round, where sequences begin in order of arrival: how many are under way at once, as
 * far as batch and KV room let them, and what their rounds take. In a round each that is under way has one row.
 *
 * From one that begins or ends to the next nothing changes but keys, so that the rounds in between are costed as one, by a
 * step with as many keys as in their mean. Where pages run out the one that came last goes back, as the scheduler has it.
 * Pages are counted as if sequences were spread evenly over what a page holds: a half of each last one is free.
 *
 * Steps of prefill that the host of decode prepares as well are carried out in between: whoever asks first goes first.
 */
import { newHost, prepare } from '../cost/host-queue.js';
import { once } from '../once.js';
import type { Stage } from '../plan/plan.js';
import { createHeap } from '../reshard/heap.js';
import type { HostTimes } from './bounded-plan.js';
import type { CourseSetting } from './course-setting.js';
import { SHOWN_MOVES } from './estimate-margins.js';
import { linesInKeys } from './linear-in-keys.js';
import type { PromptCourse } from './prompt-course.js';
import { createPromptTurns, type TurnSetting } from './prompt-turns.js';
import type { PromptsBeside } from './prompts-beside.js';
import { sum, type StageLoad } from './stage-load.js';

/**
 * The part of `StageLoad` that estimating decode needs: the cost of a step, seconds per page from the host tier, mesh
 * and batch.
 */
export interface DecodingStage extends Pick<StageLoad, 'stepSeconds' | 'in'> {
  readonly stage: Pick<Stage, 'mesh' | 'batchRequests'>;
}

/** How sequences come to decode. */
export type Arrival =
  /** From a stage on devices of its own. */
  | ({ readonly kind: 'beside' } & PromptsBeside)
  /** From a stage on the same devices, with which decode takes turns. */
  | ({ readonly kind: 'alternating' } & Pick<PromptCourse, 'shown'> & TurnSetting);

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
 * @param arrival by default all sequences are there at once, with their first tokens
 * @param host which prepares the steps
 */
export function decodeCourse(
  load: DecodingStage,
  { room, sequences, kv: { pageTokens }, overhead, copyEngines }: CourseSetting,
  arrival?: Arrival,
  host = newHost(),
): CourseFigures {
  const { mesh, batchRequests } = load.stage;
  const { computed, begun, prompts, rows } = sequences;
  const turns =
    arrival?.kind === 'alternating' ? createPromptTurns(sequences, pageTokens, arrival) : undefined;
  const beside = arrival?.kind === 'beside' ? arrival : undefined;
  const pages = room * mesh.dp;
  const pageSeconds = Math.max(...load.in) / mesh.dp;
  const shown = copyEngines ? 0 : SHOWN_MOVES;
  /** For pages that come in beside the last steps of a turn of prefill, before any step of decode. */
  const shownAtTurn = arrival?.kind === 'alternating' ? arrival.shown : shown;
  const { roundSeconds, stepsOfRound } = roundsOf(load, overhead);
  const ends = createHeap<UnderWay>((a, b) => a.end - b.end);
  /** In the order in which they began; some of them have ended. */
  const underWay: UnderWay[] = [];
  /** Sent back, the one that goes on first at the end. */
  const back: Waiting[] = [];
  const others = beside?.steps;
  const line = beside
    ? lineAsReady(rows, beside.ready, (index) => others === undefined || prompts[index]! <= 0)
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
  /** When each step of decode in flight asks the host for the next one, by seconds from now, in order. */
  let asks: readonly number[] = [];
  /** When the host has prepared the last step of prefill that it was asked for. */
  let prefillPrepared = 0;
  const nextOfOthers = (): number => others?.asks() ?? Infinity;
  const prefillStep = (): void => {
    line.add(others!.goOn());
    prefillPrepared = host.prepared;
  };
  /** Runs a round in which the host prepares steps of prefill as well. */
  const shareHost = (keys: number): void => {
    const { steps, preparing, passing, filling } = stepsOfRound(count, keys);
    const began = Array.from({ length: steps }, (_, step) => seconds + (asks[step] ?? 0));
    const ended = began
      .sort((a, b) => a - b)
      .map((asked) => {
        while (nextOfOthers() <= asked) prefillStep();
        return Math.max(prepare(host, asked, preparing) + passing, asked + filling);
      });
    seconds = sum(ended) / steps;
    asks = ended.map((each) => each - seconds);
  };
  for (;;) {
    const asked = seconds + (asks[0] ?? 0);
    while (nextOfOthers() <= asked) prefillStep();
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
      const next = nextOfOthers();
      asks = [];
      if (next < Infinity && next <= (each?.ready ?? Infinity)) prefillStep();
      else if (each === undefined) return { seconds, betweenTokens: between / Math.max(1, ended) };
      else seconds = Math.max(seconds, each.ready);
      continue;
    }
    const last = count === 1 ? soonest.end : Math.min(soonest.end, lastRound(count, ahead, pages));
    const ready = waiting()?.ready ?? 0;
    const isComing = ready > seconds && count < batchRequests;
    const come = isComing ? round + Math.ceil((ready - seconds) / nextRound()) : Infinity;
    // Rounds for which the host has nothing else to prepare.
    const undisturbed = prefillPrepared > asked ? 0 : Math.floor((nextOfOthers() - seconds) / nextRound());
    // Where prefill is due already, one round goes before it.
    const most = turns?.isDue() ? 1 : Math.max(1, undisturbed);
    const until = Math.min(last, come, round + most);
    // Of every row its own key comes to those before it.
    const keys = ahead + (count * (round + until + 1)) / 2;
    if (undisturbed < 1 && until > round) shareHost(keys);
    else seconds += (until - round) * roundSeconds(count, keys);
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
  /** More of them are known. */
  readonly add: (indices: readonly number[]) => void;
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
    add: () => undefined,
  };
}

/**
 * Of those that are ready the first to arrive, as the scheduler has it; before any is, the one that is ready next.
 *
 * @param isKnown of which sequences it is known from the beginning when they are ready
 */
function lineAsReady(
  rows: readonly number[],
  ready: ArrayLike<number>,
  isKnown: (index: number) => boolean,
): Line {
  const coming = createHeap<number>((a, b) => ready[a]! - ready[b]! || a - b);
  const there = createHeap<number>((a, b) => a - b);
  const add = (index: number): void => {
    if (rows[index]! > 0) coming.push(index);
  };
  for (let index = 0; index < rows.length; index++) if (isKnown(index)) add(index);
  return {
    first(seconds) {
      for (let next = coming.peek(); next !== undefined && ready[next]! <= seconds; next = coming.peek()) {
        there.push(next);
        coming.pop();
      }
      return there.peek() ?? coming.peek();
    },
    take: () => void there.pop(),
    add: (indices) => indices.forEach(add),
  };
}

/** What rounds of decode take, by the rows and keys that all replicas have in them. Steps are linear in keys. */
interface Rounds {
  readonly roundSeconds: (count: number, keys: number) => number;
  readonly stepsOfRound: (count: number, keys: number) => StepsOfRound;
}

interface StepsOfRound {
  /** How many a host prepares. */
  readonly steps: number;
  /** Seconds of the host for each. */
  readonly preparing: number;
  /** Seconds in which a step passes all groups. */
  readonly passing: number;
  /** Seconds in which a group runs all steps of its replica. */
  readonly filling: number;
}

function roundsOf(
  { stage: { mesh }, stepSeconds }: DecodingStage,
  { step, request, hostPerReplica = false }: HostTimes,
): Rounds {
  /** Steps of a replica, of all, and those that a host prepares: the scheduler deals rows over one for each group at most. */
  const stepsOf = (count: number) => {
    const replicas = replicasWithAny(count, mesh.dp);
    const running = count / replicas;
    const ofReplica = stepsFor(running, mesh.pp);
    const all = ofReplica * replicas;
    return {
      ofReplica,
      all,
      ofHost: hostPerReplica ? ofReplica : all,
      preparing: step + (request * count) / all,
    };
  };
  /** A sequence has its next row when its last has passed all groups; every group has all steps of a round, and so has its host. */
  const linesOf = once((count: number) => {
    const { ofReplica, all, ofHost, preparing } = stepsOf(count);
    return linesInKeys(count, (keys) => {
      const [rows, seen] = [count / all, keys / all];
      const groups = stepSeconds({ tokens: rows, samples: rows, pairs: seen, keys: seen, singleRows: true });
      const [passing, filling] = [sum(groups), Math.max(...groups) * ofReplica];
      return [Math.max(preparing + passing, filling, preparing * ofHost), passing, filling];
    });
  });
  const secondsBy = (count: number, keys: number, which: number): number => {
    const { few, perKey } = linesOf(count)[which]!;
    return few + (keys - count) * perKey;
  };
  return {
    roundSeconds: (count, keys) => secondsBy(count, keys, 0),
    stepsOfRound(count, keys) {
      const { ofHost, preparing } = stepsOf(count);
      const steps = Math.max(1, Math.round(ofHost));
      const [passing, filling] = [secondsBy(count, keys, 1), secondsBy(count, keys, 2)];
      return { steps, preparing: (preparing * ofHost) / steps, passing, filling };
    },
  };
}

/** Steps that so many rows of a replica make, in the mean: as many rows in each as deal them over one for each group at most. */
function stepsFor(rows: number, pp: number): number {
  const few = Math.floor(rows);
  const stepsOf = (count: number): number => count / Math.ceil(count / pp);
  return rows === few ? stepsOf(few) : stepsOf(few) + (rows - few) * (stepsOf(few + 1) - stepsOf(few));
}

/**
 * Replicas that have any of so many sequences, in the mean over all ways to deal these out: where few are left some replicas
 * are done.
 */
function replicasWithAny(count: number, dp: number): number {
  // By rounding it may be a little more than one for a single sequence.
  return Math.min(count, dp * (1 - (1 - 1 / dp) ** count));
}
