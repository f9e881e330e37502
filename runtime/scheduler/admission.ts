/**
 * Letting waiting sequences into prefill.
 *
 * Every sequence let in can run alone, so the oldest always gets on. Pages in the host tier for a hand-over are held
 * from admission on, so a finished prefill never waits for room and cannot lock the pool it sits in. A half sequence
 * brings its KV back in from the host tier and goes on behind it. What a new one has on disk alone is fetched before it is
 * let in, and those behind it are let in meanwhile.
 */
import { paysToLoad } from './costs.js';
import { fetchPrefix } from './disk-prefix.js';
import { hold, recompute } from './holding.js';
import {
  handsOver,
  headroom,
  hostPagesNeeded,
  leastLoaded,
  openLanes,
  takesTurns,
  unscheduledTokens,
} from './lanes.js';
import { pagesFor, setBatch, setPlace } from './machine.js';
import type { Lane, Machine, StageState } from './machine.js';
import { pageIn } from './moves.js';
import { claimCost, claimPages, devicePrefix, findPages, tierPrefix, positionsFrom } from './prefix.js';
import { knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';
import { bringBack, isDiskNext } from './tiers.js';

/** Whether the waiting sequence's pages, on the device and in the host tier, are there to be had. */
export function canPlace(machine: Machine, lane: Lane, sequence: Sequence): boolean {
  const { pool, local } = lane;
  const found = devicePrefix(machine, lane, sequence);
  const pages = claimCost(pool.pages, found, pagesFor(machine, knownTokens(sequence)));
  if (local === undefined) {
    // Sequences decode in the pool where it shares its pages with another.
    if (
      pages + headroom(machine, pool) > pool.pages.free() ||
      hostPagesNeeded(machine, lane, sequence) > machine.host.free()
    )
      return false;
    // What was preempted waits for host pages too, and holds device pages meanwhile.
    if (machine.counts.preempted > 0) return false;
    return takesTurns(lane.stage) || !isOlder(machine.onDisk.peek(), sequence) || !isDiskNext(machine);
  }
  if (local.stage.members >= local.stage.batchRequests) return false;
  if (isOlder(machine.onHost.peek(), sequence) || isOlder(machine.onDisk.peek(), sequence)) return false;
  return pages + headroom(machine, pool) <= pool.pages.free();
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
    const lane = leastLoaded(
      lanes.filter((candidate) => !isSupplied(candidate) && canPlace(machine, candidate, sequence)),
      (candidate) =>
        candidate.local === undefined
          ? unscheduledTokens(candidate) + tokensToCompute(machine, candidate, sequence)
          : candidate.local.running.size + candidate.prefilling.length + candidate.local.arriving.size,
    );
    if (lane === undefined) return;
    const fetching = fetchPrefix(machine, lane, sequence);
    if (fetching === 'awaited') return;
    if (fetching === 'started') continue;
    machine.waiting.shift();
    if (sequence.diskPages.length > 0) {
      if (!bringBack(machine, sequence)) recompute(machine, sequence);
      continue;
    }
    letIn(machine, lane, sequence);
  }
}

function tokensToCompute(machine: Machine, lane: Lane, sequence: Sequence): number {
  const found = devicePrefix(machine, lane, sequence).length;
  return knownTokens(sequence) - Math.max(sequence.computed, found * machine.config.pageTokens);
}

function letIn(machine: Machine, lane: Lane, sequence: Sequence): void {
  sequence.target = knownTokens(sequence);
  sequence.lane = lane;
  const found = devicePrefix(machine, lane, sequence);
  const pages = pagesFor(machine, sequence.target);
  const kept = sequence.hostPages.length;
  const loaded = kept || pagesToLoad(machine, lane, sequence, found);
  hold(sequence, lane.pool, claimPages(lane.pool.pages, found, pages)!);
  if (lane.local !== undefined) setBatch(sequence, lane.local.stage);
  insertByArrival(lane.prefilling, sequence);
  const wanted = handsOver(lane, sequence) ? pages : loaded;
  const onHost = findPages(sequence, machine.host, wanted).slice(kept);
  sequence.hostPages.push(...claimPages(machine.host, onHost, wanted - kept)!);
  const { pageTokens } = machine.config;
  const onDevice = found.length * pageTokens;
  if (sequence.computed === 0 && loaded > 0) {
    sequence.computed = loaded * pageTokens;
    sequence.loaded.host = sequence.computed - onDevice;
  }
  sequence.scheduled = Math.max(sequence.computed, onDevice);
  if (loaded > 0) pageIn(machine, sequence, positionsFrom(found.length, loaded));
  else setPlace(machine, sequence, 'prefill');
}

/**
 * Pages at the start of a new sequence that the host tier holds, where it holds more of them than the devices and loading
 * these pays.
 */
function pagesToLoad(machine: Machine, lane: Lane, sequence: Sequence, found: readonly number[]): number {
  const onHost = tierPrefix(machine, sequence, 'host').length;
  const pages = onHost - found.length;
  if (pages <= 0 || found.some((page) => lane.pool.writing.has(page))) return 0;
  if (paysToLoad(machine.costs, 'host', pages, pages * machine.config.pageTokens)) return onHost;
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
  return stage.prefills && stage.lanes.some((lane) => laneCanPrefill(machine, lane));
}

/** The same of one lane. */
export function laneCanPrefill(machine: Machine, lane: Lane): boolean {
  if (!lane.stage.prefills) return false;
  const waiting = machine.waiting.peek();
  return unscheduledTokens(lane) > 0 || (waiting !== undefined && canPlace(machine, lane, waiting));
}
