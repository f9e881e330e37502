/**
 * Transitions under way on the clock: which devices wait for their old steps, which have begun, and when each layer of
 * the new stage arrives.
 */
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import type { RuntimeTransition } from '../../compiler/ir/runtime-graph.js';
import type { ClockDevices } from './devices.js';
import type { StageGroup } from './stage-clock.js';
import type { VirtualClock } from './virtual-clock.js';
import type { UploadCourse } from './upload-course.js';
import type { ClockTransition, LayerSpan } from './weights.js';

/** Told when a device is done with its moves. */
export type OnMoved = (device: number, spans: readonly LayerSpan[]) => void;

/** A wait for the weights of a part of a step. */
export interface WeightWait {
  /** Index into the layers of the step's cost. */
  readonly section: number;
  readonly start: number;
  readonly end: number;
}

const NO_WAITS: readonly WeightWait[] = [];

/** How long a pass takes, and where it waits for weights. */
export interface PassTime {
  readonly seconds: number;
  readonly waits: readonly WeightWait[];
}

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
  /** Calls back once no device has yet to begin its moves to the residence: at once as a rule. */
  readonly whenBegun: (devices: readonly number[], residence: string, begun: () => void) => void;
  /** Whether any of the devices has yet to get weights of the residence. */
  readonly isComing: (devices: readonly number[], residence: string) => boolean;
  /** Of a pass that would take `pure` seconds with all weights there, from `start` on. */
  readonly passTime: (
    group: StageGroup,
    residence: string,
    size: StepSize,
    start: number,
    pure: number,
  ) => PassTime;
  /** Seconds of a time in which a device did nothing but wait for weights; outside of that time it had no work. */
  readonly exposed: (device: number, time: Span) => number;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Some time of a device, of which it waited for weights so many `seconds`. */
interface Exposure extends Span {
  readonly seconds: number;
}

/** Moves of one device that have begun, or are about to. */
interface DeviceMoves {
  readonly residence: string;
  begun: boolean;
  readonly parked: (() => void)[];
  /** Once they have begun. */
  course: UploadCourse | undefined;
  /**
   * Since when no step has run on the device, and how long it had had work until then; undefined once a step of the new
   * stage has.
   */
  waiting: { readonly since: number; readonly occupied: number } | undefined;
}

/** When all weights are there, as far as that is known. */
function endOf({ course }: DeviceMoves): number {
  return course?.end() ?? Infinity;
}

/** What moved when, with what held it up. */
function delayed(spans: readonly LayerSpan[], { delay }: UploadCourse): readonly LayerSpan[] {
  let before = 0;
  return spans.map((span) => {
    const [start, end] = [span.start + before, span.end + delay(span.layer)];
    before = delay(span.layer);
    return { ...span, start, end };
  });
}

/**
 * @param planOf the moves of a transition; asked for once
 */
export function createTransitions(
  clock: VirtualClock,
  devices: ClockDevices,
  planOf: (transition: RuntimeTransition) => ClockTransition,
): Transitions {
  const moves = new Map<number, DeviceMoves>();
  /** How many of them are not over. */
  let underWay = 0;
  const exposures = new Map<number, Exposure[]>();
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
  const endWaiting = (device: number, state: DeviceMoves): void => {
    if (state.waiting === undefined) return;
    const { since: start, occupied } = state.waiting;
    const end = clock.now();
    expose(device, { start, end, seconds: end - start - (devices.occupied(device) - occupied) });
    state.waiting = undefined;
  };
  const incoming = (device: number, residence: string): DeviceMoves | undefined => {
    const found = moves.get(device);
    return found?.residence === residence ? found : undefined;
  };
  const whenBegun = (group: readonly number[], residence: string, begun: () => void): void => {
    if (underWay > 0)
      for (const device of group) {
        const pending = incoming(device, residence);
        if (pending === undefined || pending.begun) continue;
        pending.parked.push(() => whenBegun(group, residence, begun));
        return;
      }
    begun();
  };
  return {
    prepare(transition) {
      for (const { device } of transition.devices) planned(transition).prepare(device);
    },
    start(transition, residence, onMoved, done) {
      const moving = planned(transition);
      let left = transition.devices.length;
      for (const { device } of transition.devices) {
        const state: DeviceMoves = {
          residence,
          begun: false,
          parked: [],
          course: undefined,
          waiting: undefined,
        };
        moves.set(device, state);
        underWay++;
        const begin = (): void => {
          const begun = clock.now();
          const { course, spans } = moving.begin(device, begun);
          const waiting = { since: begun, occupied: devices.occupied(device) };
          Object.assign(state, { begun: true, course, waiting });
          for (const resume of state.parked.splice(0)) resume();
          const finish = (): void => {
            // Kernels that were given to the device meanwhile may have held it up.
            const end = course.end();
            if (end > clock.now()) {
              clock.at(end, finish);
              return;
            }
            underWay--;
            endWaiting(device, state);
            onMoved(device, delayed(spans, course));
            if (--left === 0) done();
          };
          clock.at(course.end(), finish);
        };
        devices.whenCleared(device, () => {
          if (moving.isNear(device)) begin();
          else devices.whenIdle(device, begin);
        });
      }
      if (left === 0) clock.at(clock.now(), done);
      return moving.bytes;
    },
    whenBegun,
    isComing: (group, residence) =>
      underWay > 0 &&
      group.some((device) => {
        const found = incoming(device, residence);
        return found !== undefined && endOf(found) > clock.now();
      }),
    passTime(group, residence, size, start, pure) {
      if (underWay === 0) return { seconds: pure, waits: NO_WAITS };
      const arriving: UploadCourse[] = [];
      for (const device of group.devices) {
        const each = incoming(device, residence);
        if (each?.course !== undefined && endOf(each) > start) arriving.push(each.course);
      }
      if (arriving.length === 0) return { seconds: pure, waits: NO_WAITS };
      let [at, given] = [start, start];
      const waits: WeightWait[] = [];
      for (const [section, { layer, seconds }] of group.cost.layers(size).entries()) {
        const there = Math.max(...arriving.map(({ arrival }) => arrival(layer)));
        if (there > at) waits.push({ section, start: at, end: there });
        // Ranks that exchange are given a layer when they are through with the one before.
        given = Math.max(there, group.devices.length > 1 ? at : given);
        at = Math.max(at, there) + seconds;
        for (const { give } of arriving) give(given, at);
      }
      for (const device of group.devices) {
        const state = incoming(device, residence);
        if (state !== undefined) endWaiting(device, state);
        for (const wait of waits) expose(device, { ...wait, seconds: wait.end - wait.start });
      }
      return { seconds: at - start, waits };
    },
    exposed: (device, time) =>
      (exposures.get(device) ?? []).reduce((sum, { start, end, seconds }) => {
        const within = Math.max(0, Math.min(end, time.end) - Math.max(start, time.start));
        return sum + Math.max(0, seconds - (end - start - within));
      }, 0),
  };
}
