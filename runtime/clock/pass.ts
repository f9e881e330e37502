/**
 * One step on one tp group: from the moment its devices are free until what it hands on is with the next group.
 *
 * Groups take their steps in turn: the host hands a step over once it is done with the one before, and until then nothing
 * of it is in the queue of a device. As a rule it is done when it has read what the step hands on, or its samples. A step
 * of the last group that samples nothing leaves it nothing to read: once all of it is handed over, behind the last exchange
 * or at once where there is none, the next one follows, and the scheduler is told that it is done while the devices still
 * compute.
 *
 * Its kernels take longer while other devices of the same processor compute, and so does what the host does for it: hand
 * kernels over, exchange, read samples back. Its exchanges take longer while others use the lanes of their ring, and it
 * waits for weights that are on their way. What it hands to the next pipeline stage follows, over the
 * lanes from each rank to its neighbour, before its devices do anything else.
 */
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import { ringBytes } from '../../compiler/cost/links.js';
import type { ProgramTraffic, StepSeconds } from '../../compiler/cost/program-cost.js';
import type { Road, Roads } from '../../compiler/reshard/roads.js';
import { ALONE, hostOnly, type Compute, type Slowdown } from './compute.js';
import { createDeviceTurns } from './device-turns.js';
import type { DeviceWork } from './device-queue.js';
import type { ClockDevices } from './devices.js';
import type { Lanes, LaneShare, LinkedWork } from './lanes.js';
import { ringLanes, type StageGroup } from './stage-clock.js';
import { stepRuns, type StepCourse } from './step-runs.js';
import type { PassedTime } from './trace-clock.js';
import {
  opsOf,
  type MovesAhead,
  type Transitions,
  type WaitAmongExchanges,
  type WeightWait,
} from './transitions.js';
import type { VirtualClock } from './virtual-clock.js';

export interface Pass {
  readonly group: StageGroup;
  /** The next of the pipeline; undefined for the last. */
  readonly next: StageGroup | undefined;
  /** Moves that the step comes behind on the devices of the group. */
  readonly ahead: MovesAhead | undefined;
  readonly step: PassedStep;
}

/** A step, and what groups have to do for it: those of a pipeline are alike for the most part. */
export interface PassedStep {
  readonly size: StepSize;
  /** By group: see `Pass`. Those that come behind none are left out. */
  readonly ahead: readonly (MovesAhead | undefined)[];
  /** By what groups have in common (`StageGroup.alike`), as far as the step has come. */
  readonly works: (PassWork | undefined)[];
}

/** A step on a group with nothing else under way. */
interface PassWork {
  readonly cost: StepSeconds;
  /** Seconds in which the host hands kernels over and reads samples back. */
  readonly submits: number;
  /** Seconds in which it does nothing for other groups meanwhile. */
  readonly hosting: number;
  readonly traffic: ProgramTraffic;
  /** Seconds of exchanges, of kernels with their launches, and of everything. */
  readonly exchange: number;
  readonly kernels: number;
  readonly pure: number;
}

export interface Passed {
  /** Seconds by category, those of other works for links and processors not included. */
  readonly cost: StepSeconds;
  readonly submits: number;
  readonly traffic: ProgramTraffic;
  readonly time: PassedTime;
}

export interface Passes {
  /**
   * @param left called when the host is done with the step: the next group may begin with it
   * @param passed called when the devices are
   */
  readonly run: (pass: Pass, left: () => void, passed: (passed: Passed) => void) => void;
}

export interface PassContext {
  readonly clock: VirtualClock;
  readonly devices: ClockDevices;
  readonly lanes: Lanes;
  readonly transitions: Transitions;
  readonly compute: Compute;
  /** Whether another group of the residence has any of a group's devices. */
  readonly isJoint: (group: StageGroup) => boolean;
}

