/** Switch rules: when they fire, when they do not, and what happens without them. */
import { describe, expect, it } from 'vitest';
import type { Action } from '../../../runtime/scheduler/types.js';
import { configOf, hostBelow, hostFull, requestsEmpty, usualRules } from './configs.js';
import { createDriver } from './driver.js';
import type { Driver } from './driver.js';

function batch(driver: Driver, count: number, promptTokens: number, outputTokens: number): void {
  for (let id = 0; id < count; id++)
    driver.arrive({ id, promptTokens, maxNewTokens: outputTokens, outputTokens });
}

function switches(driver: Driver): string[] {
  return driver.log.flatMap((action: Action) => (action.kind === 'switch' ? [action.to] : []));
}

/** Sequences whose prefill ended before the first switch. */
function prefilledBeforeSwitch(driver: Driver): number {
  const end = driver.log.findIndex((action) => action.kind === 'switch');
  return driver.log
    .slice(0, end)
    .flatMap((action) => (action.kind === 'step' ? action.items.filter((item) => item.sample) : [])).length;
}

describe('to decode', () => {
  it('waits until both the decode pool and the host tier are full', () => {
    const driver = createDriver(
      configOf('resharded', { hostPages: 6, decodePages: 12, batchRequests: 4, maxTokens: 4 }),
    );
    batch(driver, 20, 4, 3);
    driver.drain();
    // Four in the decode batch and six single pages in the host tier.
    expect(prefilledBeforeSwitch(driver)).toBe(10);
  });

  it.each([
    ['by rule', usualRules],
    ['without rules', []],
  ])('waits for moves that make room in a small host tier, %s', (_, rules) => {
    const driver = createDriver(
      configOf('resharded', { rules, hostPages: 1, decodePages: 12, batchRequests: 4, maxTokens: 4 }),
    );
    batch(driver, 10, 3, 2);
    driver.drain();
    expect(prefilledBeforeSwitch(driver)).toBe(5);
  });

  it('is called off when the work it was for is cancelled', () => {
    const rules = [
      { to: 'decode', when: { kind: 'tier_used', tier: 'host', op: '>', fraction: 0 } },
    ] as const;
    const driver = createDriver(configOf('resharded', { maxTokens: 4, rules, transitions: 'barrier' }));
    driver.arrive({ id: 0, promptTokens: 4, maxNewTokens: 4, outputTokens: 4 });
    driver.arrive({ id: 1, promptTokens: 40, maxNewTokens: 1, outputTokens: 1 });
    while (driver.scheduler.state().running === 0) {
      driver.poll();
      const ready = driver.completable();
      driver.complete(ready.find((action) => action.kind !== 'step') ?? ready[0]!);
    }
    driver.poll();
    expect(driver.scheduler.state().prefilling).toBe(1);
    driver.cancel(0);
    driver.drain();
    expect(driver.generated(1)).toBe(1);
    expect(switches(driver)).toEqual([]);
  });

  it('happens when no request waits, with room left everywhere', () => {
    const driver = createDriver(configOf('resharded', { maxTokens: 4 }));
    batch(driver, 5, 4, 3);
    driver.drain();
    expect(prefilledBeforeSwitch(driver)).toBe(5);
    expect(switches(driver)).toEqual(['decode']);
  });

  it('finishes the prompts it has begun', () => {
    const rules = [
      { to: 'decode', when: { kind: 'tier_used', tier: 'host', op: '>', fraction: 0 } },
      { to: 'prefill', when: hostBelow(0.2) },
    ] as const;
    const driver = createDriver(configOf('resharded', { maxTokens: 4, rules }));
    batch(driver, 1, 20, 2);
    driver.poll();
    expect(driver.scheduler.state()).toMatchObject({ prefilling: 1, switches: 0 });
    driver.drain();
    const first = driver.log.findIndex((action) => action.kind === 'switch');
    const chunks = driver.log.slice(0, first).filter((action) => action.kind === 'step');
    expect(chunks).toHaveLength(5);
  });

  it('does not happen for a stage without work', () => {
    const rules = [{ to: 'decode', when: { kind: 'not', operand: hostFull } }] as const;
    const driver = createDriver(configOf('resharded', { maxTokens: 4, rules }));
    batch(driver, 6, 4, 1);
    driver.drain();
    expect(switches(driver)).toEqual([]);
  });
});

describe('to prefill', () => {
  it('waits for the low-water mark', () => {
    const driver = createDriver(
      configOf('resharded', {
        hostPages: 10,
        decodePages: 40,
        batchRequests: 4,
        maxTokens: 4,
        // With dataflow, prompts let in behind the switch hold host pages when it is seen.
        transitions: 'barrier',
      }),
    );
    batch(driver, 30, 4, 4);
    const usedAt: number[] = [];
    for (;;) {
      const before = driver.scheduler.state().switches;
      const actions = driver.poll();
      const { host, switches: after } = driver.scheduler.state();
      const last = actions.find((action) => action.kind === 'switch');
      if (after > before && last?.kind === 'switch' && last.to === 'prefill') usedAt.push(10 - host.free);
      const [first] = driver.completable();
      if (first === undefined) break;
      driver.complete(first);
    }
    expect(usedAt.length).toBeGreaterThan(0);
    expect(Math.max(...usedAt)).toBeLessThan(2);
    expect(driver.scheduler.state().finished).toBe(30);
  });
});

