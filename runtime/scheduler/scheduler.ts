/**
 * The scheduler: a pure state machine between requests and executors. It batches continuously, hands KV from
 * prefill to decode, spills to the host tier and decides on stage switches. What it returns is a function of the
 * config and the events so far alone, so a run can be simulated, replayed and tested without a device.
 *
 * Use: apply events, then call `next` and carry out what it returns; every action is in flight until the event that
 * ends it is applied. Steps of one stage and replica must be executed in the order they were returned. Stages are
 * resident from the start if they are the first of their group in the flow.
 */
import { createMachine } from './machine.js';
import type { Machine, Pending } from './machine.js';
import { rejection } from './limits.js';
import { betterLoad } from './costs.js';
import { admit } from './admission.js';
import { countNeed } from './headroom.js';
import { endSequence, forget } from './holding.js';
import { finishPageIn, finishPageOut, finishPrefill, startPageIns, startPageOuts } from './moves.js';
import { announceSwitches, finishSwitch, startSwitches } from './policy.js';
import { finishFetch, finishSpill, startFetches, startSpills } from './tiers.js';
import { finishFilling } from './prefix.js';
import { createSequence } from './sequences.js';
import { startSteps } from './steps.js';
import { giveUpUnseen } from './windows.js';
import type { Action, SchedulerConfig, SchedulerEvent, SchedulerRequest } from './types.js';

/** Counts at one moment. Requests are in exactly one of the places from `waiting` to `rejected`. */
export interface SchedulerState {
  readonly waiting: number;
  readonly prefilling: number;
  /** On their way to the host tier, in it, from there to disk and back, and on their way back to a device. */
  readonly pagingOut: number;
  readonly onHost: number;
  readonly spilling: number;
  readonly onDisk: number;
  readonly fetching: number;
  readonly pagingIn: number;
  readonly running: number;
  readonly finished: number;
  readonly cancelled: number;
  readonly rejected: number;
  readonly inFlight: number;
  readonly pools: readonly {
    readonly pool: string;
    readonly replica: number;
    readonly pages: number;
    readonly free: number;
    /** The most pages in use so far. */
    readonly most: number;
  }[];
  readonly host: {
    readonly pages: number;
    /** Pages that nobody claims. */
    readonly free: number;
    /** Pages that KV is in, or on its way to: fewer than are claimed, as prompts claim theirs when they are let in. */
    readonly filled: number;
    /** The most that were filled so far. */
    readonly most: number;
  };
  readonly disk: { readonly pages: number; readonly free: number; readonly most: number };
  /** Resident stage by group; the old one while a switch is under way. */
  readonly active: Readonly<Record<string, string>>;
  readonly switches: number;
  /** Whether the batch of some stage that decodes, or the size of its steps, has kept a sequence out. */
  readonly reachedBatch: boolean;
  /** Sequences that lost their device pages: to the host tier, or to be computed again. */
  readonly preemptions: { readonly swapped: number; readonly dropped: number };
  /** Moves between the host tier and the disk tier, and those of them that failed. */
  readonly spills: { readonly started: number; readonly failed: number };
  readonly fetches: { readonly started: number; readonly failed: number };
  /** Prompt tokens whose KV was found and not computed, by where it was found; those of a second prefill are left out. */
  readonly reused: { readonly device: number; readonly host: number; readonly disk: number };
  /** Device pages that were copied, as a prompt shared a part of them. */
  readonly copied: number;
  /** By tier: loads not made, and KV not kept there, because computing it again is quicker. */
  readonly passedOver: { readonly host: number; readonly disk: number };
}

export interface Scheduler {
  /** Throws on an event that answers no action in flight: that is a bug of the executor. */
  apply(event: SchedulerEvent): void;
  /** Every action that may start now. Each is returned once. */
  next(): Action[];
  state(): SchedulerState;
  /** Nothing waits, runs or is in flight. */
  idle(): boolean;
}

export function createScheduler(config: SchedulerConfig): Scheduler {
  return schedulerOf(createMachine(config));
}

/** The scheduler that a machine is the state of: to look at that, too. */
export function schedulerOf(machine: Machine): Scheduler {
  return {
    apply: (event) => apply(machine, event),
    next() {
      // What one of them starts or changes may let another start something in turn.
      for (let found = -1; found < machine.changes;) {
        found = machine.changes;
        startPageOuts(machine);
        startPageIns(machine);
        startFetches(machine);
        startSpills(machine);
        startSwitches(machine);
        admit(machine);
        startSteps(machine);
      }
      announceSwitches(machine);
      return machine.out.splice(0);
    },
    state: () => snapshot(machine),
    idle: () => machine.sequences.size === 0 && machine.pending.count() === 0 && machine.out.length === 0,
  };
}

