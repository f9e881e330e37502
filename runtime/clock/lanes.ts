/**
 * Links at work. Everything that crosses a link takes its lanes: page moves, weights, what pipeline stages hand on, and
 * the exchanges within a step. First come, first served, as in the queue of a device: what was asked for earlier keeps
 * its bandwidth, what comes later gets what that leaves over. Two transfers over one lane therefore take as long as both
 * together, over two lanes as the longer one, and no lane carries more than its bandwidth.
 */
import type { Lane, Road, Roads } from '../../compiler/reshard/roads.js';
import { createLaneBook, freeFrom, freePart, freeUntil, take, type LaneBook } from './lane-book.js';

/** What went over a lane in the whole simulation. */
export interface LaneUse extends Pick<Lane, 'link' | 'place' | 'direction' | 'from' | 'to'> {
  readonly bytes: number;
  /**
   * Seconds that the bytes occupy it, were they all that is on it: at its bandwidth, or sooner where a link declares
   * that.
   */
  readonly busy: number;
}

/** A lane that some work uses, and how many times the bytes that it carries cross it. */
export interface LaneShare {
  /** Index into `Roads.lanes`. */
  readonly lane: number;
  readonly times: number;
}

/** Work that uses lanes for some of its time, evenly spread over all of it. */
export interface LinkedWork {
  /** Seconds that the work takes where nothing else uses the lanes. */
  readonly seconds: number;
  /** The part of `seconds` in which the lanes carry something. */
  readonly exchange: number;
  readonly lanes: readonly LaneShare[];
  readonly bytes: number;
  /** No lane is occupied for longer than the seconds of the exchange, whatever crosses it. */
  readonly capped: boolean;
  /** What the lanes carry are weights. */
  readonly weights: boolean;
}

/** When bytes cross a road. Times are in seconds on the clock. */
export interface Transfer {
  /** When the first byte leaves. */
  readonly start: number;
  readonly end: number;
  /** Seconds before the start in which weights had a lane that it needs: the last that were asked for, in one go. */
  readonly behindWeights: number;
}

/** The lanes of all links, and what is booked on them. */
export interface Lanes {
  readonly roads: Roads;
  /** Sends bytes along a road from a time on; says when the last is there. */
  readonly send: (road: Road, bytes: number, ready: number) => number;
  /** The same, with all that there is to know of it. */
  readonly transfer: (road: Road, bytes: number, ready: number, what?: 'weights') => Transfer;
  /** Carries what some work exchanges from a time on, and says when the work is over. */
  readonly share: (work: LinkedWork, start: number) => number;
  /** The use of the lanes that anything went over. */
  readonly use: () => readonly LaneUse[];
}

/** A lane that something goes over. */
interface UsedLane {
  readonly book: LaneBook;
  /** From when weights have it: those that were asked for last, and those right before them in one go. */
  weightsFrom: number;
  /** Until when these weights have it. */
  weightsUntil: number;
}

/**
 * Lanes with nothing on them.
 *
 * @param now the time before which nothing begins
 */
