/**
 * Where the slots of a staging ring end among weights that are moved by way of it (`runtime/exec/staging-ring.ts`): what is
 * in a slot gets to its place when that is full, so a weight is there once the beginning of the next ones has filled the slot
 * of its end, or when there is no more to come. A slot takes so many bytes of uploads, and copies within the device up to
 * as many.
 */

/** Bytes that a weight moves by way of the ring: `upload` from outside the device, `copy` within it. */
export interface RingMoves {
  readonly upload: number;
  readonly copy: number;
}

/** A point among weights: within one of them, behind a part of it. */
export interface SlotEnd {
  /** Index of the weight. */
  readonly place: number;
  /** The part of the weight that is before the point, from 0 to 1. */
  readonly part: number;
}

/** Slots that are overfull by no more than this, as a part, are just full. */
const ROUNDING = 1e-9;

/** By weight, the end of the slot that has its last byte. Uploads and copies of a weight are spread evenly over it. */
export function slotEnds(weights: readonly RingMoves[], slotBytes: number): readonly SlotEnd[] {
  const ends: SlotEnd[] = [];
  /** Bytes in the slot that is being filled. */
  let [uploaded, copied] = [0, 0];
  weights.forEach(({ upload, copy }, place) => {
    const first = Math.min(
      partThatFits(upload, slotBytes - uploaded),
      partThatFits(copy, slotBytes - copied),
    );
    if (first < 1 - ROUNDING) {
      while (ends.length < place) ends.push({ place, part: first });
      // A slot that is just full is emptied when there is more to come.
      const slots = ((1 - first) * Math.max(upload, copy)) / slotBytes;
      const rest = (1 - first) * (1 - Math.ceil(slots - 1 - ROUNDING) / slots);
      [uploaded, copied] = [rest * upload, rest * copy];
    } else {
      uploaded += upload;
      copied += copy;
    }
  });
  while (ends.length < weights.length) ends.push({ place: weights.length - 1, part: 1 });
  return ends;
}

function partThatFits(bytes: number, room: number): number {
  return bytes === 0 ? Infinity : Math.max(0, room) / bytes;
}
