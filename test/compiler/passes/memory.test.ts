/** Pages, peaks and the problems of plans that do not fit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ringSizes } from '../../../compiler/ir/device-weights.js';
import { PAGE_LIST_BYTES } from '../../../compiler/ir/page-packing.js';
import { overlaidBuffers } from '../../../compiler/ir/workspace.js';
import { compilePlan } from '../../../compiler/compile.js';
import { weightBytes } from '../../../compiler/ir/device-layout.js';
import type { KvPool } from '../../../compiler/ir/runtime-graph.js';
import { layerGroups } from '../../../compiler/passes/kv-pools.js';
import { cappedPools } from '../../../compiler/passes/largest-binding.js';
import { stepSizes, tableEntries } from '../../../compiler/passes/step-sizes.js';
import { fixedBytes } from '../support/fixed-bytes.js';
import { makePlan, type PlanOptions } from '../support/make-plan.js';

const RESHARD: PlanOptions = {
  stages: [
    { name: 'prefill', mesh: { pp: 4 }, microbatchTokens: 32 },
    { name: 'decode', mesh: { tp: 4 }, batchRequests: 8 },
  ],
};

describe('step sizes', () => {
  const sizes = (stage: PlanOptions['stages'][number]): ReturnType<typeof stepSizes> =>
    stepSizes(makePlan({ stages: [stage] }).stages[0]!);

  it('of a prefill step are its microbatch', () => {
    expect(sizes({ name: 'prefill', mesh: {}, microbatchTokens: 512 })).toEqual({
      maxTokens: 512,
      maxSequences: 64,
    });
    expect(sizes({ name: 'prefill', mesh: {}, microbatchTokens: 10 }).maxSequences).toBe(10);
  });

  it('of a decode step are the batch over replicas and pipeline microbatches', () => {
    expect(sizes({ name: 'decode', mesh: { dp: 2, pp: 2 }, batchRequests: 65 })).toEqual({
      maxTokens: 17,
      maxSequences: 17,
    });
    expect(sizes({ name: 'decode', mesh: { pp: 4 }, batchRequests: 1 }).maxTokens).toBe(1);
  });

  it('of a fused step carry both', () => {
    expect(sizes({ name: 'serve', mesh: {}, microbatchTokens: 32, batchRequests: 100 })).toEqual({
      maxTokens: 100,
      maxSequences: 100,
    });
  });
});

describe('pools', () => {
  it('give a decode pool what is useful and a prefill pool what its pipeline needs, of the same pages', () => {
    const [prefill, decode] = compilePlan(makePlan(RESHARD)).runtime.pools;
    // Context 128 is 8 pages of 16. Prefill: (4 + 2) microbatches of 2 pages and one sequence.
    expect(prefill!.pages).toBe(6 * 2 + 8 + 10 * 8);
    // An eighth is kept for prefill.
    expect([decode!.pages, decode!.within]).toEqual([100 - 13, 'prefill']);
  });

  it('are apart where a page is not of the same bytes on every device', () => {
    const stages = [
      { name: 'prefill', mesh: { dp: 2, pp: 2 }, microbatchTokens: 32 },
      { name: 'decode', mesh: { tp: 4 }, batchRequests: 8 },
    ];
    const [prefill, decode] = compilePlan(makePlan({ stages })).runtime.pools;
    expect(prefill!.pages).toBe(4 * 2 + 8);
    expect([decode!.pages, decode!.within]).toEqual([10 * 8, undefined]);
  });

  it('share pages at little memory too: most of them are for decode', () => {
    const deviceMemory = 250_000;
    const { runtime } = compilePlan(makePlan({ ...RESHARD, deviceMemory }));
    const [prefill, decode] = runtime.pools;
    expect(decode!.pages).toBeGreaterThanOrEqual(prefill!.pages / 2);
    for (const { peak } of runtime.devices)
      expect(peak.kv).toBe(prefill!.pages * prefill!.ranks[0]!.pageBytes);
  });

  it('that share pages are split into parts of the same bytes', () => {
    const stages = [
      { name: 'prefill', mesh: { pp: 2 }, microbatchTokens: 32 },
      { name: 'decode', mesh: { tp: 2 }, batchRequests: 8 },
    ];
    // A page of a rank is 8 KiB, of 2 layers and 4 heads or of 4 layers and 2 heads; there are 96 pages.
    const maxBindingBytes = 100 * 4096;
    const { runtime } = compilePlan(makePlan({ stages }), { maxBindingBytes });
    const [prefill, decode] = runtime.pools;
    const parts = ({ groups, layers, pageBytes }: KvPool['ranks'][number]): number[] =>
      groups.map(([from, to]) => (pageBytes * (to - from)) / (layers[1] - layers[0]));
    expect(decode!.within).toBe('prefill');
    prefill!.ranks.forEach((rank) => {
      const other = decode!.ranks.find(({ device }) => device === rank.device)!;
      expect([parts(rank), parts(other)]).toEqual([
        [4096, 4096],
        [4096, 4096],
      ]);
    });
  });

  describe('of devices whose kernels see little of a buffer', () => {
    /** Pages of the pools, and what is said of those that the binding caps. */
    const bound = (largestBinding: number | undefined, stages = RESHARD.stages) => {
      const plan = makePlan({ stages });
      const devices = plan.topology.devices.map((device) => ({
        ...device,
        kind: { ...device.kind, ...(largestBinding !== undefined && { largestBinding }) },
      }));
      const topology = { ...plan.topology, devices };
      const { runtime, diagnostics } = compilePlan({ ...plan, topology });
      const capped = cappedPools(topology, runtime.pools, runtime.devices);
      return { pools: runtime.pools, capped, diagnostics };
    };
    const serve = [{ name: 'serve', mesh: { pp: 2 }, batchRequests: 8 }];

    it('have as many as fit what is declared, for each layer on the device', () => {
      // A page of a layer: 16 tokens, 4 heads of 8, K and V in f32.
      const layer = 16 * 4 * 8 * 2 * 4;
      const { pools, capped } = bound(20 * layer + 7, serve);
      expect(pools[0]!.pages).toBe(20);
      expect(capped).toMatchObject([{ pool: 'serve', device: 'chip', largestBinding: 20 * layer + 4 }]);
      expect(capped[0]!.unusedPart).toBeGreaterThan(0.9);
      expect(bound(2 ** 40, serve)).toMatchObject({
        pools: [{ pages: bound(undefined, serve).pools[0]!.pages }],
      });
    });

    it('have as many of shared pages as parts of all layers hold', () => {
      // 1 layer of 4 heads and 4 layers of 1 head are one part: a page has one range on a device.
      const { pools, capped } = bound(30 * 4096);
      expect(pools.map(({ pages }) => pages)).toEqual([30, 22]);
      expect(capped).toMatchObject([{ pool: 'prefill' }]);
      expect(bound(undefined).capped).toEqual([]);
    });

    it('say so where they are too few', () => {
      const [few] = bound(6 * 4096, serve).diagnostics;
      expect(few).toMatchObject({ slug: 'kv-tight' });
      expect(few!.notes.join()).toContain('a kernel of chip sees 24 KiB of a buffer');
      expect(few!.helps.join()).toContain('`largest_binding`');
      const [none] = bound(4096, serve).diagnostics;
      expect(none).toMatchObject({ slug: 'kv-does-not-fit' });
      expect(none!.message).toContain('has 8.00 KiB left for KV on a device');
    });
  });

  it('count pages per replica', () => {
    const plan = makePlan({
      stages: [
        { name: 'prefill', mesh: { dp: 2 }, microbatchTokens: 32 },
        { name: 'decode', mesh: { dp: 2 }, batchRequests: 8 },
      ],
    });
    const { runtime } = compilePlan(plan);
    expect(runtime.pools.map((pool) => [pool.id, pool.pages])).toEqual([
      ['prefill+decode', 5 * 8 + 3 * 2 + 8],
    ]);
  });

  it('never take more than the budget, whatever the memory', () => {
    const roomy = compilePlan(makePlan(RESHARD)).runtime;
    const fixed = roomy.devices.map((_, index) => fixedBytes(roomy, index));
    // From too little for the weights to enough for all the pages that are of use.
    fc.assert(
      fc.property(fc.integer({ min: 240_000, max: 720_000 }), (deviceMemory) => {
        const { runtime, diagnostics } = compilePlan(makePlan({ ...RESHARD, deviceMemory }));
        const failed = diagnostics.some((diagnostic) => diagnostic.severity === 'error');
        runtime.devices.forEach(({ peak, budget }, index) => {
          expect(budget).toBe(Math.floor(deviceMemory * 0.9));
          // With what packing takes of however many pages there are.
          expect(fixedBytes(runtime, index)).toBe(fixed[index]);
          if (!failed) expect(peak.total).toBeLessThanOrEqual(budget);
        });
      }),
      { numRuns: 25 },
    );
  });

  it('partition layers into groups that respect the binding limit, as even as can be', () => {
    const arbitrary = fc.record({
      first: fc.nat(20),
      count: fc.integer({ min: 1, max: 80 }),
      bytes: fc.integer({ min: 1, max: 1000 }),
      limit: fc.integer({ min: 1000, max: 20_000 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ first, count, bytes, limit }) => {
        const groups = layerGroups([first, first + count], bytes, limit);
        const sizes = groups.map(([start, end]) => end - start);
        expect(groups[0]![0]).toBe(first);
        groups.slice(1).forEach(([start], index) => expect(start).toBe(groups[index]![1]));
        expect(groups.at(-1)![1]).toBe(first + count);
        expect(Math.max(...sizes) * bytes).toBeLessThanOrEqual(limit);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('peaks', () => {
  it('count weights once where two stages share them, and what moves need where they take turns', () => {
    const shared = compilePlan(
      makePlan({
        stages: [
          { name: 'prefill', mesh: { pp: 2 } },
          { name: 'decode', mesh: { pp: 2 } },
        ],
      }),
    ).runtime;
    const bytes = shared.stages[0]!.shards[0]!.weights.reduce((sum, weight) => sum + weightBytes(weight), 0);
    expect(shared.devices[0]!.peak.weights).toBe(bytes);

    const turns = compilePlan(makePlan(RESHARD)).runtime;
    const on0 = turns.stages.map((stage) => stage.shards[0]!.weights);
    const totals = on0.map((weights) => weights.reduce((sum, weight) => sum + weight.bytes, 0));
    const largest = Math.max(...on0.flat().map((weight) => weight.bytes));
    const spare = turns.devices[0]!.peak.weights - Math.max(...totals);
    expect(spare).toBeGreaterThanOrEqual(ringSizes(largest).bytes);
    expect(spare).toBeLessThan(2 * largest);
  });

  it('count staging slots rather than a second buffer where weights are large', () => {
    const largest = 512 * 2 ** 20;
    expect(ringSizes(largest).bytes).toBeLessThanOrEqual(17 * 2 ** 20);
    expect(ringSizes(Infinity)).toEqual(ringSizes(largest));
  });

  it('count the slots of stages that take turns over each other', () => {
    const workspace = (residence: 'both' | 'switch'): number =>
      compilePlan({ ...makePlan(RESHARD), residence }).runtime.devices[0]!.peak.workspace;
    const { stages } = compilePlan(makePlan(RESHARD)).runtime;
    const [prefill, decode] = stages.map(({ programs }) => programs[0]!.slots);
    const sum = (sizes: readonly number[]): number => sizes.reduce((total, each) => total + each, 0);
    const bytes = (slots: typeof prefill): number => sum(slots!.map((slot) => slot.bytes));
    const saved = bytes(prefill) + bytes(decode) - sum(overlaidBuffers([prefill!, decode!]));
    expect(saved).toBeGreaterThan(0);
    expect(workspace('both') - workspace('switch')).toBe(saved);
  });

  it('count what packing pages takes, where there is a tier for them and they are small', () => {
    /** Bytes of workspace, and of a page of which there are so many. */
    const peakOf = (options: PlanOptions) => {
      const { devices, pools } = compilePlan(makePlan(options)).runtime;
      const { pages, ranks } = pools[0]!;
      return { workspace: devices[0]!.peak.workspace, pages, pageBytes: ranks[0]!.pageBytes };
    };
    const serve: PlanOptions = { stages: [{ name: 'serve', mesh: { tp: 2 }, batchRequests: 8 }] };
    const packing = (options: PlanOptions): number =>
      peakOf(options).workspace - peakOf({ ...options, kv: { ...options.kv, hostCapacity: null } }).workspace;
    const { pages, pageBytes } = peakOf(serve);
    expect(pages * pageBytes).toBeLessThan(4 * 2 ** 20);
    expect(packing(serve)).toBe(pages * pageBytes + PAGE_LIST_BYTES);
    const many: PlanOptions = { stages: [{ ...serve.stages[0]!, batchRequests: 256 }] };
    expect(packing(many)).toBe(PAGE_LIST_BYTES + Math.min(1024 * pageBytes, 4 * 2 ** 20));
    const large: PlanOptions = { ...serve, kv: { pageTokens: 128 } };
    expect(peakOf(large).pageBytes).toBeGreaterThanOrEqual(32 * 1024);
    expect(packing(large)).toBe(0);
  });

  it('leave as many pages as there is room for, and for packing them', () => {
    const stages = [{ name: 'serve', mesh: { tp: 2 }, batchRequests: 8 }];
    const fixed = fixedBytes(compilePlan(makePlan({ stages })).runtime);
    for (const pages of [1, 7, 40]) {
      // Pages that fit alone, and those that fit when packed too.
      const pageBytes = 16 * 4 * 2 * 8 * 2 * 4;
      const memory = (room: number) => Math.ceil((fixed + room) / 0.9) + 1;
      const room = 2 * pages * pageBytes + PAGE_LIST_BYTES;
      const given = (deviceMemory: number): number | undefined =>
        compilePlan(makePlan({ stages, deviceMemory })).runtime.pools[0]!.pages;
      expect(given(memory(room))).toBe(pages);
      expect(given(memory(room - 8))).toBe(pages - 1);
    }
  });

  it('are the sum of their parts', () => {
    for (const { peak } of compilePlan(makePlan(RESHARD)).runtime.devices) {
      expect(peak.total).toBe(peak.weights + peak.workspace + peak.kv);
      expect(Math.min(peak.weights, peak.workspace, peak.kv)).toBeGreaterThan(0);
    }
  });
});

describe('a window in every layer', () => {
  const SLIDING: PlanOptions = { ...RESHARD, shape: { sliding: { window: 20, layers: [0, 1, 2, 3] } } };
  const PARTLY: PlanOptions = { ...RESHARD, shape: { sliding: { window: 20, layers: [0, 2] } } };

  it('leaves a sequence the room of the window and the rows in work', () => {
    const [prefill, decode] = compilePlan(makePlan(SLIDING)).runtime.pools;
    // A window of 20 lies in 3 pages of 16 at most. With 4 microbatches in work a sequence of 128 tokens takes all its 8.
    expect(prefill!.pages).toBe(6 * 2 + 8 + 10 * 3);
    expect([decode!.pages, decode!.within]).toEqual([50 - 8, 'prefill']);
    expect(compilePlan(makePlan(PARTLY)).runtime.pools[0]!.pages).toBe(6 * 2 + 8 + 10 * 8);
  });

  it('lets sequences of any length into pools that hold one', () => {
    const slugs = (options: PlanOptions, pages: number): readonly string[] => {
      const fixed = fixedBytes(compilePlan(makePlan(options)).runtime);
      const pageBytes = 16 * 2 * 8 * 4 * 4;
      // As much again to pack them.
      const room = 2 * pages * pageBytes + PAGE_LIST_BYTES;
      const deviceMemory = Math.ceil((fixed + room) / 0.9) + 1;
      return compilePlan(makePlan({ ...options, deviceMemory })).diagnostics.map(({ slug }) => slug);
    };
    const one = [{ name: 'serve', mesh: { tp: 4 }, microbatchTokens: 40, batchRequests: 8 }];
    expect(slugs({ ...SLIDING, stages: one }, 3)).toEqual([]);
    expect(slugs({ ...SLIDING, stages: one }, 2)).toEqual(['kv-does-not-fit']);
    expect(slugs({ ...PARTLY, stages: one }, 7)).toEqual(['kv-tight']);
    expect(slugs({ ...PARTLY, stages: one }, 2)).toEqual(['kv-does-not-fit']);
  });

  it('takes less of the step arguments, by the pages that rows see at most', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 6 }),
        fc.nat(60),
        (window, pageTokens, counts, start) => {
          const shape = {
            ...makePlan(SLIDING).model.shape,
            context: 100,
            sliding: { window, layers: [0, 1, 2, 3] },
          };
          const sizes = { maxSequences: counts.length, maxTokens: counts.reduce((a, b) => a + b, 0) };
          const pages = counts.map((count, i) => {
            const at = start + i;
            const first = Math.floor(Math.max(0, at + 1 - window) / pageTokens);
            return Math.ceil((at + count) / pageTokens) - first;
          });
          const entries = tableEntries(sizes, shape, pageTokens);
          expect(pages.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(entries);
          expect(entries).toBeLessThanOrEqual(sizes.maxSequences * Math.ceil(100 / pageTokens));
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('plans that do not fit', () => {
  it('say what the weights and the workspace need, and what there is', () => {
    const { diagnostics, runtime } = compilePlan(makePlan({ ...RESHARD, deviceMemory: 100_000 }));
    expect(diagnostics.map((diagnostic) => diagnostic.slug)).toEqual(['weights-do-not-fit']);
    expect(diagnostics[0]!.notes.join('\n')).toMatch(/weights .* \+ workspace .* = /);
    expect(runtime.stages).toHaveLength(2);
  });

  it('say when the pages left hold less than a microbatch', () => {
    const fixed = fixedBytes(compilePlan(makePlan(RESHARD)).runtime);
    const deviceMemory = Math.ceil((fixed + 5000) / 0.9);
    const { diagnostics } = compilePlan(makePlan({ ...RESHARD, deviceMemory }));
    expect(diagnostics[0]).toMatchObject({ slug: 'kv-does-not-fit', severity: 'error' });
    // Two pages of 4 KiB, as much to pack them in and a list of 4 KiB.
    expect(diagnostics[0]!.message).toMatch(/has 4\.8\d KiB left .* 32 tokens need 20.0 KiB/);
    expect(diagnostics[0]!.notes.join()).toContain('12.0 KiB of what they need is for packing pages');
  });

  it('only warn when they hold less than the longest sequence', () => {
    const fixed = fixedBytes(compilePlan(makePlan(RESHARD)).runtime);
    const deviceMemory = Math.ceil((fixed + 40_000) / 0.9);
    const { diagnostics } = compilePlan(makePlan({ ...RESHARD, deviceMemory }));
    expect(diagnostics[0]).toMatchObject({ slug: 'kv-tight', severity: 'warning' });
    expect(diagnostics.every((diagnostic) => diagnostic.severity === 'warning')).toBe(true);
  });
});
