/**
 * What is taken of one direction of a link over time: a row of stretches, each with the part of the bandwidth that is
 * given away in it. What was asked for first keeps what it has; later transfers get what is left.
 *
 * State: `times` ascending; from `times[i]` to `times[i + 1]` a part `taken[i]` is given away, after the last nothing.
 * Invariant: no part is ever above 1, so a link never carries more than its bandwidth.
 */
export interface LaneBook {
  readonly times: number[];
  readonly taken: number[];
}

/** What is left of a lane below this is rounding. */
const LEAST_PART = 1e-9;

/** Stretches that are over are forgotten once there are so many. */
const MOST_STRETCHES = 32;

export function createLaneBook(): LaneBook {
  return { times: [], taken: [] };
}

/** The time from which on nothing is booked. */
export function freeAfter({ times }: LaneBook): number {
  return times.length === 0 ? 0 : times[times.length - 1]!;
}

/** Index of the stretch that a time lies in; -1 where nothing is booked so early. */
function stretchAt({ times }: LaneBook, time: number): number {
  let at = times.length - 1;
  while (at >= 0 && times[at]! > time) at--;
  return at;
}

/** The part that is free at a time, 0 to 1. */
export function freePart(book: LaneBook, time: number): number {
  const at = stretchAt(book, time);
  const part = at < 0 ? 1 : 1 - book.taken[at]!;
  return part < LEAST_PART ? 0 : part;
}

/** Until when that stays the same. */
export function freeUntil(book: LaneBook, time: number): number {
  return book.times[stretchAt(book, time) + 1] ?? Infinity;
}

/**
 * Gives a part away from one time to another, between which no stretch begins or ends.
 *
 * @param now nobody asks for what was before
 */
export function take(book: LaneBook, from: number, to: number, part: number, now: number): void {
  if (to <= from || part <= 0) return;
  const { times, taken } = book;
  const last = freeAfter(book);
  if (last <= now) {
    if (times.length > 2) {
      times.length = 2;
      taken.length = 2;
    }
    times[0] = from;
    times[1] = to;
    taken[0] = part;
    taken[1] = 0;
    return;
  }
  if (times.length > MOST_STRETCHES) forget(book, now);
  if (from >= last) {
    const given = Math.min(1, part);
    if (from === last) taken[taken.length - 1] = given;
    else {
      times.push(from);
      taken.push(given);
    }
    times.push(to);
    taken.push(0);
    return;
  }
  let at = stretchAt(book, from);
  const before = at < 0 ? 0 : taken[at]!;
  if (at < 0 || times[at]! < from) {
    at++;
    times.splice(at, 0, from);
    taken.splice(at, 0, before);
  }
  if (times[at + 1] !== to) {
    times.splice(at + 1, 0, to);
    taken.splice(at + 1, 0, before);
  }
  taken[at] = Math.min(1, before + part);
}

function forget(book: LaneBook, now: number): void {
  const past = Math.max(0, stretchAt(book, now));
  book.times.splice(0, past);
  book.taken.splice(0, past);
}
