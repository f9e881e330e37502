/** The disk tier: what goes there and when, what comes back, and what happens when it cannot. */
import { describe, expect, it } from 'vitest';
import { bestLoad, loadSeconds, paysToLoad } from '../../../runtime/scheduler/costs.js';
import type { Action } from '../../../runtime/scheduler/types.js';
import { configOf, nvmeRules } from './configs.js';
import type { ConfigOptions } from './configs.js';
import { createDriver } from './driver.js';
import type { Driver } from './driver.js';

/** Room for one sequence in decode and four in the host tier. */
const tight: ConfigOptions = {
  hostPages: 4,
  diskPages: 40,
  decodePages: 3,
  batchRequests: 1,
  maxTokens: 4,
  rules: nvmeRules,
};

function batch(driver: Driver, count: number, promptTokens = 4, outputTokens = 3): void {
  for (let id = 0; id < count; id++)
    driver.arrive({ id, promptTokens, maxNewTokens: outputTokens, outputTokens });
}
const sequences = (driver: Driver, kind: 'spill' | 'fetch'): number[] =>
  driver.log.flatMap((action: Action) => (action.kind === kind ? [action.sequence] : []));
const switches = (driver: Driver): string[] =>
  driver.log.flatMap((action) => (action.kind === 'switch' ? [action.to] : []));

describe('paysToLoad', () => {
  it('compares the way from the tier with prefill', () => {
    const costs = { prefillToken: 1, hostPage: 2, diskPage: 3 };
    expect(loadSeconds(costs, 'host', 4)).toBe(8);
    expect(loadSeconds(costs, 'disk', 4)).toBe(20);
    expect(paysToLoad(costs, 'host', 4, 8)).toBe(true);
    expect(paysToLoad(costs, 'host', 4, 7)).toBe(false);
    expect(paysToLoad(costs, 'disk', 4, 19)).toBe(false);
  });
});

describe('bestLoad', () => {
  it('is a full page, or a long sequence where every layer sees a window alone', () => {
    expect(bestLoad({ pageTokens: 4 }, [])).toEqual({ pages: 1, tokens: 4 });
    expect(bestLoad({ pageTokens: 4 }, [3, 400])).toEqual({ pages: 1, tokens: 4 });
    // The window of a row behind 40 tokens begins at 32.
    expect(bestLoad({ pageTokens: 4, window: 9 }, [3, 40, 7])).toEqual({ pages: 2, tokens: 40 });
    expect(bestLoad({ pageTokens: 4, window: 100 }, [3, 40])).toEqual({ pages: 1, tokens: 4 });
  });
});

