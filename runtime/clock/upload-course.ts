/**
 * Uploads of a transition on one device, as its ring of staging slots carries them (`runtime/exec/staging-ring.ts`): a slot
 * is free again when the device has copied out of it, and a copy stands behind the kernels that were given to the device
 * before. While those run, uploads get as far ahead as the ring has room.
 *
 * State: bytes uploaded over time as if nothing held them up, how long kernels have by now, and what kernels under way let
 * through.
 */
import { firstAbove } from '../../compiler/first-above.js';

/** So many bytes are uploaded at a time if nothing holds them up. */
export interface UploadPoint {
  readonly bytes: number;
  readonly time: number;
}

export interface UploadCourse {
  /** When a weight is there: kernels that need it may be given to the device. In the order of weights. */
  readonly arrival: (weight: number) => number;
  /** Kernels are given to the device at a time, which keep it until another. In order, each behind what it waits for. */
  readonly give: (at: number, until: number) => void;
  /** When the last weight is there. */
  readonly end: () => number;
  /** How much later than if nothing had held it up a weight was there. */
  readonly delay: (weight: number) => number;
}

/** Uploads get no further than so many bytes until some time. */
interface Hold {
  readonly bytes: number;
  readonly until: number;
}

/**
 * @param points from when uploads went on; bytes and times ascend
 * @param weights what is uploaded when each of them is there, and when that is; both ascend
 * @param ring bytes that slots hold
 */
export function createUploadCourse(
  points: readonly UploadPoint[],
  weights: readonly UploadPoint[],
  ring: number,
): UploadCourse {
  const delays = weights.map((): number | undefined => undefined);
  const times = points.map(({ time }) => time);
  const byTime = points.map(({ bytes }) => bytes);
  // An amount is there from the first of its points on.
  const rising = points.filter(({ bytes }, index) => index === 0 || bytes > points[index - 1]!.bytes);
  const amounts = rising.map(({ bytes }) => bytes);
  const byAmount = rising.map(({ time }) => time);
  /** So far. */
  let stall = 0;
  let holds: readonly Hold[] = [];
  /** When so many bytes are uploaded if nothing holds them up. */
  const timeOf = (bytes: number): number => between(amounts, byAmount, bytes);
  const uploadedBy = (time: number): number => between(times, byTime, time);
  /** Stalls up to so many bytes, with those to come. */
  const stallAt = (bytes: number): number =>
    holds.reduce(
      (sum, hold) => (hold.bytes < bytes ? sum + Math.max(0, hold.until - timeOf(hold.bytes) - sum) : sum),
      stall,
    );
  const last = weights.at(-1);
  return {
    arrival(weight) {
      const { bytes, time } = weights[weight]!;
      stall = stallAt(bytes);
      if (holds.length > 0) holds = holds.filter((hold) => hold.bytes >= bytes);
      delays[weight] ??= stall;
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

/** What stands beside a number in a list, or in between where the number is between two; those at the ends beyond them. */
function between(from: readonly number[], to: readonly number[], at: number): number {
  const next = firstAbove(from, at);
  if (next === 0) return to[0]!;
  if (next === from.length) return to.at(-1)!;
  const [low, high] = [from[next - 1]!, from[next]!];
  return to[next - 1]! + ((at - low) / (high - low)) * (to[next]! - to[next - 1]!);
}
