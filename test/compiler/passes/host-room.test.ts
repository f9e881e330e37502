/** What KV may take of host memory beside the copy of the weights that transitions load from. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { copyBytesOf, kvBesideCopy } from '../../../compiler/passes/host-room.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { weightSources } from '../../../compiler/reshard/weight-source.js';
import { neededTensors } from '../../../runtime/weights/graph-tensors.js';
import { hostWeights } from '../../../runtime/weights/host-weights.js';
import { randomWeightSource } from '../../../runtime/weights/random-weights.js';
import { makePlan, type StageOptions } from '../support/make-plan.js';

const TURNS: readonly StageOptions[] = [
  { name: 'prefill', mesh: { pp: 2 }, phases: ['prefill'] },
  { name: 'decode', mesh: { tp: 2 }, phases: ['decode'] },
];

function hostBytes(stages: readonly StageOptions[], hostCapacity: number, cap?: number): number {
  const plan = makePlan({ stages, kv: { hostCapacity } });
  const tiers = plan.kv.tiers.map((tier) =>
    tier.medium === 'host' && cap !== undefined ? { ...tier, cap } : tier,
  );
  const { pages, pageBytes } = compilePlan({ ...plan, kv: { ...plan.kv, tiers } }).runtime.hostTier!;
  return pages * pageBytes;
}

describe('room for KV in host memory', () => {
  const { runtime } = compilePlan(makePlan({ stages: TURNS, kv: { hostCapacity: 1e9 } }));
  const copy = copyBytesOf(runtime.stages.flatMap(({ shards }) => shards));
  const page = runtime.hostTier!.pageBytes;

  it('counts the copy that runs keep', () => {
    expect(runtime.transitions.length).toBeGreaterThan(0);
    const needed = neededTensors(runtime);
    const kept = hostWeights(randomWeightSource(1, needed), needed.values());
    kept.load();
    expect(copy).toBe(kept.bytes());
  });

  it('is what the copy leaves where stages take turns', () => {
    const capacity = 3 * copy;
    const room = hostBytes(TURNS, capacity);
    expect(room).toBeLessThanOrEqual(2 * copy);
    expect(room).toBeGreaterThan(2 * copy - page);
  });

  describe('beside a disk', () => {
    const { model, kv } = makePlan({ stages: TURNS });
    const longest = (model.shape.context / kv.pageTokens) * page;
    /** Bytes of KV and where weights come from, beside a disk of so many bytes. */
    const beside = (hostCapacity: number, diskCapacity: number): { kv: number; from: string[] } => {
      const base = makePlan({ stages: TURNS, kv: { hostCapacity } });
      const disk = { path: 'nvme', name: 'nvme', group: '', medium: 'disk', directory: '/x' } as const;
      const [link] = base.topology.links;
      const topology = {
        ...base.topology,
        tiers: [...base.topology.tiers, { ...disk, capacity: diskCapacity, origin: base.origin }],
        links: [...base.topology.links, { ...link!, from: 'host', to: 'nvme' }],
      };
      const plan = { ...base, topology };
      const roads = roadsOf(topology);
      const size = { modelBytes: copy, kvBytes: kvBesideCopy(plan) };
      const road = weightSources(roads, size)(0)!;
      const { pages } = compilePlan(plan).runtime.hostTier!;
      return { kv: pages * page, from: road.hops.map(({ from }) => from) };
    };

    it('is all of the memory where the copy would leave less than the longest sequence', () => {
      const capacity = copy + longest - 1;
      expect(beside(capacity, copy)).toEqual({
        kv: Math.floor(capacity / page) * page,
        from: ['nvme', 'host'],
      });
      expect(beside(copy + longest, copy)).toEqual({ kv: longest, from: ['host'] });
    });

    it('is what the copy leaves where the disk has no room for it', () => {
      const left = longest - page;
      expect(beside(copy + left, copy - 1)).toEqual({ kv: left, from: ['host'] });
    });
  });

  it('is what the plan allows where that is less', () => {
    expect(hostBytes(TURNS, 3 * copy, 10 * page)).toBe(10 * page);
  });

  it('is all of it where no weights are loaded again, or from disk for want of room', () => {
    const both = TURNS.map((stage) => ({ ...stage, mesh: { tp: 2 } }));
    expect(hostBytes(both, 3 * copy)).toBeGreaterThan(3 * copy - page);
    const small = copy - 1;
    expect(hostBytes(TURNS, small)).toBeGreaterThan(small - page);
  });
});