describe('the disk tier', () => {
  it('lets prefill go on where the host tier alone would end it', () => {
    const driver = createDriver(configOf('resharded', tight));
    batch(driver, 20);
    driver.drain();
    expect(switches(driver)).toEqual(['decode']);
    const without = createDriver(configOf('resharded', { ...tight, diskPages: 0 }));
    batch(without, 20);
    without.drain();
    expect(switches(without).length).toBeGreaterThan(3);
  });

  it('is filled with the youngest and emptied from the oldest on, beside decode steps', () => {
    const driver = createDriver(configOf('resharded', tight));
    batch(driver, 12);
    driver.drain();
    const fetched = sequences(driver, 'fetch');
    expect(fetched.length).toBeGreaterThan(3);
    expect(fetched).toEqual([...fetched].sort((a, b) => a - b));
    expect(sequences(driver, 'spill')).not.toContain(0);
    const last = driver.log.findLastIndex((action) => action.kind === 'fetch');
    expect(
      driver.log.slice(0, last).some((action) => action.kind === 'step' && action.stage === 'decode'),
    ).toBe(true);
  });

  it('counts as full after a failed spill, and what was to go stays in the host tier', () => {
    const driver = createDriver(configOf('resharded', tight), (kind) => kind === 'spill');
    batch(driver, 12);
    driver.drain();
    const { spills, fetches, finished } = driver.scheduler.state();
    expect(spills.failed).toBe(spills.started);
    expect(spills.started).toBeGreaterThan(0);
    expect(fetches.started).toBe(0);
    expect(finished).toBe(12);
    expect(switches(driver).length).toBeGreaterThan(1);
  });

  it('has what it cannot give back computed again', () => {
    const driver = createDriver(configOf('resharded', tight), (kind) => kind === 'fetch');
    batch(driver, 8);
    driver.drain();
    const { fetches, finished } = driver.scheduler.state();
    expect(fetches.failed).toBeGreaterThan(0);
    expect(finished).toBe(8);
  });

  it('is passed over where it is slower than prefill', () => {
    const costs = { prefillToken: 1, hostPage: 0, diskPage: 9 };
    const driver = createDriver(configOf('resharded', { ...tight, costs }));
    batch(driver, 12);
    driver.drain();
    expect(sequences(driver, 'spill')).toEqual([]);
    expect(driver.scheduler.state().passedOver.disk).toBeGreaterThan(0);
  });

  it('passes over sequences whose loads do not pay, not the older ones', () => {
    // A page is as quick to load as three of its four tokens are to compute.
    const costs = { prefillToken: 1, hostPage: 0, diskPage: 3 };
    const driver = createDriver(configOf('resharded', { ...tight, hostPages: 12, costs }));
    const short = [15, 16, 17, 18, 19, 20, 21, 22];
    for (let id = 0; id < 40; id++)
      driver.arrive({ id, promptTokens: short.includes(id) ? 1 : 4, maxNewTokens: 3, outputTokens: 3 });
    driver.drain();
    const spilled = sequences(driver, 'spill');
    expect(spilled.filter((id) => short.includes(id))).toEqual([]);
    expect(switches(driver)).toEqual(['decode']);
    expect(spilled.length).toBeGreaterThan(20);
    expect(driver.scheduler.state().passedOver.disk).toBe(short.length);
  });

  it('is used where a page is not worth its load, but what a long sequence holds of a window is', () => {
    // Two pages with what the window shows of 40 tokens take as long as 36 tokens.
    const costs = { prefillToken: 1, hostPage: 0, diskPage: 18 };
    const sliding = { ...tight, window: 9, hostPages: 8, decodePages: 5, prefillPages: 16, costs };
    const driver = createDriver(configOf('resharded', sliding));
    batch(driver, 16, 40);
    driver.drain();
    expect(sequences(driver, 'spill').length).toBeGreaterThan(10);
    expect(switches(driver)).toEqual(['decode']);
    expect(driver.scheduler.state().passedOver.disk).toBe(0);
  });

  it('passes over short sequences for older ones that are worth their load by the window alone', () => {
    const costs = { prefillToken: 1, hostPage: 0, diskPage: 18 };
    const sliding = { ...tight, window: 9, hostPages: 12, decodePages: 5, prefillPages: 16, costs };
    const driver = createDriver(configOf('resharded', sliding));
    const short = [8, 9, 10, 11];
    for (let id = 0; id < 16; id++)
      driver.arrive({ id, promptTokens: short.includes(id) ? 4 : 40, maxNewTokens: 3, outputTokens: 3 });
    driver.drain();
    const spilled = sequences(driver, 'spill');
    expect(spilled.filter((id) => short.includes(id))).toEqual([]);
    expect(spilled.filter((id) => id < 8).length).toBeGreaterThan(3);
    expect(switches(driver)).toEqual(['decode']);
    expect(driver.scheduler.state().passedOver.disk).toBe(short.length);
  });

  it('is given up for loads when it turns out slow', () => {
    const driver = createDriver(configOf('resharded', tight));
    batch(driver, 12);
    while (driver.scheduler.state().onDisk < 3) {
      driver.poll();
      driver.complete(driver.completable()[0]!);
    }
    driver.scheduler.apply({ kind: 'measured', costs: { diskPage: 100 } });
    driver.drain();
    expect(sequences(driver, 'fetch')).toEqual([]);
    expect(driver.scheduler.state().finished).toBe(12);
  });
});

