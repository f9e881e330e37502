/**
 * A step that the host hands to its devices bit by bit. The kernels between two exchanges, or between two waits for
 * weights, are a run: each device is handed the next one when all are done with the one before and what they exchange is
 * there, or when the weights are. What a device is given meanwhile, such as a page move, comes behind the run that was
 * handed over last and before the next one, which it may make late there; the others wait at the next exchange.
 *
 * State: the run handed over last, and by how much each device is behind a step that nothing holds up.
 */
import type { PartAt, StepPart } from '../../compiler/cost/program-cost.js';
import type { QueuedMove } from './device-queue.js';
import type { WeightWait } from './transitions.js';

/** The runs of a step that nothing holds up. Times are seconds from its beginning. */
export interface StepRuns {
  /** When the devices are done with each run. */
  readonly ends: readonly number[];
  /** When the host hands over the run behind each; one fewer. */
  readonly handed: readonly number[];
  /** Whether an exchange comes between each run and the one behind it, at which ranks wait for each other; one fewer. */
  readonly exchanged: readonly boolean[];
  /** Seconds in which the host hands over the last run. */
  readonly lastSubmit: number;
}

/**
 * The runs of a step.
 *
 * @param parts of the step, in program order; with their ops where there are waits
 * @param waits for weights, in the same order; each comes before the part that begins with its op
 * @param stretch factor by which exchanges take longer than on links of their own
 */
export function stepRuns(
  parts: readonly (StepPart & Partial<PartAt>)[],
  waits: readonly WeightWait[],
  stretch: number,
): StepRuns {
  const [ends, handed]: [number[], number[]] = [[], []];
  const exchanged: boolean[] = [];
  let at = 0;
  let lastSubmit = 0;
  const pause = (seconds: number, isExchange: boolean): void => {
    ends.push(at);
    at += seconds;
    handed.push(at);
    exchanged.push(isExchange);
    lastSubmit = 0;
  };
  let waited = 0;
  for (const { op, what, seconds, submit } of parts) {
    const wait = waits[waited];
    if (wait !== undefined && wait.op === op) {
      pause(wait.end - wait.start, false);
      waited++;
    }
    if (what === 'collective') pause(seconds * stretch, true);
    else if (what !== 'sample') {
      at += seconds + submit;
      lastSubmit += submit;
    }
  }
  ends.push(at);
  return { ends, handed, exchanged, lastSubmit };
}

/** A step in parts that is under way on devices. */
export interface StepCourse {
  readonly runs: StepRuns;
  /** Time on the clock at which so many seconds of the step are over, if nothing holds it up. */
  readonly timeOf: (seconds: number) => number;
  /** Index of the run that was handed over last. */
  run: number;
  /**
   * By device, seconds by which it is done with that run later than if nothing had held the step up; undefined while
   * the run waits for a move that has not begun.
   */
  readonly late: (number | undefined)[];
  /** By device, seconds by which it was handed that run later. */
  readonly least: number[];
  /** Page moves that have come between its runs. */
  readonly moves: Pick<QueuedMove, 'device' | 'start' | 'waitsUntil' | 'end'>[];
}

/**
 * The course of a step of which nothing has been held up yet.
 *
 * @param early by device, seconds by which it was free for the first run earlier than the last of them
 */
export function createCourse(
  { runs, timeOf }: Pick<StepCourse, 'runs' | 'timeOf'>,
  early: readonly number[],
  now: number,
): StepCourse {
  const { handed } = runs;
  let run = 0;
  while (run < handed.length && timeOf(handed[run]!) <= now) run++;
  const late = early.map((seconds) => (run === 0 ? -seconds : 0));
  return { runs, timeOf, run, late, least: late.map(() => 0), moves: [] };
}

/** When the run of a step behind the last one will be handed over; undefined while that cannot be said. */
function handOver({ runs, timeOf, run, late }: StepCourse): number | undefined {
  const most = latest(late);
  if (most === undefined) return undefined;
  return timeOf(runs.handed[run]!) + (runs.exchanged[run]! ? most : 0);
}

/** The most seconds that any device is late; undefined while that cannot be said of all. */
export function latest(late: StepCourse['late']): number | undefined {
  let most = -Infinity;
  for (const each of late) {
    if (each === undefined) return undefined;
    if (each > most) most = each;
  }
  return most;
}

/**
 * Hands over the runs of a step that are due by now.
 *
 * @param freeFrom of a device by its place in the step: until when it has what it was given before; undefined while
 *   some of that has yet to begin
 */
export function goOn(course: StepCourse, now: number, freeFrom: (place: number) => number | undefined): void {
  const { runs, timeOf, late, least } = course;
  while (course.run < runs.handed.length) {
    const due = handOver(course);
    if (due === undefined || due > now) return;
    const [end, next] = [timeOf(runs.ends[course.run]!), timeOf(runs.handed[course.run]!)];
    const together = runs.exchanged[course.run]!;
    let isFree = together;
    for (let place = 0; place < late.length; place++) {
      // Behind a wait for weights a device may still be at the run before.
      least[place] = together ? due - next : Math.max(0, late[place]! + end - next);
      const free = freeFrom(place);
      late[place] = free === undefined ? undefined : Math.max(least[place]!, free - next);
      isFree &&= free !== undefined && free <= due;
    }
    course.run++;
    if (isFree) skipAlike(course, due - next, now);
  }
}

/** Ranks that are late by the same, and have nothing else to do, stay so over all exchanges that follow. */
function skipAlike(course: StepCourse, late: number, now: number): void {
  const { handed, exchanged } = course.runs;
  while (
    course.run < handed.length &&
    exchanged[course.run]! &&
    course.timeOf(handed[course.run]!) + late <= now
  )
    course.run++;
}