export function createLanes(roads: Roads, now: () => number): Lanes {
  // By lane. These are columns as every step touches many lanes, those of a ring next to each other.
  const used: (UsedLane | undefined)[] = [];
  const bandwidths: number[] = [];
  const weightRates: number[] = [];
  /** Bytes carried so far, and the seconds that these occupy the lane. */
  const carried: number[] = [];
  const occupied: number[] = [];
  const openLane = (lane: number): UsedLane => {
    // One behind the other: lists with gaps are slow.
    for (const { bandwidth, weights = bandwidth } of roads.lanes.slice(used.length, lane + 1)) {
      used.push(undefined);
      bandwidths.push(bandwidth);
      weightRates.push(weights);
      carried.push(0);
      occupied.push(0);
    }
    return (used[lane] = { book: createLaneBook(), weightsFrom: 0, weightsUntil: 0 });
  };
  const laneAt = (lane: number): UsedLane => used[lane] ?? openLane(lane);

  // The lanes of the work at hand, and the seconds that each needs for it: a simulation has millions of works.
  const sharing: LaneBook[] = [];
  const fulls: number[] = [];
  /** @param capped as in `LinkedWork`: the most seconds that it needs */
  const load = (place: number, lane: number, bytes: number, areWeights: boolean, capped: number): void => {
    sharing[place] = laneAt(lane).book;
    const full = Math.min(capped, bytes / (areWeights ? weightRates : bandwidths)[lane]!);
    fulls[place] = full;
    carried[lane]! += bytes;
    occupied[lane]! += full;
  };
  /**
   * State: a part `left` of the work is still to be done at time `at`. Step: as long as what is free of the lanes stays
   * the same, the exchanges take as long as the slowest lane needs with what is free of it, all else takes its time.
   *
   * @param count the lanes that are loaded
   */
  const shareLoaded = (count: number, seconds: number, exchange: number, start: number): number => {
    const time = now();
    let at = start;
    let left = 1;
    for (;;) {
      let slowest = exchange;
      let until = Infinity;
      for (let i = 0; i < count; i++) {
        const book = sharing[i]!;
        const full = fulls[i]!;
        // As a rule nothing else is on its way.
        if (book.freeAfter <= at) {
          if (full > slowest) slowest = full;
        } else {
          slowest = Math.max(slowest, full / freePart(book, at));
          until = Math.min(until, freeUntil(book, at));
        }
      }
      const whole = seconds - exchange + slowest;
      const end = Math.min(until, at + left * whole);
      if (Number.isFinite(whole))
        for (let i = 0; i < count; i++) take(sharing[i]!, at, end, fulls[i]! / whole, time);
      if (end < until || until === Infinity) return end;
      left -= (end - at) / whole;
      at = end;
      if (left <= 0) return at;
    }
  };
  const share = (work: LinkedWork, start: number): number => {
    const { seconds, exchange, lanes, bytes, weights } = work;
    if (bytes === 0) return start + seconds;
    const capped = work.capped ? exchange : Infinity;
    for (let i = 0; i < lanes.length; i++) {
      const { lane, times } = lanes[i]!;
      load(i, lane, times * bytes, weights, capped);
    }
    return shareLoaded(lanes.length, seconds, exchange, start);
  };
  /** When something of all lanes of a road is free. */
  const freeOn = ({ lanes }: Road, ready: number): number => {
    let start = ready;
    for (const lane of lanes) start = Math.max(start, freeFrom(laneAt(lane).book, ready));
    return start;
  };
  /** Carries bytes over a road; says when the last one leaves. */
  const carry = (
    { lanes, bandwidth, weights }: Road,
    bytes: number,
    start: number,
    what?: 'weights',
  ): number => {
    const areWeights = what === 'weights';
    const seconds = bytes / (areWeights ? (weights ?? bandwidth) : bandwidth);
    for (let i = 0; i < lanes.length; i++) load(i, lanes[i]!, bytes, areWeights, Infinity);
    return shareLoaded(lanes.length, seconds, seconds, start);
  };
  /** Seconds before a start in which weights had a lane of the road. */
  const behindWeights = ({ lanes }: Road, ready: number): number =>
    lanes.reduce((most, lane) => {
      const { book, weightsFrom, weightsUntil } = laneAt(lane);
      const behind = Math.min(freeFrom(book, ready), weightsUntil) - Math.max(ready, weightsFrom);
      return Math.max(most, behind);
    }, 0);
  const noteWeights = ({ lanes }: Road, from: number, until: number): void => {
    for (const lane of lanes) {
      const each = laneAt(lane);
      if (from > each.weightsUntil) each.weightsFrom = from;
      each.weightsUntil = Math.max(each.weightsUntil, until);
    }
  };
  return {
    roads,
    share,
    send(road, bytes, ready) {
      return bytes === 0 ? ready : carry(road, bytes, freeOn(road, ready)) + road.latency;
    },
    transfer(road, bytes, ready, what) {
      if (bytes === 0) return { start: ready, end: ready, behindWeights: 0 };
      const start = freeOn(road, ready);
      const behind = start > ready ? behindWeights(road, ready) : 0;
      const through = carry(road, bytes, start, what);
      if (what === 'weights') noteWeights(road, start, through);
      return { start, end: through + road.latency, behindWeights: behind };
    },
    use: () =>
      roads.lanes.flatMap(({ link, place, direction, from, to }, lane) =>
        used[lane] === undefined
          ? []
          : [{ link, place, direction, from, to, bytes: carried[lane]!, busy: occupied[lane]! }],
      ),
  };
}
