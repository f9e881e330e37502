/** When devices have work on the clock, in seconds. */
import type { VirtualClock } from './virtual-clock.js';

/** The times at which each device has work. */
export interface DeviceTimes {
  /** Something begins on the device. More than one thing may be under way. */
  readonly occupy: (device: number) => void;
  /** Something that has begun on the device is over. */
  readonly endWork: (device: number) => void;
  /** From the device's first work to its last; undefined where it never had any. */
  readonly span: (device: number) => { readonly start: number; readonly end: number } | undefined;
  /** Seconds so far in which it had work under way. */
  readonly occupied: (device: number) => number;
}

/** What a device has had under way so far. */
interface Occupancy {
  /** When its first work began. */
  readonly begun: number;
  /** When its latest work was over. */
  ended: number;
  /** How many things are under way on it. */
  underWay: number;
  /** Since when anything is. */
  since: number;
  /** Seconds in which anything was under way before that. */
  worked: number;
}

/** Devices that have had no work yet. */
export function createDeviceTimes({ now }: VirtualClock): DeviceTimes {
  const byDevice: Occupancy[] = [];
  return {
    occupy(device) {
      const time = now();
      const own = (byDevice[device] ??= { begun: time, ended: time, underWay: 0, since: time, worked: 0 });
      if (own.underWay++ === 0) own.since = time;
    },
    endWork(device) {
      const own = byDevice[device]!;
      own.ended = now();
      if (--own.underWay === 0) own.worked = own.worked + own.ended - own.since;
    },
    span(device) {
      const own = byDevice[device];
      return own && { start: own.begun, end: own.ended };
    },
    occupied(device) {
      const own = byDevice[device];
      if (own === undefined) return 0;
      return own.worked + (own.underWay === 0 ? 0 : now() - own.since);
    },
  };
}
