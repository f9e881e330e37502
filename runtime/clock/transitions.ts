/**
 * Transitions under way on the clock: which devices wait for old steps, what they have begun to move, and what steps of the
 * new stage wait for.
 */
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import type { RuntimeTransition } from '../../compiler/ir/runtime-graph.js';
import type { ClockDevices } from './devices.js';
import type { TpGroup } from './stage-clock.js';
import type { VirtualClock } from './virtual-clock.js';
import type { DeviceWork } from './device-queue.js';
import type { BegunMoves, ClockTransition, PortionSpan } from './weights.js';

/** Told when a device is done with its moves. */
export type OnMoved = (device: number, spans: readonly PortionSpan[]) => void;

/** A wait of a step for the weights of an op, from `start` to `end` seconds. */
export interface WeightWait {
  /** Index of the op in the program. */
  readonly op: number;
  readonly start: number;
  readonly end: number;
}

/** A wait, with the seconds of exchanges that the step has behind it by then. */
export interface WaitAmongExchanges extends WeightWait {
  readonly exchanged: number;
}

const NO_WAITS: readonly WaitAmongExchanges[] = [];
const NOTHING: MovesAhead = [];
const NO_GROUPS: readonly undefined[] = [];

/** The ops that wait; undefined where none do. */
export function opsOf(waits: readonly WeightWait[]): ReadonlySet<number> | undefined {
  return waits.length === 0 ? undefined : new Set(waits.map(({ op }) => op));
}

/** How many seconds a pass takes, with its waits for weights, and these waits. */
export interface PassTime {
  readonly seconds: number;
  readonly waits: readonly WaitAmongExchanges[];
}

/**
 * Follows steps, each the last old one on some devices: calls back for each of these when they have done what comes before
 * an exchange of it.
 */
function stepFollower(
  { followExchanges }: ClockDevices,
  gates: ReadonlySet<number>,
  past: (device: number, exchanges: number) => void,
): (step: DeviceWork, device: number) => void {
  interface Followed {
    readonly devices: number[];
    passed: number;
  }
  const following = new Map<DeviceWork, Followed>();
  return (step, device) => {
    const known = following.get(step);
    if (known !== undefined) {
      known.devices.push(device);
      // It was under way before.
      if (known.passed >= 0) past(device, known.passed);
      return;
    }
    const followed: Followed = { devices: [device], passed: -1 };
    following.set(step, followed);
    followExchanges(step, gates, (exchanges) => {
      followed.passed = exchanges;
      for (const each of followed.devices) past(each, exchanges);
    });
  };
}

/** The transitions of a simulation. */
export interface Transitions {
  /** Begins to bring near what a transition will upload. */
  readonly prepare: (transition: RuntimeTransition) => void;
  /** Begins a transition to a residence; calls back when all moves are done. Returns the bytes it brings in. */
  readonly start: (
    transition: RuntimeTransition,
    residence: string,
    onMoved: OnMoved,
    done: () => void,
  ) => number;
  /** What a step that is given out now comes behind on the devices of each group: nothing as a rule. */
  readonly ahead: (
    groups: readonly Pick<TpGroup, 'devices'>[],
    residence: string,
  ) => readonly (MovesAhead | undefined)[];
  /** Calls back once all old steps are through and moves have begun: at once as a rule. */
  readonly whenBegun: (ahead: MovesAhead | undefined, begun: () => void) => void;
  /** Whether any of the weights has yet to get there. */
  readonly isComing: (ahead: MovesAhead | undefined) => boolean;
  /** How long a pass takes from `start` on that would take `pure` seconds with all weights there, on links of its own. */
  readonly passTime: (
    group: TpGroup,
    ahead: MovesAhead | undefined,
    size: StepSize,
    start: number,
    pure: number,
  ) => PassTime;
  /** Notes on the devices of a pass what it waits for weights after all. */
  readonly waited: (devices: readonly number[], waits: readonly WeightWait[]) => void;
  /** Seconds of a time in which a device did nothing but wait for weights; outside of that time it had no work. */
  readonly exposed: (device: number, time: Span) => number;
}

/** Moves of weights under way that a step comes behind. */
export type MovesAhead = readonly DeviceMoves[];

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Some time of a device, of which it waited for weights so many `seconds`. */
interface Exposure extends Span {
  readonly seconds: number;
}

