/** Moves between device pages and host pages. They run beside steps and switches. */
import { firstPageSeen } from '../../compiler/model/kv-window.js';
import { leavesHeadroom } from './headroom.js';
import {
  forget,
  hold,
  leaveLane,
  recompute,
  releaseDevicePages,
  releaseHostPages,
  settleOnHost,
  startAction,
  startDecode,
} from './holding.js';
import { leastLoaded } from './lanes.js';
import { isResident, setBatch, setPlace } from './machine.js';
import type { Lane, Machine, PoolReplica } from './machine.js';
import {
  heldPages,
  heldPositions,
  NO_PAGE,
  pagesAt,
  positionsFrom,
  tableFrom,
  withPages,
} from './page-table.js';
import type { PageKey, PageList } from './pages.js';
import {
  claimCost,
  claimPages,
  decodeSpan,
  findFilled,
  findPages,
  keysAt,
  poolCost,
  publishLoaded,
  publishPages,
  storedPositions,
} from './prefix.js';
import { isHalf } from './sequences.js';
import type { Sequence } from './sequences.js';
import { makeHostRoom } from './tiers.js';
import type { Action } from './types.js';

/** The last prompt token is computed and the first token sampled: decode here, or leave for the host tier. */
export function finishPrefill(machine: Machine, sequence: Sequence): void {
  const { local } = sequence.lane!;
  leaveLane(sequence);
  if (local === undefined) {
    setPlace(machine, sequence, 'prefilled');
    machine.prefilled.insert(sequence);
    return;
  }
  sequence.lane = local;
  startDecode(machine, local, sequence);
}

/**
 * Starts every move to the host tier that is due. Hand-overs hold their host pages already; preempted sequences take
 * them now, wait for what is being spilled, or lose their KV when no tier has room.
 */
export function startPageOuts(machine: Machine): void {
  for (let next = machine.prefilled.peek(); next !== undefined; next = machine.prefilled.peek()) {
    shareHostPages(machine, next);
    // Pages that are on their way to the host tier for another are soon to be shared.
    if (isAwaited(machine.host, keysAt(next, positionsToLeave(machine, next)))) break;
    machine.prefilled.shift();
    next.lane!.pool.memory.leaving++;
    pageOut(machine, next);
  }
  for (let next = machine.preempted.peek(); next !== undefined; next = machine.preempted.peek()) {
    const positions = storedPositions(machine, next);
    let found = findPages(next, machine.host, positions);
    let pages = claimPages(machine.host, found);
    if (pages === undefined) {
      if (makeHostRoom(machine, claimCost(machine.host, found))) return;
      // What went to disk was there already.
      found = findPages(next, machine.host, positions);
      pages = claimPages(machine.host, found);
    }
    machine.preempted.shift();
    if (pages === undefined) {
      next.lane!.pool.memory.leaving--;
      machine.dropped++;
      recompute(machine, next);
      continue;
    }
    next.hostPages = withPages([], positions, pages);
    machine.swapped++;
    pageOut(machine, next);
  }
}

/** Puts published host pages in the place of those that a sequence holds to be filled. */
function shareHostPages(machine: Machine, sequence: Sequence): void {
  const { host } = machine;
  for (const position of heldPositions(sequence.hostPages)) {
    const own = sequence.hostPages[position]!;
    const page = position < sequence.keys.length ? host.find(sequence.keys[position]!) : undefined;
    if (page === undefined || page === own) continue;
    host.share([page]);
    host.give([own]);
    sequence.hostPages = withPages(sequence.hostPages, [position], [page]);
  }
}

/** Positions of computed pages that the sequence's host pages do not hold yet, or hold for it alone. */
function positionsToLeave(machine: Machine, sequence: Sequence): number[] {
  const { keys, hostPages } = sequence;
  return storedPositions(machine, sequence).filter(
    (position) => position >= keys.length || machine.host.find(keys[position]!) !== hostPages[position],
  );
}

function isAwaited(list: PageList, keys: readonly PageKey[]): boolean {
  return keys.some((key) => list.awaited.has(key));
}

/** What a move in either direction says about the pages of a sequence at `positions`. */
function movedPages(
  sequence: Sequence,
  pool: PoolReplica,
  positions: readonly number[],
): Omit<Extract<Action, { kind: 'page_in' }>, 'kind' | 'id'> {
  return {
    sequence: sequence.id,
    pool: pool.pool,
    replica: pool.replica,
    pages: pagesAt(sequence.pages, positions),
    hostPages: pagesAt(sequence.hostPages, positions),
    positions,
  };
}

