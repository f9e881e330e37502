/** KV pages of plans over several nodes: where they lie, and over which links they go. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import type { Interval } from '../../../compiler/ir/transitions.js';
import {
  createPageHomes,
  hostShares,
  hostTraffic,
  type PageSlice,
} from '../../../runtime/clock/page-homes.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../../../runtime/clock/simulation.js';
import { planOnNodes, type Nodes } from './nodes.js';

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

  it('are known by who put them out, on disk and back as well', () => {
    const [a, b] = [{ ranks: [] }, { ranks: [] }];
    const homes = createPageHomes();
    homes.put([0, 1, 2], a);
    homes.put([3, 1], b);
    expect([...homes.writers([0, 1, 2, 3])]).toEqual([
      [a, 2],
      [b, 2],
    ]);
    homes.spill([1, 2], [7, 8]);
    homes.put([1, 2], a);
    homes.fetch([7, 8], [5, 6]);
    expect([...homes.writers([5, 6])]).toEqual([
      [b, 1],
      [a, 1],
    ]);
  });
});

function run(nodes: Nodes, requests: readonly SimulatedRequest[]): Simulation {
  const plan = planOnNodes(nodes);
  return simulate(compilePlan(plan).runtime, plan, requests);
}

function carried({ links }: Simulation, link: string): Readonly<Record<string, number>> {
  return Object.fromEntries(
    links
      .filter((each) => each.link.includes(link))
      .map(({ place, direction, bytes }) => [`${place} ${direction}`, bytes]),
  );
}

/** K and V of 8 layers, 8 heads of 64, in f16, 16 tokens. */
const PAGE_BYTES = 2 * 8 * 8 * 64 * 2 * 16;

const APART: Nodes = {
  nodes: 2,
  stages: `
  stage prefill on node[0].gpu { mesh (tp: 2) }
  stage decode on node[1].gpu { mesh (pp: 2) }`,
};

const requests = (count: number, promptTokens: number, outputTokens: number): readonly SimulatedRequest[] =>
  Array.from({ length: count }, () => ({ promptTokens, outputTokens }));

describe('plans over several nodes', () => {
  it('hand KV over the link between them, which bounds how fast that goes', () => {
    const [count, pages] = [40, 20];
    const bytes = count * pages * PAGE_BYTES;
    const slow = run({ ...APART, between: 0.1 }, requests(count, 16 * pages, 4));
    expect(slow.bytes).toMatchObject({ kvOut: bytes, kvIn: bytes });
    expect(carried(slow, 'node <-> node')).toEqual({ 'node[0] out': bytes, 'node[1] in': bytes });
    expect(slow.makespan).toBeGreaterThan(bytes / 0.1e9);
    const fast = run({ ...APART, between: 100 }, requests(count, 16 * pages, 4));
    expect(fast.makespan).toBeLessThan(slow.makespan / 3);
  });

  it('hand over nothing between nodes where each keeps its own', () => {
    const stages = `
  stage prefill on node.gpu { mesh (dp: 2, pp: 2) }
  stage decode on node.gpu { mesh (dp: 2, tp: 2) }`;
    const both = run({ nodes: 2, stages }, requests(40, 320, 4));
    expect(both.bytes.kvIn).toBe(40 * 20 * PAGE_BYTES);
    expect(carried(both, 'node <-> node')).toEqual({});
  });

  it('hand over what another node needs where they share a pipeline', () => {
    const stages = `
  stage prefill on node.gpu { mesh (pp: 4) }
  stage decode on node.gpu { mesh (tp: 4) }`;
    const { bytes, links } = run({ nodes: 2, stages }, requests(20, 320, 2));
    const kv = 20 * 20 * PAGE_BYTES;
    expect(bytes.kvIn).toBe(kv);
    // Layers are cut in one way and heads in the other, so that half of all is on the other node.
    const crossing = links.filter(({ link, direction }) => link === 'node <-> node' && direction === 'out');
    const others = bytes.send + bytes.allReduce + bytes.allGather;
    const sum = crossing.reduce((total, each) => total + each.bytes, 0);
    expect(sum).toBeGreaterThanOrEqual(kv / 2);
    expect(sum).toBeLessThanOrEqual(kv / 2 + others);
  });

  it('spill to the disk of the node that has the pages, so that more nodes spill in the same time', () => {
    const spilling = (nodes: number): Simulation =>
      run(
        {
          nodes,
          stages: `
  stage prefill on node.gpu { mesh (dp: ${nodes}, pp: 2) }
  stage decode on node.gpu { mesh (dp: ${nodes}, tp: 2) }`,
          tiers: `gpu -> host up to ${20 * nodes} MiB -> nvme`,
          disk: 2,
        },
        requests(60 * nodes, 640, 2),
      );
    const [one, three] = [spilling(1), spilling(3)];
    expect(one.bytes.kvSpilled).toBeGreaterThan(0);
    const places = Object.keys(carried(three, 'nvme')).sort();
    expect(places).toEqual([0, 1, 2].flatMap((node) => [`node[${node}].nvme in`, `node[${node}].nvme out`]));
    const spilled = Object.entries(carried(three, 'nvme')).filter(([place]) => place.endsWith('in'));
    expect(spilled.reduce((sum, [, bytes]) => sum + bytes, 0)).toBeCloseTo(three.bytes.kvSpilled, 0);
    expect(three.makespan).toBeLessThan(one.makespan * 1.15);
  });
});
