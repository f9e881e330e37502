/** Random plans, requests and completion orders: what holds whatever happens. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Condition, FlowRule } from '../../../compiler/plan/plan.js';
import type { TransitionMode } from '../../../runtime/scheduler/types.js';
import { paysToLoad } from '../../../runtime/scheduler/costs.js';
import { rejection } from '../../../runtime/scheduler/limits.js';
import {
  configOf,
  hostBelow,
  hostFull,
  nvmeRules,
  PLAN_KINDS,
  requestsEmpty,
  usualRules,
} from './configs.js';
import type { ConfigOptions, PlanKind } from './configs.js';
import { createDriver } from './driver.js';
import { promptOf } from './families.js';
import type { FakeRequest } from './tracks.js';

const kinds = fc.constantFrom(...PLAN_KINDS);

const always: Condition = {
  kind: 'not',
  operand: { kind: 'and', left: requestsEmpty, right: { kind: 'not', operand: requestsEmpty } },
};
const conditions = fc.constantFrom<Condition>(
  hostFull,
  requestsEmpty,
  hostBelow(0.2),
  hostBelow(1.1),
  { kind: 'tier_empty', tier: 'host' },
  { kind: 'tier_full', tier: 'nvme' },
  { kind: 'tier_used', tier: 'nvme', op: '<', fraction: 0.3 },
  { kind: 'tier_full', tier: 'gpu' },
  { kind: 'tier_used', tier: 'gpu', op: '>=', fraction: 0.5 },
  always,
);
const rules: fc.Arbitrary<readonly FlowRule[]> = fc.oneof(
  fc.constant(usualRules),
  fc.array(fc.record({ to: fc.constantFrom('prefill', 'decode'), when: conditions }), { maxLength: 3 }),
);

/** Positions that rows see in every layer, where they do not see all. */
const windows = fc.oneof(fc.constant(undefined), fc.integer({ min: 1, max: 12 }));

const options: fc.Arbitrary<ConfigOptions> = fc.record({
  prefillDp: fc.integer({ min: 1, max: 3 }),
  decodeDp: fc.integer({ min: 1, max: 2 }),
  depth: fc.integer({ min: 1, max: 4 }),
  decodeDepth: fc.integer({ min: 1, max: 4 }),
  maxTokens: fc.integer({ min: 1, max: 24 }),
  maxSequences: fc.integer({ min: 1, max: 8 }),
  batchRequests: fc.integer({ min: 1, max: 12 }),
  prefillPages: fc.integer({ min: 4, max: 30 }),
  decodePages: fc.integer({ min: 4, max: 30 }),
  hostPages: fc.oneof(fc.constant(0), fc.integer({ min: 4, max: 30 })),
  hosts: fc.constantFrom(undefined, 2, 3),
  diskPages: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 })),
  costs: fc.constantFrom(
    { prefillToken: 1, hostPage: 0, diskPage: 0 },
    { prefillToken: 1, hostPage: 0.5, diskPage: 0.6 },
    { prefillToken: 1, hostPage: 0, diskPage: 9 },
    { prefillToken: 1, hostPage: 9, diskPage: 0 },
  ),
  pageTokens: fc.integer({ min: 1, max: 5 }),
  window: windows,
  transitions: fc.constantFrom('dataflow', 'barrier'),
  rules,
});

const request = fc.record({
  promptTokens: fc.integer({ min: 1, max: 24 }),
  maxNewTokens: fc.integer({ min: 1, max: 12 }),
  outputTokens: fc.integer({ min: 1, max: 14 }),
});
/** Whether moves to and from disk fail, one after the other, for ever. */
const faults = fc.oneof(fc.constant([false]), fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }));
const failing = (list: readonly boolean[]): (() => boolean) => {
  let at = 0;
  return () => list[at++ % list.length]!;
};
/** With prompts of two families, which begin alike, and single prompts. */
const related = request.chain((each) =>
  fc
    .record({ family: fc.constantFrom('a', 'b', ''), alike: fc.integer({ min: 0, max: 24 }) })
    .map((more) => ({ ...each, ...more })),
);
const requests = fc
  .array(related, { minLength: 1, maxLength: 24 })
  .map((list) => list.map((each, id) => ({ id, ...each })));
type Related = FakeRequest & { readonly family: string; readonly alike: number };

/** The requests with their tokens and the keys of their pages. */
function withKeys(list: readonly Related[], pageTokens: number): readonly FakeRequest[] {
  return list.map((each) => ({ ...each, ...promptOf(each, pageTokens) }));
}

/** Endless choices from a finite list of random numbers. */
function chooser(seeds: readonly number[]): (count: number) => number {
  let at = 0;
  return (count) => (seeds.length === 0 ? 0 : seeds[at++ % seeds.length]! % count);
}
const seeds = fc.array(fc.nat(1000), { minLength: 1, maxLength: 60 });

