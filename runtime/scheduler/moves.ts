/**
 * Pages: who gets them, who gives them up, and the moves between devices and the host tier.
 *
 * Every sequence let in can run alone, so the oldest always gets on: it never yields to a younger one, and what it
 * lacks is taken from the youngest idle sequence of its pool. Pages in the host tier for a hand-over are held from
 * admission on, so a finished prefill never waits for room and cannot lock the pool it sits in.
 */
import { isResident, pagesFor, setBatch, setPlace } from './machine.js';
import type { Lane, Machine, Pending, PoolReplica, StageState } from './machine.js';
import { knownTokens, mostTokens } from './sequences.js';
import type { Sequence } from './sequences.js';

export function startAction(machine: Machine, pending: Pending): number {
  const id = machine.nextAction++;
  machine.pending.set(id, pending);
  return id;
}

/** Host pages a waiting sequence needs when it is let in on the lane. */
export function hostPagesNeeded(machine: Machine, lane: Lane, sequence: Sequence): number {
  if (lane.local !== undefined) return 0;
  if (sequence.maxNewTokens - sequence.generated <= 1) return 0;
  return pagesFor(machine, knownTokens(sequence));
}

/**
 * Pages to leave free for the sequences that decode in the pool: one for each that lacks a page now and for a
 * quarter of the others that may yet outgrow theirs. Filling the pool to the brim would only mean to swap out again
 * at once.
 */
function headroom(machine: Machine, pool: PoolReplica): number {
  let lacking = 0;
  let growing = 0;
  for (const sequence of pool.residents) {
    if (sequence.place !== 'running') continue;
    if (sequence.pages.length < pagesFor(machine, knownTokens(sequence))) lacking++;
    else if (sequence.pages.length < pagesFor(machine, mostTokens(sequence))) growing++;
  }
  return lacking + Math.ceil(growing / 4);
}

/** Whether the waiting sequence's pages, on the device and in the host tier, are there to be had. */
export function canPlace(machine: Machine, lane: Lane, sequence: Sequence): boolean {
  const { pool, local } = lane;
  const pages = pagesFor(machine, knownTokens(sequence));
  if (local === undefined) {
    return pages <= pool.pages.free() && hostPagesNeeded(machine, lane, sequence) <= machine.host.free();
  }
  if (local.stage.members >= local.stage.batchRequests) return false;
  const older = machine.onHost.peek();
  if (older !== undefined && older.order < sequence.order) return false;
  return pages + headroom(machine, pool) <= pool.pages.free();
}

export function unscheduledTokens(lane: Lane): number {
  return lane.prefilling.reduce((sum, sequence) => sum + sequence.target - sequence.scheduled, 0);
}

/** Whether the lane has prompt tokens for its pipeline's next steps already, so that later prompts can wait. */
function isSupplied(lane: Lane): boolean {
  return unscheduledTokens(lane) >= lane.stage.config.maxTokens * lane.stage.config.depth;
}

/** Lets waiting sequences into prefill, in order of arrival, each on the least loaded lane that can take it. */
export function admit(machine: Machine): void {
  const open = machine.stages.filter(
    (stage) => stage.prefills && isResident(stage) && stage.group.leavingTo === undefined,
  );
  const lanes = open.flatMap((stage) => stage.lanes);
  for (;;) {
    const sequence = machine.waiting.peek();
    if (sequence === undefined) return;
    const lane = leastLoaded(
      lanes.filter((candidate) => !isSupplied(candidate) && canPlace(machine, candidate, sequence)),
      (candidate) =>
        candidate.local === undefined
          ? unscheduledTokens(candidate)
          : candidate.local.running.size + candidate.prefilling.length + candidate.local.arriving,
    );
    if (lane === undefined) return;
    machine.waiting.shift();
    const tokens = knownTokens(sequence);
    sequence.target = tokens;
    sequence.lane = lane;
    hold(sequence, lane.pool, lane.pool.pages.take(pagesFor(machine, tokens))!);
    sequence.hostPages = machine.host.take(hostPagesNeeded(machine, lane, sequence))!;
    if (lane.local !== undefined) setBatch(sequence, lane.local.stage);
    insertByArrival(lane.prefilling, sequence);
    setPlace(machine, sequence, 'prefill');
  }
}

