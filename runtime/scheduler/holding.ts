/** What a sequence holds, how it comes by it, and how it gives it up. */
import { betterLoad } from './costs.js';
import { countNeed, dropNeed } from './headroom.js';
import { setBatch, setState } from './machine.js';
import type { Lane, Machine, Pending, PoolReplica } from './machine.js';
import { heldPages } from './page-table.js';
import type { PageTable } from './page-table.js';
import { isHalf, knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';

export function startAction(machine: Machine, pending: Pending): number {
  const id = machine.nextAction++;
  machine.pending.add(id, pending);
  return id;
}

export function hold(sequence: Sequence, pool: PoolReplica, pages: PageTable): void {
  sequence.pages = pages;
  pool.residents.add(sequence);
}

export function releaseDevicePages(sequence: Sequence, pool: PoolReplica): void {
  pool.pages.give(heldPages(sequence.pages));
  pool.residents.delete(sequence);
  sequence.pages = [];
}

export function releaseHostPages(machine: Machine, sequence: Sequence): void {
  machine.host.give(heldPages(sequence.hostPages));
  sequence.hostPages = [];
}

/** Also lets the disk tier be tried again where it counted as full. */
export function releaseDiskPages(machine: Machine, sequence: Sequence): void {
  if (sequence.diskPages.length === 0) return;
  machine.disk.give(heldPages(sequence.diskPages));
  sequence.diskPages = [];
  machine.diskRefused = false;
}

/** The sequence is the lane's to decode from now on. */
export function startDecode(machine: Machine, lane: Lane, sequence: Sequence): void {
  lane.running.add(sequence);
  setState(machine, sequence, 'running');
  countNeed(machine, lane, sequence);
}

/** Takes the sequence off its lane: it neither prefills nor decodes there any more. */
export function leaveLane(sequence: Sequence): void {
  const { lane } = sequence;
  if (lane === undefined) return;
  lane.running.delete(sequence);
  dropNeed(lane, sequence);
  const at = lane.prefilling.indexOf(sequence);
  if (at >= 0) lane.prefilling.splice(at, 1);
}

/** Ends a sequence. Its pages are free at once, or when the last action that touches them is done. */
export function endSequence(machine: Machine, sequence: Sequence): void {
  const moving = ['paging_out', 'paging_in', 'spilling', 'fetching'].includes(sequence.state);
  if (sequence.state === 'paging_in') sequence.lane!.arriving.delete(sequence);
  if (sequence.state === 'preempted') sequence.lane!.pool.memory.leaving--;
  leaveLane(sequence);
  setBatch(sequence, undefined);
  setState(machine, sequence, 'gone');
  if (!moving && sequence.stepsInFlight === 0) forget(machine, sequence);
}

/** Frees what a sequence that is gone still holds. */
export function forget(machine: Machine, sequence: Sequence): void {
  if (sequence.lane !== undefined) releaseDevicePages(sequence, sequence.lane.pool);
  releaseHostPages(machine, sequence);
  releaseDiskPages(machine, sequence);
  machine.sequences.delete(sequence.id);
}

/** Sends a sequence back to the start of its prefill: nothing of its KV is kept. */
export function recompute(machine: Machine, sequence: Sequence): void {
  leaveLane(sequence);
  setBatch(sequence, undefined);
  if (sequence.lane !== undefined) releaseDevicePages(sequence, sequence.lane.pool);
  releaseHostPages(machine, sequence);
  releaseDiskPages(machine, sequence);
  sequence.lane = undefined;
  // What others left of its prompt may be found before it is let in again, and is then but the beginning.
  sequence.target = knownTokens(sequence);
  sequence.scheduled = 0;
  sequence.computed = 0;
  sequence.loaded.host = 0;
  sequence.loaded.disk = 0;
  setState(machine, sequence, 'waiting');
  machine.waiting.insert(sequence);
}

/** Where a sequence goes whose KV is in the host tier: back to the queue for prefill, or to that for decode. */
export function settleOnHost(machine: Machine, sequence: Sequence): void {
  machine.bestLoad = betterLoad(machine.bestLoad, machine.config, sequence.computed);
  if (isHalf(sequence)) {
    setState(machine, sequence, 'waiting');
    machine.waiting.insert(sequence);
    machine.halves.insert(sequence);
    return;
  }
  setState(machine, sequence, 'on_host');
  machine.onHost.insert(sequence);
}
