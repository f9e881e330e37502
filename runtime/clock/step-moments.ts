/**
 * Moments of a step in parts that others wait for. What comes between its runs may put one off while it is waited for, so
 * it is looked at again when it seems to have come.
 */
import type { DeviceWork } from './device-queue.js';
import { latest, type StepCourse } from './step-runs.js';
import type { VirtualClock } from './virtual-clock.js';

/** Tells of moments of steps. */
export interface StepMoments {
  /**
   * Calls back when a moment of a step has come, which may turn out to be later while it is waited for.
   *
   * @param timeNow when it comes, as far as is known by now; undefined while that cannot be said
   */
  readonly whenCome: (work: DeviceWork, timeNow: () => number | undefined, come: () => void) => void;
  /** Calls back when all of a step in parts has been handed over. */
  readonly whenHandedOver: (work: DeviceWork, handedOver: () => void) => void;
  /**
   * Calls back each time that all devices of a step which has begun have done what comes before one of its exchanges, those
   * behind them as well: with how many it has before that.
   *
   * @param which exchanges, by how many come before each
   */
  readonly followExchanges: (
    step: DeviceWork,
    which: ReadonlySet<number>,
    past: (exchanges: number) => void,
  ) => void;
}

/** A moment that is later than now by no more than this part of the time has come: times are rounded. */
export const ROUNDING = 1e-12;

/**
 * @param courseOf the course up to now of a step that something has come between
 */
export function createStepMoments(
  { now, at }: VirtualClock,
  courseOf: (work: DeviceWork) => StepCourse,
): StepMoments {
  const whenCome: StepMoments['whenCome'] = (work, timeNow, come) => {
    const time = timeNow();
    if (time === undefined) (work.blocked ??= []).push(() => whenCome(work, timeNow, come));
    else if (time > now() * (1 + ROUNDING)) at(time, () => whenCome(work, timeNow, come));
    else come();
  };
  return {
    whenCome,
    whenHandedOver(work, handedOver) {
      const { runs, timeOf } = work.inParts!();
      const last = runs.handed.length;
      const end = (last === 0 ? 0 : runs.handed[last - 1]!) + runs.lastSubmit;
      const timeNow = (): number | undefined => {
        if (work.course === undefined) return timeOf(end);
        const { run, late, least } = courseOf(work);
        const most = latest(run === last ? least : late);
        return most === undefined ? undefined : timeOf(end) + Math.max(0, most);
      };
      whenCome(work, timeNow, handedOver);
    },
    followExchanges(step, which, past) {
      const { runs, timeOf } = step.inParts!();
      const timeNow = (run: number): number | undefined => {
        if (step.course === undefined) return timeOf(runs.ends[run]!);
        const course = courseOf(step);
        if (course.run > run) return now();
        const late = latest(course.late);
        return late === undefined ? undefined : timeOf(runs.ends[run]!) + Math.max(0, late);
      };
      const follow = (from: number, exchanges: number): void => {
        let [run, count] = [from, exchanges];
        while (run < runs.exchanged.length && !(runs.exchanged[run]! && which.has(count)))
          if (runs.exchanged[run++]!) count++;
        if (run === runs.exchanged.length) return;
        const come = (): void => {
          past(count);
          follow(run + 1, count + 1);
        };
        whenCome(step, () => timeNow(run), come);
      };
      follow(0, 0);
    },
  };
}