/** The lane with the least load; among equals the one with most free pages, then the first. */
function leastLoaded(lanes: readonly Lane[], load: (lane: Lane) => number): Lane | undefined {
  let best: Lane | undefined;
  let bestLoad = 0;
  for (const lane of lanes) {
    const laneLoad = load(lane);
    const better =
      best === undefined ||
      laneLoad < bestLoad ||
      (laneLoad === bestLoad && lane.pool.pages.free() > best.pool.pages.free());
    if (better) {
      best = lane;
      bestLoad = laneLoad;
    }
  }
  return best;
}

function insertByArrival(list: Sequence[], sequence: Sequence): void {
  let at = list.length;
  while (at > 0 && list[at - 1]!.order > sequence.order) at--;
  list.splice(at, 0, sequence);
}

function hold(sequence: Sequence, pool: PoolReplica, pages: number[]): void {
  sequence.pages = pages;
  pool.residents.add(sequence);
}

function releaseDevicePages(sequence: Sequence, pool: PoolReplica): void {
  pool.pages.give(sequence.pages);
  pool.residents.delete(sequence);
  sequence.pages = [];
}

/** Takes the sequence off its lane: it neither prefills nor decodes there any more. */
function leaveLane(sequence: Sequence): void {
  const { lane } = sequence;
  if (lane === undefined) return;
  lane.running.delete(sequence);
  const at = lane.prefilling.indexOf(sequence);
  if (at >= 0) lane.prefilling.splice(at, 1);
}

/** The last prompt token is computed and the first token sampled: decode here, or leave for the host tier. */
export function finishPrefill(machine: Machine, sequence: Sequence): void {
  const { local } = sequence.lane!;
  if (local === undefined) {
    leaveLane(sequence);
    setPlace(machine, sequence, 'prefilled');
    machine.prefilled.insert(sequence);
    return;
  }
  leaveLane(sequence);
  sequence.lane = local;
  local.running.add(sequence);
  setPlace(machine, sequence, 'running');
}

/** Ends a sequence. Its pages are free at once, or when the last action that touches them is done. */
export function endSequence(machine: Machine, sequence: Sequence): void {
  const moving = sequence.place === 'paging_out' || sequence.place === 'paging_in';
  if (sequence.place === 'paging_in') sequence.lane!.arriving--;
  leaveLane(sequence);
  setBatch(sequence, undefined);
  setPlace(machine, sequence, 'gone');
  if (!moving && sequence.stepsInFlight === 0) forget(machine, sequence);
}

/** Frees what a sequence that is gone still holds. */
export function forget(machine: Machine, sequence: Sequence): void {
  if (sequence.lane !== undefined) releaseDevicePages(sequence, sequence.lane.pool);
  machine.host.give(sequence.hostPages);
  sequence.hostPages = [];
  machine.sequences.delete(sequence.id);
}

/** Starts every hand-over to the host tier that is due. They run beside steps and switches. */
export function startPageOuts(machine: Machine): void {
  for (let next = machine.prefilled.shift(); next !== undefined; next = machine.prefilled.shift()) {
    pageOut(machine, next);
  }
}

function pageOut(machine: Machine, sequence: Sequence): void {
  const { pool } = sequence.lane!;
  setPlace(machine, sequence, 'paging_out');
  pool.leaving++;
  machine.out.push({
    kind: 'page_out',
    id: startAction(machine, { kind: 'page_out', sequence, pool }),
    sequence: sequence.id,
    pool: pool.pool,
    replica: pool.replica,
    pages: sequence.pages.slice(0, sequence.hostPages.length),
    hostPages: [...sequence.hostPages],
    tokens: sequence.computed,
  });
}

export function finishPageOut(machine: Machine, sequence: Sequence, pool: PoolReplica): void {
  pool.leaving--;
  releaseDevicePages(sequence, pool);
  sequence.lane = undefined;
  if (sequence.place === 'gone') {
    forget(machine, sequence);
    return;
  }
  setPlace(machine, sequence, 'on_host');
  machine.onHost.insert(sequence);
}

/** Whether the lane's batch and pool have room for a sequence from the host tier, its next token included. */
export function canPageIn(machine: Machine, lane: Lane, sequence: Sequence): boolean {
  const pages = pagesFor(machine, knownTokens(sequence));
  return (
    lane.stage.members < lane.stage.batchRequests &&
    pages + headroom(machine, lane.pool) <= lane.pool.pages.free()
  );
}

