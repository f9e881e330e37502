import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { RuntimeWeight } from '../../../compiler/ir/runtime-graph.js';
import { layOutArena, type WeightArena } from '../../../compiler/ir/weight-arena.js';

function weight(id: string, bytes: number): RuntimeWeight {
  return { id, dtype: 'f32', rows: 1, cols: bytes / 4, pieces: [], bytes };
}

describe('the weight arena', () => {
  it('puts every weight at an aligned offset inside its buffer, whatever the largest buffer', () => {
    const cases = [
      { sizes: [1040, 528, 16, 1040, 64], maxBufferBytes: 1052 },
      { sizes: [272, 272, 272, 272], maxBufferBytes: 1000 },
      { sizes: [4112, 4112, 32], maxBufferBytes: 4112 },
    ];
    for (const { sizes, maxBufferBytes } of cases) {
      const weights = sizes.map((bytes, i) => weight(`w${i}`, bytes));
      const { bufferBytes, spots } = layOutArena([{ name: 'stage', weights }], new Map(), {
        maxBufferBytes,
      });
      const places = [...spots.get('stage')!.values()];
      for (const { buffer, offset, bytes } of places) {
        expect(offset % 256).toBe(0);
        expect(offset + bytes).toBeLessThanOrEqual(bufferBytes[buffer]!);
      }
      for (const bytes of bufferBytes) expect(bytes).toBeLessThanOrEqual(maxBufferBytes);
      for (const [i, a] of places.entries()) {
        for (const b of places.slice(i + 1)) {
          const apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
          expect(a.buffer !== b.buffer || apart).toBe(true);
        }
      }
    }
  });

  it('takes buffers of the size that leaves least of them empty', () => {
    // Of 1 GiB each would hold one of these weights, of 1.5 GiB two.
    const weights = Array.from({ length: 4 }, (_, i) => weight(`w${i}`, 3 * 2 ** 28));
    const small = weight('small', 2 ** 28);
    const { bufferBytes } = layOutArena([{ name: 'a', weights }], new Map());
    expect(bufferBytes.reduce((sum, bytes) => sum + bytes, 0)).toBe(12 * 2 ** 28);
    const beside = {
      name: 'b',
      weights: [...weights.slice(1).map((each) => ({ ...each, id: `b${each.id}` })), small],
    };
    const both = layOutArena([{ name: 'a', weights }, beside], new Map());
    expect(both.bufferBytes.reduce((sum, bytes) => sum + bytes, 0)).toBe(12 * 2 ** 28);
  });

  it('counts what moves set aside, where that is much', () => {
    const sizes = [3, 5, 2, 7, 4];
    const weights = sizes.map((size, i) => weight(`w${i}`, size * 2 ** 26));
    const residences = [
      { name: 'a', weights },
      { name: 'b', weights: weights.toReversed().map((each) => ({ ...each, id: `b${each.id}` })) },
    ];
    const place = (setAside: (arena: WeightArena) => number): WeightArena =>
      layOutArena(residences, new Map(), { setAside });
    const usual = place(() => 0);
    const isUsual = ({ spots }: WeightArena): boolean => isDeepStrictEqual(spots, usual.spots);
    const total = usual.bufferBytes.reduce((sum, bytes) => sum + bytes, 0);
    expect(isUsual(place((arena) => (isUsual(arena) ? total / 20 : 0)))).toBe(true);
    const other = place((arena) => (isUsual(arena) ? total / 2 : 0));
    expect(isUsual(other)).toBe(false);
    expect(other.bufferBytes.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(1.5 * total);
    // Where all layouts set as much aside the least arena wins again.
    expect(isUsual(place(() => total / 2))).toBe(true);
  });
});
