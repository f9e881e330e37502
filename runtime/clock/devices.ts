/**
 * Devices on the clock. A device does one thing at a time, in the order in which things were given to it; which steps have
 * been given out and not yet passed is counted, because a transition begins behind them.
 */
export interface ClockDevices {
  /**
   * Occupies devices together: `begin` is called once all are done with what they were given before, with what is to be
   * called when this is over.
   */
  readonly run: (devices: readonly number[], begin: (over: () => void) => void) => void;
  /** From the device's first work to its last; undefined where it never had any. */
  readonly span: (device: number) => { readonly start: number; readonly end: number } | undefined;
  /** Seconds so far in which it had work under way. */
  readonly occupied: (device: number) => number;
  /** A step that will pass these devices has been given out. */
  readonly enter: (devices: readonly number[]) => void;
  /** It has passed them. */
  readonly leave: (devices: readonly number[]) => void;
  /**
   * Calls back when every step given out so far has passed the device and it is done with all that it was given by then:
   * at once if nothing is under way.
   */
  readonly whenCleared: (device: number, cleared: () => void) => void;
}

/** Work that waits until it is first in the queues of all its devices. */
interface Queued {
  readonly devices: readonly number[];
  /** Queues in which something is before it. */
  behind: number;
  /** Called when it is. */
  readonly first: () => void;
}

interface Waiting {
  /** Steps that must still leave. */
  left: number;
  readonly cleared: () => void;
}

/**
 * @param now seconds on the clock
 */
export function createClockDevices(now: () => number): ClockDevices {
  /** Work given to each device and not over; the first is under way, or waits for its other devices. */
  const queues: Queued[][] = [];
  // By device. Every step passes here for each of its devices.
  const begun: number[] = [];
  const ended: number[] = [];
  const worked: number[] = [];
  const since: (number | undefined)[] = [];
  const inside: number[] = [];
  const waiting: Waiting[][] = [];
  const queue = (devices: readonly number[], first: () => void): void => {
    const work: Queued = { devices, behind: 0, first };
    for (const device of devices) {
      if ((queues[device] ??= []).push(work) > 1) work.behind++;
    }
    if (work.behind === 0) first();
  };
  const over = (devices: readonly number[]): void => {
    const next: Queued[] = [];
    for (const device of devices) {
      const others = queues[device]!;
      others.shift();
      if (others[0] !== undefined && --others[0].behind === 0) next.push(others[0]);
    }
    for (const { first } of next) first();
  };
  return {
    run(devices, begin) {
      queue(devices, () => {
        const start = now();
        for (const device of devices) {
          begun[device] ??= start;
          since[device] = start;
        }
        begin(() => {
          const end = now();
          for (const device of devices) {
            ended[device] = end;
            since[device] = undefined;
            worked[device] = (worked[device] ?? 0) + end - start;
          }
          over(devices);
        });
      });
    },
    span(device) {
      const first = begun[device];
      return first === undefined ? undefined : { start: first, end: ended[device] ?? first };
    },
    occupied(device) {
      const start = since[device];
      return (worked[device] ?? 0) + (start === undefined ? 0 : now() - start);
    },
    enter(devices) {
      for (const device of devices) inside[device] = (inside[device] ?? 0) + 1;
    },
    leave(devices) {
      for (const device of devices) {
        inside[device]!--;
        // Steps leave in the order they entered, so one that leaves was there before those waiting.
        const others = waiting[device];
        if (others === undefined) continue;
        for (const each of others) each.left--;
        while (others[0]?.left === 0) others.shift()!.cleared();
      }
    },
    whenCleared(device, cleared) {
      const left = inside[device] ?? 0;
      const wait = (): void =>
        queue([device], () => {
          over([device]);
          cleared();
        });
      if (left === 0) wait();
      else (waiting[device] ??= []).push({ left, cleared: wait });
    },
  };
}
