/** KV in three tiers on devices: the same tokens however little room each tier has, and whatever the disk does. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { nodeFiles } from '../../runtime/kv/tier-files.js';
import type { TierFiles } from '../../runtime/kv/tier-files.js';
import { makePlan } from '../compiler/support/make-plan.js';
import type { StageOptions } from '../compiler/support/make-plan.js';
import { seededRandom } from '../fixtures/random.js';
import { flakyFiles, systemError } from '../runtime/support/flaky-files.js';
import { CLERK } from './support/clerk.js';
import { generate } from './support/generate.js';
import { shapeOf } from './support/shape.js';

const directory = mkdtempSync(join(tmpdir(), 'fulcrum-tiers-'));
afterAll(() => rmSync(directory, { recursive: true }));

const random = seededRandom(11);
const prompts = Array.from({ length: 12 }, () =>
  Array.from({ length: 20 + random.below(60) }, () => 2 + random.below(500)),
);

function graphOf(
  stages: readonly StageOptions[],
  pages: { readonly device: number; readonly host: number; readonly disk: number },
): RuntimeGraph {
  const { runtime } = compilePlan(makePlan({ shape: shapeOf(CLERK), stages }));
  const { hostTier } = runtime;
  return {
    ...runtime,
    // Loading always pays: what is moved must not depend on how fast this machine is at the moment.
    kv: { ...runtime.kv, costs: { prefillToken: 1, hostPage: 0, diskPage: 0 } },
    pools: runtime.pools.map((pool) => ({ ...pool, pages: pages.device })),
    hostTier: { ...hostTier!, pages: pages.host },
    diskTier: { name: 'nvme', directory, pages: pages.disk },
    flow: {
      ...runtime.flow,
      rules: [
        {
          to: 'decode',
          when: { kind: 'or', left: { kind: 'tier_full', tier: 'nvme' }, right: { kind: 'requests_empty' } },
        },
      ],
    },
  };
}

const run = (graph: RuntimeGraph, tierFiles: TierFiles = nodeFiles, verifyMoves = false) =>
  generate(graph, CLERK, prompts, {
    maxNewTokens: 16,
    stopIds: [],
    engine: { tierFiles, verifyMoves, measuresCosts: false },
  });

/** Fails every `each`th transfer of pages. */
function failingFiles(each: number): TierFiles {
  let calls = 0;
  const fail = (code: string) => (buffers: readonly Uint8Array[]) => {
    if (buffers.length > 1 && calls++ % each === each - 1) throw systemError(code);
    return undefined;
  };
  return flakyFiles(nodeFiles, { write: fail('ENOSPC'), read: fail('EIO') });
}

const inTurns: readonly StageOptions[] = [
  { name: 'prefill', mesh: { pp: 2 }, microbatchTokens: 128, batchRequests: 4 },
  { name: 'decode', mesh: { tp: 2 }, microbatchTokens: 128, batchRequests: 4 },
];
const apart: readonly StageOptions[] = [
  { name: 'prefill', mesh: { tp: 1 }, devices: [0], microbatchTokens: 128, batchRequests: 2 },
  { name: 'decode', mesh: { tp: 1 }, devices: [1], microbatchTokens: 128, batchRequests: 2 },
];
const fused: readonly StageOptions[] = [
  { name: 'serve', mesh: { tp: 1 }, microbatchTokens: 64, batchRequests: 8 },
];

describe('KV in device memory, host memory and on disk', () => {
  it('gives the same tokens through all tiers, with failing files too', async () => {
    const roomy = await run(graphOf(inTurns, { device: 200, host: 400, disk: 0 }));
    expect(roomy.stats.bytes.kvSpilled).toBe(0);
    const graph = graphOf(inTurns, { device: 20, host: 10, disk: 80 });
    const tight = await run(graph, nodeFiles, true);
    expect(tight.outputs).toEqual(roomy.outputs);
    expect(tight.stats.bytes.kvSpilled).toBeGreaterThan(0);
    expect(tight.stats.bytes.kvFetched).toBeGreaterThan(0);
    const broken = await run(graph, failingFiles(2), true);
    expect(broken.outputs).toEqual(roomy.outputs);
    expect(broken.stats.tiers.failedSpills + broken.stats.tiers.failedFetches).toBeGreaterThan(0);
    // Prefill does not wait for decode, so nobody is preempted: what goes to disk is handed over.
    const beside = await run(graphOf(apart, { device: 20, host: 10, disk: 80 }), nodeFiles, true);
    expect(beside.outputs).toEqual(roomy.outputs);
    expect([beside.stats.tiers.swapped, beside.stats.tiers.dropped]).toEqual([0, 0]);
    expect(beside.stats.bytes.kvFetched).toBeGreaterThan(0);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('does not judge the disk by the first pages it reads, nor beside prefill that it has not measured', async () => {
    const graph = graphOf(inTurns, { device: 20, host: 10, disk: 80 });
    // Prefill as quick as no device here has it: what is measured of the disk says nothing beside that.
    const costs = { prefillToken: 1e-6, hostPage: 0, diskPage: 1e-9 };
    const { stats } = await generate({ ...graph, kv: { ...graph.kv, costs } }, CLERK, prompts, {
      maxNewTokens: 2,
      stopIds: [],
    });
    expect(stats.promptTokens).toBeLessThan(1024);
    expect(stats.tiers.passedOver.disk).toBe(0);
    expect(stats.bytes.kvFetched).toBe(stats.bytes.kvSpilled);
    expect(stats.bytes.kvFetched).toBeGreaterThan(0);
  });

  it('swaps preempted sequences out and back in where one stage does both', async () => {
    const roomy = await run(graphOf(fused, { device: 400, host: 0, disk: 0 }));
    const tight = await run(graphOf(fused, { device: 22, host: 7, disk: 80 }));
    expect(tight.outputs).toEqual(roomy.outputs);
    expect(tight.stats.tiers.swapped).toBeGreaterThan(0);
    expect(tight.stats.bytes.kvOut).toBeGreaterThan(0);
  });

  it('takes no more memory of a device than was counted, however little there is', async () => {
    const stages = [{ name: 'serve', mesh: { tp: 2 }, microbatchTokens: 64, batchRequests: 8 }];
    for (const deviceMemory of [8 * 2 ** 20, 2 ** 30]) {
      const { runtime, diagnostics } = compilePlan(makePlan({ shape: shapeOf(CLERK), stages, deviceMemory }));
      expect(diagnostics).toEqual([]);
      const { stats } = await generate(runtime, CLERK, prompts, { maxNewTokens: 2, stopIds: [] });
      for (const { path, peak, budget } of runtime.devices) {
        expect(stats.peakMemory[path]).toBeLessThanOrEqual(peak.total);
        expect(peak.total).toBeLessThanOrEqual(budget);
        // Nor was much more counted.
        expect(stats.peakMemory[path]).toBeGreaterThan(peak.total - 16 * 1024);
      }
    }
  });
});
