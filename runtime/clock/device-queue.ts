/** What stands in the queue of a device: steps, page moves and moments. */
import type { StepCourse } from './step-runs.js';

/** A step to be done on devices. */
export interface DeviceStep {
  /**
   * How a step that is handed over run by run goes on from its beginning, as far as that is known; undefined for a step
   * that is handed over as a whole.
   */
  readonly inParts: (() => Pick<StepCourse, 'runs' | 'timeOf'>) | undefined;
  /** Called when the step begins. */
  readonly begin: (work: DeviceWork) => void;
}

/** A step in the queues of its devices, or a moment that comes when all before it is over. */
export interface DeviceWork {
  readonly kind: 'step' | 'moment';
  readonly devices: readonly number[];
  readonly inParts: DeviceStep['inParts'];
  /** Number of queues in which something is before it. */
  behind: number;
  /** Called when it begins. */
  readonly first: (work: DeviceWork) => void;
  begun: boolean;
  /** Seconds at which it began. */
  start: number;
  over: boolean;
  /**
   * How far a step has got that is submitted run by run and was interrupted by a page move; undefined if nothing has
   * interrupted it.
   */
  course: StepCourse | undefined;
  /** Called once a move that the step waits for has begun: they look at its course again. */
  blocked: (() => void)[] | undefined;
}

/** How a page move goes on from its beginning. */
export interface MoveCourse {
  /** Seconds until which weights have the link that it needs. */
  readonly waitsUntil: number;
  /** Seconds at which the move ends. */
  readonly end: number;
}

/** A page move in the queue of its device. */
export interface QueuedMove {
  readonly kind: 'move';
  readonly device: number;
  /** Called when it begins. */
  readonly begin: (over: () => void) => MoveCourse;
  /** The step handed over run by run that it comes in between; undefined where there is none. */
  readonly after: DeviceWork | undefined;
  /** Index of the run of that step which it comes behind. */
  readonly run: number;
  /** The step with a run that waits for it. */
  holds: DeviceWork | undefined;
  /** Its beginning has come, or is to come at a time that is known. */
  due: boolean;
  begun: boolean;
  /** Seconds at which it began. */
  start: number;
  /** As in `MoveCourse`. */
  waitsUntil: number;
  end: number;
}

/** What a device has been given and is not done with, in the order in which it was given. */
export type DeviceQueue = (DeviceWork | QueuedMove)[];

/**
 * The first entry of a queue whose end a move behind it waits for: another move, or a step that is handed over as a
 * whole.
 */
export function firstWhole(queue: DeviceQueue): DeviceWork | QueuedMove | undefined {
  for (const work of queue)
    if (work.kind === 'move' || (work.kind === 'step' && work.inParts === undefined)) return work;
  return undefined;
}

/**
 * Takes an entry out of a list. Most hold one, which is popped: what a list that was shifted or spliced is given next makes
 * it a new store, and a simulation has millions of entries.
 */
export function takeOut<Entry>(list: Entry[], entry: Entry): void {
  if (list.at(-1) === entry) list.pop();
  else if (list[0] === entry) list.shift();
  else list.splice(list.indexOf(entry), 1);
}