/** Brings sequences in from the host tier while there is room, oldest first, whatever stage is resident. */
export function startPageIns(machine: Machine): void {
  const lanes = machine.stages.filter((stage) => stage.decodes).flatMap((stage) => stage.lanes);
  for (let sequence = machine.onHost.peek(); sequence !== undefined; sequence = machine.onHost.peek()) {
    const candidate = sequence;
    const lane = leastLoaded(
      lanes.filter((each) => canPageIn(machine, each, candidate)),
      (each) => each.running.size + each.arriving,
    );
    if (lane === undefined) return;
    machine.onHost.shift();
    sequence.lane = lane;
    lane.arriving++;
    setBatch(sequence, lane.stage);
    hold(sequence, lane.pool, lane.pool.pages.take(pagesFor(machine, knownTokens(sequence)))!);
    setPlace(machine, sequence, 'paging_in');
    machine.out.push({
      kind: 'page_in',
      id: startAction(machine, { kind: 'page_in', sequence }),
      sequence: sequence.id,
      pool: lane.pool.pool,
      replica: lane.pool.replica,
      pages: sequence.pages.slice(0, sequence.hostPages.length),
      hostPages: [...sequence.hostPages],
      tokens: sequence.computed,
    });
  }
}

export function finishPageIn(machine: Machine, sequence: Sequence): void {
  if (sequence.place === 'gone') {
    forget(machine, sequence);
    return;
  }
  const lane = sequence.lane!;
  machine.host.give(sequence.hostPages);
  sequence.hostPages = [];
  lane.arriving--;
  lane.running.add(sequence);
  setPlace(machine, sequence, 'running');
}

/**
 * Makes sure the sequence has a page for its next token. False when it must sit this step out: pages are on their
 * way out, or only older sequences and sequences in work hold any.
 */
export function growForNextToken(
  machine: Machine,
  sequence: Sequence,
  chosen: ReadonlySet<Sequence>,
): boolean {
  const { pool } = sequence.lane!;
  while (sequence.pages.length < pagesFor(machine, knownTokens(sequence))) {
    const page = pool.pages.take(1);
    if (page !== undefined) {
      sequence.pages.push(...page);
      continue;
    }
    if (pool.leaving > 0) return false;
    const victim = youngestIdle(pool, chosen);
    if (victim === undefined || victim.order <= sequence.order) return false;
    preempt(machine, victim, pool);
  }
  return true;
}

function youngestIdle(pool: PoolReplica, chosen: ReadonlySet<Sequence>): Sequence | undefined {
  let youngest: Sequence | undefined;
  for (const sequence of pool.residents) {
    const idle =
      (sequence.place === 'running' || sequence.place === 'prefill') &&
      sequence.stepsInFlight === 0 &&
      !chosen.has(sequence);
    if (idle && (youngest === undefined || sequence.order > youngest.order)) youngest = sequence;
  }
  return youngest;
}

/** Swaps a sequence out to the host tier, or, where that is full, drops its pages to be computed again. */
function preempt(machine: Machine, victim: Sequence, pool: PoolReplica): void {
  const swap =
    victim.place === 'running' && machine.config.hostPages > 0
      ? machine.host.take(pagesFor(machine, victim.computed))
      : undefined;
  leaveLane(victim);
  setBatch(victim, undefined);
  if (swap !== undefined) {
    machine.swapped++;
    victim.hostPages = swap;
    pageOut(machine, victim);
    return;
  }
  machine.dropped++;
  releaseDevicePages(victim, pool);
  victim.lane = undefined;
  victim.scheduled = 0;
  victim.computed = 0;
  setPlace(machine, victim, 'waiting');
  machine.waiting.insert(victim);
}

/** Whether the stage would have prompt tokens to compute if its weights were on the devices. */
export function canPrefill(machine: Machine, stage: StageState): boolean {
  if (!stage.prefills) return false;
  const waiting = machine.waiting.peek();
  return stage.lanes.some(
    (lane) => unscheduledTokens(lane) > 0 || (waiting !== undefined && canPlace(machine, lane, waiting)),
  );
}