describe('preemption', () => {
  it('keeps what a half prefilled sequence has computed', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 12, hostPages: 20, maxTokens: 4 }));
    driver.arrive({ id: 0, promptTokens: 12, maxNewTokens: 30, outputTokens: 30 });
    driver.arrive({ id: 1, promptTokens: 12, maxNewTokens: 20, outputTokens: 20 });
    driver.arrive({ id: 2, promptTokens: 24, maxNewTokens: 2, outputTokens: 2 });
    driver.drain();
    const { preemptions, finished } = driver.scheduler.state();
    expect([finished, preemptions.dropped]).toEqual([3, 0]);
    expect(preemptions.swapped).toBeGreaterThan(0);
  });

  it('computes what was generated again when the whole prompt of a dropped sequence is found on disk', () => {
    const driver = createDriver(
      configOf('fused', { prefillPages: 6, hostPages: 4, diskPages: 3, batchRequests: 4, pageTokens: 2 }),
    );
    for (let id = 0; id < 6; id++)
      driver.arrive({ id, promptTokens: 2, maxNewTokens: 8, outputTokens: 8, pageKeys: [`${id}`] });
    driver.drain();
    const { preemptions, finished } = driver.scheduler.state();
    expect([finished, preemptions.dropped > 0]).toEqual([6, true]);
  });

  it('counts what finds no room in the host tier on its way back as dropped', () => {
    const driver = createDriver(
      configOf('fused', { prefillPages: 19, hostPages: 8, diskPages: 1, pageTokens: 2, maxTokens: 3 }),
    );
    const lengths = [
      [12, 12],
      [10, 8],
      [1, 1],
      [3, 1],
    ] as const;
    for (const [id, [promptTokens, outputTokens]] of lengths.entries())
      driver.arrive({ id, promptTokens, maxNewTokens: outputTokens, outputTokens });
    driver.drain();
    expect(sequences(driver, 'spill')).toEqual([3]);
    expect(sequences(driver, 'fetch')).toEqual([]);
    expect(driver.scheduler.state().preemptions.dropped).toBe(1);
  });
});

describe('the disk tier of stages on devices of their own', () => {
  /** Steps are long, so that all moves of the moment are done before one ends. */
  const runSlowly = (driver: Driver, count: number): void => {
    batch(driver, count, 4, 6);
    for (;;) {
      driver.poll();
      const ready = driver.completable();
      const next = ready.find(({ kind }) => kind !== 'step') ?? ready[0];
      if (next === undefined) return;
      driver.complete(next);
    }
  };
  /** Decode steps before the last prompt was prefilled. */
  const decodedBefore = (driver: Driver, last: number): number => {
    const end = driver.log.findIndex(
      (action) => action.kind === 'step' && action.items.some(({ sequence }) => sequence === last),
    );
    return driver.log.slice(0, end).filter((action) => action.kind === 'step' && action.stage === 'decode')
      .length;
  };

  it('takes what decode is not ready for, so that prompts go on', () => {
    const driver = createDriver(configOf('disaggregated', tight));
    runSlowly(driver, 20);
    const without = createDriver(configOf('disaggregated', { ...tight, diskPages: 0 }));
    runSlowly(without, 20);
    expect([driver, without].map((each) => each.scheduler.state().finished)).toEqual([20, 20]);
    expect(sequences(driver, 'spill').length).toBeGreaterThan(5);
    expect(decodedBefore(driver, 19)).toBeLessThan(decodedBefore(without, 19) / 2);
  });

  it('is written and read once for each sequence that goes there', () => {
    const driver = createDriver(configOf('disaggregated', tight));
    runSlowly(driver, 20);
    const [spilled, fetched] = [sequences(driver, 'spill'), sequences(driver, 'fetch')];
    expect(new Set(spilled).size).toBe(spilled.length);
    expect([...fetched].sort()).toEqual([...spilled].sort());
    expect(spilled).not.toContain(0);
  });

  it('gives back the oldest before younger prompts are decoded', () => {
    const driver = createDriver(configOf('disaggregated', tight));
    runSlowly(driver, 20);
    const firsts = driver.log.flatMap((action) => (action.kind === 'page_in' ? [action.sequence] : []));
    // Out of order by no more than what was in the host tier when the disk's turn came.
    firsts.forEach((sequence, at) => expect(Math.abs(sequence - at)).toBeLessThanOrEqual(8));
  });
});

describe('a disk with less room than it was said to have', () => {
  it('counts in rules with what it took, so that decode drains what there is', () => {
    let written = 0;
    const options = { ...tight, hostPages: 10, diskPages: 400 };
    // Every fourth spill finds the disk full.
    const driver = createDriver(
      configOf('resharded', options),
      (kind) => kind === 'spill' && written++ % 4 === 3,
    );
    batch(driver, 60);
    driver.drain();
    const { spills, finished } = driver.scheduler.state();
    expect([finished, spills.failed > 0]).toEqual([60, true]);
    const usual = createDriver(configOf('resharded', { ...options, diskPages: 0 }));
    batch(usual, 60);
    usual.drain();
    expect(switches(driver).length).toBeLessThanOrEqual(switches(usual).length);
  });
});
