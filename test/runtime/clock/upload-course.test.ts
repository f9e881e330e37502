/** Uploads of a transition beside a ring of slots that is filled and emptied byte by byte. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createUploadCourse,
  type UploadCourse,
  type UploadPoint,
} from '../../../runtime/clock/upload-course.js';

/** Uploads between some points. */
function courseBetween(
  points: readonly UploadPoint[],
  weights: readonly UploadPoint[],
  ring: number,
): UploadCourse {
  return createUploadCourse(
    { times: points.map(({ time }) => time), bytes: points.map(({ bytes }) => bytes) },
    { count: weights.length, at: (weight) => weights[weight]! },
    ring,
  );
}

/** Layers of so many bytes, one byte a second from second 0 on. */
function layersOf(bytes: readonly number[], near = 0): readonly UploadPoint[] {
  let sum = 0;
  return bytes.map((each) => {
    sum += each;
    return { bytes: sum, time: Math.max(0, sum - near) };
  });
}

interface Stage {
  readonly bytes: readonly number[];
  readonly seconds: readonly number[];
  readonly near: number;
  readonly ring: number;
}

/** When the layers of a step are there that is given to the device layer by layer as they come. */
function course({ bytes, seconds, near, ring }: Stage): number[] {
  const layers = layersOf(bytes, near);
  const points = layers.map((each) => ({ ...each, bytes: Math.max(near, each.bytes) }));
  const { arrival, give } = courseBetween([{ bytes: near, time: 0 }, ...points], layers, ring);
  let [given, free] = [0, 0];
  return seconds.map((own, layer) => {
    const there = arrival(layer);
    given = Math.max(given, there);
    free = Math.max(free, given) + own;
    give(given, free);
    return there;
  });
}

/**
 * The same second by second: a byte takes a second and a slot, which is free again when the device has got to it behind
 * the kernels that it was given before.
 */
function slotBySlot({ bytes, seconds, near, ring }: Stage): number[] {
  const ends = layersOf(bytes).map((each) => each.bytes);
  const there: number[] = [];
  /** When the device gets to each byte. */
  const copied: number[] = Array.from({ length: near }, () => 0);
  let free = 0;
  let time = 0;
  let uploaded = near;
  const giveWhatIsThere = (): void => {
    for (; there.length < ends.length && ends[there.length]! <= uploaded;) {
      free = Math.max(free, time) + seconds[there.length]!;
      there.push(time);
    }
  };
  giveWhatIsThere();
  while (there.length < ends.length) {
    // The byte that goes into a slot now: its slot must be empty.
    const before = copied[uploaded - ring];
    if (before !== undefined && before > time) time = before;
    time++;
    uploaded++;
    copied.push(Math.max(time, free));
    giveWhatIsThere();
  }
  return there;
}

describe('uploads of a transition', () => {
  it('come one after the other where no kernels hold them up', () => {
    expect(course({ bytes: [4, 4, 4], seconds: [0, 0, 0], near: 0, ring: 2 })).toEqual([4, 8, 12]);
  });

  it('get as far ahead of kernels as the ring has room', () => {
    // The first layer computes from second 4 to 14: two bytes of the second one come by then, the others behind it.
    expect(course({ bytes: [4, 4, 4], seconds: [10, 0, 0], near: 0, ring: 2 })).toEqual([4, 16, 20]);
    expect(course({ bytes: [4, 4, 4], seconds: [10, 0, 0], near: 0, ring: 4 })).toEqual([4, 8, 18]);
  });

  it('are there at once where they are near', () => {
    expect(course({ bytes: [4, 4, 4], seconds: [10, 0, 0], near: 8, ring: 8 })).toEqual([0, 0, 4]);
  });

  it('are held up by no more than the rest of what holds them, where they paused', () => {
    // Nothing is uploaded from second 1 to second 5. Kernels from second 5 to 8 let two bytes through, until second 5.4.
    const points = [
      { bytes: 0, time: 0 },
      { bytes: 10, time: 1 },
      { bytes: 10, time: 5 },
      { bytes: 20, time: 7 },
    ];
    const { arrival, give, end, delay } = courseBetween(points, points.slice(1), 2);
    expect(arrival(1)).toBe(5);
    give(5, 8);
    expect(arrival(2)).toBeCloseTo(7 + 8 - 5.4, 9);
    expect(end()).toBeCloseTo(9.6, 9);
    expect([0, 1, 2].map(delay)).toEqual([0, 0, expect.closeTo(2.6, 9)]);
  });

  it('have held up what is asked for late by no more than what comes behind it', () => {
    const points = [
      { bytes: 0, time: 0 },
      { bytes: 10, time: 10 },
      { bytes: 20, time: 20 },
      { bytes: 30, time: 30 },
    ];
    const { arrival, give, delay } = courseBetween(points, points.slice(1), 4);
    expect(arrival(1)).toBe(20);
    give(20, 34);
    expect(arrival(2)).toBe(40);
    expect(arrival(0)).toBeLessThanOrEqual(20);
    expect([0, 1, 2].map(delay)).toEqual([0, 0, 10]);
  });

  it('take what a ring of slots takes that is filled and emptied byte by byte', () => {
    const layer = fc.record({
      bytes: fc.integer({ min: 1, max: 12 }),
      seconds: fc.integer({ min: 0, max: 20 }),
    });
    const stage = fc
      .tuple(fc.array(layer, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 60 }), fc.nat(60))
      .map(([layers, ring, near]): Stage => {
        const bytes = layers.map((each) => each.bytes);
        const all = bytes.reduce((sum, each) => sum + each, 0);
        return { bytes, seconds: layers.map((each) => each.seconds), ring, near: Math.min(near, ring, all) };
      });
    fc.assert(
      fc.property(stage, (each) => {
        course(each).forEach((there, layer) => expect(there).toBeCloseTo(slotBySlot(each)[layer]!, 6));
      }),
    );
  });
});
