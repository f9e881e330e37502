/** A virtual clock: callbacks at points in time, run in order of time and, at the same time, in order of their making. */
import { createHeap } from '../../compiler/reshard/heap.js';

export interface VirtualClock {
  /** Seconds since the simulation began. */
  readonly now: () => number;
  /** Runs `what` at a time that is not in the past. */
  readonly at: (time: number, what: () => void) => void;
  /** Moves on to the next callback and runs it; false when there is none. */
  readonly advance: () => boolean;
}

interface Entry {
  readonly time: number;
  readonly order: number;
  readonly what: () => void;
}

export function createVirtualClock(): VirtualClock {
  const entries = createHeap<Entry>((a, b) => a.time - b.time || a.order - b.order);
  let time = 0;
  let order = 0;
  return {
    now: () => time,
    at(when, what) {
      if (when < time) throw new Error(`${when} s is before ${time} s`);
      entries.push({ time: when, order: order++, what });
    },
    advance() {
      const next = entries.pop();
      if (next === undefined) return false;
      time = next.time;
      next.what();
      return true;
    },
  };
}