/** Moves of weights of one device under way. */
interface DeviceMoves {
  readonly device: number;
  readonly residence: string;
  /** Steps of the new stage that wait for the end of the old ones, and for the moves to have begun. */
  readonly parked: (() => void)[];
  /** Undefined until all of them have begun. */
  begun: BegunMoves | undefined;
  /** All of them are over. */
  isOver: boolean;
  /** No old step is on the device any more. */
  isCleared: boolean;
  /**
   * Since when no step has run on the device, and how long it had had work until then; undefined once a step of the new
   * stage has.
   */
  waiting: { readonly since: number; readonly occupied: number } | undefined;
}

/** In place of moves that are over. */
const OVER: BegunMoves = {
  course: {
    arrival: () => -Infinity,
    give: () => undefined,
    end: () => -Infinity,
    delay: () => 0,
  },
  needs: new Map(),
  spans: () => [],
};

/** Seconds at which all weights are there, as far as that is known. */
function endOf({ begun }: DeviceMoves): number {
  return begun?.course.end() ?? Infinity;
}

/** The ops that need weights of any of some devices. Those of a group are asked about again and again. */
function createNeeded(): (needs: readonly BegunMoves['needs'][]) => ReadonlySet<number> {
  interface Known {
    readonly needs: readonly BegunMoves['needs'][];
    readonly ops: ReadonlySet<number>;
  }
  const known = new Map<BegunMoves['needs'], Known>();
  return (needs) => {
    const found = known.get(needs[0]!);
    if (found?.needs.length === needs.length && needs.every((each, rank) => each === found.needs[rank]))
      return found.ops;
    const ops = new Set(needs.flatMap((each) => [...each.keys()]));
    known.set(needs[0]!, { needs, ops });
    return ops;
  };
}

/**
 * @param planOf the moves of a transition, which is asked for once
 */
