/** Moves between device pages and host pages. They run beside steps and switches. */
import {
  forget,
  hold,
  leaveLane,
  recompute,
  releaseDevicePages,
  releaseHostPages,
  settleOnHost,
  startAction,
} from './holding.js';
import { headroom, leastLoaded } from './lanes.js';
import { isResident, pagesFor, setBatch, setPlace } from './machine.js';
import type { Lane, Machine, PoolReplica } from './machine.js';
import { isHalf, knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';
import { makeHostRoom } from './tiers.js';

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
  local.running.add(sequence);
  setPlace(machine, sequence, 'running');
}

/**
 * Starts every move to the host tier that is due. Hand-overs hold their host pages already; preempted sequences take
 * them now, wait for what is being spilled, or lose their KV when no tier has room.
 */
export function startPageOuts(machine: Machine): void {
  for (let next = machine.prefilled.shift(); next !== undefined; next = machine.prefilled.shift()) {
    next.lane!.pool.memory.leaving++;
    pageOut(machine, next);
  }
  for (let next = machine.preempted.peek(); next !== undefined; next = machine.preempted.peek()) {
    const needed = pagesFor(machine, next.computed);
    const pages = machine.host.take(needed);
    if (pages === undefined && makeHostRoom(machine, needed)) return;
    machine.preempted.shift();
    if (pages === undefined) {
      next.lane!.pool.memory.leaving--;
      machine.dropped++;
      recompute(machine, next);
      continue;
    }
    next.hostPages = pages;
    machine.swapped++;
    pageOut(machine, next);
  }
}

function pageOut(machine: Machine, sequence: Sequence): void {
  const { pool } = sequence.lane!;
  const pages = pagesFor(machine, sequence.computed);
  setPlace(machine, sequence, 'paging_out');
  machine.out.push({
    kind: 'page_out',
    id: startAction(machine, { kind: 'page_out', sequence, pool }),
    sequence: sequence.id,
    pool: pool.pool,
    replica: pool.replica,
    pages: sequence.pages.slice(0, pages),
    hostPages: sequence.hostPages.slice(0, pages),
    tokens: sequence.computed,
  });
}

export function finishPageOut(machine: Machine, sequence: Sequence, pool: PoolReplica): void {
  pool.memory.leaving--;
  releaseDevicePages(sequence, pool);
  sequence.lane = undefined;
  if (sequence.place === 'gone') forget(machine, sequence);
  else settleOnHost(machine, sequence);
}

/** Whether the lane's batch and pool have room for a sequence from the host tier, its next token included. */
export function canPageIn(machine: Machine, lane: Lane, sequence: Sequence): boolean {
  const pages = pagesFor(machine, knownTokens(sequence));
  return (
    lane.stage.members < lane.stage.batchRequests &&
    mayHoldPages(machine, lane) &&
    pages + headroom(machine, lane.pool) <= lane.pool.pages.free()
  );
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
  const lanes = machine.stages.filter((stage) => stage.decodes).flatMap((stage) => stage.lanes);
  for (let sequence = machine.onHost.peek(); sequence !== undefined; sequence = machine.onHost.peek()) {
    const candidate = sequence;
    const lane = leastLoaded(
      lanes.filter((each) => canPageIn(machine, each, candidate)),
      (each) => each.running.size + each.arriving.size,
    );
    if (lane === undefined) return;
    machine.onHost.shift();
    sequence.lane = lane;
    lane.arriving.add(sequence);
    setBatch(sequence, lane.stage);
    hold(sequence, lane.pool, lane.pool.pages.take(pagesFor(machine, knownTokens(sequence)))!);
    pageIn(machine, sequence, sequence.hostPages.length);
  }
}

/** Loads the first host pages of a sequence into the device pages it holds. */
export function pageIn(machine: Machine, sequence: Sequence, pages: number): void {
  const { pool } = sequence.lane!;
  setPlace(machine, sequence, 'paging_in');
  machine.out.push({
    kind: 'page_in',
    id: startAction(machine, { kind: 'page_in', sequence }),
    sequence: sequence.id,
    pool: pool.pool,
    replica: pool.replica,
    pages: sequence.pages.slice(0, pages),
    hostPages: sequence.hostPages.slice(0, pages),
    tokens: sequence.computed,
  });
}

export function finishPageIn(machine: Machine, sequence: Sequence): void {
  if (sequence.place === 'gone') {
    forget(machine, sequence);
    return;
  }
  const lane = sequence.lane!;
  if (isHalf(sequence)) {
    // Where prefill hands over through the host tier, the pages are held for that.
    if (lane.local !== undefined) releaseHostPages(machine, sequence);
    setPlace(machine, sequence, 'prefill');
    return;
  }
  releaseHostPages(machine, sequence);
  lane.arriving.delete(sequence);
  lane.running.add(sequence);
  setPlace(machine, sequence, 'running');
}
