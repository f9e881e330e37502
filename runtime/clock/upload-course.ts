/**
 * Uploads of a transition on one device, as its ring of staging slots carries them (`runtime/exec/staging-ring.ts`): a slot
 * is free again when the device has copied out of it, and a copy stands behind the kernels that were given to the device
 * before. While those run, uploads get as far ahead as the ring has room.
 *
 * State: bytes uploaded over time as if nothing held them up, how long kernels have by now, and what kernels under way let
 * through.
 */
import { firstAbove } from '../../compiler/first-above.js';

/** A point of a course: `bytes` are uploaded at `time` seconds if nothing holds them up. */
export interface UploadPoint {
  readonly bytes: number;
  readonly time: number;
}

/**
 * When weights are there, with what holds uploads up. Times are seconds on the clock; weights are known by their
 * indices.
 */
export interface UploadCourse {
  /** When a weight is there: kernels that need it may be given to the device. In the order in which they are given. */
  readonly arrival: (weight: number) => number;
  /**
   * Kernels are given to the device at `at` and keep it until `until`. Calls come in order, each behind what it waits
   * for.
   */
  readonly give: (at: number, until: number) => void;
  /** When the last weight is there. */
  readonly end: () => number;
  /** Seconds by which a weight was there later than if nothing had held it up. */
  readonly delay: (weight: number) => number;
}

/** Uploads get no further than `bytes` bytes until `until`. */
interface Hold {
  readonly bytes: number;
  readonly until: number;
}

/** Uploads over time if nothing holds them up: so many bytes at each of some times. Both ascend. */
export interface Uploads {
  readonly times: readonly number[];
  readonly bytes: readonly number[];
}

/** When weights are there if nothing holds them up. */
export interface UploadedWeights {
  readonly count: number;
  /** The bytes that are uploaded when a weight is there, and the time of that; both ascend with the weights. */
  readonly at: (weight: number) => UploadPoint;
}

/**
 * @param uploads from their beginning
 * @param ring bytes that slots hold
 */
export function createUploadCourse(
  { times, bytes: amounts }: Uploads,
  weights: UploadedWeights,
  ring: number,
): UploadCourse {
  const delays: (number | undefined)[] = [];
  /** Seconds by which uploads are late so far. */
  let stall = 0;
  let holds: readonly Hold[] = [];
  /** When so many bytes are uploaded if nothing holds them up: of times at which no more come the first. */
  const timeOf = (bytes: number): number => {
    let next = firstAbove(amounts, bytes);
    while (next > 0 && amounts[next - 1] === bytes) next--;
    return amounts[next] === bytes ? times[next]! : between(amounts, times, next, bytes);
  };
  const uploadedBy = (time: number): number => between(times, amounts, firstAbove(times, time), time);
  /** Stalls up to so many bytes, with those to come. */
  const stallAt = (bytes: number): number =>
    holds.reduce(
      (sum, hold) => (hold.bytes < bytes ? sum + Math.max(0, hold.until - timeOf(hold.bytes) - sum) : sum),
      stall,
    );
  const last = weights.count === 0 ? undefined : weights.at(weights.count - 1);
  return {
    arrival(weight) {
      const { bytes, time } = weights.at(weight);
      stall = stallAt(bytes);
      if (holds.length > 0) holds = holds.filter((hold) => hold.bytes >= bytes);
      // Those before it are there as well, whenever they are asked for.
      for (let place = weight; place >= 0 && delays[place] === undefined; place--) delays[place] = stall;
      return time + stall;
    },
    give(at, until) {
      holds = holds.filter((hold) => hold.until > at);
      const most = holds.reduce((least, { bytes }) => Math.min(least, bytes), uploadedBy(at - stall));
      holds = [...holds, { bytes: most + ring, until }];
    },
    end: () => (last === undefined ? times.at(-1)! : last.time + stallAt(last.bytes)),
    delay: (weight) => delays[weight] ?? stall,
  };
}

/**
 * What stands between two values of `to`, as a number does between those of `from`, of which `next` is the first above it;
 * beyond the ends what stands there.
 */
function between(from: readonly number[], to: readonly number[], next: number, at: number): number {
  if (next === 0) return to[0]!;
  if (next === from.length) return to.at(-1)!;
  const [low, high] = [from[next - 1]!, from[next]!];
  return to[next - 1]! + ((at - low) / (high - low)) * (to[next]! - to[next - 1]!);
}
