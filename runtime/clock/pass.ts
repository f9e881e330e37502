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
import { groupBy } from '../../compiler/group-by.js';
import type { ProgramTraffic, StepSeconds } from '../../compiler/cost/program-cost.js';
import type { Road, Roads } from '../../compiler/reshard/roads.js';
import { ALONE, hostOnly, type Compute, type Slowdown } from './compute.js';
import { createDeviceTurns } from './device-turns.js';
import { takeOut, type DeviceWork } from './device-queue.js';
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

/** A step, the groups of the pipeline that it passes, and who is told of it. */
export interface PassedStep {
  readonly size: StepSize;
  /** In pipeline order. */
  readonly groups: readonly TpGroup[];
  /**
   * Moves of weights that it comes behind on the devices of each group; undefined where there are none, and empty where no
   * group has any.
   */
  readonly ahead: readonly (MovesAhead | undefined)[];
  /**
   * The work of groups, by `TpGroup.alike`: found once for groups that take the same time, when the step gets to
   * one.
   */
  readonly works: (PassWork | undefined)[];
  /** Called when the host is done with it on the group at a place in the pipeline: the next group may begin with it. */
  readonly left: (pp: number) => void;
  /** Called when the devices of a group are. */
  readonly passed: (pass: Readonly<Pass>) => void;
}

/**
 * One step on one tp group, with what has come of it so far. A simulation has millions: what there is to know of one is
 * in one object.
 */
export interface Pass {
  readonly step: PassedStep;
  /** The place of the group in the pipeline. */
  readonly pp: number;
  readonly group: TpGroup;
  readonly work: PassWork;
  /** When it began. */
  start: number;
  /** Waits for weights. */
  waits: readonly WeightWait[];
  /** Factors by which other devices of the same processor slow it down. */
  slowdown: Slowdown;
  /** Factor by which its exchanges take longer than on links of their own. */
  stretch: number;
  /** Time at which so many seconds of it are over; undefined where that is just as long after its start. */
  timeOf: ((seconds: number) => number) | undefined;
  /** Seconds of handing on. */
  send: number;
  /** When its devices were through, and each of them where some may have been before. */
  end: number;
  ends: readonly number[] | undefined;
}

/** How the time of a pass that is over went by. */
export function passedTime({ start, end, ends, send, waits, slowdown, stretch }: Readonly<Pass>): PassedTime {
  const { kernels, host } = slowdown;
  return { start, end, ends, send, waits, slowdown: { kernels, host, exchanges: stretch * host } };
}

