/**
 * Devices on the clock. A device runs one thing at a time, in the order in which things become ready; which steps have
 * been given out and not yet passed is counted, because a transition begins behind them.
 */
export interface ClockDevices {
  /** Occupies devices together from the moment all are free; `seconds` may depend on when that is. */
  readonly run: (
    devices: readonly number[],
    ready: number,
    seconds: (start: number) => number,
  ) => { readonly start: number; readonly end: number };
  /** From the device's first work to its last; undefined where it never had any. */
  readonly span: (device: number) => { readonly start: number; readonly end: number } | undefined;
  /** When the device has done all that was given to it so far. */
  readonly freeAt: (device: number) => number;
  /** A step that will pass these devices has been given out. */
  readonly enter: (devices: readonly number[]) => void;
  /** It has passed them. */
  readonly leave: (devices: readonly number[]) => void;
  /** Calls back when every step given out so far has passed the device: at once if none is under way. */
  readonly whenCleared: (device: number, cleared: () => void) => void;
}

interface Waiting {
  /** Steps that must still leave. */
  left: number;
  readonly cleared: () => void;
}

export function createClockDevices(): ClockDevices {
  // By device. Every step passes here for each of its devices.
  const free: number[] = [];
  const begun: number[] = [];
  const inside: number[] = [];
  const waiting: Waiting[][] = [];
  const freeAt = (device: number): number => free[device] ?? 0;
  return {
    freeAt,
    run(devices, ready, seconds) {
      const start = devices.reduce((latest, device) => Math.max(latest, freeAt(device)), ready);
      const end = start + seconds(start);
      for (const device of devices) {
        free[device] = end;
        begun[device] ??= start;
      }
      return { start, end };
    },
    span(device) {
      const start = begun[device];
      return start === undefined ? undefined : { start, end: freeAt(device) };
    },
    enter(devices) {
      for (const device of devices) inside[device] = (inside[device] ?? 0) + 1;
    },
    leave(devices) {
      for (const device of devices) {
        inside[device]!--;
        // Steps leave in the order they entered, so one that leaves was there before those waiting.
        const queue = waiting[device];
        if (queue === undefined) continue;
        for (const each of queue) each.left--;
        while (queue[0]?.left === 0) queue.shift()!.cleared();
      }
    },
    whenCleared(device, cleared) {
      const left = inside[device] ?? 0;
      if (left === 0) cleared();
      else (waiting[device] ??= []).push({ left, cleared });
    },
  };
}
