/**
 * Transitions under way on the clock: which devices wait for their old steps, which have begun, and when each layer of
 * the new stage arrives.
 */
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import type { RuntimeGraph, RuntimeTransition } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { ClockDevices } from './devices.js';
import type { Lanes } from './lanes.js';
import type { ClockSpan } from './simulation.js';
import type { StageGroup } from './stage-clock.js';
import type { VirtualClock } from './virtual-clock.js';
import { clockTransition, type Arrivals } from './weights.js';

export interface TransitionContext {
  readonly graph: RuntimeGraph;
  readonly plan: Plan;
  readonly lanes: Lanes;
  readonly fullReload: boolean;
  readonly onSpan: (span: ClockSpan) => void;
}

export interface Transitions {
  /** Begins a transition to a residence; calls back when all moves are done. Returns the bytes it brings in. */
  readonly start: (
    transition: RuntimeTransition,
    residence: string,
    context: TransitionContext,
    done: () => void,
  ) => number;
  /** Calls back once no device has yet to begin its moves to the residence: at once as a rule. */
  readonly whenBegun: (devices: readonly number[], residence: string, begun: () => void) => void;
  /** Seconds a pass takes that would take `pure` seconds with all weights there, from `start` on. */
  readonly passSeconds: (
    group: StageGroup,
    residence: string,
    size: StepSize,
    start: number,
    pure: number,
  ) => number;
  /** Seconds in which a device did nothing but wait for weights. */
  readonly exposed: (device: number) => number;
}

/** Moves of one device that have begun, or are about to. */
interface DeviceMoves {
  readonly residence: string;
  begun: boolean;
  readonly parked: (() => void)[];
  arrivals: Arrivals;
  end: number;
  /** From when on the device has done nothing; undefined once it has run a step of the new stage. */
  waitingSince: number | undefined;
}

export function createTransitions(clock: VirtualClock, devices: ClockDevices): Transitions {
  const moves = new Map<number, DeviceMoves>();
  const exposure = new Map<number, number>();
  const expose = (device: number, seconds: number): void => {
    exposure.set(device, (exposure.get(device) ?? 0) + Math.max(0, seconds));
  };
  const incoming = (device: number, residence: string): DeviceMoves | undefined => {
    const found = moves.get(device);
    return found?.residence === residence ? found : undefined;
  };
  const whenBegun = (group: readonly number[], residence: string, begun: () => void): void => {
    const pending = group
      .map((device) => incoming(device, residence))
      .find((each) => each !== undefined && !each.begun);
    if (pending === undefined) begun();
    else pending.parked.push(() => whenBegun(group, residence, begun));
  };
  return {
    start(transition, residence, { graph, plan, lanes, fullReload, onSpan }, done) {
      const planned = clockTransition(graph, plan, transition, lanes, fullReload, ({ layer, ...span }) =>
        onSpan({ what: 'weights', stage: transition.to, ...span, ...(layer === undefined ? {} : { layer }) }),
      );
      let left = transition.devices.length;
      for (const { device } of transition.devices) {
        const state: DeviceMoves = {
          residence,
          begun: false,
          parked: [],
          arrivals: () => 0,
          end: Infinity,
          waitingSince: undefined,
        };
        moves.set(device, state);
        devices.whenCleared(device, () => {
          const begin = Math.max(clock.now(), devices.freeAt(device));
          const { arrivals, end } = planned.begin(device, begin);
          Object.assign(state, { begun: true, arrivals, end, waitingSince: begin });
          for (const resume of state.parked.splice(0)) resume();
          clock.at(end, () => {
            if (state.waitingSince !== undefined) expose(device, end - state.waitingSince);
            state.waitingSince = undefined;
            if (--left === 0) done();
          });
        });
      }
      if (left === 0) clock.at(clock.now(), done);
      return planned.bytes;
    },
    whenBegun,
    passSeconds(group, residence, size, start, pure) {
      const arriving = group.devices
        .map((device) => incoming(device, residence))
        .filter((each): each is DeviceMoves => each !== undefined && each.end > start);
      if (arriving.length === 0) return pure;
      let at = start;
      let waited = 0;
      for (const { layer, seconds } of group.cost.layers(size)) {
        const there = Math.max(...arriving.map(({ arrivals }) => arrivals(layer)));
        waited += Math.max(0, there - at);
        at = Math.max(at, there) + seconds;
      }
      for (const device of group.devices) {
        const state = incoming(device, residence);
        const before = state?.waitingSince === undefined ? 0 : start - state.waitingSince;
        if (state !== undefined) state.waitingSince = undefined;
        expose(device, before + waited);
      }
      return at - start;
    },
    exposed: (device) => exposure.get(device) ?? 0,
  };
}