/** What a step takes on a group with nothing else under way. */
export interface PassWork {
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

/** Runs steps on groups. */
export interface Passes {
  /** Runs a step on the group at a place in its pipeline. */
  readonly run: (step: PassedStep, pp: number) => void;
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
  const stateOf = (group: TpGroup, next: TpGroup | undefined): GroupState => {
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
  /** Begins a step in a group whose devices are there for it. */
  const begin = (pass: Pass, state: GroupState, occupied: DeviceWork): void => {
    const { group, step, pp, work } = pass;
    const { exchange, send } = work;
    const ahead = step.ahead[pp];
    const start = clock.now();
    pass.start = start;
    let [seconds, waits] = [work.pure, NO_WAITS];
    if (ahead !== undefined)
      ({ seconds, waits } = transitions.passTime(group, ahead, step.size, start, work.pure));
    // What is handed on comes last, in its own time.
    seconds -= send;
    let [linked, late] = [start + seconds, 0];
    if (state.ring.length > 0 || waits.length > 0) {
      const exchanged = {
        seconds,
        exchange,
        lanes: state.ring,
        bytes: ringBytes(work.traffic, group.devices.length),
        capped: group.declaredExchange,
        weights: false,
      };
      ({ end: linked, late, waits: pass.waits } = linkedCourse(exchanged, waits, start, lanes));
      transitions.waited(group.devices, pass.waits);
    }
    // What a lane that is taken makes it longer comes on top of an exchange.
    if (exchange > 0) pass.stretch = 1 + late / exchange;
    if (!state.shared) {
      handOn(pass, state, occupied, linked);
      return;
    }
    const host = late + exchange + work.submits;
    const shared = {
      devices: group.devices,
      seconds: linked - start,
      kernels: work.kernels,
      host,
      hosting: Math.min(work.hosting, host),
    };
    pass.timeOf = compute.work(shared, (slowed) => {
      pass.slowdown = slowed;
      handOn(pass, state, occupied, clock.now());
    });
  };
  /** Hands what a group has computed by some time on to the next: every rank's part goes to its neighbour. */
  const handOn = (pass: Pass, state: GroupState, occupied: DeviceWork, computed: number): void => {
    const { send } = pass.work.traffic;
    let sent = computed;
    if (send > 0)
      for (const { road, ranks } of state.onwards)
        sent = Math.max(sent, lanes.send(road, send * ranks, computed));
    const through = (): void => {
      pass.send = clock.now() - computed;
      devices.whenThrough(occupied, (ends) => {
        pass.ends = ends;
        pass.end = clock.now();
        pass.step.passed(pass);
        if (!hasNothingToRead(pass)) leave(pass, state);
      });
    };
    if (!state.shared || sent === computed) clock.at(sent, through);
    else compute.work({ devices: state.members, ...hostOnly(sent - computed) }, through);
  };
  /** The host is done with the step whose turn it is: the next one has its turn. */
  const leave = ({ step, pp }: Pass, state: GroupState): void => {
    const { members, turns, joint } = state;
    devices.leave(members);
    takeOut(turns, turns[0]);
    if (joint) jointTurns.giveBack(members);
    takeTurn(state);
    step.left(pp);
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
  const takeTurn = (state: GroupState): void => {
    const pass = state.turns[0];
    if (pass === undefined) return;
    const ahead = pass.step.ahead[pass.pp];
    if (ahead === undefined && !state.joint) handOver(pass, state);
    else
      transitions.whenBegun(ahead, () => {
        if (state.joint) jointTurns.take(state.members, () => handOver(pass, state));
        else handOver(pass, state);
      });
  };
  /** Gives the devices of a group a step. */
  const handOver = (pass: Pass, state: GroupState): void => {
    const { members } = state;
    const isInParts = members.length > 1 || transitions.isComing(pass.step.ahead[pass.pp]);
    devices.run(members, {
      inParts: isInParts ? () => courseOf(pass) : undefined,
      begin(occupied) {
        begin(pass, state, occupied);
        if (isInParts && hasNothingToRead(pass)) devices.whenHandedOver(occupied, () => leave(pass, state));
      },
    });
    if (!isInParts && hasNothingToRead(pass))
      leaveAt(clock.now() + pass.work.submits, () => leave(pass, state));
  };
  return {
    run(step, pp) {
      const { groups, size, works } = step;
      const group = groups[pp]!;
      const state = stateOf(group, groups[pp + 1]);
      const pass: Pass = {
        step,
        pp,
        group,
        work: (works[group.alike] ??= workOf(group, size)),
        start: 0,
        waits: NO_WAITS,
        slowdown: ALONE,
        stretch: 1,
        timeOf: undefined,
        send: 0,
        end: 0,
        ends: undefined,
      };
      state.turns.push(pass);
      if (state.turns.length === 1) takeTurn(state);
    },
  };
}

const NO_WAITS: readonly WaitAmongExchanges[] = [];

/** Whether a step ends on a group of which the host reads nothing. */
function hasNothingToRead({ step: { groups, size }, pp }: Pass): boolean {
  return pp === groups.length - 1 && size.samples === 0;
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

/** The parts of a step that the host hands over bit by bit; when they are over is known once it has begun. */
function courseOf({
  group: { cost },
  step: { size },
  start,
  waits,
  stretch,
  timeOf,
}: Pass): Pick<StepCourse, 'runs' | 'timeOf'> {
  const parts = waits.length > 0 ? cost.outline(size, opsOf(waits)) : cost.runs(size);
  return { runs: stepRuns(parts, waits, stretch), timeOf: timeOf ?? ((seconds) => start + seconds) };
}

/** A road to the next group, and how many ranks send over it. */
interface RoadOnwards {
  readonly road: Road;
  readonly ranks: number;
}

/** A group and its steps. */
interface GroupState {
  readonly members: readonly number[];
  readonly ring: readonly LaneShare[];
  /** The roads from ranks to their neighbours in the next group. */
  readonly onwards: readonly RoadOnwards[];
  /** Whether any of its devices has a processor that it shares. */
  readonly shared: boolean;
  /** Whether it takes turns on its devices with other groups. */
  readonly joint: boolean;
  /** The steps that the host is not done with; the first of them has its turn. */
  readonly turns: Pass[];
}

/** Ranks that hand on over the same lanes follow each other there: together they take as long as one with all that they send. */
function roadsOnwards({ devices }: TpGroup, next: TpGroup | undefined, roads: Roads): readonly RoadOnwards[] {
  if (next === undefined) return [];
  const found = devices.flatMap((device, tp) => {
    const road = roads.betweenDevices(device, next.devices[tp % next.devices.length]!);
    return road === undefined ? [] : [road];
  });
  const byLanes = groupBy(found, ({ lanes }) => lanes.join(' '));
  return [...byLanes.values()].map((alike) => ({ road: alike[0]!, ranks: alike.length }));
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
