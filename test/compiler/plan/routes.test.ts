import { describe, expect, it } from 'vitest';
import { matchesPrefix, parsePath, printPath } from '../../../compiler/plan/places.js';
import type { Topology } from '../../../compiler/plan/plan.js';
import { routesOf, tierFor, type Route } from '../../../compiler/plan/routes.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { checkText } from '../check/memory-host.js';

const DEVICE = 'device d { memory: 16 GB, bandwidth: 300 GB/s, compute: { f32: 1 TFLOPS } }';
const MODEL =
  'model m { layers: 2, hidden: 8, heads: 2, kv_heads: 2, ffn: 8, vocab: 9, context: 16, weights: f16 }';

function topologyOf(body: string, on: string): Topology {
  const { plans, diagnostics } = checkText(
    `${DEVICE}\n${MODEL}\ntopology t { ${body} }\nplan p for m on t { stage serve: prefill + decode on ${on} { mesh (dp: fill) } }`,
  );
  expect(diagnostics).toEqual([]);
  return plans[0]!.topology;
}

const route = (t: Topology, from: string, to: string): Route | undefined => routesOf(t).find(from, to);

const hops = (t: Topology, from: string, to: string): readonly string[] | undefined =>
  route(t, from, to)?.hops.map((h) => h.to);

describe('paths', () => {
  it('print as they were written', () => {
    for (const path of ['gpu', 'gpu[3]', 'node[0..7].gpu[2]', 'rack[1].node[2].gpu[0..3]'])
      expect(printPath(parsePath(path))).toBe(path);
  });

  it('a pattern without index takes in all, with one only those', () => {
    const place = parsePath('node[2].gpu[5]');
    expect(matchesPrefix(parsePath('node.gpu'), place)).toBe(true);
    expect(matchesPrefix(parsePath('node[*].gpu[4..5]'), place)).toBe(true);
    expect(matchesPrefix(parsePath('node[0..1].gpu'), place)).toBe(false);
    expect(matchesPrefix(parsePath('node'), place)).toBe(true);
  });
});

