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
import { ringLanes, type TpGroup } from './stage-clock.js';
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

/** One step on one tp group. */
export interface Pass {
  readonly group: TpGroup;
  /** The group of the next pipeline stage; undefined on the last. */
  readonly next: TpGroup | undefined;
  /** Moves of weights that the step comes behind on the devices of the group; undefined where there are none. */
  readonly ahead: MovesAhead | undefined;
  readonly step: PassedStep;
}

/** A step, and what the groups of its pipeline have to do for it. */
export interface PassedStep {
  readonly size: StepSize;
  /** By pipeline stage, as in `Pass`. Empty where no group has any. */
  readonly ahead: readonly (MovesAhead | undefined)[];
  /**
   * The work of groups, by `TpGroup.alike`: found once for groups that take the same time, when the step gets to
   * one.
   */
  readonly works: (PassWork | undefined)[];
}

/** What a step takes on a group with nothing else under way. */
interface PassWork {
  /** Device seconds by category, of each kind of device in the group (`TpGroup.kinds`). */
  readonly costs: readonly StepSeconds[];
  /** Host seconds outside `cost`: the host hands kernels over and reads samples back. */
  readonly submits: number;
  /** The seconds in which the host does nothing for other groups. */
  readonly hosting: number;
  readonly traffic: ProgramTraffic;
  /** Seconds of exchanges. */
  readonly exchange: number;
  /** Seconds of kernels with their launches, on the slowest device. */
  readonly kernels: number;
  /** Seconds of handing on. */
  readonly send: number;
  /** Seconds of everything. */
  readonly pure: number;
}

/** What a pass took. */
export interface Passed {
  /** Device seconds by category, of each kind of device in the group, as if nothing else had been under way. */
  readonly costs: readonly StepSeconds[];
  readonly submits: number;
  readonly traffic: ProgramTraffic;
  /** How long it took in fact. */
  readonly time: PassedTime;
}

/** Runs steps on groups. */
export interface Passes {
  /**
   * @param left called when the host is done with the step: the next group may begin with it
   * @param passed called when the devices are
   */
  readonly run: (pass: Pass, left: () => void, passed: (passed: Passed) => void) => void;
}

/** What passes share with everything else on the clock. */
export interface PassContext {
  readonly clock: VirtualClock;
  readonly devices: ClockDevices;
  readonly lanes: Lanes;
  readonly transitions: Transitions;
  readonly compute: Compute;
  /** Whether another group of the residence has any of a group's devices. */
  readonly isJoint: (group: TpGroup) => boolean;
}

/** Passes over groups that have no steps yet. */
export function createPasses({ clock, devices, lanes, transitions, compute, isJoint }: PassContext): Passes {
  const { roads } = lanes;
  const known = new Map<TpGroup, GroupState>();
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
    const { costs, submits, hosting, traffic, exchange, kernels, send, pure } = workOn(pass);
    const time = transitions.passTime(group, ahead, step.size, start, pure);
    const work = {
      // What is handed on comes last, in its own time.
      seconds: time.seconds - send,
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
          done({ costs, submits, traffic, time });
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

/** How a step goes on that uses lanes which others may use as well. */
interface LinkedCourse {
  readonly end: number;
  /**
   * Seconds by which its exchanges take longer than on lanes of their own; each of them then has a part of that by its
   * length.
   */
  readonly late: number;
  /** The waits for weights after all: the later it comes to need weights, the less it waits for them. */
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
  /** Factor by which its exchanges take longer than on links of their own. */
  readonly stretch: number;
  /** Time at which so many seconds of it are over; undefined where that is just as long after its start. */
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

/** A group and its steps. */
interface GroupState {
  readonly members: readonly number[];
  readonly ring: readonly LaneShare[];
  /** The road from each rank to its neighbour in the next group. */
  readonly onwards: readonly Road[];
  /** Whether any of its devices has a processor that it shares. */
  readonly shared: boolean;
  /** Whether it takes turns on its devices with other groups. */
  readonly joint: boolean;
  /** The steps that the host is not done with; the first of them has its turn. */
  readonly turns: (Pick<Pass, 'ahead'> & { readonly handOver: () => void })[];
}

function roadsOnwards({ devices }: TpGroup, next: TpGroup | undefined, roads: Roads): readonly Road[] {
  if (next === undefined) return [];
  return devices.flatMap((device, tp) => {
    const road = roads.betweenDevices(device, next.devices[tp % next.devices.length]!);
    return road === undefined ? [] : [road];
  });
}

function workOf({ cost: program, kinds }: TpGroup, size: StepSize): PassWork {
  const cost = program.step(size);
  const costs = kinds.length === 1 ? [cost] : kinds.map((kind) => kind.cost.step(size));
  const exchange = cost.all_reduce + cost.all_gather;
  const kernels = cost.gemm + cost.attention + cost.elementwise + cost.launch;
  const submits = program.submits(size);
  const hosting = program.hosting(size);
  const { send } = cost;
  const pure = kernels + submits + exchange + send;
  return { costs, submits, hosting, traffic: program.traffic(size), exchange, kernels, send, pure };
}