/**
 * Requests are finished whatever is drawn.
 *
 * @param seen counts prompt tokens that were found, by where, and pages that were copied
 */
function finishesAll(seen: { device: number; host: number; copied: number }) {
  return fc.property(kinds, options, requests, seeds, faults, (kind, option, drawn, numbers, fails) => {
    const config = configOf(kind, option);
    const list = withKeys(drawn, config.pageTokens);
    const driver = createDriver(config, failing(fails));
    const choose = chooser(numbers);
    for (const each of list) {
      driver.arrive(each);
      for (let n = choose(4); n > 0; n--) {
        driver.poll();
        const ready = driver.completable();
        if (ready.length > 0) driver.complete(ready[choose(ready.length)]!);
      }
    }
    driver.drain(choose);
    const state = driver.scheduler.state();
    for (const each of list) {
      const fits = rejection(config, each) === undefined;
      expect(driver.rejected.has(each.id)).toBe(!fits);
      const expected = fits ? Math.min(each.maxNewTokens, each.outputTokens) : 0;
      expect(driver.generated(each.id)).toBe(expected);
    }
    expect(state.finished + state.rejected).toBe(list.length);
    for (const pool of state.pools) expect(pool.free).toBe(pool.pages);
    expect(state.host).toMatchObject({ free: config.hostPages, filled: 0 });
    expect(state.disk.free).toBe(config.diskPages);
    const { device, host, disk } = state.reused;
    expect(device + host + disk).toBeLessThanOrEqual(driver.reused());
    seen.device += device;
    seen.host += host;
    seen.copied += state.copied;
  });
}

describe('scheduler, whatever the plan', () => {
  it('finishes every request that fits, keeps every promise and leaks no page', () => {
    fc.assert(finishesAll({ device: 0, host: 0, copied: 0 }), { numRuns: 400 });
  }, 120_000);

  it('is drawn requests that find KV of others in every place', () => {
    const seen = { device: 0, host: 0, copied: 0 };
    // With a seed of its own: whether so few runs come upon each of them would be chance.
    fc.assert(finishesAll(seen), { numRuns: 200, seed: 1 });
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  }, 120_000);

  it('frees what cancelled requests held, at whatever moment they are cancelled', () => {
    fc.assert(
      fc.property(kinds, options, requests, seeds, faults, (kind, option, drawn, numbers, fails) => {
        const config = configOf(kind, option);
        const list = withKeys(drawn, config.pageTokens);
        const driver = createDriver(config, failing(fails));
        const choose = chooser(numbers);
        for (const each of list) driver.arrive(each);
        for (let events = 0; events < 40; events++) {
          driver.poll();
          const victim = list[choose(list.length)]!;
          if (choose(4) === 0 && !driver.hasEnded(victim.id)) driver.cancel(victim.id);
          const ready = driver.completable();
          if (ready.length > 0) driver.complete(ready[choose(ready.length)]!);
        }
        driver.drain(choose);
        const state = driver.scheduler.state();
        expect(state.finished + state.cancelled + state.rejected).toBe(list.length);
        for (const pool of state.pools) expect(pool.free).toBe(pool.pages);
        expect(state.host).toMatchObject({ free: config.hostPages, filled: 0 });
        expect(state.disk.free).toBe(config.diskPages);
      }),
      { numRuns: 200 },
    );
  }, 120_000);

  it('does the same again for the same events', () => {
    fc.assert(
      fc.property(kinds, options, requests, seeds, (kind, option, drawn, numbers) => {
        const list = withKeys(drawn, option.pageTokens!);
        const run = (): unknown => {
          const driver = createDriver(configOf(kind, option));
          for (const each of list) driver.arrive(each);
          driver.drain(chooser(numbers));
          return driver.log;
        };
        expect(run()).toEqual(run());
      }),
      { numRuns: 40 },
    );
  }, 120_000);
});

