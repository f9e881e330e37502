/** Before plans are compiled, stages are never taken to have less room for KV than they turn out to have. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { createOutliner } from '../../../compiler/planner/stage-outline.js';
import { planKvRoom, stageNeeds } from '../../../compiler/planner/kv-room.js';
import { routesOf } from '../../../compiler/plan/routes.js';
import { fixedBytes } from '../support/fixed-bytes.js';
import { makePlan, type PlanOptions } from '../support/make-plan.js';

/** Pages of each stage, as bounds have them and as compiled; undefined where the plan does not fit. */
function pagesOf(options: PlanOptions, memories: readonly number[]) {
  const made = makePlan(options);
  const devices = made.topology.devices.map((device, index) => ({
    ...device,
    kind: { ...device.kind, memory: memories[index]! },
  }));
  const plan = { ...made, residence: 'switch' as const, topology: { ...made.topology, devices } };
  const { runtime } = compilePlan(plan);
  if (runtime.devices.some(({ peak, budget }) => peak.total > budget)) return undefined;
  const outline = createOutliner(plan.model, routesOf(plan.topology));
  const needs = plan.stages.map((stage) => stageNeeds(plan, stage, outline(plan, stage)!));
  const room = planKvRoom(plan, needs)!;
  return runtime.stages.map(({ name, pool: id }) => ({
    most: room.pages.get(name)!,
    compiled: runtime.pools.find((pool) => pool.id === id)!.pages,
  }));
}

describe('room for KV', () => {
  it('is at least that of the compiled plan, on devices of whatever memory', () => {
    let fit = 0;
    const meshes = fc.constantFrom(
      // The first pair shares its pages, the others part the room.
      [{ pp: 4 }, { tp: 4 }],
      [{ dp: 2, pp: 2 }, { tp: 4 }],
      [{ pp: 4 }, { dp: 2, tp: 2 }],
      [{ pp: 3 }, { dp: 3 }],
    );
    const memories = fc.array(fc.integer({ min: 400_000, max: 1_500_000 }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(
        meshes,
        memories,
        fc.constantFrom(16, 128),
        fc.constantFrom(4, 5),
        (pair, memory, pageTokens, layers) => {
          const [prefill, decode] = pair;
          const found = pagesOf(
            {
              shape: { layers, context: 1024 },
              kv: { pageTokens },
              stages: [
                { name: 'prefill', mesh: prefill!, microbatchTokens: 32 },
                { name: 'decode', mesh: decode!, batchRequests: 8 },
              ],
            },
            memory,
          );
          if (found === undefined) return;
          for (const { most, compiled } of found) expect(most).toBeGreaterThanOrEqual(compiled);
          fit++;
        },
      ),
      { numRuns: 40 },
    );
    expect(fit).toBeGreaterThan(10);
  });

  it('allows for what packing leaves to a pool that lies where nothing is packed', () => {
    // Pages of decode are of 28 KiB on the first three devices and packed there; the last one has two layers. Prefill
    // gets less for that, of 35 KiB a page on all of them, and decode the rest of the last.
    const options: PlanOptions = {
      shape: { layers: 5, context: 64 * 112 },
      kv: { pageTokens: 112 },
      stages: [
        { name: 'prefill', mesh: { tp: 4 }, microbatchTokens: 112 * 400 },
        { name: 'decode', mesh: { pp: 4 }, batchRequests: 64 },
      ],
    };
    const { runtime } = compilePlan({
      ...makePlan({ ...options, deviceMemory: 2 ** 30 }),
      residence: 'switch',
    });
    const memory = Math.ceil(
      (Math.max(...runtime.devices.map((_, i) => fixedBytes(runtime, i))) + 24 * 2 ** 20) / 0.9,
    );
    const [prefill, decode] = pagesOf(options, [memory, memory, memory, memory])!;
    expect(prefill!.most).toBeGreaterThan(prefill!.compiled);
    expect(decode!.most).toBeGreaterThanOrEqual(decode!.compiled);
  });
});
