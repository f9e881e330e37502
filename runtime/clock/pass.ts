/**
 * One step on one tp group: from the moment its devices are free until what it hands on is with the next group.
 *
 * Its kernels take longer while other devices of the same processor compute, and so does what the host does for it: hand
 * kernels over, exchange, read samples back. Its exchanges take longer while others use the lanes of their ring, and it
 * waits for weights that are on their way. What it hands to the next pipeline stage follows, over the
 * lanes from each rank to its neighbour, before its devices do anything else.
 */
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import { ringBytes } from '../../compiler/cost/links.js';
import type { CostKind, ProgramTraffic } from '../../compiler/cost/program-cost.js';
import { ALONE, hostOnly, type Compute, type Slowdown } from './compute.js';
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
    const submits = group.cost.submits(size);
    const kernels = cost.gemm + cost.attention + cost.elementwise + cost.launch;
    const { seconds, waits } = transitions.passTime(
      group,
      residence,
      size,
      start,
      kernels + submits + exchange + cost.send,
    );
    // What is handed on comes last, in its own time.
    const own = seconds - cost.send;
    // What a lane that is taken makes it longer comes on top of an exchange.
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
    const finish = (computed: number, slowed: Slowdown): void => {
      const end = (): void => {
        const end = clock.now();
        const linkedPart = exchange === 0 ? 1 : 1 + (linked - start - own) / exchange;
        const slowdown = { ...slowed, exchanges: linkedPart * slowed.host };
        devices.leave(group.devices);
        over();
        done({
          seconds: {
            gemm: cost.gemm * slowdown.kernels,
            attention: cost.attention * slowdown.kernels,
            elementwise: cost.elementwise * slowdown.kernels,
            launch: cost.launch * slowdown.kernels + submits * slowdown.host,
            all_reduce: cost.all_reduce * slowdown.exchanges,
            all_gather: cost.all_gather * slowdown.exchanges,
            send: end - computed,
          },
          traffic,
          time: { start, end, waits, slowdown },
        });
      };
      const sent = handOn(pass, traffic.send, computed);
      if (!shared || sent === computed) clock.at(sent, end);
      else compute.work({ devices: group.devices, ...hostOnly(sent - computed) }, end);
    };
    const shared = compute.isShared(group.devices);
    const host = linked - start - own + exchange + submits;
    if (shared)
      compute.work({ devices: group.devices, seconds: linked - start, kernels, host }, (slowed) =>
        finish(clock.now(), slowed),
      );
    else finish(linked, ALONE);
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
