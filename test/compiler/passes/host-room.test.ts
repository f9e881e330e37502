/** What KV may take of host memory beside the copy of the weights that transitions load from. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { copyBytesOf } from '../../../compiler/passes/host-room.js';
import { neededTensors } from '../../../runtime/weights/graph-tensors.js';
import { hostWeights } from '../../../runtime/weights/host-weights.js';
import { randomWeightSource } from '../../../runtime/weights/random-weights.js';
import { makePlan, type StageOptions } from '../support/make-plan.js';

const TURNS: readonly StageOptions[] = [
  { name: 'prefill', mesh: { pp: 2 }, phases: ['prefill'] },
  { name: 'decode', mesh: { tp: 2 }, phases: ['decode'] },
];

function hostBytes(stages: readonly StageOptions[], hostCapacity: number, cap = Infinity): number {
  const plan = makePlan({ stages, kv: { hostCapacity } });
  const tiers = plan.kv.tiers.map((tier) =>
    tier.medium === 'host' ? { ...tier, capacity: Math.min(cap, hostCapacity) } : tier,
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
