import fc from 'fast-check';
import { expect, it } from 'vitest';
import { overlaidBuffers, overlaidPlaces } from '../../../compiler/ir/workspace.js';

const slots = fc
  .array(fc.integer({ min: 1, max: 1000 }), { maxLength: 6 })
  .map((sizes) => sizes.map((bytes, id) => ({ id, bytes })));

it('lays slots over each other, largest first', () => {
  const prefill = [400, 100, 300].map((bytes, id) => ({ id, bytes }));
  const decode = [40, 350].map((bytes, id) => ({ id, bytes }));
  expect(overlaidBuffers([prefill, decode])).toEqual([400, 300, 100]);
  expect(overlaidPlaces(decode)).toEqual(
    new Map([
      [1, 0],
      [0, 1],
    ]),
  );
});

it('gives every slot of a set a buffer of its own that is large enough', () => {
  fc.assert(
    fc.property(fc.array(slots, { minLength: 1, maxLength: 4 }), (sets) => {
      const buffers = overlaidBuffers(sets);
      for (const set of sets) {
        const places = overlaidPlaces(set);
        expect(new Set(places.values()).size).toBe(set.length);
        for (const { id, bytes } of set) expect(buffers[places.get(id)!]).toBeGreaterThanOrEqual(bytes);
      }
      const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);
      const alone = sets.map((set) => sum(set.map(({ bytes }) => bytes)));
      expect(sum(buffers)).toBeGreaterThanOrEqual(Math.max(...alone));
      expect(sum(buffers)).toBeLessThanOrEqual(sum(alone));
    }),
  );
});
