/**
 * What is taken of one direction of a link over time: a row of stretches, each with the part of the bandwidth that is
 * given away in it. What was asked for first keeps what it has; later transfers get what is left.
 *
 * State: `times` ascending; from `times[i]` to `times[i + 1]` a part `taken[i]` is given away, after the last nothing.
 * The first `count` of them count: every step of a simulation writes here, and lists that shrink and grow again cost more.
 * Invariant: no part is ever above 1, so a link never carries more than its bandwidth.
 */
export interface LaneBook {
  readonly times: number[];
  readonly taken: number[];
  count: number;
  /** The time from which on nothing is booked. */
  freeAfter: number;
}

/** What is left of a lane below this is rounding. */
const LEAST_PART = 1e-9;

/** Stretches that are over are forgotten once there are so many, if half of them are: then all of that costs no more than writing them. */
const MOST_STRETCHES = 32;

/** A lane of which nothing is taken. */
export function createLaneBook(): LaneBook {
  return { times: [], taken: [], count: 0, freeAfter: 0 };
}

/** Index of the stretch that a time lies in; -1 where nothing is booked so early. */
function stretchAt({ times, count }: LaneBook, time: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function freeIn({ taken }: LaneBook, at: number): number {
  const part = at < 0 ? 1 : 1 - taken[at]!;
  return part < LEAST_PART ? 0 : part;
}

/** The part that is free at a time, 0 to 1. */
export function freePart(book: LaneBook, time: number): number {
  return freeIn(book, stretchAt(book, time));
}

/** Until when that stays the same. */
export function freeUntil(book: LaneBook, time: number): number {
  const next = stretchAt(book, time) + 1;
  return next < book.count ? book.times[next]! : Infinity;
}

/** From when on, no earlier than some time, something of it is free. */
export function freeFrom(book: LaneBook, time: number): number {
  if (book.freeAfter <= time) return time;
  let at = stretchAt(book, time);
  if (freeIn(book, at) > 0) return time;
  // Behind the last stretch all is free.
  while (freeIn(book, at) === 0) at++;
  return book.times[at]!;
}

/**
 * Gives a part away from one time to another, between which no stretch begins or ends.
 *
 * @param now nobody asks for what was before
 */
export function take(book: LaneBook, from: number, to: number, part: number, now: number): void {
  if (to <= from || part <= 0) return;
  // As a rule: short, so that it becomes a part of what calls it.
  if (book.freeAfter <= now) {
    book.times[0] = from;
    book.times[1] = to;
    book.taken[0] = part;
    book.taken[1] = 0;
    book.count = 2;
    book.freeAfter = to;
  } else takeBeside(book, from, to, part, now);
}

/** The same where something is booked already. */
function takeBeside(book: LaneBook, from: number, to: number, part: number, now: number): void {
  const { times, taken, freeAfter: last } = book;
  if (book.count > MOST_STRETCHES && times[book.count >> 1]! <= now) forget(book, now);
  if (from >= last) {
    const given = Math.min(1, part);
    // What follows right behind with as much of the lane goes on with its stretch.
    if (from === last && taken[book.count - 2] === given) {
      times[book.count - 1] = book.freeAfter = to;
      return;
    }
    if (from === last) taken[book.count - 1] = given;
    else append(book, from, given);
    append(book, to, 0);
    return;
  }
  let at = stretchAt(book, from);
  const before = at < 0 ? 0 : taken[at]!;
  if (at < 0 || times[at]! < from) insert(book, ++at, from, before);
  if (at + 1 === book.count || times[at + 1] !== to) insert(book, at + 1, to, before);
  taken[at] = Math.min(1, before + part);
}

function append(book: LaneBook, time: number, part: number): void {
  book.times[book.count] = time;
  book.taken[book.count] = part;
  book.count++;
  book.freeAfter = time;
}

function insert(book: LaneBook, at: number, time: number, part: number): void {
  const { times, taken, count } = book;
  for (let i = count; i > at; i--) {
    times[i] = times[i - 1]!;
    taken[i] = taken[i - 1]!;
  }
  times[at] = time;
  taken[at] = part;
  book.count++;
  if (at === count) book.freeAfter = time;
}

function forget(book: LaneBook, now: number): void {
  let past = 0;
  while (past + 1 < book.count && book.times[past + 1]! <= now) past++;
  book.times.copyWithin(0, past, book.count);
  book.taken.copyWithin(0, past, book.count);
  book.count -= past;
}