describe('a disk tier', () => {
  const small = fc.record({
    depth: fc.integer({ min: 1, max: 3 }),
    decodeDepth: fc.integer({ min: 1, max: 3 }),
    maxTokens: fc.integer({ min: 1, max: 16 }),
    batchRequests: fc.integer({ min: 1, max: 4 }),
    prefillPages: fc.integer({ min: 8, max: 20 }),
    decodePages: fc.integer({ min: 5, max: 12 }),
    hostPages: fc.integer({ min: 5, max: 14 }),
    diskPages: fc.integer({ min: 1, max: 40 }),
    pageTokens: fc.integer({ min: 2, max: 5 }),
    window: windows,
    transitions: fc.constantFrom<TransitionMode>('dataflow', 'barrier'),
    rules: fc.oneof(fc.constant(nvmeRules), fc.constant(usualRules), rules),
  });
  const many = fc
    .array(related, { minLength: 12, maxLength: 24, size: 'max' })
    .map((list) => list.map((each, id) => ({ id, ...each, promptTokens: Math.min(each.promptTokens, 12) })));

  it('takes what the host tier cannot hold, and loses nothing whatever fails', () => {
    const seen = { spills: 0, fetches: 0, failedSpills: 0, failedFetches: 0, reused: 0 };
    fc.assert(
      fc.property(
        fc.constantFrom<PlanKind>(
          'resharded',
          'resharded-shared',
          'resharded-within',
          'static-within',
          'fused',
          'disaggregated',
        ),
        small,
        many,
        seeds,
        faults,
        (kind, option, drawn, numbers, fails) => {
          const config = configOf(kind, option);
          const list = withKeys(drawn, config.pageTokens);
          const driver = createDriver(config, failing(fails));
          for (const each of list) driver.arrive(each);
          driver.drain(chooser(numbers));
          const state = driver.scheduler.state();
          expect(state.finished + state.rejected).toBe(list.length);
          for (const each of list) {
            const expected = driver.rejected.has(each.id)
              ? 0
              : Math.min(each.maxNewTokens, each.outputTokens);
            expect(driver.generated(each.id)).toBe(expected);
          }
          expect([state.host.free, state.disk.free]).toEqual([config.hostPages, config.diskPages]);
          seen.spills += state.spills.started;
          seen.fetches += state.fetches.started;
          seen.failedSpills += state.spills.failed;
          seen.failedFetches += state.fetches.failed;
          seen.reused += state.reused.disk;
        },
      ),
      { numRuns: 250 },
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  }, 120_000);
});

describe('transitions', () => {
  /** Prompts that wait from the start, and tiers of any size. */
  const filling = fc.record({
    hostPages: fc.integer({ min: 12, max: 60 }),
    diskPages: fc.oneof(fc.constant(0), fc.integer({ min: 10, max: 60 })),
    list: fc
      .array(related, { minLength: 1, maxLength: 80, size: 'max' })
      .map((list) => list.map((each, id) => ({ id, ...each }))),
  });

  it('are at most as many as the tiers must be filled', () => {
    const seen = { disk: 0, staying: 0, several: 0, most: 0 };
    fc.assert(
      fc.property(
        fc.constantFrom<PlanKind>('resharded', 'resharded-within'),
        options,
        filling,
        seeds,
        (kind, option, { hostPages, diskPages, list: drawn }, numbers) => {
          const pageTokens = option.pageTokens!;
          const list = withKeys(drawn, pageTokens);
          const rules = diskPages > 0 ? nvmeRules : usualRules;
          const pools = { prefillPages: 40, decodePages: 80 };
          const config = configOf(kind, { ...option, ...pools, hostPages, diskPages, rules });
          const pagesOf = ({ promptTokens }: FakeRequest): number => Math.ceil(promptTokens / pageTokens);
          const pages = list.reduce((sum, each) => sum + pagesOf(each), 0);
          const longest = Math.max(...list.map(pagesOf));
          const window = option.window ?? Infinity;
          /** What decode sees of a prompt, and the tiers hold. */
          const heldOf = (each: FakeRequest): number =>
            pagesOf(each) - Math.floor(Math.max(0, each.promptTokens + 1 - window) / pageTokens);
          const paysFor = (each: FakeRequest): boolean =>
            paysToLoad(config.costs, 'disk', heldOf(each), each.promptTokens);
          const usesDisk =
            diskPages > 0 && (paysToLoad(config.costs, 'disk', 1, pageTokens) || list.some(paysFor));
          const tiers = usesDisk ? [hostPages, diskPages] : [hostPages];
          // Each tier may be left with less room than a prompt takes.
          const total = tiers.reduce((sum, each) => sum + each, 0);
          const perFill = Math.floor(0.8 * total) - longest * tiers.length;
          fc.pre(perFill > 0);
          // What is not worth its load stays in the host tier: it must not fill that alone.
          const stays = (each: FakeRequest): boolean => usesDisk && !paysFor(each);
          const staying = list.filter(stays).reduce((sum, each) => sum + heldOf(each), 0);
          fc.pre(staying <= hostPages - longest);
          const driver = createDriver(config);
          for (const each of list) driver.arrive(each);
          driver.drain(chooser(numbers));
          const { switches, preemptions } = driver.scheduler.state();
          // What comes back for a second time is not a prompt that waited from the start.
          fc.pre(preemptions.dropped === 0 && preemptions.swapped === 0);
          const most = 2 * Math.ceil(pages / perFill) - 1;
          expect(switches).toBeLessThanOrEqual(most);
          if (usesDisk) seen.disk++;
          if (staying > 0) seen.staying++;
          if (switches > 1) seen.several++;
          if (switches === most) seen.most++;
        },
      ),
      { numRuns: 100 },
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  }, 120_000);
});
