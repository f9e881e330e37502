/** Requests that keep coming. A finite batch cannot show that one starves: in the end nothing is left to go before it. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { rejection } from '../../../runtime/scheduler/limits.js';
import type { TransitionMode } from '../../../runtime/scheduler/types.js';
import { seededRandom } from '../../fixtures/random.js';
import { configOf, nvmeRules, PLAN_KINDS, usualRules } from './configs.js';
import { createDriver } from './driver.js';
import { promptOf } from './families.js';

const kinds = fc.constantFrom(...PLAN_KINDS);
const options = fc.record({
  prefillDp: fc.integer({ min: 1, max: 2 }),
  decodeDp: fc.integer({ min: 1, max: 2 }),
  hosts: fc.constantFrom(undefined, 2),
  depth: fc.integer({ min: 1, max: 3 }),
  maxTokens: fc.integer({ min: 4, max: 24 }),
  batchRequests: fc.integer({ min: 1, max: 8 }),
  prefillPages: fc.integer({ min: 16, max: 36 }),
  decodePages: fc.integer({ min: 16, max: 36 }),
  hostPages: fc.integer({ min: 16, max: 36 }),
  diskPages: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 })),
  costs: fc.constantFrom(
    { prefillToken: 1, hostPage: 0.5, diskPage: 0.6 },
    { prefillToken: 1, hostPage: 0, diskPage: 9 },
    { prefillToken: 1, hostPage: 9, diskPage: 0 },
  ),
  pageTokens: fc.integer({ min: 3, max: 5 }),
  window: fc.constantFrom(undefined, 7),
  transitions: fc.constantFrom<TransitionMode>('dataflow', 'barrier'),
  rules: fc.constantFrom(usualRules, nvmeRules),
});

/** Open requests at any time at most, and requests in all: many times those that can be in hand at once. */
const MOST_OPEN = 10;
const REQUESTS = 160;
/** Whoever starves is overtaken by all that come later. */
const MOST_OVERTAKING = 60;

it('no request waits for ever while others come and go', () => {
  fc.assert(
    fc.property(
      kinds,
      options,
      fc.integer({ min: 2, max: MOST_OPEN }),
      fc.nat(),
      (kind, option, width, seed) => {
        const config = configOf(kind, option);
        const driver = createDriver(config);
        const random = seededRandom(seed);
        const overtakenBy = new Map<number, number>();
        const arrive = (id: number): void => {
          const lengths = { promptTokens: 1 + random.below(24), maxNewTokens: 1 + random.below(8) };
          const kin = { family: ['a', 'b', ''][random.below(3)]!, alike: random.below(25) };
          const request = { id, ...lengths, outputTokens: lengths.maxNewTokens };
          expect(rejection(config, request)).toBeUndefined();
          driver.arrive({ ...request, ...promptOf({ id, ...lengths, ...kin }, config.pageTokens) });
          overtakenBy.set(id, 0);
        };
        for (let next = 0; next < REQUESTS || overtakenBy.size > 0;) {
          while (overtakenBy.size < width && next < REQUESTS) arrive(next++);
          driver.poll();
          const ready = driver.completable();
          driver.complete(ready[random.below(ready.length)]!);
          for (const ended of [...overtakenBy.keys()].filter(driver.hasEnded)) {
            overtakenBy.delete(ended);
            for (const [other, count] of overtakenBy) if (other < ended) overtakenBy.set(other, count + 1);
            expect(Math.max(0, ...overtakenBy.values())).toBeLessThanOrEqual(MOST_OVERTAKING);
          }
        }
      },
    ),
    { numRuns: 15 },
  );
}, 120_000);
