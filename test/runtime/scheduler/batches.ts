/**
 * That decode batches stay as large as memory and the plan allow. What the scheduler promises is about its state when
 * `next` has returned, that is when everything has been given out that may be:
 *
 * 1. *No ready sequence waits for a place.* A sequence is ready in a lane when it decodes there, is in no step in flight, and
 *    its pages reach to its next token. As long as the lane's pipeline has a place for a step, no sequence is ready, and
 *    none lacks a page while one is free.
 * 2. *No step is smaller than its share.* A step of a lane carries a row for each ready sequence, or else as many as make
 *    the share of a step: all that decode there over the depth of the pipeline, at most what a step may carry.
 * 3. *No stored sequence waits for room that is there.* The oldest in the host tier that could decode is on its way to a lane
 *    as soon as one has a place in its batch, and pages for it and for those that decode there to grow (one for each that
 *    lacks one, and one for every four others). The oldest on disk is on its way to the host tier as soon as that has pages
 *    for it and the share kept for preempted sequences.
 * 4. *No prompt waits for room that is there* where it will decode in the pages that prefill writes: by the rule of 3, as
 *    soon as the lane has no prompt tokens for its next steps.
 * 5. A stage's batch counts those that decode in it and those on their way into it, and no others.
 *
 * Exempt are by the plan: stages that are not resident or about to be left; a stage just switched to, while the last that
 * are to join it are under way; decode beside prompts that wait for a shallower pipeline of the same devices; pages that a stage on the same
 * devices wants for its prompts; host pages that prompts of other devices wait for; KV that is on its way for another.
 */
import { isResident } from '../../../runtime/scheduler/machine.js';
import type { Lane, Machine, PoolReplica, StageState } from '../../../runtime/scheduler/machine.js';
import type { Sequence } from '../../../runtime/scheduler/sequences.js';
import type { Action } from '../../../runtime/scheduler/types.js';
import { check } from './tracks.js';

/** Who decodes in each lane before `next`, and since which stay: those who join meanwhile may come too late for a step. */
export type RunningBefore = ReadonlyMap<Lane, ReadonlyMap<Sequence, number>>;

export function runningNow({ stages }: Machine): RunningBefore {
  const staying = ({ running }: Lane): ReadonlyMap<Sequence, number> =>
    new Map([...running].map((sequence) => [sequence, sequence.stay]));
  return new Map(stages.flatMap(({ lanes }) => lanes.map((lane) => [lane, staying(lane)] as const)));
}

/** Throws where a promise is broken by what `next` has returned. */
export function checkBatches(machine: Machine, before: RunningBefore, actions: readonly Action[]): void {
  for (const stage of machine.stages) {
    if (!stage.decodes) continue;
    checkMembers(machine, stage);
    if (!mayDecode(machine, stage)) continue;
    for (const lane of stage.lanes) checkLane(machine, lane);
  }
  checkShares(machine, before, actions);
  checkHost(machine);
  checkDisk(machine);
  checkPrompts(machine);
}

/** Pages that the first tokens of a sequence lie in, as far as its next row sees them. */
function pagesOf({ config: { pageTokens, window = Infinity } }: Machine, sequence: Sequence): number {
  const tokens = sequence.promptTokens + sequence.generated;
  return Math.ceil(tokens / pageTokens) - Math.floor(Math.max(0, tokens - window) / pageTokens);
}

function nextToken({ promptTokens, generated }: Sequence): number {
  return promptTokens + generated - 1;
}

function reachesNext({ config: { pageTokens } }: Machine, sequence: Sequence): boolean {
  return sequence.pages.length * pageTokens > nextToken(sequence);
}

function idle(lane: Lane): Sequence[] {
  return [...lane.running].filter((sequence) => sequence.stepsInFlight === 0);
}

function checkMembers(machine: Machine, stage: StageState): void {
  const here = stage.lanes.reduce((sum, lane) => sum + lane.running.size + lane.arriving.size, 0);
  const toCome = machine.stages
    .flatMap(({ lanes }) => lanes)
    .filter((lane) => lane.local?.stage === stage)
    .reduce((sum, lane) => sum + lane.prefilling.length, 0);
  check(stage.members === here + toCome, 'a batch counts those in it and on their way');
}

function mayDecode(machine: Machine, stage: StageState): boolean {
  const { group } = stage;
  if (!isResident(stage) || group.leavingTo !== undefined) return false;
  const takesTurns = group.stages.some(({ config }) => config.residence !== stage.config.residence);
  const { counts } = machine;
  const toJoin = group.stepsInFlight + counts.paging_out + counts.paging_in > 0;
  const toFollow = counts.on_host + counts.spilling + counts.on_disk + counts.fetching > 0;
  return !(takesTurns && group.steps === 0 && toJoin && !toFollow);
}

function checkLane(machine: Machine, lane: Lane): void {
  const { pipeline, stage, pool } = lane;
  if (pipeline.inFlight >= stage.config.depth) return;
  const beside = machine.stages
    .filter(({ prefills, config }) => prefills && config.depth < stage.config.depth)
    .flatMap(({ lanes }) => lanes)
    .filter((other) => other.pipeline === pipeline);
  const isAwaited = beside.some(
    ({ prefilling }) =>
      machine.counts.waiting > 0 ||
      prefilling.some(({ state, scheduled, target }) => state === 'prefill' && scheduled < target),
  );
  if (isAwaited) return;
  for (const sequence of idle(lane)) {
    check(!reachesNext(machine, sequence), 'no ready sequence waits for a place in a step');
    check(pool.pages.free() === 0, 'no sequence lacks a page while one is free');
  }
}

