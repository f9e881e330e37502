/** On which hosts and disks of several nodes KV lies, and what room it has there. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { groupBy } from '../../../compiler/group-by.js';
import { hostShares, pageOwners } from '../../../compiler/ir/page-slices.js';
import { diskForPages, kvPlaces } from '../../../compiler/passes/kv-places.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { tierBeside } from '../../../compiler/plan/routes.js';
import { acrossNodes } from '../check/marked.js';
import { checkText } from '../check/memory-host.js';
import { planOnNodes } from '../../runtime/clock/nodes.js';

const GIB = 2 ** 30;
/** Of each node, as `planOnNodes` has them. */
const [HOST, DISK] = [4 * GIB, 32e9];

const DECODE = 'stage decode on node[2].gpu { mesh (tp: 2) }';
const LAYOUTS = [
  { where: 'one of several nodes', prefill: 'node[0].gpu { mesh (pp: 2) }', parts: [1] },
  { where: 'nodes that share a pipeline', prefill: 'node[0..1].gpu { mesh (pp: 4) }', parts: [1 / 2, 1 / 2] },
  {
    where: 'a pipeline with most of its layers on one node',
    prefill: 'node[0].gpu, node[1].gpu[0] { mesh (pp: 3) }',
    parts: [6 / 8, 2 / 8],
  },
  {
    where: 'nodes that have unequally many replicas',
    prefill: 'node[0].gpu, node[1].gpu[0] { mesh (dp: 3) }',
    parts: [2 / 3, 1 / 3],
  },
  {
    where: 'nodes of which one alone puts out the heads that all have',
    prefill: 'node[0..1].gpu { mesh (tp: 4), replicate heads, kv_heads }',
    parts: [1],
  },
] as const;

const planFor = (prefill: string, tiers = 'gpu -> host -> nvme'): Plan =>
  planOnNodes({ nodes: 3, stages: `stage prefill on ${prefill}\n${DECODE}`, tiers });

/** Bytes of whole pages that the compiled plan has room for. */
function roomOf(plan: Plan): { readonly host: number; readonly disk: number; readonly page: number } {
  const { hostTier, diskTier } = compilePlan(plan).runtime;
  const page = hostTier!.pageBytes;
  return { host: hostTier!.pages * page, disk: diskTier!.pages * page, page };
}

describe('places of KV', () => {
  it.each(LAYOUTS)('have room until the first is full: $where', ({ prefill, parts }) => {
    const most = Math.max(...parts);
    const { host, disk, page } = roomOf(planFor(prefill));
    expect(host).toBe(Math.floor(HOST / most / page) * page);
    expect(disk).toBe(Math.floor(DISK / most / page) * page);
    // A cap is of each.
    const capped = roomOf(planFor(prefill, 'gpu -> host up to 1 GiB -> nvme up to 2 GiB'));
    expect(capped.host).toBe(Math.floor(GIB / most / page) * page);
    expect(capped.disk).toBe(Math.floor((2 * GIB) / most / page) * page);
  });

  it.each(LAYOUTS)('are those that pages go to: $where', ({ prefill, parts }) => {
    const plan = planFor(prefill);
    const { runtime } = compilePlan(plan);
    const pool = runtime.pools.find(({ stages }) => stages.includes('prefill'))!;
    const writers = [...groupBy(pageOwners(pool), ({ dp }) => dp).values()];
    for (const name of ['host', 'nvme']) {
      const tierOf = tierBeside(plan.topology, name);
      const found = new Map<string, number>();
      for (const ranks of writers)
        for (const { device, part } of hostShares({ ranks }, tierBeside(plan.topology, 'host'))) {
          const path = tierOf(device)!;
          found.set(path, (found.get(path) ?? 0) + part / writers.length);
        }
      const places = kvPlaces(plan, { name });
      expect(places.map(({ tier }) => tier.path)).toEqual([...found.keys()]);
      places.forEach(({ tier, parts: lie, all }, place) => {
        expect(lie / all).toBeCloseTo(found.get(tier.path)!, 12);
        expect(lie / all).toBeCloseTo(parts[place]!, 12);
      });
    }
  });

  it('leave the disk to nodes that prefill: one that only decodes does without', () => {
    const { plans, diagnostics } = checkText(acrossNodes('big', 'small', 'gpu -> host -> nvme'));
    expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
    const plan = plans[0]!;
    expect(kvPlaces(plan, { name: 'nvme' }).map(({ tier }) => tier.path)).toEqual(['big.nvme']);
    const diskOf = diskForPages(plan, 'nvme');
    const devices = plan.stages.flatMap((stage) => stage.devices);
    expect(devices.map(diskOf)).toEqual(devices.map(() => 'big.nvme'));
    expect(compilePlan(plan).runtime.diskTier!.pages).toBeGreaterThan(0);
  });

  it('decide by the smaller of two that have equal parts', () => {
    const plan = planFor('node[0..1].gpu { mesh (pp: 4) }');
    const tiers = plan.topology.tiers.map((tier) =>
      tier.path === 'node[1].host' ? { ...tier, capacity: GIB } : tier,
    );
    const { host, page } = roomOf({ ...plan, topology: { ...plan.topology, tiers } });
    expect(host).toBe(Math.floor((2 * GIB) / page) * page);
  });
});
