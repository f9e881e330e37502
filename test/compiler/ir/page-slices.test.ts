/** Slices of KV pages, and where they lie beside devices. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostShares, hostTraffic, type PageSlice } from '../../../compiler/ir/page-slices.js';
import type { Interval } from '../../../compiler/ir/transitions.js';

const LAYERS = 6;
const HEADS = 4;
const CELL_BYTES = 10;

/** A grid of slices that cover all layers and heads, and a node for each. */
const slices = fc
  .record({
    cutLayers: fc.uniqueArray(fc.integer({ min: 1, max: LAYERS - 1 }), { maxLength: 3 }),
    cutHeads: fc.uniqueArray(fc.integer({ min: 1, max: HEADS - 1 }), { maxLength: 2 }),
    nodes: fc.array(fc.nat(2), { minLength: 12, maxLength: 12 }),
  })
  .map(({ cutLayers, cutHeads, nodes }) => {
    const between = (cuts: readonly number[], end: number): readonly Interval[] => {
      const all = [0, ...[...cuts].sort((a, b) => a - b), end];
      return all.slice(1).map((stop, i): Interval => [all[i]!, stop]);
    };
    const made = between(cutLayers, LAYERS).flatMap((layers) =>
      between(cutHeads, HEADS).map((heads) => ({ layers, heads })),
    );
    return made.map(({ layers, heads }, i): PageSlice => {
      const cells = (layers[1] - layers[0]) * (heads[1] - heads[0]);
      return { device: nodes[i]!, pageBytes: cells * CELL_BYTES, layers, heads };
    });
  });

const hostOf = (device: number): string => `node[${device}].host`;

const has = ({ layers, heads }: PageSlice, layer: number, head: number): boolean =>
  layers[0] <= layer && layer < layers[1] && heads[0] <= head && head < heads[1];

describe('slices of pages', () => {
  it('go from host to host where who takes them in is on another node than who put them out', () => {
    fc.assert(
      fc.property(slices, slices, (writer, reader) => {
        const expected = new Map<string, number>();
        for (let layer = 0; layer < LAYERS; layer++)
          for (let head = 0; head < HEADS; head++) {
            const [from, to] = [writer, reader].map((ranks) =>
              hostOf(ranks.find((rank) => has(rank, layer, head))!.device),
            );
            const key = `${from} ${to}`;
            if (from !== to) expected.set(key, (expected.get(key) ?? 0) + CELL_BYTES);
          }
        const traffic = hostTraffic(hostOf)({ ranks: writer }, { ranks: reader });
        const found = new Map(traffic.map(({ from, to, pageBytes }) => [`${from} ${to}`, pageBytes]));
        expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
        for (const [key, bytes] of found) expect(bytes).toBeCloseTo(expected.get(key)!, 9);
      }),
    );
  });

  it('lie with the hosts of those that put them out, each part once', () => {
    fc.assert(
      fc.property(slices, (ranks) => {
        const shares = hostShares({ ranks }, hostOf);
        expect(new Set(shares.map(({ device }) => hostOf(device))).size).toBe(shares.length);
        for (const { device, part } of shares) {
          const own = ranks.filter((rank) => rank.device === device);
          const bytes = own.reduce((sum, { pageBytes }) => sum + pageBytes, 0);
          expect(part).toBeCloseTo(bytes / (LAYERS * HEADS * CELL_BYTES), 12);
        }
      }),
    );
  });
});
