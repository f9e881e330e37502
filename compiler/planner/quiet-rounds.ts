/**
 * Rounds of decode in a stage for both phases in which nothing changes but keys: costed as one, by steps with as many keys
 * as in their mean. For `fused-course`, where most rounds are such.
 */
import { groupBy } from '../group-by.js';
import type { HostTimes } from './bounded-plan.js';
import { HELD_UP_BY_SLOWEST } from './estimate-margins.js';
import { movePast, type Replica, type Sequences } from './fused-replica.js';
import type { LineInKeys } from './linear-in-keys.js';

/** What steps take: host times, and seconds by pipeline stage. */
interface Setting {
  readonly overhead: HostTimes;
  /** Seconds of steps with so many rows of decode alone, by pipeline stage. */
  readonly rowsAlone: (count: number) => readonly LineInKeys[];
}

/**
 * Fewer rounds are not worth a look at every sequence; and pipelines that have yet to fill take less for them than
 * later.
 */
const LEAST_ROUNDS = 10;

/**
 * Where all replicas run steps of decode rows alone, moves them on to shortly before the first sequence of any ends.
 * Every host moves on by as much as the replica of its own that moves on least.
 */
export function skipRounds(replicas: readonly Replica[], sequences: Sequences, setting: Setting): void {
  for (const replica of replicas)
    if (!isQuiet(replica) || roundsToSkip(replica, sequences) < LEAST_ROUNDS) return;
  const working = replicas.filter(({ steps }) => steps.length > 0);
  const quiet = [...groupBy(working, ({ host }) => host)].map(
    ([host, own]) => [host, quietRounds(own, sequences, setting)] as const,
  );
  let first = Infinity;
  for (const [, those] of quiet) for (const { seconds } of those) first = Math.min(first, seconds);
  for (const [host, those] of quiet) {
    const moved = those.map(({ replica, most, secondsOf, seconds: all }) => {
      const rounds = all === first ? most : Math.floor((most * first) / all);
      const seconds = secondsOf(rounds);
      if (rounds > 0) movePast(replica, sequences, rounds, seconds);
      return seconds;
    });
    host.prepared += Math.min(...moved);
  }
}

/** Rounds of a replica in which nothing changes but keys. */
interface QuietRounds {
  readonly replica: Replica;
  /** The most rounds of that kind from now on. */
  readonly most: number;
  /** Seconds of so many of them together. */
  readonly secondsOf: (rounds: number) => number;
  /** Seconds of the most. */
  readonly seconds: number;
}

/** The quiet rounds of the replicas of one host. */
function quietRounds(
  replicas: readonly Replica[],
  sequences: Sequences,
  setting: Setting,
): readonly QuietRounds[] {
  const host = replicas.reduce((sum, { steps }) => sum + preparing(steps, setting), 0);
  const atFirst = replicas.map((each) => roundSeconds(each, LEAST_ROUNDS, host, setting));
  const slowest = host > 0 ? Math.max(...atFirst) : 0;
  return replicas.map((replica, index) => {
    const heldUp = Math.max(0, slowest - atFirst[index]!) * HELD_UP_BY_SLOWEST;
    const secondsOf = (rounds: number): number =>
      rounds * (roundSeconds(replica, rounds, host, setting) + heldUp);
    const most = roundsToSkip(replica, sequences);
    return { replica, most, secondsOf, seconds: secondsOf(most) };
  });
}

function preparing(steps: Replica['steps'], { overhead }: Setting): number {
  return steps.reduce((sum, { rows }) => sum + overhead.step + overhead.request * rows, 0);
}

/**
 * Whether all that a replica does is to decode, every sequence has a row in a step in flight, and none of these is its
 * last.
 */
function isQuiet({ prefilling, leaving, arriving, idle, end, steps }: Replica): boolean {
  if (prefilling.length > 0 || leaving !== undefined || arriving.length > 0 || idle < end) return false;
  for (const { lasts, ended } of steps) if (lasts || ended.length > 0) return false;
  return true;
}

/**
 * The most rounds in which nothing changes but keys: sequences have more rows to go, and there are pages for all of
 * them.
 */
function roundsToSkip(replica: Replica, { tokens, last, pageTokens }: Sequences): number {
  const { ring, first, end } = replica;
  if (first === end) return Infinity;
  if (replica.quietSteps === undefined) {
    const mask = ring.length - 1;
    let least = Infinity;
    for (let place = first; place < end; place++) {
      const sequence = ring[place & mask]!;
      const left = last[sequence]! - tokens[sequence]!;
      if (left < least) least = left;
    }
    replica.quietSteps = (least - 1) * replica.steps.length;
  }
  const withPages = (replica.pages / (end - first) - 1) * pageTokens;
  return Math.floor(Math.min(replica.quietSteps / replica.steps.length, withPages));
}

/**
 * Mean seconds of a round, over `rounds` of them. Every group has all steps in a round, a step has to pass all groups
 * before its rows are in the next, and the host prepares those of all its replicas.
 *
 * @param host seconds in which the host prepares the steps of a round
 */
function roundSeconds({ steps, free }: Replica, rounds: number, host: number, setting: Setting): number {
  const { overhead, rowsAlone } = setting;
  let longest = host;
  for (let pp = 0; pp < free.length; pp++) {
    let ofGroup = 0;
    for (const { rows, keys } of steps) ofGroup += secondsAt(rowsAlone(rows)[pp]!, rows, keys, rounds);
    longest = Math.max(longest, ofGroup);
  }
  for (const { rows, keys } of steps) {
    let passing = overhead.step + overhead.request * rows;
    for (const line of rowsAlone(rows)) passing += secondsAt(line, rows, keys, rounds);
    longest = Math.max(longest, passing);
  }
  return longest;
}

/** Mean seconds of a step over the rounds: every row has one key more in every round. */
function secondsAt({ few, perKey }: LineInKeys, rows: number, keys: number, rounds: number): number {
  return few + (keys + (rows * (rounds + 1)) / 2 - rows) * perKey;
}