function checkShares(machine: Machine, before: RunningBefore, actions: readonly Action[]): void {
  for (const action of actions) {
    if (action.kind !== 'step') continue;
    const stage = machine.stages.find(({ config }) => config.name === action.stage)!;
    if (!stage.decodes) continue;
    const lane = stage.lanes[action.replica]!;
    const stays = (sequence: Sequence): boolean => before.get(lane)!.get(sequence) === sequence.stay;
    if (!idle(lane).some((sequence) => stays(sequence) && reachesNext(machine, sequence))) continue;
    const { depth, maxTokens, maxSequences } = stage.config;
    const running = [...lane.running].filter(stays).length;
    const rows = action.items.filter(({ sequence: id }) =>
      lane.running.has(machine.sequences.get(id)!),
    ).length;
    const share = Math.min(Math.ceil(running / depth), maxTokens, maxSequences);
    const holdsBack = stage.group.leavingTo !== undefined;
    check(holdsBack || rows >= share, 'a step carries its share of those that decode');
  }
}

/** Whether a sequence may come to lie in the lane's pool, with room for others to grow. */
function hasRoom(machine: Machine, { pool }: Lane, sequence: Sequence): boolean {
  return pagesOf(machine, sequence) + growth(machine, pool) <= pool.pages.free();
}

function growth(machine: Machine, { memory }: PoolReplica): number {
  const residents = memory.pools.flatMap(({ residents }) => [...residents]);
  const running = residents.filter(({ state }) => state === 'running');
  const lacking = running.filter((sequence) => !reachesNext(machine, sequence)).length;
  const prompts = residents.filter(({ state }) => state === 'prefill');
  const toCome = prompts.reduce((sum, sequence) => sum + promptGrowth(machine, sequence), 0);
  return lacking + Math.ceil((running.length - lacking) / 4) + toCome;
}

/** Pages that a prompt may yet take: none without a window. */
function promptGrowth({ config: { pageTokens, window } }: Machine, sequence: Sequence): number {
  return window === undefined ? 0 : Math.ceil(sequence.target / pageTokens) - sequence.pages.length;
}

function checkHost(machine: Machine): void {
  const next = machine.onHost.peek();
  if (next === undefined) return;
  if (machine.pools.some(({ pages }) => next.keys.some((key) => pages.awaited.has(key)))) return;
  for (const stage of machine.stages) {
    if (!stage.decodes) continue;
    for (const lane of stage.lanes) {
      const { pool } = lane;
      const isLent = pool.memory.pools.length > 1 && machine.counts.waiting > 0 && !isResident(stage);
      if (isLent && stage.group.leavingTo !== stage) continue;
      const hasPlace = stage.members < stage.batchRequests;
      check(!hasPlace || !hasRoom(machine, lane, next), 'what could decode is brought to the devices');
    }
  }
}

/** Part of the host tier that fetches leave free. */
const KEPT_FREE = 1 / 8;

function checkDisk(machine: Machine): void {
  const { onDisk, onHost, host, counts, stages } = machine;
  const next = onDisk.peek();
  if (next === undefined || counts.preempted > 0) return;
  const decodes = stages.some((stage) => stage.decodes && isResident(stage));
  const beside = stages.some(
    ({ prefills, group, config, lanes }) =>
      prefills &&
      lanes.some(({ local }) => local === undefined) &&
      !group.stages.some((each) => each.decodes && each.config.residence !== config.residence),
  );
  const isForPrompts = beside && counts.waiting > 0 && (onHost.peek()?.order ?? Infinity) < next.order;
  if (!decodes || isForPrompts || next.keys.some((key) => host.awaited.has(key))) return;
  const pages = next.diskPages.filter((page) => page >= 0).length;
  const kept = Math.floor(host.total * KEPT_FREE);
  check(pages + kept > host.free(), 'what is on disk is brought to a host tier with room');
}

function checkPrompts(machine: Machine): void {
  const next = machine.waiting.peek();
  if (next === undefined) return;
  const isStored = [machine.onHost, machine.onDisk].some(
    (queue) => (queue.peek()?.order ?? Infinity) < next.order,
  );
  if (isStored || next.diskPages.length > 0 || machine.config.diskPages > 0) return;
  for (const stage of machine.stages) {
    if (!stage.prefills || !isResident(stage) || stage.group.leavingTo !== undefined) continue;
    const { maxTokens, depth } = stage.config;
    for (const lane of stage.lanes) {
      const { local } = lane;
      if (local === undefined) continue;
      const tokens = lane.prefilling.reduce((sum, { target, scheduled }) => sum + target - scheduled, 0);
      const hasPlace = local.stage.members < local.stage.batchRequests && tokens < maxTokens * depth;
      const pages = Math.ceil((nextToken(next) + 1) / machine.config.pageTokens);
      const hasPages = pages + growth(machine, lane.pool) <= lane.pool.pages.free();
      check(!hasPlace || !hasPages, 'a prompt is let in where it can decode');
    }
  }
}
