/**
 * Letting waiting sequences into prefill.
 *
 * Every sequence let in can run alone, so the oldest always gets on. Pages in the host tier for a hand-over are held
 * from admission on, so a finished prefill never waits for room and cannot lock the pool it sits in; sequences that begin
 * alike hold those of the beginning together. A half sequence
 * brings its KV back in from the host tier and goes on behind it. What a new one has on disk alone is fetched before it is
 * let in, and those behind it are let in meanwhile.
 */
import { firstPageSeen } from '../../compiler/model/kv-window.js';
import { once } from '../../compiler/once.js';
import { paysToLoad } from './costs.js';
import { fetchPrefix } from './disk-prefix.js';
import { leavesHeadroom } from './headroom.js';
import { hold, recompute } from './holding.js';
import {
  hostPagesNeeded,
  leastLoaded,
  openLanes,
  positionsToHandOver,
  takesTurns,
  unscheduledTokens,
} from './lanes.js';
import { isBatchFull, pagesFor, setBatch, setState } from './machine.js';
import type { Lane, Machine, StageState } from './machine.js';
import { pageIn } from './moves.js';
import { NO_PAGE, positionsFrom, tableFrom, union, withPages } from './page-table.js';
import {
  claimCost,
  claimPages,
  devicePrefix,
  findPages,
  promisePages,
  runEnd,
  tierPrefix,
} from './prefix.js';
import type { PageRun } from './prefix.js';
import { knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';
import { bringBack, isDiskNext } from './tiers.js';
import { pagesEnd } from './windows.js';

/** What is looked up of a waiting sequence to let it in: once, though many lanes ask, as long as nothing changes. */
interface Lookup {
  /** Free host pages that it uses up on a lane that hands it over: on each as many. */
  readonly hostPages: (lane: Lane) => number;
  /** Pages of its beginning that are on the lane's devices. */
  readonly prefixOn: (lane: Lane) => PageRun;
}

function lookupOf(machine: Machine, sequence: Sequence): Lookup {
  let needed: number | undefined;
  return {
    hostPages: (lane) => (needed ??= hostPagesNeeded(machine, lane, sequence)),
    prefixOn: once((lane) => devicePrefix(machine, lane, sequence)),
  };
}

/** Whether the waiting sequence's pages, on the device and in the host tier, are there to be had. */
export function canPlace(
  machine: Machine,
  lane: Lane,
  sequence: Sequence,
  lookup = lookupOf(machine, sequence),
): boolean {
  const { local } = lane;
  const hasRoom = (): boolean => findsPages(machine, lane, sequence, lookup.prefixOn(lane));
  if (local === undefined) {
    // What was preempted waits for host pages too, and holds device pages meanwhile.
    if (machine.counts.preempted > 0) return false;
    if (lookup.hostPages(lane) > machine.host.free()) return false;
    if (!takesTurns(lane.stage) && isOlder(machine.onDisk.peek(), sequence) && isDiskNext(machine))
      return false;
  } else {
    if (isOlder(machine.onHost.peek(), sequence) || isOlder(machine.onDisk.peek(), sequence)) return false;
    if (isBatchFull(local.stage, hasRoom)) return false;
  }
  return hasRoom();
}

/** Whether the lane's pool has room for what a waiting sequence is let in with; others may decode in it as well. */
function findsPages(machine: Machine, lane: Lane, sequence: Sequence, prefix: PageRun): boolean {
  const pages = placementCost(lane, placementOf(machine, lane, sequence, prefix, sequence.computed));
  return leavesHeadroom(machine, lane.pool, lane.pool.pages.free() - pages);
}

function isOlder(other: Sequence | undefined, sequence: Sequence): boolean {
  return other !== undefined && other.order < sequence.order;
}

/** Whether the lane has prompt tokens for its pipeline's next steps already, so that later prompts can wait. */
function isSupplied(lane: Lane): boolean {
  return unscheduledTokens(lane) >= lane.stage.config.maxTokens * lane.stage.config.depth;
}

/** Lets waiting sequences into prefill, in order of arrival, each on the least loaded lane that can take it. */
export function admit(machine: Machine): void {
  if (machine.waiting.peek() === undefined) return;
  const lanes = openLanes(machine);
  for (;;) {
    const sequence = machine.waiting.peek();
    if (sequence === undefined) return;
    const lookup = lookupOf(machine, sequence);
    const { prefixOn } = lookup;
    const lane = leastLoaded(
      lanes.filter((candidate) => !isSupplied(candidate) && canPlace(machine, candidate, sequence, lookup)),
      (candidate) =>
        candidate.local === undefined
          ? unscheduledTokens(candidate) + tokensToCompute(machine, sequence, prefixOn(candidate))
          : candidate.local.running.size + candidate.prefilling.length + candidate.local.arriving.size,
    );
    if (lane === undefined) return;
    const prefix = prefixOn(lane);
    const fetching = fetchPrefix(machine, lane, sequence, prefix);
    if (fetching === 'awaited') return;
    if (fetching === 'started') continue;
    machine.waiting.shift();
    if (sequence.diskPages.length > 0) {
      if (!bringBack(machine, sequence)) recompute(machine, sequence);
      continue;
    }
    letIn(machine, lane, sequence, prefix);
  }
}

function tokensToCompute(machine: Machine, sequence: Sequence, prefix: PageRun): number {
  return knownTokens(sequence) - Math.max(sequence.computed, runEnd(prefix) * machine.config.pageTokens);
}

/** Where a sequence comes to lie on the devices. */
interface Placement {
  /** Position of its first page there. */
  readonly first: number;
  /** Pages that are there already, from the first on. */
  readonly found: readonly number[];
  /** Position of the first that is not there, and where its pages end. */
  readonly missing: number;
  readonly end: number;
}

/** Free pages that are used up. */
function placementCost({ pool }: Lane, { found, missing, end }: Placement): number {
  return claimCost(pool.pages, found) + end - missing;
}

/**
 * The pages that a sequence is let in with.
 *
 * @param prefix what of it is on the devices
 * @param stored tokens of it whose KV the host tier has
 */
function placementOf(
  machine: Machine,
  lane: Lane,
  sequence: Sequence,
  prefix: PageRun,
  stored: number,
): Placement {
  const next = Math.max(stored, runEnd(prefix) * machine.config.pageTokens);
  const first = firstPageSeen(machine.config, next);
  const found = prefix.pages.slice(first - prefix.first);
  const end = pagesEnd(machine, lane, next, knownTokens(sequence));
  return { first, found, missing: first + found.length, end };
}

function letIn(machine: Machine, lane: Lane, sequence: Sequence, prefix: PageRun): void {
  sequence.target = knownTokens(sequence);
  sequence.lane = lane;
  const isKept = sequence.hostPages.length > 0;
  const stored = isKept ? sequence.computed : tokensToLoad(machine, lane, sequence, prefix);
  const { first, found, missing, end } = placementOf(machine, lane, sequence, prefix, stored);
  const loads = positionsFrom(missing, pagesFor(machine, stored));
  const pages = [...found, ...Array<number>(end - missing).fill(NO_PAGE)];
  hold(sequence, lane.pool, tableFrom(first, claimPages(lane.pool.pages, pages)!));
  if (lane.local !== undefined) setBatch(sequence, lane.local.stage);
  insertByArrival(lane.prefilling, sequence);
  const handedOver = positionsToHandOver(machine, lane, sequence);
  const onHost = isKept ? handedOver : union(loads, handedOver);
  const claimed = claimPages(machine.host, findPages(sequence, machine.host.claims, onHost))!;
  sequence.hostPages = withPages(sequence.hostPages, onHost, claimed);
  promisePages(machine, sequence, handedOver);
  const onDevice = runEnd(prefix) * machine.config.pageTokens;
  if (sequence.computed === 0 && stored > 0) {
    sequence.computed = stored;
    sequence.loaded.host = stored - onDevice;
  }
  sequence.scheduled = Math.max(sequence.computed, onDevice);
  if (stored > 0) pageIn(machine, sequence, loads);
  else setState(machine, sequence, 'prefill');
}

/**
 * Tokens at the start of a new sequence that the host tier holds, where it holds more of them than the devices and loading
 * these pays.
 */
function tokensToLoad(machine: Machine, lane: Lane, sequence: Sequence, prefix: PageRun): number {
  const { pool } = lane;
  const { pageTokens } = machine.config;
  const onHost = tierPrefix(machine, sequence, 'host');
  const tokens = (runEnd(onHost) - runEnd(prefix)) * pageTokens;
  if (tokens <= 0 || prefix.pages.some((page) => pool.writing.has(page))) return 0;
  const placement = placementOf(machine, lane, sequence, prefix, runEnd(onHost) * pageTokens);
  const loads = positionsFrom(placement.missing, runEnd(onHost));
  const kept = union(loads, positionsToHandOver(machine, lane, sequence));
  const fits =
    placementCost(lane, placement) <= pool.pages.free() &&
    claimCost(machine.host, findPages(sequence, machine.host.claims, kept)) <= machine.host.free();
  if (!fits) return 0;
  if (paysToLoad(machine.costs, 'host', loads.length, tokens)) return runEnd(onHost) * pageTokens;
  machine.passedOver.host++;
  return 0;
}

function insertByArrival(list: Sequence[], sequence: Sequence): void {
  let at = list.length;
  while (at > 0 && list[at - 1]!.order > sequence.order) at--;
  list.splice(at, 0, sequence);
}

/** Whether the stage would have prompt tokens to compute if its weights were on the devices. */
export function canPrefill(machine: Machine, stage: StageState): boolean {
  if (!stage.prefills) return false;
  if (stage.lanes.some((lane) => unscheduledTokens(lane) > 0)) return true;
  const waiting = machine.waiting.peek();
  if (waiting === undefined) return false;
  const lookup = lookupOf(machine, waiting);
  return stage.lanes.some((lane) => canPlace(machine, lane, waiting, lookup));
}
