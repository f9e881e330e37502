/** Ends of slots beside a ring that is filled byte by byte. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { slotEnds, type RingMoves, type SlotEnd } from '../../../runtime/clock/slot-ends.js';

function uploads(...bytes: readonly number[]): readonly RingMoves[] {
  return bytes.map((upload) => ({ upload, copy: 0 }));
}

/** Of layers that are all uploads or all copies: bytes moved by the end of the slot that has a layer's last byte. */
function byteByByte(bytes: readonly number[], slotBytes: number): readonly number[] {
  const all = bytes.reduce((sum, each) => sum + each, 0);
  const ends: number[] = [];
  let [slot, moved] = [0, 0];
  let waiting = 0;
  const empty = (): void => {
    for (; waiting > 0; waiting--) ends.push(moved);
    slot = 0;
  };
  for (const each of bytes) {
    for (let byte = 0; byte < each; byte++) {
      // A full slot is emptied when there is more to come.
      if (slot === slotBytes) empty();
      slot++;
      moved++;
    }
    waiting++;
  }
  empty();
  expect(moved).toBe(all);
  return ends;
}

function bytesAt({ place, part }: SlotEnd, bytes: readonly number[]): number {
  return bytes.slice(0, place).reduce((sum, each) => sum + each, 0) + part * bytes[place]!;
}

describe('slots of a ring', () => {
  it('end where they are full, or with the last layer', () => {
    expect(slotEnds(uploads(6, 6, 6), 4)).toEqual([
      { place: 1, part: 1 / 3 },
      // It ends with a slot, which is emptied when the next byte comes.
      { place: 2, part: 0 },
      { place: 2, part: 1 },
    ]);
  });

  it('may hold several layers', () => {
    expect(slotEnds(uploads(1, 1, 4), 4)).toEqual([
      { place: 2, part: 0.5 },
      { place: 2, part: 0.5 },
      { place: 2, part: 1 },
    ]);
  });

  it('take as many bytes of copies beside uploads', () => {
    // The slot is full of copies halfway through the second layer.
    expect(
      slotEnds(
        [
          { upload: 1, copy: 2 },
          { upload: 1, copy: 4 },
        ],
        4,
      ),
    ).toEqual([
      { place: 1, part: 0.5 },
      { place: 1, part: 1 },
    ]);
  });

  it('are those of layers that move nothing by way of it', () => {
    expect(slotEnds(uploads(0, 3, 0, 8), 4)).toEqual([
      { place: 3, part: 1 / 8 },
      { place: 3, part: 1 / 8 },
      { place: 3, part: 1 / 8 },
      { place: 3, part: 1 },
    ]);
  });

  it('are those of a ring that is filled byte by byte', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(30), { minLength: 1, maxLength: 10 }),
        fc.integer({ min: 1, max: 12 }),
        fc.boolean(),
        (bytes, slotBytes, copied) => {
          const layers = bytes.map((each) =>
            copied ? { upload: 0, copy: each } : { upload: each, copy: 0 },
          );
          const ends = slotEnds(layers, slotBytes).map((end) => bytesAt(end, bytes));
          byteByByte(bytes, slotBytes).forEach((end, layer) => expect(ends[layer]).toBeCloseTo(end, 6));
        },
      ),
    );
  });
});