export function createPasses({ clock, devices, lanes, transitions, compute, isJoint }: PassContext): Passes {
  const { roads } = lanes;
  const known = new Map<StageGroup, GroupState>();
  const jointTurns = createDeviceTurns();
  const stateOf = ({ group, next }: Pass): GroupState => {
    let found = known.get(group);
    if (found === undefined) {
      const { devices: members } = group;
      const onwards = roadsOnwards(group, next, roads);
      const shared = compute.isShared(members);
      const joint = isJoint(group);
      found = { members, ring: ringLanes(group, roads), onwards, shared, joint, turns: [] };
      known.set(group, found);
    }
    return found;
  };
  const workOn = ({ group, step }: Pass): PassWork => (step.works[group.alike] ??= workOf(group, step.size));
  /** Begins a step in a group; returns its course as far as nothing holds it up. */
  const begin = (
    pass: Pass,
    { ring, onwards, shared }: GroupState,
    occupied: DeviceWork,
    done: (passed: Passed) => void,
  ): Undisturbed => {
    const { group, ahead, step } = pass;
    const start = clock.now();
    const { cost, submits, hosting, traffic, exchange, kernels, pure } = workOn(pass);
    const time = transitions.passTime(group, ahead, step.size, start, pure);
    const work = {
      // What is handed on comes last, in its own time.
      seconds: time.seconds - cost.send,
      exchange,
      lanes: ring,
      bytes: ringBytes(traffic, group.devices.length),
      capped: group.declaredExchange,
      weights: false,
    };
    const { end: linked, late, waits } = linkedCourse(work, time.waits, start, lanes);
    transitions.waited(group.devices, waits);
    // What a lane that is taken makes it longer comes on top of an exchange.
    const stretch = exchange === 0 ? 1 : 1 + late / exchange;
    const finish = (computed: number, { kernels, host }: Slowdown): void => {
      const through = (): void => {
        const end = clock.now();
        devices.whenThrough(occupied, (ends) => {
          const slowdown = { kernels, host, exchanges: stretch * host };
          const time = { start, end: clock.now(), ends, send: end - computed, waits, slowdown };
          done({ cost, submits, traffic, time });
        });
      };
      // Every rank's part goes to its neighbour.
      let sent = computed;
      if (traffic.send > 0)
        for (const road of onwards) sent = Math.max(sent, lanes.transfer(road, traffic.send, computed).end);
      if (!shared || sent === computed) clock.at(sent, through);
      else compute.work({ devices: group.devices, ...hostOnly(sent - computed) }, through);
    };
    if (!shared) {
      finish(linked, ALONE);
      return { start, waits, stretch, timeOf: undefined };
    }
    const host = late + exchange + submits;
    const timeOf = compute.work(
      { devices: group.devices, seconds: linked - start, kernels, host, hosting: Math.min(hosting, host) },
      (slowed) => finish(clock.now(), slowed),
    );
    return { start, waits, stretch, timeOf };
  };
  /** The host is done with the step whose turn it is: the next one has its turn. */
  const leave = (state: GroupState, left: () => void): void => {
    devices.leave(state.members);
    state.turns.shift();
    if (state.joint) jointTurns.giveBack(state.members);
    takeTurn(state);
    left();
  };
  /**
   * Steps that the host will be done with at a time. It is before it asks for more, as on devices. There are few: for why
   * this is no Map see `scheduler/in-flight.ts`.
   */
  const leaving: { readonly time: number; readonly all: (() => void)[] }[] = [];
  const leaveAt = (time: number, left: () => void): void => {
    const others = leaving.find((each) => each.time === time);
    if (others !== undefined) {
      others.all.push(left);
      return;
    }
    const together = { time, all: [left] };
    leaving.push(together);
    clock.behind(time, () => {
      leaving.splice(leaving.indexOf(together), 1);
      for (const each of together.all) each();
    });
  };
  const takeTurn = ({ members, joint, turns }: GroupState): void => {
    if (turns.length === 0) return;
    const { ahead, handOver } = turns[0]!;
    transitions.whenBegun(ahead, joint ? () => jointTurns.take(members, handOver) : handOver);
  };
  return {
    run(pass, left, passed) {
      const state = stateOf(pass);
      const { members, turns } = state;
      const { ahead } = pass;
      const handOver = (): void => {
        const nothingToRead = pass.next === undefined && pass.step.size.samples === 0;
        let course: Undisturbed | undefined;
        const inParts =
          members.length > 1 || transitions.isComing(ahead) ? () => courseOf(pass, course) : undefined;
        devices.run(members, {
          inParts,
          begin(occupied) {
            course = begin(pass, state, occupied, (through) => {
              passed(through);
              if (!nothingToRead) leave(state, left);
            });
            if (nothingToRead && inParts !== undefined)
              devices.whenHandedOver(occupied, () => leave(state, left));
          },
        });
        if (!inParts && nothingToRead) leaveAt(clock.now() + workOn(pass).submits, () => leave(state, left));
      };
      turns.push({ ahead, handOver });
      if (turns.length === 1) takeTurn(state);
    },
  };
}