function apply(machine: Machine, event: SchedulerEvent): void {
  switch (event.kind) {
    case 'arrive':
      arrive(machine, event.request);
      return;
    case 'cancel': {
      const sequence = machine.sequences.get(event.sequence);
      if (sequence === undefined || sequence.state === 'gone') return;
      machine.cancelled++;
      endSequence(machine, sequence);
      return;
    }
    case 'step_done':
      finishStep(machine, take(machine, event.id, 'step'), event.sampled);
      return;
    case 'page_out_done': {
      const { sequence, pool, keys } = take(machine, event.id, 'page_out');
      finishPageOut(machine, sequence, pool, keys);
      return;
    }
    case 'page_in_done': {
      const { sequence, keys } = take(machine, event.id, 'page_in');
      finishPageIn(machine, sequence, keys);
      return;
    }
    case 'spill_done': {
      const { sequence, keys, frees } = take(machine, event.id, 'spill');
      machine.spillingPages -= frees;
      finishSpill(machine, sequence, keys, event.failed);
      return;
    }
    case 'fetch_done': {
      const { sequence, keys } = take(machine, event.id, 'fetch');
      finishFetch(machine, sequence, keys, event.failed);
      return;
    }
    case 'measured':
      machine.costs = { ...machine.costs, ...event.costs };
      return;
    case 'switch_done': {
      const { group, to } = take(machine, event.id, 'switch');
      finishSwitch(group, to);
    }
  }
}

function arrive(machine: Machine, request: SchedulerRequest): void {
  if (machine.sequences.has(request.id)) throw new Error(`request ${request.id} has arrived already`);
  const why = rejection(machine.config, request);
  if (why !== undefined) {
    machine.rejected++;
    machine.out.push({ kind: 'reject', sequence: request.id, why });
    return;
  }
  const sequence = createSequence(request, machine.arrivals++);
  machine.sequences.set(request.id, sequence);
  machine.bestLoad = betterLoad(machine.bestLoad, machine.config, request.promptTokens);
  machine.counts.waiting++;
  machine.waiting.insert(sequence);
}

type PendingOf<Kind extends Pending['kind']> = Extract<Pending, { readonly kind: Kind }>;

function take<Kind extends Pending['kind']>(machine: Machine, id: number, kind: Kind): PendingOf<Kind> {
  const pending = machine.pending.get(id);
  if (pending?.kind !== kind) throw new Error(`no ${kind} ${id} is in flight`);
  machine.pending.delete(id);
  return pending as PendingOf<Kind>;
}

function finishStep(
  machine: Machine,
  step: PendingOf<'step'>,
  sampled: readonly { readonly sequence: number; readonly finished: boolean }[],
): void {
  // Tokens come in the order of their rows as a rule, and batches are large.
  let next = 0;
  const isFinished = (id: number): boolean => {
    const found =
      sampled[next]?.sequence === id ? sampled[next] : sampled.find((each) => each.sequence === id);
    if (found === undefined) throw new Error(`the step sampled no token of sequence ${id}`);
    next++;
    return found.finished;
  };
  step.lane.pipeline.inFlight--;
  step.lane.stage.group.stepsInFlight--;
  for (const { sequence: id, start, count, sample, copyOf } of step.items) {
    const sequence = machine.sequences.get(id)!;
    if (copyOf !== undefined) step.lane.pool.pages.give([copyOf]);
    sequence.stepsInFlight--;
    sequence.computed = Math.max(sequence.computed, start + count);
    finishFilling(machine, step.lane.pool, sequence, start, start + count);
    if (sequence.state === 'gone') {
      if (sequence.stepsInFlight === 0) forget(machine, sequence);
      continue;
    }
    giveUpUnseen(machine, sequence, step.lane.pool);
    if (!sample) continue;
    const finished = isFinished(sequence.id);
    sequence.generated++;
    if (finished || sequence.generated >= sequence.maxNewTokens) {
      machine.finished++;
      endSequence(machine, sequence);
    } else if (sequence.state === 'prefill') finishPrefill(machine, sequence);
    else countNeed(machine, step.lane, sequence);
  }
}

function snapshot(machine: Machine): SchedulerState {
  const { counts } = machine;
  return {
    waiting: counts.waiting,
    prefilling: counts.prefill,
    pagingOut: counts.prefilled + counts.preempted + counts.paging_out,
    onHost: counts.on_host,
    spilling: counts.spilling,
    onDisk: counts.on_disk,
    fetching: counts.fetching,
    pagingIn: counts.paging_in,
    running: counts.running,
    finished: machine.finished,
    cancelled: machine.cancelled,
    rejected: machine.rejected,
    inFlight: machine.pending.count(),
    pools: machine.pools.map(({ pool, replica, pages }) => ({
      pool,
      replica,
      pages: pages.total,
      free: pages.free(),
      most: pages.most(),
    })),
    host: {
      pages: machine.host.total,
      free: machine.host.free(),
      filled: machine.host.filled(),
      most: machine.host.mostFilled(),
    },
    disk: { pages: machine.disk.total, free: machine.disk.free(), most: machine.disk.most() },
    active: Object.fromEntries(machine.groups.map((group) => [group.name, group.active.name])),
    switches: machine.switches,
    reachedBatch: machine.stages.some(({ decodes, reachedBatch }) => decodes && reachedBatch),
    preemptions: { swapped: machine.swapped, dropped: machine.dropped },
    spills: { started: machine.spills, failed: machine.failedSpills },
    fetches: { started: machine.fetches, failed: machine.failedFetches },
    reused: { ...machine.reused },
    copied: machine.copied,
    passedOver: { ...machine.passedOver },
  };
}
