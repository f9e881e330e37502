/**
 * One step on one tp group: from the moment its devices are free until what it hands on is with the next group.
 *
 * Groups take their steps in turn: the host hands a step over once it is done with the one before, and until then nothing
 * of it is in the queue of a device. As a rule it is done when it has read what the step hands on, or its samples. A step
 * of the last group that samples nothing leaves it nothing to read: where it is handed over in one piece, the next one
 * follows it at once, and the scheduler is told that it is done while the device still computes.
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
import type { ClockDevices, DeviceWork } from './devices.js';
import type { Lanes, LaneShare } from './lanes.js';
import { ringLanes, type StageGroup } from './stage-clock.js';
import type { PassedTime } from './trace-clock.js';
import type { Transitions } from './transitions.js';
import type { VirtualClock } from './virtual-clock.js';

export interface Pass {
  readonly group: StageGroup;
  /** The next of the pipeline; undefined for the last. */
  readonly next: StageGroup | undefined;
  readonly residence: string;
  readonly step: PassedStep;
}

/** A step, and what groups have to do for it: those of a pipeline are alike for the most part. */
export interface PassedStep {
  readonly size: StepSize;
  /** By what groups have in common (`StageGroup.alike`), as far as the step has come. */
  readonly works: (PassWork | undefined)[];
}

/** A step on a group with nothing else under way. */
interface PassWork {
  readonly cost: StepSeconds;
  /** Seconds in which the host hands kernels over and reads samples back. */
  readonly submits: number;
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
  /** Seconds of handing on, with waits for links. */
  readonly send: number;
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
}

export function createPasses({ clock, devices, lanes, transitions, compute }: PassContext): Passes {
  const { roads } = lanes;
  const known = new Map<StageGroup, GroupState>();
  const stateOf = ({ group, next, residence }: Pass): GroupState => {
    let found = known.get(group);
    if (found === undefined) {
      const { devices: members } = group;
      const onwards = roadsOnwards(group, next, roads);
      const shared = compute.isShared(members);
      found = { members, residence, ring: ringLanes(group, roads), onwards, shared, turns: [] };
      known.set(group, found);
    }
    return found;
  };
  const workOn = ({ group, step }: Pass): PassWork => (step.works[group.alike] ??= workOf(group, step.size));
  const begin = (
    pass: Pass,
    { ring, onwards, shared }: GroupState,
    occupied: DeviceWork,
    done: (passed: Passed) => void,
  ): void => {
    const { group, residence, step } = pass;
    const start = clock.now();
    const { cost, submits, traffic, exchange, kernels, pure } = workOn(pass);
    const { seconds, waits } = transitions.passTime(group, residence, step.size, start, pure);
    // What is handed on comes last, in its own time.
    const own = seconds - cost.send;
    // What a lane that is taken makes it longer comes on top of an exchange.
    const linked = lanes.share(
      {
        seconds: own,
        exchange,
        lanes: ring,
        bytes: ringBytes(traffic, group.devices.length),
        capped: group.declaredExchange,
      },
      start,
    );
    const finish = (computed: number, slowed: Slowdown): void => {
      // Every rank's part goes to its neighbour.
      let sent = computed;
      if (traffic.send > 0)
        for (const road of onwards) sent = Math.max(sent, lanes.transfer(road, traffic.send, computed).end);
      let paused = 0;
      const over = (): void => {
        const end = clock.now();
        const held = devices.heldUp(occupied);
        if (held > 0) {
          paused += held;
          clock.at(end + held, over);
          return;
        }
        const linkedPart = exchange === 0 ? 1 : 1 + (linked - start - own) / exchange;
        const { kernels, host } = slowed;
        const slowdown = { kernels, host, exchanges: linkedPart * host };
        done({
          cost,
          submits,
          // Where nothing is handed on, not even what a difference is off by.
          send: sent === computed ? 0 : end - computed - paused,
          traffic,
          time: { start, end, waits, slowdown },
        });
      };
      if (!shared || sent === computed) clock.at(sent, over);
      else compute.work({ devices: group.devices, ...hostOnly(sent - computed) }, over);
    };
    if (!shared) {
      finish(linked, ALONE);
      return;
    }
    const host = linked - start - own + exchange + submits;
    compute.work({ devices: group.devices, seconds: linked - start, kernels, host }, (slowed) =>
      finish(clock.now(), slowed),
    );
  };
  /** The host is done with the step whose turn it is: the next one has its turn. */
  const leave = (state: GroupState, occupied: DeviceWork | undefined, left: () => void): void => {
    devices.leave(state.members);
    if (occupied !== undefined) devices.over(occupied);
    state.turns.shift();
    takeTurn(state);
    left();
  };
  const takeTurn = ({ members, residence, turns }: GroupState): void => {
    if (turns.length > 0) transitions.whenBegun(members, residence, turns[0]!);
  };
  return {
    run(pass, left, passed) {
      const state = stateOf(pass);
      const { members, residence, turns } = state;
      turns.push(() => {
        const inParts = members.length > 1;
        const nothingToRead = pass.next === undefined && pass.step.size.samples === 0;
        const ahead = nothingToRead && !inParts && !transitions.isComing(members, residence);
        devices.run(members, inParts, (occupied) =>
          begin(pass, state, occupied, (through) => {
            passed(through);
            if (ahead) devices.over(occupied);
            else leave(state, occupied, left);
          }),
        );
        if (ahead) clock.at(clock.now() + workOn(pass).submits, () => leave(state, undefined, left));
      });
      if (turns.length === 1) takeTurn(state);
    },
  };
}

interface GroupState {
  readonly members: readonly number[];
  /** Of its stage. */
  readonly residence: string;
  readonly ring: readonly LaneShare[];
  /** Of each rank to its neighbour in the next group. */
  readonly onwards: readonly Road[];
  /** Whether any of its devices has a processor that it shares. */
  readonly shared: boolean;
  /** Hand over the steps that the host is not done with; the first of them has its turn. */
  readonly turns: (() => void)[];
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
  const pure = kernels + submits + exchange + cost.send;
  return { cost, submits, traffic: program.traffic(size), exchange, kernels, pure };
}
