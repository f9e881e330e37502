/**
 * The disk tier behind the host tier. The youngest sequences of the host tier that are worth their load are spilled when
 * its pages are wanted, as they are decoded last; the oldest on disk are fetched ahead of need while decode drains the host tier. Both run
 * beside everything else.
 *
 * Where prefill has devices of its own, decode drains the host tier while prompts fill it. As long as the host tier
 * holds what is to be decoded next, room in it is for prompts, and nothing is fetched; once that lies on disk, prompts
 * wait until it is fetched. So no sequence goes to disk twice for want of order, and none stays there for ever.
 *
 * Nothing is lost with the disk: a sequence that cannot be written stays in the host tier and the disk counts as full
 * until some of it is given back; one that cannot be read is computed again. A disk whose loads take longer than
 * computing the tokens again is not used.
 */
import { once } from '../../compiler/once.js';
import { paysToLoad } from './costs.js';
import {
  forget,
  recompute,
  releaseDiskPages,
  releaseHostPages,
  settleOnHost,
  startAction,
} from './holding.js';
import { hostPagesNeeded, openLanes, takesTurns } from './lanes.js';
import { isResident, pagesFor, setState } from './machine.js';
import type { Machine } from './machine.js';
import { isAwaited, type PageKey, type PageList } from './pages.js';
import { heldPages, heldPositions, NO_PAGE, pagesAt, withPages } from './page-table.js';
import type { PageTable } from './page-table.js';
import { claimCost, claimPages, findPages, fullKeysAt, keysAt, publishPages } from './prefix.js';
import { isHalf, youngestFirst } from './sequences.js';
import type { Sequence } from './sequences.js';

/** Share of the host tier that fetches leave free for what decode may have to swap out. */
const FETCH_RESERVE = 1 / 8;

/**
 * Starts spills until as many host pages are free, or about to be, as are wanted. False when there is nothing to wait
 * for: no spill is under way and none can be started.
 *
 * @param stays which must not be spilled for it; when the youngest is one, nothing is
 */
export function makeHostRoom(
  machine: Machine,
  pages: number,
  stays: (sequence: Sequence) => boolean = () => false,
): boolean {
  while (machine.host.free() + machine.spillingPages < pages && spillYoungest(machine, stays));
  return isSpilling(machine);
}

/** Whether a spill is under way, be it one of a sequence that is gone: its pages in the host tier are free after it. */
export function isSpilling({ counts, pending }: Machine): boolean {
  return counts.spilling > 0 || pending.values().some(({ kind }) => kind === 'spill');
}

/**
 * Makes room for the prompts that are handed over. For stages that take turns with decode it is made ahead of them: the
 * more they prefill, the fewer switches. Beside decode, what it takes before all that is on disk, and at least the next,
 * stays in the host tier.
 */
export function startSpills(machine: Machine): void {
  const next = machine.waiting.peek();
  if (next === undefined || machine.config.diskPages === 0) return;
  const lanes = openLanes(machine).filter(({ local }) => local === undefined);
  // The same for all of them until a spill gives pages back at once: then more are free.
  const neededOf = once((_free: number) => hostPagesNeeded(machine, lanes[0]!, next));
  for (const lane of lanes) {
    const needed = neededOf(machine.host.free());
    if (takesTurns(lane.stage)) {
      const { maxTokens, depth } = lane.stage.config;
      const ahead = machine.counts.waiting > 1 ? pagesFor(machine, maxTokens * depth) : 0;
      makeHostRoom(machine, needed + ahead, (sequence) => sequence === next);
    } else if (!isDiskNext(machine)) {
      const last = (machine.onDisk.peek() ?? machine.onHost.peek())?.order ?? -1;
      makeHostRoom(machine, needed, (sequence) => sequence === next || sequence.order <= last);
    }
  }
}

/** Whether the disk tier, had it room, would be written to for sequences as those that came so far. */
export function takesSpills({ config, costs, diskRefused, bestLoad }: Machine): boolean {
  return config.diskPages > 0 && !diskRefused && paysToLoad(costs, 'disk', bestLoad.pages, bestLoad.tokens);
}

