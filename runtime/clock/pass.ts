/**
 * One step on one tp group: from the moment its devices are free until what it hands on is with the next group.
 *
 * Its kernels take longer while other devices of the same processor compute, its exchanges while others use the lanes of
 * their ring, and it waits for weights that are on their way. What it hands to the next pipeline stage follows, over the
 * lanes from each rank to its neighbour, before its devices do anything else.
 */
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import { ringBytes } from '../../compiler/cost/links.js';
import type { CostKind, ProgramTraffic } from '../../compiler/cost/program-cost.js';
import type { Compute } from './compute.js';
import type { ClockDevices } from './devices.js';
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
  readonly size: StepSize;
}

export interface Passed {
  /** Seconds by category, waits for links and for other devices included, those for weights not. */
  readonly seconds: Readonly<Record<CostKind, number>>;
  readonly traffic: ProgramTraffic;
  readonly time: PassedTime;
}

export interface Passes {
  readonly run: (pass: Pass, done: (passed: Passed) => void) => void;
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
  const rings = new Map<StageGroup, readonly LaneShare[]>();
  const ringOf = (group: StageGroup): readonly LaneShare[] => {
    const ring = rings.get(group) ?? ringLanes(group, roads);
    rings.set(group, ring);
    return ring;
  };
  /** Hands every rank's part to its neighbour from a time on; says when the last is there. */
  const handOn = ({ group, next }: Pass, bytes: number, ready: number): number => {
    if (next === undefined || bytes === 0) return ready;
    let last = ready;
    group.devices.forEach((device, tp) => {
      const road = roads.betweenDevices(device, next.devices[tp % next.devices.length]!);
      if (road !== undefined) last = Math.max(last, lanes.transfer(road, bytes, ready).end);
    });
    return last;
  };
  const begin = (pass: Pass, over: () => void, done: (passed: Passed) => void): void => {
    const { group, residence, size } = pass;
    const start = clock.now();
    const cost = group.cost.step(size);
    const traffic = group.cost.traffic(size);
    const exchange = cost.all_reduce + cost.all_gather;
    const kernels = cost.gemm + cost.attention + cost.elementwise + cost.launch;
    const { seconds, waits } = transitions.passTime(
      group,
      residence,
      size,
      start,
      kernels + exchange + cost.send,
    );
    // What is handed on comes last, in its own time.
    const own = seconds - cost.send;
    const linked = lanes.share(
      {
        seconds: own,
        exchange,
        lanes: ringOf(group),
        bytes: ringBytes(traffic, group.devices.length),
        capped: group.declaredExchange,
      },
      start,
    );
    const finish = (computed: number): void => {
      const end = handOn(pass, traffic.send, computed);
      clock.at(end, () => {
        const slowdown = {
          kernels: kernels === 0 ? 1 : 1 + (computed - linked) / kernels,
          exchanges: exchange === 0 ? 1 : 1 + (linked - start - own) / exchange,
        };
        devices.leave(group.devices);
        over();
        done({
          seconds: {
            gemm: cost.gemm * slowdown.kernels,
            attention: cost.attention * slowdown.kernels,
            elementwise: cost.elementwise * slowdown.kernels,
            launch: cost.launch * slowdown.kernels,
            all_reduce: cost.all_reduce * slowdown.exchanges,
            all_gather: cost.all_gather * slowdown.exchanges,
            send: end - computed,
          },
          traffic,
          time: { start, end, waits, slowdown },
        });
      });
    };
    if (compute.isShared(group.devices))
      compute.work(group.devices, linked - start, kernels, () => finish(clock.now()));
    else finish(linked);
  };
  return {
    run(pass, done) {
      const { devices: members } = pass.group;
      transitions.whenBegun(members, pass.residence, () =>
        devices.run(members, (over) => begin(pass, over, done)),
      );
    },
  };
}
