/** KV pages of plans over several nodes: where they lie, and over which links they go. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { kvTravels } from '../../../compiler/reshard/kv-travels.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { createPageHomes } from '../../../runtime/clock/page-homes.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../../../runtime/clock/simulation.js';
import { planOnNodes, type Nodes } from './nodes.js';

describe('pages in tiers', () => {
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
  it.each([
    { to: 'ranks on another node', stages: APART.stages, links: ['gpu <-> host', 'node <-> node'] },
    {
      to: 'ranks with other parts, of which half lies on another node',
      stages: `
      stage prefill on node.gpu[0] { mesh (pp: 2) }
      stage decode on node.gpu[1] { mesh (tp: 2) }`,
      // Activations cross the other.
      links: ['gpu <-> host'],
    },
  ])('carry what is planned for the KV of a token to $to', ({ stages, links }) => {
    const plan = planOnNodes({ nodes: 2, stages });
    const { runtime, transitions } = compilePlan(plan);
    const [count, promptTokens] = [10, 320];
    const roads = roadsOf(plan.topology);
    const planned = (name: string): Readonly<Record<string, number>> => {
      const sums: Record<string, number> = {};
      for (const { bytes, road } of kvTravels(transitions.kv[0]!, roads).travels)
        for (const { link, place, direction } of road.lanes.map((lane) => roads.lanes[lane]!)) {
          const key = `${place} ${direction}`;
          if (link.includes(name)) sums[key] = (sums[key] ?? 0) + bytes * count * promptTokens;
        }
      return sums;
    };
    const simulation = simulate(runtime, plan, requests(count, promptTokens, 4));
    for (const link of links) {
      expect(planned(link)).not.toEqual({});
      expect(carried(simulation, link)).toEqual(planned(link));
    }
  });

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

  it('hand over little between nodes that have as much to do, whatever the lengths of requests', () => {
    const stages = `
  stage prefill on node.gpu { mesh (dp: 2, pp: 2) }
  stage decode on node.gpu { mesh (dp: 2, tp: 2) }`;
    const unlike = Array.from({ length: 60 }, (_, id) => ({
      promptTokens: 100 + ((id * 97) % 400),
      outputTokens: 4 + ((id * 31) % 40),
    }));
    for (const between of [0.1, 100]) {
      const both = run({ nodes: 2, stages, between }, unlike);
      const crossing = Object.entries(carried(both, 'node <-> node')).filter(([lane]) =>
        lane.endsWith(' out'),
      );
      const bytes = crossing.reduce((sum, [, each]) => sum + each, 0);
      expect(bytes).toBeLessThan(both.bytes.kvIn / 6);
    }
  });

  it('have as much to do in all nodes, so that nothing takes longer for it', () => {
    const stages = `
  stage prefill on node.gpu[0] { mesh (dp: 4) }
  stage decode on node.gpu[1] { mesh (dp: 4), batch: 8 requests }`;
    const unlike = Array.from({ length: 400 }, (_, id) => ({
      promptTokens: 100 + ((id * 97) % 400),
      outputTokens: 4 + ((id * 31) % 60),
    }));
    const plan = planOnNodes({ nodes: 4, stages, between: 100 });
    const { runtime } = compilePlan(plan);
    const { hosts, ...oneTier } = runtime.hostTier!;
    expect(hosts).toHaveLength(4);
    const beside = simulate(runtime, plan, unlike);
    const anywhere = simulate({ ...runtime, hostTier: oneTier }, plan, unlike);
    expect(beside.makespan / anywhere.makespan).toBeLessThan(1.02);
    const crossing = (each: Simulation): number =>
      each.links.reduce((sum, { link, bytes }) => sum + (link === 'node <-> node' ? bytes : 0), 0);
    expect(crossing(beside)).toBeLessThan(crossing(anywhere) / 6);
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

  it('hold no more on a host and a disk than these may have, whatever other nodes have', () => {
    const tiers = 'gpu -> host up to 20 MiB -> nvme up to 40 MiB';
    const stages = APART.stages.replace('(pp: 2)', '(pp: 2), batch: 2 requests');
    const { tierPeak, bytes } = run(
      { ...APART, stages, tiers, between: 100, disk: 10 },
      requests(40, 640, 100),
    );
    expect(bytes.kvSpilled).toBeGreaterThan(0);
    for (const [held, cap] of [
      [tierPeak.host, 20],
      [tierPeak.disk, 40],
    ] as const) {
      expect(held).toBeLessThanOrEqual(cap * 2 ** 20);
      expect(held).toBeGreaterThan(0.7 * cap * 2 ** 20);
    }
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

  it('spill to the disk of a node that prefills what one without a disk has put out', () => {
    const stages = `
  stage prefill on node[0].gpu { mesh (pp: 2) }
  stage decode on node[1].gpu[0] { mesh (tp: 1) }`;
    const tiers = 'gpu -> host up to 60 MiB -> nvme';
    const own = planOnNodes({ nodes: 2, stages, tiers, between: 100, disk: 100 });
    const tight = { ...own.topology.devices[2]!.kind, memory: 160e6 };
    const devices = own.topology.devices.map((device) =>
      device.id === 2 ? { ...device, kind: tight } : device,
    );
    const tiersLeft = own.topology.tiers.filter(({ path }) => path !== 'node[1].nvme');
    const plan = { ...own, topology: { ...own.topology, devices, tiers: tiersLeft } };
    const simulation = simulate(compilePlan(plan).runtime, plan, requests(60, 320, 400));
    const { kvSpilled, kvFetched } = simulation.bytes;
    expect(kvSpilled).toBeGreaterThan(0);
    const disks = carried(simulation, 'nvme');
    expect(Object.keys(disks).sort()).toEqual(['node[0].nvme in', 'node[0].nvme out']);
    expect(disks['node[0].nvme in']).toBeCloseTo(kvSpilled, 0);
    expect(disks['node[0].nvme out']).toBeCloseTo(kvFetched, 0);
    // Prefill is on the first node: what comes from the other goes to disk.
    expect(carried(simulation, 'node <-> node')['node[1] out']).toBeGreaterThan(0);
  });
});
