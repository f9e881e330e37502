/**
 * Devices on the clock, each with one queue, as on a real one. A device does one thing at a time, in the order in which
 * things were given to it. A step that exchanges, or waits for weights, is given bit by bit: what comes meanwhile stands
 * between two of its runs (`step-runs.ts`).
 */
import type { VirtualClock } from './virtual-clock.js';
import { firstWhole, takeOut, type DeviceQueue, type DeviceStep } from './device-queue.js';
import type { DeviceWork, MoveCourse, QueuedMove } from './device-queue.js';
import { createDeviceTimes, type DeviceTimes } from './device-times.js';
import { createStepMoments, ROUNDING, type StepMoments } from './step-moments.js';
import { createStepsInside, type StepsInside } from './steps-inside.js';
import { createCourse, goOn, latest, type StepCourse } from './step-runs.js';

/** The devices of a simulation, and what is under way on them. */
export interface ClockDevices
  extends
    StepsInside,
    Pick<StepMoments, 'whenHandedOver' | 'followExchanges'>,
    Pick<DeviceTimes, 'span' | 'occupied'> {
  /** Occupies devices together with a step: it begins once all are done with what they were given before. */
  readonly run: (devices: readonly number[], step: DeviceStep) => void;
  /**
   * Calls back when all devices are through with a step that would be at its end now if nothing had held it up. Each is
   * free as soon as it is itself: `ends` says when, in the order of the step's devices, where that may have been before.
   */
  readonly whenThrough: (work: DeviceWork, through: (ends?: readonly number[]) => void) => void;
  /**
   * Occupies a device for a page move: `begin` is called behind what the device has been given so far. It says how the
   * move goes on.
   */
  readonly movePages: (device: number, begin: (over: () => void) => MoveCourse) => void;
  /** Seconds so far in which pages went beside a step that was at an exchange, or waited for other devices. */
  readonly beside: (device: number) => number;
  /** Seconds so far in which a page move waited for weights that had its link, and the device for the move. */
  readonly heldUp: (device: number) => number;
  /** Calls back when the device is done with all that it has been given: at once if nothing is under way. */
  readonly whenIdle: (device: number, idle: () => void) => void;
}

/** What there is to know of a device. Every step asks, so none of it is absent. */
interface DeviceState {
  /** Work given to it and not over. What does not wait for what is before it may be under way as well. */
  readonly queue: DeviceQueue;
  /** Since when the first of it is the first. */
  headSince: number;
  /** The last step in it that is handed over bit by bit: moves pile up behind one, and each of them asks for it. */
  inParts: DeviceWork | undefined;
  /** Moves in the queue that have not begun, and until when those that have go on. */
  unbegun: number;
  movesUntil: number;
  /** As `beside` and `heldUp` have them. */
  beside: number;
  heldUp: number;
}