describe('without help from the rules', () => {
  it('prefills all that fits, decodes it all, and begins again', () => {
    const driver = createDriver(
      configOf('resharded', { rules: [], hostPages: 3, decodePages: 4, batchRequests: 2, maxTokens: 4 }),
    );
    batch(driver, 10, 4, 2);
    driver.drain();
    expect(switches(driver)).toEqual(['decode', 'prefill', 'decode']);
    expect(prefilledBeforeSwitch(driver)).toBe(5);
  });

  it('gets on under rules that contradict each other, a step at least for every switch', () => {
    const rules = [
      { to: 'prefill', when: { kind: 'not', operand: requestsEmpty } },
      { to: 'decode', when: { kind: 'not', operand: requestsEmpty } },
    ] as const;
    const driver = createDriver(configOf('resharded', { rules, maxTokens: 4 }));
    batch(driver, 10, 4, 6);
    driver.drain();
    expect(driver.scheduler.state().finished).toBe(10);
    const kinds = driver.log.filter((action) => action.kind === 'step' || action.kind === 'switch');
    const idle = kinds.filter((action, i) => action.kind === 'switch' && kinds[i - 1]?.kind === 'switch');
    expect(idle).toEqual([]);
  });

  it('judges shared pages by the pool they are in', () => {
    const driver = createDriver(
      configOf('resharded-shared', { rules: usualRules, prefillPages: 12, hostPages: 0, maxTokens: 4 }),
    );
    batch(driver, 12, 4, 3);
    driver.drain();
    expect(driver.scheduler.state().finished).toBe(12);
    expect(driver.log.filter((action) => action.kind === 'page_out')).toEqual([]);
    expect(switches(driver)[0]).toBe('decode');
  });
});

describe('with dataflow', () => {
  it('comes behind the last prompt step of every pipeline stage, and decode steps follow before it is done', () => {
    const driver = createDriver(configOf('resharded', { maxTokens: 4, depth: 3 }));
    batch(driver, 3, 4, 3);
    const first = driver.poll();
    expect(first.map(({ kind }) => kind)).toEqual(['step', 'step', 'step', 'switch']);
    const inFlight = (): string[] =>
      driver.completable().map((action) => (action.kind === 'step' ? action.stage : action.kind));
    while (!inFlight().includes('decode')) {
      driver.complete(driver.completable().find(({ kind }) => kind !== 'switch')!);
      driver.poll();
    }
    expect(inFlight()).toContain('switch');
    driver.drain();
    expect(driver.scheduler.state().finished).toBe(3);
  });

  it.each([
    ['by way of the host', 'resharded'],
    ['in shared pages', 'resharded-shared'],
  ] as const)('decodes from the first step on with all that are prefilled, %s', (_, kind) => {
    const driver = createDriver(configOf(kind, { maxTokens: 4, depth: 1 }));
    batch(driver, 4, 4, 5);
    driver.drain();
    const decodes = driver.log.flatMap((action) =>
      action.kind === 'step' && action.stage === 'decode' ? [action.items.length] : [],
    );
    expect(decodes).toEqual([4, 4, 4, 4]);
  });

  it('announces every switch but those that follow at once, while the old stage has steps', () => {
    const driver = createDriver(configOf('resharded', { maxTokens: 4, hostPages: 4 }));
    batch(driver, 6, 4, 3);
    driver.drain();
    const after = driver.announced.map(({ action, at }) => {
      const next = driver.log.findIndex((later, i) => i >= at && later.kind === 'switch');
      const steps = driver.log.slice(at, next < 0 ? undefined : next).filter(({ kind }) => kind === 'step');
      return { to: action.to, steps: steps.length };
    });
    expect(after.map(({ to }) => to)).toEqual(switches(driver));
    for (const { steps } of after) expect(steps).toBeGreaterThan(0);
  });

  it('announces nothing with barriers, nor where a stage keeps its devices', () => {
    for (const [kind, transitions] of [
      ['resharded', 'barrier'],
      ['static', 'dataflow'],
      ['disaggregated', 'dataflow'],
    ] as const) {
      const driver = createDriver(configOf(kind, { maxTokens: 4, hostPages: 4, transitions }));
      batch(driver, 6, 4, 3);
      driver.drain();
      expect(driver.announced).toEqual([]);
    }
  });

  it('leaves decode while its steps are in flight', () => {
    const rules = [{ to: 'prefill', when: { kind: 'not', operand: requestsEmpty } }] as const;
    const driver = createDriver(configOf('resharded', { rules, hostPages: 2, decodePages: 3, maxTokens: 4 }));
    for (let id = 0; id < 6; id++)
      driver.arrive({ id, promptTokens: 2, maxNewTokens: 3, outputTokens: 2 + (id % 2) });
    let seen = 0;
    for (;;) {
      const back = driver.poll().some((action) => action.kind === 'switch' && action.to === 'prefill');
      const ready = driver.completable();
      if (back && ready.some((action) => action.kind === 'step' && action.stage === 'decode')) seen++;
      if (ready.length === 0) break;
      driver.complete(ready.find((action) => action.kind !== 'step') ?? ready[0]!);
    }
    expect(seen).toBeGreaterThan(0);
    expect(driver.scheduler.state().finished).toBe(6);
  });

  it('does not happen for requests that end with their first token', () => {
    const driver = createDriver(configOf('resharded', { maxTokens: 4, depth: 3 }));
    batch(driver, 3, 4, 1);
    driver.drain();
    expect(switches(driver)).toEqual([]);
  });
});