function spillYoungest(machine: Machine, stays: (sequence: Sequence) => boolean): boolean {
  const sequence = youngestToSpill(machine, stays);
  if (sequence === undefined) return false;
  const held = heldPositions(sequence.hostPages);
  const found = findKept(machine, sequence, machine.disk, held);
  const positions = held.filter((_, i) => found[i] === NO_PAGE);
  const keys = fullKeysAt(machine, sequence, positions);
  // Pages that are on their way to disk for another are soon to be shared.
  if (isAwaited(machine.disk, keys)) return false;
  const claimed = claimPages(machine.disk, found);
  if (claimed === undefined) return false;
  sequence.diskPages = withPages([], held, claimed);
  setState(machine, sequence, 'spilling');
  if (positions.length === 0) {
    finishSpill(machine, sequence, [], false);
    return true;
  }
  const frees = heldPages(sequence.hostPages).filter((page) => machine.host.holders(page) === 1).length;
  machine.spillingPages += frees;
  machine.spills++;
  for (const key of keys) machine.disk.awaited.add(key);
  machine.out.push({
    kind: 'spill',
    id: startAction(machine, { kind: 'spill', sequence, keys, frees }),
    sequence: sequence.id,
    hostPages: pagesAt(sequence.hostPages, positions),
    diskPages: pagesAt(sequence.diskPages, positions),
    positions,
  });
  return true;
}

/** The youngest in the host tier that is worth its load from disk; those that are not stay where they are. */
function youngestToSpill(machine: Machine, stays: (sequence: Sequence) => boolean): Sequence | undefined {
  if (machine.config.diskPages === 0 || machine.diskRefused) return undefined;
  for (const sequence of youngestFirst(machine.onHost, machine.halves)) {
    if (stays(sequence)) return undefined;
    if (paysFromDisk(machine, sequence)) return sequence;
    // Where not even what pays best is worth it, nothing is.
    if (!takesSpills(machine)) return undefined;
  }
  return undefined;
}

/** Counts a sequence that does not pay once for every state that it comes into. */
function paysFromDisk(machine: Machine, sequence: Sequence): boolean {
  const pages = Math.max(heldPages(sequence.hostPages).length, heldPages(sequence.diskPages).length);
  if (paysToLoad(machine.costs, 'disk', pages, sequence.computed)) return true;
  if (sequence.passedOver !== sequence.stay) machine.passedOver.disk++;
  sequence.passedOver = sequence.stay;
  return false;
}

/** The pages of a sequence in a tier for each position, of those whose tokens are all computed. */
function findKept(
  { config }: Machine,
  sequence: Sequence,
  list: PageList,
  positions: readonly number[],
): PageTable {
  const full = Math.floor(sequence.computed / config.pageTokens);
  const found = findPages(sequence, list, positions);
  return found.map((page, i) => (positions[i]! < full ? page : NO_PAGE));
}

function diskPagesHeld({ disk }: Machine): number {
  return disk.total - disk.free();
}

export function finishSpill(
  machine: Machine,
  sequence: Sequence,
  keys: readonly PageKey[],
  failed: boolean,
): void {
  for (const key of keys) machine.disk.awaited.delete(key);
  if (failed) {
    machine.failedSpills++;
    releaseDiskPages(machine, sequence);
    machine.diskRefused = true;
    machine.diskRoom = diskPagesHeld(machine);
  } else machine.diskRoom = Math.max(machine.diskRoom, diskPagesHeld(machine));
  if (sequence.state === 'gone') {
    forget(machine, sequence);
    return;
  }
  if (failed) {
    settleOnHost(machine, sequence);
    return;
  }
  publishPages(machine, sequence, machine.disk, sequence.diskPages, sequence.computed);
  releaseHostPages(machine, sequence);
  if (isHalf(sequence)) {
    setState(machine, sequence, 'waiting');
    machine.waiting.insert(sequence);
    return;
  }
  setState(machine, sequence, 'on_disk');
  machine.onDisk.insert(sequence);
}

/** Whether the oldest on disk is decoded before all that are in the host tier. */
export function isDiskNext({ onDisk, onHost }: Machine): boolean {
  const [stored, ready] = [onDisk.peek(), onHost.peek()];
  return stored !== undefined && (ready === undefined || stored.order < ready.order);
}

/** Whether room in the host tier is rather for prompts that are prefilled beside decode. */
function isForPrompts(machine: Machine): boolean {
  const beside = machine.stages.some(
    (stage) => stage.prefills && !takesTurns(stage) && stage.lanes.some(({ local }) => local === undefined),
  );
  return beside && machine.counts.waiting > 0 && !isDiskNext(machine);
}

