/** Running out of pages: who yields, where to, and how it comes back. */
import { describe, expect, it } from 'vitest';
import { configOf } from './configs.js';
import { createDriver } from './driver.js';
import type { Driver } from './driver.js';

function arriveAll(driver: Driver, count: number, promptTokens: number, outputTokens: number): void {
  for (let id = 0; id < count; id++)
    driver.arrive({ id, promptTokens, maxNewTokens: outputTokens, outputTokens });
}

/** Sequences that left device memory, in order. */
const swappedOut = (driver: Driver): number[] =>
  driver.log.flatMap((action) => (action.kind === 'page_out' ? [action.sequence] : []));

describe('preemption', () => {
  it('swaps the youngest out to the host tier and brings it back', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 7, hostPages: 20 }));
    arriveAll(driver, 3, 8, 12);
    driver.drain();
    expect(swappedOut(driver)[0]).toBe(2);
    expect(swappedOut(driver)).not.toContain(0);
    expect(driver.scheduler.state()).toMatchObject({ finished: 3, preemptions: { dropped: 0 } });
  });

  it('swaps out no more than it lacks', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 8, hostPages: 20, batchRequests: 3 }));
    arriveAll(driver, 3, 7, 3);
    driver.drain();
    expect(swappedOut(driver)).toEqual([]);
    const tight = createDriver(configOf('fused', { prefillPages: 6, hostPages: 20 }));
    arriveAll(tight, 3, 4, 6);
    while (swappedOut(tight).length === 0) {
      tight.poll();
      const [first] = tight.completable();
      tight.complete(first!);
    }
    expect(tight.log.filter((action) => action.kind === 'page_out')).toHaveLength(1);
    tight.drain();
  });

  it('computes again what it had to drop, with the tokens generated before', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 7, hostPages: 0 }));
    arriveAll(driver, 3, 8, 12);
    driver.drain();
    const again = driver.log.flatMap((action) =>
      action.kind === 'step' ? action.items.filter((item) => item.start === 0 && item.count > 8) : [],
    );
    expect(again.length).toBeGreaterThan(0);
    expect(again.every((item) => item.sequence > 0)).toBe(true);
    expect(driver.scheduler.state()).toMatchObject({ finished: 3, preemptions: { swapped: 0 } });
  });

  it('lets no younger request in before one that was swapped out', () => {
    const driver = createDriver(configOf('static', { prefillPages: 8, hostPages: 40 }));
    arriveAll(driver, 8, 8, 14);
    const out = new Set<number>();
    driver.poll();
    for (let ready = driver.completable(); ready.length > 0; ready = driver.completable()) {
      driver.complete(ready[0]!);
      const before = driver.log.length;
      driver.poll();
      for (const action of driver.log.slice(before)) {
        if (action.kind === 'page_out') out.add(action.sequence);
        if (action.kind === 'page_in') out.delete(action.sequence);
        if (action.kind !== 'step' || action.stage !== 'prefill') continue;
        const youngest = Math.max(...action.items.map((item) => item.sequence));
        expect([...out].every((sequence) => sequence > youngest)).toBe(true);
      }
    }
    expect(driver.scheduler.state().preemptions.swapped).toBeGreaterThan(0);
    expect(driver.scheduler.state().finished).toBe(8);
  });
});

describe('cancelling', () => {
  it('while its pages come in leaves no work behind that is not there', () => {
    const driver = createDriver(configOf('resharded', { rules: [] }));
    arriveAll(driver, 1, 4, 4);
    while (driver.scheduler.state().pagingIn === 0) {
      driver.poll();
      const [first] = driver.completable();
      if (driver.scheduler.state().pagingIn === 0) driver.complete(first!);
    }
    driver.cancel(0);
    driver.drain();
    driver.arrive({ id: 9, promptTokens: 4, maxNewTokens: 1, outputTokens: 1 });
    driver.drain();
    const switches = driver.log.flatMap((action) => (action.kind === 'switch' ? [action.to] : []));
    expect(switches).toEqual(['decode', 'prefill']);
    expect(driver.scheduler.state()).toMatchObject({ cancelled: 1, finished: 1 });
  });
});