describe('routes', () => {
  const pod = topologyOf(
    `node[2] {
      gpu[2]: d
      tier host { capacity: 1 TB }
      tier nvme { capacity: 1 TB, path: "/x" }
      link gpu <-> gpu { bandwidth: 400 GB/s, latency: 3 us }
      link gpu <-> host { bandwidth: 50 GB/s, latency: 8 us }
      link host <-> nvme { bandwidth: 6 GB/s, latency: 90 us }
    }
    link node <-> node { bandwidth: 20 GB/s, latency: 6 us }`,
    'node.gpu',
  );

  it('inside a node use its links, between nodes theirs', () => {
    expect(hops(pod, 'node[0].gpu[0]', 'node[0].gpu[1]')).toEqual(['node[0].gpu[1]']);
    expect(route(pod, 'node[0].gpu[0]', 'node[0].gpu[1]')!.bandwidth).toBe(400e9);
    expect(route(pod, 'node[0].gpu[0]', 'node[1].gpu[1]')!.bandwidth).toBe(20e9);
    expect(hops(pod, 'node[0].host', 'node[1].host')).toEqual(['node[1].host']);
  });

  it('go over several links when none is direct, as slow as the slowest', () => {
    const far = route(pod, 'node[0].gpu[0]', 'node[0].nvme')!;
    expect(far.hops.map((h) => h.to)).toEqual(['node[0].host', 'node[0].nvme']);
    expect(far.bandwidth).toBe(6e9);
    expect(far.latency).toBeCloseTo(98e-6, 12);
  });

  it('are as wide as the link is this way', () => {
    const t = topologyOf(
      `gpu[2]: d
      tier host { capacity: 1 TB }
      tier nvme { capacity: 1 TB, path: "/x" }
      link gpu <-> host { bandwidth: 2 GB/s, bandwidth_back: 12 GB/s }
      link nvme <-> host { bandwidth: 6 GB/s, bandwidth_back: 3 GB/s }`,
      'gpu',
    );
    const width = (from: string, to: string): number | undefined => route(t, from, to)?.bandwidth;
    expect([width('gpu[1]', 'host'), width('host', 'gpu[1]')]).toEqual([2e9, 12e9]);
    expect([width('nvme', 'gpu[0]'), width('gpu[0]', 'nvme')]).toEqual([6e9, 2e9]);
    const roads = roadsOf(t);
    const lanes = roads.between('host', 'gpu[0]')!.lanes.map((lane) => roads.lanes[lane]!);
    expect(lanes).toMatchObject([{ place: 'gpu[0]', direction: 'in', bandwidth: 12e9 }]);
  });

  it('do not leave the scope of a link', () => {
    const apart = topologyOf(
      `node[2] { gpu[2]: d
        link gpu <-> gpu { bandwidth: 1 GB/s }
        tier host { capacity: 1 GB }
        link gpu <-> host { bandwidth: 1 GB/s } }`,
      'node[0].gpu',
    );
    expect(hops(apart, 'node[0].gpu[0]', 'node[1].gpu[0]')).toBeUndefined();
    expect(hops(apart, 'node[0].gpu[0]', 'node[1].host')).toBeUndefined();
    expect(hops(apart, 'node[1].gpu[0]', 'node[1].host')).toEqual(['node[1].host']);
  });

  it('prefer the wider of two equally short ways', () => {
    const two = topologyOf(
      `gpu[2]: d
       tier host { capacity: 1 GB }
       tier slow { capacity: 1 GB }
       tier fast { capacity: 1 GB }
       link gpu <-> slow { bandwidth: 1 GB/s }
       link gpu <-> fast { bandwidth: 9 GB/s }
       link slow <-> host { bandwidth: 9 GB/s }
       link fast <-> host { bandwidth: 9 GB/s }`,
      'gpu',
    );
    expect(hops(two, 'gpu[0]', 'host')).toEqual(['fast', 'host']);
  });

  it('look at no more of a large topology than the way needs', () => {
    const large = topologyOf('node[2] { gpu[100]: d }\nlink node <-> node { bandwidth: 1 GB/s }', 'node.gpu');
    let asked = 0;
    const links = large.links.map((link) => ({
      ...link,
      get bandwidth() {
        asked++;
        return link.bandwidth;
      },
    }));
    expect(hops({ ...large, links }, 'node[0].gpu[0]', 'node[0].gpu[1]')).toHaveLength(2);
    expect(asked).toBeLessThan(20 * large.devices.length);
  });

  it('a device uses the tier of the nearest group around it', () => {
    expect(tierFor(pod, 'node[1]', 'host')?.path).toBe('node[1].host');
    expect(tierFor(pod, '', 'host')).toBeUndefined();
  });

  it('of a tier in an outer group that has none of its name nearer', () => {
    const nested = topologyOf(
      `rack[2] {
        node[2] { gpu[1]: d }
        tier host { capacity: 1 TB }
        link node <-> node { bandwidth: 1 GB/s }
      }
      tier host { capacity: 1 TB }
      link rack <-> rack { bandwidth: 1 GB/s }`,
      'rack.node.gpu',
    );
    expect(tierFor(nested, 'rack[1].node[0]', 'host')?.path).toBe('rack[1].host');
    expect(tierFor(nested, 'rack[1]', 'host')?.path).toBe('rack[1].host');
    // Not one whose name begins like that of the group.
    expect(tierFor(nested, 'rack[10].node[0]', 'host')?.path).toBe('host');
  });

  it('look no further for the tier of each device where there are many', () => {
    let read = 0;
    const tiers = Array.from({ length: 100 }, (_, node) => ({
      ...pod.tiers[0]!,
      path: `node[${node}].host`,
      group: `node[${node}]`,
      get name() {
        read++;
        return 'host';
      },
    }));
    const large = { ...pod, tiers };
    for (const { path, group } of tiers) expect(tierFor(large, group, 'host')?.path).toBe(path);
    expect(read).toBe(100);
  });
});