/** Fetches the oldest sequences on disk while decode is, or is about to be, on the devices and the host has room. */
export function startFetches(machine: Machine): void {
  if (machine.onDisk.peek() === undefined) return;
  const decodes = machine.stages.some(
    (stage) => stage.decodes && (isResident(stage) || stage.group.leavingTo === stage),
  );
  // What was preempted waits for the same room, and holds device pages meanwhile.
  if (!decodes || machine.counts.preempted > 0 || isForPrompts(machine)) return;
  for (let next = machine.onDisk.peek(); next !== undefined; next = machine.onDisk.peek()) {
    const isWanted = machine.counts.on_host + machine.counts.fetching === 0;
    const reserve = isWanted ? 0 : Math.floor(machine.host.total * FETCH_RESERVE);
    if (!hasHostRoom(machine, next, reserve) && isWanted && !isMoving(machine)) dropHalves(machine, next);
    if (!hasHostRoom(machine, next, reserve)) return;
    // Pages that are on their way from disk for another are soon to be shared.
    if (isAwaited(machine.host, keysAt(next, heldPositions(next.diskPages)))) return;
    machine.onDisk.shift();
    if (!bringBack(machine, next)) recompute(machine, next);
  }
}

/** Whether the host tier has free pages for a sequence on disk, and a reserve beside them. */
function hasHostRoom(machine: Machine, sequence: Sequence, reserve: number): boolean {
  const found = findKept(machine, sequence, machine.host, heldPositions(sequence.diskPages));
  return claimCost(machine.host, found) + reserve <= machine.host.free();
}

/** Whether host pages may become free by what is in flight. */
function isMoving({ counts }: Machine): boolean {
  return counts.paging_in + counts.spilling + counts.prefilled + counts.paging_out > 0;
}

/** The KV of half sequences gives way to a sequence that could decode if it were in the host tier. */
function dropHalves(machine: Machine, wanted: Sequence): void {
  while (!hasHostRoom(machine, wanted, 0)) {
    const half = machine.halves.pop();
    if (half === undefined) return;
    machine.dropped++;
    recompute(machine, half);
  }
}

/** Starts to fetch a sequence; false when it is quicker to compute it again or the host tier has no room. */
export function bringBack(machine: Machine, sequence: Sequence): boolean {
  if (!paysFromDisk(machine, sequence)) return false;
  if (fetchPages(machine, sequence)) return true;
  machine.dropped++;
  return false;
}

/** Starts to fetch what a sequence has on disk; false, and nothing, with too few free pages in the host tier. */
export function fetchPages(machine: Machine, sequence: Sequence): boolean {
  const held = heldPositions(sequence.diskPages);
  const found = findKept(machine, sequence, machine.host, held);
  const claimed = claimPages(machine.host, found);
  if (claimed === undefined) return false;
  sequence.hostPages = withPages([], held, claimed);
  setState(machine, sequence, 'fetching');
  const positions = held.filter((_, i) => found[i] === NO_PAGE);
  if (positions.length === 0) {
    finishFetch(machine, sequence, [], false);
    return true;
  }
  machine.fetches++;
  const keys = keysAt(sequence, positions);
  for (const key of keys) machine.host.awaited.add(key);
  machine.host.fill(pagesAt(sequence.hostPages, positions));
  machine.out.push({
    kind: 'fetch',
    id: startAction(machine, { kind: 'fetch', sequence, keys }),
    sequence: sequence.id,
    diskPages: pagesAt(sequence.diskPages, positions),
    hostPages: pagesAt(sequence.hostPages, positions),
    positions,
  });
  return true;
}

export function finishFetch(
  machine: Machine,
  sequence: Sequence,
  keys: readonly PageKey[],
  failed: boolean,
): void {
  for (const key of keys) machine.host.awaited.delete(key);
  if (failed) {
    machine.failedFetches++;
    for (const page of heldPages(sequence.diskPages)) machine.disk.withdraw(page);
  } else publishPages(machine, sequence, machine.host, sequence.hostPages, sequence.computed);
  releaseDiskPages(machine, sequence);
  if (sequence.state === 'gone') forget(machine, sequence);
  else if (failed) recompute(machine, sequence);
  else settleOnHost(machine, sequence);
}