/** Devices with nothing under way on them. */
export function createClockDevices(clock: VirtualClock): ClockDevices {
  const { now } = clock;
  const states: DeviceState[] = [];
  const { begin: beginInside, ...inside } = createStepsInside();
  const { occupy, endWork, span, occupied } = createDeviceTimes(clock);
  const stateOf = (device: number): DeviceState =>
    (states[device] ??= {
      queue: [],
      headSince: 0,
      inParts: undefined,
      unbegun: 0,
      movesUntil: 0,
      beside: 0,
      heldUp: 0,
    });
  const queued = (
    kind: DeviceWork['kind'],
    devices: readonly number[],
    first: DeviceWork['first'],
    inParts: DeviceStep['inParts'],
  ): DeviceWork => ({
    kind,
    devices,
    inParts,
    behind: 0,
    first,
    begun: false,
    start: 0,
    over: false,
    course: undefined,
    blocked: undefined,
  });
  /** The course of a step in parts up to now. */
  const courseOf = (work: DeviceWork): StepCourse => {
    const time = now();
    work.course ??= createCourse(
      work.inParts!(),
      work.devices.map((device) => Math.max(0, work.start - stateOf(device).headSince)),
      time,
    );
    const { course } = work;
    goOn(course, time * (1 + ROUNDING), (place) => {
      const { queue, unbegun, movesUntil } = stateOf(work.devices[place]!);
      if (unbegun === 0) return movesUntil;
      let lastMove: QueuedMove | undefined;
      for (const each of queue) if (each.kind === 'move') lastMove = each;
      lastMove!.holds = work;
      return undefined;
    });
    return course;
  };
  const { whenCome, whenHandedOver, followExchanges } = createStepMoments(clock, courseOf);
  const start = (work: DeviceWork): void => {
    work.begun = true;
    work.start = now();
    if (work.kind === 'step') for (const device of work.devices) occupy(device);
    work.first(work);
    if (work.kind === 'step') beginInside(work);
    if (work.inParts === undefined) return;
    for (const device of work.devices) {
      const { queue } = stateOf(device);
      if (queue.length === 1) continue;
      for (const each of queue) {
        if (each.kind !== 'move') continue;
        if (each.begun) comeBetween(each, work);
        // It waits for the first run, and the second one for it.
        else courseOf(work);
      }
    }
  };
  const comeBetween = ({ device, start: from, waitsUntil, end }: QueuedMove, step: DeviceWork): void => {
    courseOf(step).moves.push({ device, start: from, waitsUntil, end });
  };
  /** Of the first move in a queue: when what stands before it is through, undefined while that cannot be said. */
  const readyTime = ({ device, after, run }: QueuedMove): number | undefined => {
    if (after === undefined || after.over) return now();
    if (!after.begun) {
      const { queue, headSince } = stateOf(device);
      return queue[0] === after ? headSince + after.inParts!().runs.ends[0]! : undefined;
    }
    const course = courseOf(after);
    if (course.run > run) return now();
    return runEnd(after, course, device);
  };
  /** When a device is done with the run that was handed over last; undefined while that cannot be said. */
  const runEnd = (
    { devices }: DeviceWork,
    { run, runs, timeOf, late }: StepCourse,
    device: number,
  ): number | undefined => {
    const own = late[devices.indexOf(device)];
    return own === undefined ? undefined : timeOf(runs.ends[run]!) + own;
  };
  const beginMove = (move: QueuedMove): void => {
    const { device, holds } = move;
    const state = stateOf(device);
    state.unbegun--;
    move.begun = true;
    move.start = now();
    occupy(device);
    const course = move.begin(() => {
      endWork(device);
      const next = remove(move, device);
      if (next !== undefined) start(next);
    });
    move.waitsUntil = course.waitsUntil;
    move.end = course.end;
    state.heldUp += move.waitsUntil - move.start;
    state.movesUntil = Math.max(state.movesUntil, move.end);
    const step = state.inParts;
    if (step?.begun === true) comeBetween(move, step);
    if (holds === undefined) return;
    const { late, least, run, runs, timeOf } = holds.course!;
    const place = holds.devices.indexOf(device);
    late[place] = Math.max(least[place]!, move.end - timeOf(runs.handed[run - 1]!));
    const looks = holds.blocked ?? [];
    holds.blocked = undefined;
    for (const look of looks) look();
  };
  /** Begins the first move of a device, or says when it will, if nothing else keeps it waiting. */
  const tryMove = (device: number): void => {
    const first = firstWhole(stateOf(device).queue);
    if (first?.kind !== 'move' || first.due) return;
    const ready = readyTime(first);
    if (ready === undefined) return;
    first.due = true;
    if (ready <= now()) beginMove(first);
    else clock.at(ready, () => beginWhenThrough(first));
  };
  /** On a processor that others share what a move waits for may have become slower meanwhile. */
  const beginWhenThrough = (move: QueuedMove): void => {
    const { device, after, run } = move;
    const course = after!.course;
    const end = after!.over || course?.run !== run ? undefined : runEnd(after!, course, device);
    if (end !== undefined && end > now() * (1 + ROUNDING)) clock.at(end, () => beginWhenThrough(move));
    else beginMove(move);
  };
  const add = (work: DeviceWork): void => {
    for (const device of work.devices) {
      const state = stateOf(device);
      if (state.queue.length > 0) work.behind++;
      else state.headSince = now();
      state.queue.push(work);
      if (work.inParts !== undefined) state.inParts = work;
    }
    if (work.behind === 0) start(work);
  };
  /** Takes work out of a queue; returns what may begin for that. */
  const remove = (work: DeviceWork | QueuedMove, device: number): DeviceWork | undefined => {
    const state = stateOf(device);
    const { queue } = state;
    let next: DeviceWork | undefined;
    if (state.inParts === work) state.inParts = undefined;
    const wasHead = queue[0] === work;
    takeOut(queue, work);
    if (wasHead) {
      state.headSince = now();
      const head = queue[0];
      if (head !== undefined && head.kind !== 'move' && --head.behind === 0) next = head;
    }
    if (state.unbegun > 0) tryMove(device);
    return next;
  };
  const over = (work: DeviceWork): void => {
    work.over = true;
    let next: DeviceWork[] | undefined;
    for (const device of work.devices) {
      if (work.kind === 'step') endWork(device);
      const head = remove(work, device);
      if (head !== undefined) (next ??= []).push(head);
    }
    if (next !== undefined) for (const each of next) start(each);
  };
  /** Of the moves that came between parts of a step on a device, what they took nothing from it. */
  const countBeside = ({ devices, start: from, course }: DeviceWork, place: number): void => {
    const device = devices[place]!;
    const { late, moves } = course!;
    const within = (begin: number, end: number): number =>
      Math.max(0, Math.min(end, now()) - Math.max(begin, from));
    let [waited, moved] = [0, 0];
    for (const { device: own, start: begin, waitsUntil, end } of moves)
      if (own === device) {
        waited += within(begin, waitsUntil);
        moved += within(waitsUntil, end);
      }
    const free = Math.max(0, waited + moved - Math.max(0, late[place]!));
    // What makes a step late is the end of a move, and a move waits first.
    const freeWait = Math.min(waited, free);
    const state = stateOf(device);
    state.heldUp -= freeWait;
    state.beside += free - freeWait;
  };
  return {
    run(devices, { inParts, begin }) {
      add(queued('step', devices, begin, inParts));
    },
    whenThrough(work, through) {
      if (work.course === undefined) {
        over(work);
        through();
        return;
      }
      const end = now();
      const ends: number[] = [];
      let left = work.devices.length;
      /** Ranks wait for each other up to the last exchange, and for nobody behind it. */
      const endOf = (place: number): number | undefined => {
        const { run, runs, late } = courseOf(work);
        const own = run === runs.handed.length ? late[place] : latest(late);
        return own === undefined ? undefined : end + Math.max(0, own);
      };
      for (const [place, device] of work.devices.entries())
        whenCome(
          work,
          () => endOf(place),
          () => {
            countBeside(work, place);
            endWork(device);
            ends[place] = now();
            work.over = --left === 0;
            const next = remove(work, device);
            if (next !== undefined) start(next);
            if (work.over) through(ends);
          },
        );
    },
    movePages(device, begin) {
      const state = stateOf(device);
      const { queue } = state;
      const after = state.inParts;
      const run = after?.begun === true ? courseOf(after).run : 0;
      if (queue.length === 0) state.headSince = now();
      queue.push({
        kind: 'move',
        device,
        begin,
        after,
        run,
        holds: undefined,
        due: false,
        begun: false,
        start: 0,
        waitsUntil: 0,
        end: 0,
      });
      state.unbegun++;
      tryMove(device);
    },
    span,
    occupied,
    whenHandedOver,
    followExchanges,
    beside: (device) => stateOf(device).beside,
    heldUp: (device) => stateOf(device).heldUp,
    ...inside,
    whenIdle(device, idle) {
      const come = (moment: DeviceWork): void => {
        over(moment);
        idle();
      };
      add(queued('moment', [device], come, undefined));
    },
  };
}
