/** A virtual clock: callbacks at points in time, run in order of time and, at the same time, in order of their making. */

export interface VirtualClock {
  /** Seconds since the simulation began. */
  readonly now: () => number;
  /** Runs `what` at a time that is not in the past. */
  readonly at: (time: number, what: () => void) => void;
  /** As `at`, but behind all else that happens at that time, also what is asked for later. */
  readonly behind: (time: number, what: () => void) => void;
  /** Moves on to the next callback and runs it; false when there is none. */
  readonly advance: () => boolean;
}

/**
 * A binary heap as in `compiler/reshard/heap.ts`, but of columns: all that a simulation does passes here, and an entry
 * of its own for each would be one more thing to collect.
 */
interface Agenda {
  readonly times: number[];
  readonly orders: number[];
  readonly callbacks: (() => void)[];
}

/** No simulation has so many callbacks. */
const BEHIND = 2 ** 50;

/** A clock at 0 seconds with nothing to run. */
export function createVirtualClock(): VirtualClock {
  const agenda: Agenda = { times: [], orders: [], callbacks: [] };
  let time = 0;
  let order = 0;
  const add = (when: number, place: number, what: () => void): void => {
    // Said so that no time that is not a number passes: among others it would have no order.
    if (!(when >= time)) throw new Error(`nothing can come at ${when} s, as it is ${time} s already`);
    push(agenda, when, place, what);
  };
  return {
    now: () => time,
    at: (when, what) => add(when, order++, what),
    behind: (when, what) => add(when, BEHIND + order++, what),
    advance() {
      const next = agenda.callbacks[0];
      if (next === undefined) return false;
      time = agenda.times[0]!;
      dropFirst(agenda);
      next();
      return true;
    },
  };
}

function push(agenda: Agenda, time: number, order: number, what: () => void): void {
  const { times, orders, callbacks } = agenda;
  let at = times.length;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(time, order, times[parent]!, orders[parent]!)) break;
    put(agenda, at, times[parent]!, orders[parent]!, callbacks[parent]!);
    at = parent;
  }
  put(agenda, at, time, order, what);
}

function dropFirst(agenda: Agenda): void {
  const { times, orders, callbacks } = agenda;
  const time = times.pop()!;
  const order = orders.pop()!;
  const what = callbacks.pop()!;
  const count = times.length;
  if (count === 0) return;
  let at = 0;
  for (let child = 1; child < count; child = 2 * at + 1) {
    const other = child + 1;
    if (other < count && isBefore(times[other]!, orders[other]!, times[child]!, orders[child]!))
      child = other;
    if (isBefore(time, order, times[child]!, orders[child]!)) break;
    put(agenda, at, times[child]!, orders[child]!, callbacks[child]!);
    at = child;
  }
  put(agenda, at, time, order, what);
}

function put(
  { times, orders, callbacks }: Agenda,
  at: number,
  time: number,
  order: number,
  what: () => void,
): void {
  times[at] = time;
  orders[at] = order;
  callbacks[at] = what;
}

function isBefore(time: number, order: number, otherTime: number, otherOrder: number): boolean {
  return time < otherTime || (time === otherTime && order < otherOrder);
}
