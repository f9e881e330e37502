/**
 * Which sequence of the host tier goes to which lane that decodes.
 *
 * The oldest goes first, to the lane with the least load. Where there are several hosts its pages lie with one of them, and
 * lanes beside others get them over the links between hosts, which may be narrow: so it goes to a lane beside its host that
 * has about as much to do. Where there is none, a lane with less gets one of the next sequences that lie beside it, before
 * those that do not. Loads stay alike, as a batch is done when the lane with most of it is.
 */
import { leavesHeadroom } from './headroom.js';
import { leastLoaded } from './lanes.js';
import { isBatchFull, isResident } from './machine.js';
import type { Lane, Machine, PoolReplica } from './machine.js';
import { poolCost } from './prefix.js';
import type { Sequence } from './sequences.js';

/** Part by which a lane beside a sequence's host may have more to do than lanes have in the mean, and a sequence. */
const MORE_LOAD = 0.1;

/** The most sequences that are looked at for one beside a lane: with as many hosts, two of three lanes find one. */
const MOST_LOOKS = 64;

/** A sequence of the host tier, and where it is to decode. */
export interface Incoming {
  readonly sequence: Sequence;
  readonly lane: Lane;
}

/**
 * The next sequence to bring in; undefined where the oldest has no room anywhere.
 *
 * @param mayGo whether a sequence may go there now, before the oldest
 */
export function nextIn(machine: Machine, mayGo: (next: Incoming) => boolean): Incoming | undefined {
  const oldest = machine.onHost.peek();
  if (oldest === undefined) return undefined;
  const open = machine.decoders.filter((lane) => canPageIn(machine, lane, oldest));
  const emptiest = leastLoaded(open, loadOf);
  if (emptiest === undefined) return undefined;
  if (emptiest.pool.hosts === undefined) return { sequence: oldest, lane: emptiest };
  const beside = leastLoaded(
    open.filter(({ pool }) => isBeside(pool, oldest)),
    loadOf,
  );
  if (beside !== undefined && (loadOf(beside) === loadOf(emptiest) || lacksItsShare(machine, beside)))
    return { sequence: oldest, lane: beside };
  // It crosses a link wherever it goes.
  if (!machine.decoders.some(({ pool }) => isBeside(pool, oldest)))
    return { sequence: oldest, lane: emptiest };
  let looks = MOST_LOOKS;
  for (const sequence of machine.onHost.forwards()) {
    if (looks-- === 0) break;
    const next = { sequence, lane: emptiest };
    if (isBeside(emptiest.pool, sequence) && canPageIn(machine, emptiest, sequence) && mayGo(next))
      return next;
  }
  return { sequence: oldest, lane: emptiest };
}

/**
 * Whether a lane has not much more to do than lanes have in the mean (its neighbours will get their own), and, where there are
 * more sequences than a batch has places, less than its share of them: what it had more, others would lack.
 */
function lacksItsShare({ decoders, sequences }: Machine, lane: Lane): boolean {
  const { batchRequests, lanes } = lane.stage;
  const mean = decoders.reduce((sum, each) => sum + loadOf(each), 0) / decoders.length;
  const load = loadOf(lane);
  const mayBe = sequences.size > batchRequests ? Math.ceil(batchRequests / lanes.length) : Infinity;
  if (load > mean * (1 + MORE_LOAD) + 1) return false;
  if (load < mayBe) return true;
  lane.stage.reachedBatch = true;
  return false;
}

/** Sequences that decode there, or are on their way. */
function loadOf({ running, arriving }: Lane): number {
  return running.size + arriving.size;
}

/** Whether a replica is beside a host that the pages of a sequence lie with. */
function isBeside({ hosts }: PoolReplica, { storedBy }: Sequence): boolean {
  return hosts?.some((host) => storedBy?.hosts?.includes(host)) ?? false;
}

/** Whether the lane's batch and pool have room for a sequence from the host tier, its next token included. */
export function canPageIn(machine: Machine, lane: Lane, sequence: Sequence): boolean {
  const { pool, stage } = lane;
  const hasRoom = (): boolean =>
    leavesHeadroom(machine, pool, pool.pages.free() - poolCost(machine, sequence, pool));
  return mayHoldPages(machine, lane) && !isBatchFull(stage, hasRoom) && hasRoom();
}

/**
 * Whether the lane may take pages now. Those that it shares with a stage on the same devices are that stage's as long as
 * prompts wait for it: with pages full of sequences that cannot decode yet, its pipeline would run almost empty.
 */
function mayHoldPages({ counts }: Machine, { pool, stage }: Lane): boolean {
  if (pool.memory.pools.length === 1 || counts.waiting === 0 || isResident(stage)) return true;
  return stage.group.leavingTo === stage;
}