/** How a step goes on that uses lanes. */
interface LinkedCourse {
  readonly end: number;
  /** Seconds that its exchanges take longer than on lanes of their own, which each of them then has a part of by its length. */
  readonly late: number;
  /** What it waits for weights after all: the less, the later it comes to need them. */
  readonly waits: readonly WeightWait[];
}

/**
 * Carries what a step exchanges, which stands still while it waits.
 *
 * @param work with the waits in its seconds
 * @param waits as they would be on lanes of its own
 */
function linkedCourse(
  work: LinkedWork,
  waits: readonly WaitAmongExchanges[],
  start: number,
  lanes: Pick<Lanes, 'share'>,
): LinkedCourse {
  const { seconds, exchange, bytes } = work;
  if (waits.length === 0) {
    const end = lanes.share(work, start);
    return { end, late: end - start - seconds, waits };
  }
  const found: WeightWait[] = [];
  let [at, from, exchanged, late] = [start, start, 0, 0];
  const goOn = (until: number, untilExchanged: number): void => {
    const [own, exchanging] = [until - from, untilExchanged - exchanged];
    const part = exchange === 0 ? 0 : exchanging / exchange;
    const end = lanes.share({ ...work, seconds: own, exchange: exchanging, bytes: bytes * part }, at);
    late += end - at - own;
    at = end;
    exchanged = untilExchanged;
  };
  for (const wait of waits) {
    goOn(wait.start, wait.exchanged);
    from = wait.end;
    if (wait.end <= at) continue;
    found.push({ op: wait.op, start: at, end: wait.end });
    at = wait.end;
  }
  goOn(start + seconds, exchange);
  return { end: at, late, waits: found };
}

/** How a step goes on from its beginning, if nothing holds it up. */
interface Undisturbed {
  readonly start: number;
  readonly waits: readonly WeightWait[];
  /** By how much its exchanges take longer than on links of their own. */
  readonly stretch: number;
  /** When so many seconds of it are over, where that is not just as long after its start. */
  readonly timeOf: ((seconds: number) => number) | undefined;
}

/** The parts of a step that the host hands over bit by bit; `begun` is known once it has. */
function courseOf(
  { group: { cost }, step: { size } }: Pass,
  begun: Undisturbed | undefined,
): Pick<StepCourse, 'runs' | 'timeOf'> {
  const { start = 0, waits = [], stretch = 1, timeOf = (seconds: number) => start + seconds } = begun ?? {};
  const parts = waits.length > 0 ? cost.outline(size, opsOf(waits)) : cost.runs(size);
  return { runs: stepRuns(parts, waits, stretch), timeOf };
}

interface GroupState {
  readonly members: readonly number[];
  readonly ring: readonly LaneShare[];
  /** Of each rank to its neighbour in the next group. */
  readonly onwards: readonly Road[];
  /** Whether any of its devices has a processor that it shares. */
  readonly shared: boolean;
  /** Whether it takes turns on its devices with other groups. */
  readonly joint: boolean;
  /** The steps that the host is not done with; the first of them has its turn. */
  readonly turns: (Pick<Pass, 'ahead'> & { readonly handOver: () => void })[];
}

function roadsOnwards({ devices }: StageGroup, next: StageGroup | undefined, roads: Roads): readonly Road[] {
  if (next === undefined) return [];
  return devices.flatMap((device, tp) => {
    const road = roads.betweenDevices(device, next.devices[tp % next.devices.length]!);
    return road === undefined ? [] : [road];
  });
}

function workOf({ cost: program }: StageGroup, size: StepSize): PassWork {
  const cost = program.step(size);
  const exchange = cost.all_reduce + cost.all_gather;
  const kernels = cost.gemm + cost.attention + cost.elementwise + cost.launch;
  const submits = program.submits(size);
  const hosting = program.hosting(size);
  const pure = kernels + submits + exchange + cost.send;
  return { cost, submits, hosting, traffic: program.traffic(size), exchange, kernels, pure };
}
