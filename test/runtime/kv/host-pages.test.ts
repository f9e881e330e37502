import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHostPages } from '../../../runtime/kv/host-pages.js';

/** Element ids of a packed rank part: every 4-byte word of the neutral page is its own number. */
function partOf(
  shape: { heads: number; headBytes: number },
  layers: [number, number],
  heads: [number, number],
): Uint8Array {
  const words: number[] = [];
  const perHead = shape.headBytes / 4;
  for (let layer = layers[0]; layer < layers[1]; layer++) {
    for (let head = heads[0]; head < heads[1]; head++) {
      for (let word = 0; word < perHead; word++) words.push((layer * shape.heads + head) * perHead + word);
    }
  }
  return new Uint8Array(Uint32Array.from(words).buffer);
}

describe('host pages', () => {
  it('may be more than an array has elements, and cost nothing before they are used', () => {
    const pages = 2 ** 40;
    const tier = createHostPages(pages, { layers: 1, heads: 1, headBytes: 4 });
    tier.put(pages - 1, [0, 1], [0, 1], Uint8Array.of(1, 2, 3, 4));
    const packed = new Uint8Array(4);
    tier.get(pages - 1, [0, 1], [0, 1], packed);
    expect([...packed]).toEqual([1, 2, 3, 4]);
    expect(() => tier.get(pages, [0, 1], [0, 1], packed)).toThrow('host page');
  });

  it('returns every element to its (layer, head) whatever sharding wrote it', () => {
    const arbitrary = fc.record({
      layerCuts: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
      headSplits: fc.tuple(fc.constantFrom(1, 2, 4), fc.constantFrom(1, 2, 4)),
    });
    fc.assert(
      fc.property(arbitrary, ({ layerCuts, headSplits }) => {
        const shape = { layers: 6, heads: 4, headBytes: 24 };
        const parts = (
          cut: number,
          split: number,
        ): { layers: [number, number]; heads: [number, number] }[] => {
          const size = shape.heads / split;
          const edges = [0, cut, shape.layers];
          return [0, 1].flatMap((i) =>
            Array.from({ length: split }, (_, s) => ({
              layers: [edges[i]!, edges[i + 1]!] as [number, number],
              heads: [s * size, (s + 1) * size] as [number, number],
            })),
          );
        };
        const pages = createHostPages(3, shape);
        for (const { layers, heads } of parts(layerCuts[0], headSplits[0])) {
          pages.put(2, layers, heads, partOf(shape, layers, heads));
        }
        for (const { layers, heads } of parts(layerCuts[1], headSplits[1])) {
          const expected = partOf(shape, layers, heads);
          const packed = new Uint8Array(expected.length);
          pages.get(2, layers, heads, packed);
          expect(packed).toEqual(expected);
        }
      }),
    );
  });

  it('refuses a page outside the tier', () => {
    const pages = createHostPages(1, { layers: 1, heads: 1, headBytes: 4 });
    expect(() => pages.put(1, [0, 1], [0, 1], new Uint8Array(4))).toThrow('host page 1 of 1');
  });
});
