/** What stands in the queue of a device: steps, page moves and moments. */
import type { StepCourse } from './step-runs.js';

/** What is to be done on devices. */
export interface DeviceStep {
  /** Of a step that is handed over bit by bit: how it goes on from its beginning, as far as that is known. */
  readonly inParts: (() => Pick<StepCourse, 'runs' | 'timeOf'>) | undefined;
  readonly begin: (work: DeviceWork) => void;
}

/** A step in the queues of its devices, or a moment that comes when all before it is over. */
export interface DeviceWork {
  readonly kind: 'step' | 'moment';
  readonly devices: readonly number[];
  readonly inParts: DeviceStep['inParts'];
  /** Queues in which something is before it. */
  behind: number;
  /** Called when it begins. */
  readonly first: (work: DeviceWork) => void;
  begun: boolean;
  start: number;
  over: boolean;
  /** Of a step in parts that anything has come between. */
  course: StepCourse | undefined;
  /** What looks again at that once a move that it waits for has begun. */
  blocked: (() => void)[] | undefined;
}

/** How a page move goes on from its beginning. */
export interface MoveCourse {
  /** Until when weights have the link that it needs. */
  readonly waitsUntil: number;
  readonly end: number;
}

/** A page move in the queue of its device. */
export interface PageMove {
  readonly kind: 'move';
  readonly device: number;
  /** Called when it begins. */
  readonly begin: (over: () => void) => MoveCourse;
  /** The step in parts that it comes behind a run of. */
  readonly after: DeviceWork | undefined;
  readonly run: number;
  /** The step of which a run waits for it. */
  holds: DeviceWork | undefined;
  /** Its beginning has come, or is to come at a time that is known. */
  due: boolean;
  begun: boolean;
  start: number;
  waitsUntil: number;
  end: number;
}

/** In the order in which it was given to the device. */
export type DeviceQueue = (DeviceWork | PageMove)[];

/** The first of a queue that a move behind it waits for the end of. */
export function firstWhole(queue: DeviceQueue): DeviceWork | PageMove | undefined {
  for (const work of queue)
    if (work.kind === 'move' || (work.kind === 'step' && work.inParts === undefined)) return work;
  return undefined;
}