export function createTransitions(
  clock: VirtualClock,
  devices: ClockDevices,
  planOf: (transition: RuntimeTransition) => ClockTransition,
): Transitions {
  const moves = new Map<number, DeviceMoves>();
  /** How many devices have moves that are not over, or old steps before these. */
  let underWay = 0;
  const exposures = new Map<number, Exposure[]>();
  const opsThatNeed = createNeeded();
  const known = new Map<RuntimeTransition, ClockTransition>();
  const planned = (transition: RuntimeTransition): ClockTransition => {
    const plan = known.get(transition) ?? planOf(transition);
    known.set(transition, plan);
    return plan;
  };
  const expose = (device: number, exposure: Exposure): void => {
    if (exposure.seconds <= 0) return;
    const own = exposures.get(device) ?? [];
    own.push(exposure);
    exposures.set(device, own);
  };
  /** A device that has waited runs a step, or has nothing more to wait for. Its pages may have moved meanwhile. */
  const endWaiting = (state: DeviceMoves): void => {
    if (state.waiting === undefined) return;
    const { device } = state;
    const { since: start, occupied } = state.waiting;
    const end = clock.now();
    expose(device, { start, end, seconds: end - start - (devices.occupied(device) - occupied) });
    state.waiting = undefined;
  };
  const whenBegun = (ahead: MovesAhead | undefined, begun: () => void): void => {
    const pending = ahead?.find(({ begun, isCleared }) => begun === undefined || !isCleared);
    if (pending === undefined) begun();
    else pending.parked.push(() => whenBegun(ahead, begun));
  };
  return {
    prepare(transition) {
      for (const { device } of transition.devices) planned(transition).prepare(device);
    },
    start(transition, residence, onMoved, done) {
      const moving = planned(transition);
      let left = transition.devices.length;
      const own = new Map<number, DeviceMoves>();
      /** Old steps on a device are past so many exchanges, none of them where that is negative. */
      const open = (device: number, exchanges: number): void => {
        const state = own.get(device)!;
        if (state.begun !== undefined) return;
        if (moving.open(device, exchanges)) begin(device, state);
      };
      const begin = (device: number, state: DeviceMoves): void => {
        if (state.begun !== undefined) return;
        const begun = moving.begin(device);
        state.begun = begun;
        const finish = (): void => {
          // Kernels that were given to the device meanwhile may have held it up.
          const end = begun.course.end();
          if (end > clock.now()) {
            clock.at(end, finish);
            return;
          }
          state.isOver = true;
          endWaiting(state);
          if (state.isCleared) underWay--;
          onMoved(device, begun.spans());
          // Devices are many, and there are points for every weight of each.
          state.begun = OVER;
          if (--left === 0) done();
        };
        clock.at(Math.max(clock.now(), begun.course.end()), finish);
        goOn(device, state);
      };
      /** Lets steps of the new stage have the device. */
      const goOn = (device: number, state: DeviceMoves): void => {
        if (state.begun === undefined || !state.isCleared) return;
        if (!state.isOver) state.waiting = { since: clock.now(), occupied: devices.occupied(device) };
        for (const resume of state.parked.splice(0)) resume();
      };
      const follow = stepFollower(devices, moving.gates, open);
      for (const { device } of transition.devices) {
        const state: DeviceMoves = {
          device,
          residence,
          parked: [],
          begun: undefined,
          isOver: false,
          isCleared: false,
          waiting: undefined,
        };
        moves.set(device, state);
        own.set(device, state);
        underWay++;
        const cleared = (): void => {
          state.isCleared = true;
          if (state.isOver) underWay--;
          if (state.begun !== undefined) goOn(device, state);
          else if (moving.isNear(device)) begin(device, state);
          else devices.whenIdle(device, () => begin(device, state));
        };
        devices.whenCleared(device, cleared, (step) => follow(step, device));
        if (state.begun !== undefined) continue;
        open(device, -1);
        if (state.begun === undefined) moving.prepare(device);
      }
      if (left === 0) clock.at(clock.now(), done);
      return moving.bytes;
    },
    ahead(groups, residence) {
      if (underWay === 0) return NO_GROUPS;
      return groups.map((group) => {
        const own = group.devices.flatMap((device) => moves.get(device) ?? NOTHING);
        const ahead = own.filter(
          (state) => state.residence === residence && !(state.isOver && state.isCleared),
        );
        return ahead.length === 0 ? undefined : ahead;
      });
    },
    whenBegun,
    isComing: (ahead) => ahead?.some((state) => endOf(state) > clock.now()) ?? false,
    passTime(group, ahead, size, start, pure) {
      const arriving: BegunMoves[] = [];
      for (const state of ahead ?? NOTHING)
        if (state.begun !== undefined && endOf(state) > start) arriving.push(state.begun);
      if (arriving.length === 0) return { seconds: pure, waits: NO_WAITS };
      const needed = opsThatNeed(arriving.map(({ needs }) => needs));
      /** What the device has been given and has yet to do began to be given to it at `given`. */
      let [at, given, exchanged] = [start, start, 0];
      const waits: WaitAmongExchanges[] = [];
      const handOver = (): void => {
        if (at > given) for (const { course } of arriving) course.give(given, at);
        given = at;
      };
      for (const { what, op, seconds, submit } of group.cost.outline(size, needed)) {
        let there = -Infinity;
        if (what === 'kernels')
          for (const { course, needs } of arriving) {
            const weight = needs.get(op);
            if (weight !== undefined) there = Math.max(there, course.arrival(weight));
          }
        if (there > at) {
          handOver();
          waits.push({ op, start: at, end: there, exchanged });
          at = given = there;
        }
        // What follows an exchange is given to the device when that is over.
        if (what === 'collective') {
          handOver();
          given += seconds;
          exchanged += seconds;
        }
        at += seconds + submit;
      }
      handOver();
      for (const state of ahead!) endWaiting(state);
      return { seconds: at - start, waits };
    },
    waited(members, waits) {
      if (waits.length === 0) return;
      const seconds = waits.reduce((sum, { start, end }) => sum + end - start, 0);
      const exposure = { start: waits[0]!.start, end: waits.at(-1)!.end, seconds };
      for (const device of members) expose(device, exposure);
    },
    exposed: (device, time) =>
      (exposures.get(device) ?? []).reduce((sum, { start, end, seconds }) => {
        const within = Math.max(0, Math.min(end, time.end) - Math.max(start, time.start));
        return sum + Math.max(0, seconds - (end - start - within));
      }, 0),
  };
}