function pageOut(machine: Machine, sequence: Sequence): void {
  const { pool } = sequence.lane!;
  const positions = positionsToLeave(machine, sequence);
  setPlace(machine, sequence, 'paging_out');
  if (positions.length === 0) {
    finishPageOut(machine, sequence, pool, []);
    return;
  }
  const keys = keysAt(sequence, positions);
  for (const key of keys) machine.host.awaited.add(key);
  const id = startAction(machine, { kind: 'page_out', sequence, pool, keys });
  machine.out.push({ kind: 'page_out', id, ...movedPages(sequence, pool, positions) });
}

export function finishPageOut(
  machine: Machine,
  sequence: Sequence,
  pool: PoolReplica,
  keys: readonly PageKey[],
): void {
  for (const key of keys) machine.host.awaited.delete(key);
  publishPages(machine, sequence, machine.host, sequence.hostPages, sequence.computed);
  pool.memory.leaving--;
  releaseDevicePages(sequence, pool);
  sequence.lane = undefined;
  if (sequence.place === 'gone') forget(machine, sequence);
  else settleOnHost(machine, sequence);
}

/** Whether the lane's batch and pool have room for a sequence from the host tier, its next token included. */
export function canPageIn(machine: Machine, lane: Lane, sequence: Sequence): boolean {
  const { pool, stage } = lane;
  if (stage.members >= stage.batchRequests || !mayHoldPages(machine, lane)) return false;
  return leavesHeadroom(machine, pool, pool.pages.free() - poolCost(machine, sequence, pool));
}

/**
 * Whether the lane may take pages now. Those that it shares with a stage on the same devices are that stage's as long as
 * prompts wait for it: with pages full of sequences that cannot decode yet, its pipeline would run almost empty.
 */
function mayHoldPages({ counts }: Machine, { pool, stage }: Lane): boolean {
  if (pool.memory.pools.length === 1 || counts.waiting === 0 || isResident(stage)) return true;
  return stage.group.leavingTo === stage;
}

/** Brings sequences in from the host tier while there is room, oldest first, whatever stage is resident. */
export function startPageIns(machine: Machine): void {
  if (machine.onHost.peek() === undefined) return;
  for (let sequence = machine.onHost.peek(); sequence !== undefined; sequence = machine.onHost.peek()) {
    const candidate = sequence;
    const lane = leastLoaded(
      machine.decoders.filter((each) => canPageIn(machine, each, candidate)),
      (each) => each.running.size + each.arriving.size,
    );
    if (lane === undefined) return;
    const { pages } = lane.pool;
    const { first, end } = decodeSpan(machine, sequence);
    const wanted = positionsFrom(first, end);
    const found = findFilled(sequence, lane.pool, wanted);
    const stored = sequence.hostPages.length;
    const positions = wanted.filter((position, i) => position < stored && found[i] === NO_PAGE);
    // Pages that are on their way to the devices for another are soon to be shared.
    if (isAwaited(pages, keysAt(sequence, positions))) return;
    machine.onHost.shift();
    sequence.lane = lane;
    lane.arriving.add(sequence);
    setBatch(sequence, lane.stage);
    hold(sequence, lane.pool, withPages([], wanted, claimPages(pages, found)!));
    pageIn(machine, sequence, positions);
  }
}

/** Loads host pages of a sequence into the device pages it holds, those at `positions`. */
export function pageIn(machine: Machine, sequence: Sequence, positions: readonly number[]): void {
  const { pool } = sequence.lane!;
  setPlace(machine, sequence, 'paging_in');
  if (positions.length === 0) {
    finishPageIn(machine, sequence, []);
    return;
  }
  const keys = keysAt(sequence, positions);
  for (const key of keys) pool.pages.awaited.add(key);
  const id = startAction(machine, { kind: 'page_in', sequence, keys });
  machine.out.push({ kind: 'page_in', id, ...movedPages(sequence, pool, positions) });
}

export function finishPageIn(machine: Machine, sequence: Sequence, keys: readonly PageKey[]): void {
  const { pool } = sequence.lane!;
  for (const key of keys) pool.pages.awaited.delete(key);
  publishLoaded(machine, sequence, pool, sequence.computed);
  if (sequence.place === 'gone') {
    forget(machine, sequence);
    return;
  }
  const lane = sequence.lane!;
  if (isHalf(sequence)) {
    // Where prefill hands over through the host tier, pages are held for that.
    if (lane.local === undefined) keepToHandOver(machine, sequence);
    else releaseHostPages(machine, sequence);
    setPlace(machine, sequence, 'prefill');
    return;
  }
  releaseHostPages(machine, sequence);
  lane.arriving.delete(sequence);
  startDecode(machine, lane, sequence);
}

/** Gives up the host pages of which decode will see nothing. */
function keepToHandOver(machine: Machine, sequence: Sequence): void {
  const first = firstPageSeen(machine.config, sequence.target);
  const { hostPages } = sequence;
  machine.host.give(heldPages(hostPages.slice(0, first)));
  sequence.hostPages = tableFrom(first, hostPages.slice(first));
}
