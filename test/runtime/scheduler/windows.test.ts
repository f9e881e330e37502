/** Models in which every layer sees a window: what lies before it is given up, and nothing that a row may see. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StepItem } from '../../../runtime/scheduler/types.js';
import { configOf, PLAN_KINDS } from './configs.js';
import { createDriver } from './driver.js';
import type { Driver } from './driver.js';
import { promptOf } from './families.js';

const kinds = fc.constantFrom(...PLAN_KINDS);

/** The most pages that a row and the window before it can lie in, wherever they are. */
function pagesOfWindow(window: number, pageTokens: number): number {
  const pages = (first: number): number =>
    Math.floor((first + window - 1) / pageTokens) - Math.floor(first / pageTokens) + 1;
  return Math.max(...Array.from({ length: pageTokens }, (_, first) => pages(first)));
}

const items = (driver: Driver): StepItem[] =>
  driver.log.flatMap((action) => (action.kind === 'step' ? action.items : []));

/** `2@8+4`: the rows of a sequence from its first on. */
const rowsOf = (driver: Driver, id: number): string[] =>
  items(driver)
    .filter(({ sequence }) => sequence === id)
    .map(({ start, count }) => `${start}+${count}`);

describe('a window in every layer', () => {
  it('leaves a sequence the pages of its window and of the rows in work, however long it is', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 50, window: 8, maxTokens: 8 }));
    driver.arrive({ id: 0, promptTokens: 100, maxNewTokens: 60, outputTokens: 60 });
    driver.poll();
    // Eight rows and the seven positions before them, wherever they begin in a page of four.
    expect(driver.scheduler.state().pools[0]).toMatchObject({ free: 50 - 5 });
    driver.drain();
    expect(driver.scheduler.state()).toMatchObject({ finished: 1, preemptions: { swapped: 0, dropped: 0 } });
    expect(driver.scheduler.state().pools[0]!.most).toBe(5);
    expect(items(driver).map(({ firstPage }) => firstPage)).toEqual(
      expect.arrayContaining([0, 2, 10, 23, 24, 36]),
    );
  });

  it('lets sequences of any length through pools and tiers that hold a window, and gives up none of it', () => {
    let longer = 0;
    fc.assert(
      fc.property(
        kinds,
        fc.record({ window: fc.integer({ min: 1, max: 20 }), pageTokens: fc.integer({ min: 1, max: 6 }) }),
        fc.record({ depth: fc.integer({ min: 1, max: 3 }), maxTokens: fc.integer({ min: 1, max: 9 }) }),
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 60 }),
        (kind, { window, pageTokens }, { depth, maxTokens }, promptTokens, outputTokens) => {
          const pages = pagesOfWindow(window, pageTokens);
          // Pools that lie within others have three quarters of these.
          const prefillPages = kind.endsWith('within') ? Math.ceil((4 * pages) / 3) : pages;
          const room = { prefillPages, decodePages: pages, hostPages: pages };
          const config = configOf(kind, { window, pageTokens, depth, maxTokens, ...room });
          const driver = createDriver(config);
          driver.arrive({ id: 0, promptTokens, maxNewTokens: outputTokens, outputTokens });
          driver.drain();
          expect(driver.rejected.size).toBe(0);
          expect(driver.generated(0)).toBe(outputTokens);
          for (const { start, firstPage } of items(driver))
            expect(firstPage).toBe(Math.floor(Math.max(0, start + 1 - window) / pageTokens));
          if (promptTokens > pages * pageTokens) longer++;
        },
      ),
      { numRuns: 80 },
    );
    expect(longer).toBeGreaterThan(0);
  });

  it('lets more sequences decode at once', () => {
    const most = (window?: number): number => {
      const driver = createDriver(configOf('fused', { prefillPages: 24, window, batchRequests: 8 }));
      for (let id = 0; id < 8; id++)
        driver.arrive({ id, promptTokens: 20, maxNewTokens: 40, outputTokens: 40 });
      driver.drain();
      return Math.max(...driver.log.map((action) => (action.kind === 'step' ? action.items.length : 0)));
    };
    expect(most()).toBe(4);
    expect(most(8)).toBe(7);
  });

  it('moves to tiers what the next row sees, and no more', () => {
    const driver = createDriver(configOf('resharded', { window: 6, hostPages: 3, prefillPages: 8 }));
    driver.arrive({ id: 0, promptTokens: 30, maxNewTokens: 5, outputTokens: 5 });
    driver.drain();
    // The row at 30 sees from 25 on.
    for (const kind of ['page_out', 'page_in'] as const)
      expect(driver.log.find((action) => action.kind === kind)).toMatchObject({ positions: [6, 7] });
    expect(driver.scheduler.state().host.most).toBe(2);
  });
});

describe('a common beginning longer than the window', () => {
  const request = (id: number, promptTokens: number, alike: number) => ({
    id,
    promptTokens,
    maxNewTokens: 1,
    outputTokens: 1,
    ...promptOf({ id, promptTokens, family: 'a', alike }, 4),
  });
  const run = (driver: Driver, each: ReturnType<typeof request>): void => {
    driver.arrive(each);
    driver.drain();
  };

  it('is found by its last pages, where the first are taken for something else', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 12, window: 8, maxTokens: 8 }));
    run(driver, request(0, 40, 40));
    // Takes the pages that were given up first.
    run(driver, request(1, 12, 0));
    run(driver, request(2, 44, 40));
    expect(rowsOf(driver, 2)).toEqual(['40+4']);
    expect(driver.scheduler.state().reused.device).toBe(40);
  });

  it('is found no further than all that is seen behind it is there', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 12, window: 8, maxTokens: 8 }));
    run(driver, request(0, 40, 40));
    // Takes all pages but the last of the beginning.
    run(driver, request(1, 44, 0));
    run(driver, request(2, 44, 40));
    const [first] = rowsOf(driver, 2);
    expect(first).toBe('0+8');
  });
});
