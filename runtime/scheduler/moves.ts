/** Moves between device pages and host pages. They run beside steps and switches. */
import { firstPageSeen } from '../../compiler/model/kv-window.js';
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
import { nextIn, type Incoming } from './incoming.js';
import { setBatch, setState } from './machine.js';
import type { Machine, PoolReplica } from './machine.js';
import {
  heldPages,
  heldPositions,
  NO_PAGE,
  pagesAt,
  positionsFrom,
  tableFrom,
  withPages,
} from './page-table.js';
import type { PageTable } from './page-table.js';
import { isAwaited, type PageKey } from './pages.js';
import {
  claimCost,
  claimPages,
  decodeSpan,
  findFilled,
  findPages,
  fullKeysAt,
  keysAt,
  publishLoaded,
  publishPages,
  storedPositions,
} from './prefix.js';
import { isHalf } from './sequences.js';
import type { Sequence } from './sequences.js';
import { makeHostRoom } from './tiers.js';
import type { ActionOf } from './types.js';

/** The last prompt token is computed and the first token sampled: decode here, or leave for the host tier. */
export function finishPrefill(machine: Machine, sequence: Sequence): void {
  const { local } = sequence.lane!;
  leaveLane(sequence);
  if (local === undefined) {
    setState(machine, sequence, 'prefilled');
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

/** Puts published host pages in the place of those that a sequence holds to be filled, where these are others. */
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

/**
 * Positions of computed pages that the sequence's host pages do not hold whole yet. Of pages that it holds with others, the
 * first that leaves its devices fills them.
 */
function positionsToLeave(machine: Machine, sequence: Sequence): number[] {
  const { keys, hostPages } = sequence;
  return storedPositions(machine, sequence).filter(
    (position) => position >= keys.length || !machine.host.isWhole(hostPages[position]!),
  );
}

/** What a move in either direction says about the pages of a sequence at `positions`. */
function movedPages(
  sequence: Sequence,
  pool: PoolReplica,
  positions: readonly number[],
): Omit<ActionOf<'page_in'>, 'kind' | 'id'> {
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
  setState(machine, sequence, 'paging_out');
  if (positions.length === 0) {
    finishPageOut(machine, sequence, pool, []);
    return;
  }
  const keys = fullKeysAt(machine, sequence, positions);
  for (const key of keys) machine.host.awaited.add(key);
  machine.host.fill(pagesAt(sequence.hostPages, positions));
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
  sequence.storedBy = pool;
  if (sequence.state === 'gone') forget(machine, sequence);
  else settleOnHost(machine, sequence);
}

/** Brings sequences in from the host tier while there is room, whatever stage is resident: see `nextIn`. */
export function startPageIns(machine: Machine): void {
  const mayGo = (next: Incoming): boolean => !isOnItsWay(pagesIn(machine, next), next);
  for (let next = nextIn(machine, mayGo); next !== undefined; next = nextIn(machine, mayGo)) {
    const { sequence, lane } = next;
    const pages = pagesIn(machine, next);
    if (isOnItsWay(pages, next)) return;
    sequence.lane = lane;
    lane.arriving.add(sequence);
    setBatch(sequence, lane.stage);
    const held = claimPages(lane.pool.pages, pages.found)!;
    hold(sequence, lane.pool, withPages([], pages.wanted, held));
    pageIn(machine, sequence, pages.missing);
  }
}

/** Positions of the pages that a sequence needs where it is to decode, what is there of them, and those that it lacks. */
interface PagesIn {
  readonly wanted: readonly number[];
  readonly found: PageTable;
  readonly missing: readonly number[];
}

function pagesIn(machine: Machine, { sequence, lane }: Incoming): PagesIn {
  const { first, end } = decodeSpan(machine, sequence);
  const wanted = positionsFrom(first, end);
  const found = findFilled(sequence, lane.pool, wanted);
  const stored = sequence.hostPages.length;
  const missing = wanted.filter((position, i) => position < stored && found[i] === NO_PAGE);
  return { wanted, found, missing };
}

/** Whether pages that it lacks are on their way to the devices for another, and soon to be shared. */
function isOnItsWay({ missing }: PagesIn, { sequence, lane }: Incoming): boolean {
  return isAwaited(lane.pool.pages, keysAt(sequence, missing));
}

/** Loads host pages of a sequence into the device pages it holds, those at `positions`. */
export function pageIn(machine: Machine, sequence: Sequence, positions: readonly number[]): void {
  const { pool } = sequence.lane!;
  setState(machine, sequence, 'paging_in');
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
  if (sequence.state === 'gone') {
    forget(machine, sequence);
    return;
  }
  const lane = sequence.lane!;
  if (isHalf(sequence)) {
    // Where prefill hands over through the host tier, pages are held for that.
    if (lane.local === undefined) keepToHandOver(machine, sequence);
    else releaseHostPages(machine, sequence);
    setState(machine, sequence, 'prefill');
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
