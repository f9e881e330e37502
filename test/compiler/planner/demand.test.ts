/** Sums over a workload: closed forms against counting row by row. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { demandOf } from '../../../compiler/planner/demand.js';

describe('pages of a demand', () => {
  it('are those that each row sees, but for those of a common beginning', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.oneof(fc.constant(undefined), fc.integer({ min: 2, max: 20 })),
        fc.array(
          fc.record({
            promptTokens: fc.integer({ min: 1, max: 40 }),
            outputTokens: fc.integer({ min: 1, max: 20 }),
            alike: fc.nat(40),
          }),
          { minLength: 1, maxLength: 5 },
        ),
        (pageTokens, window, drawn) => {
          const requests = drawn.map(({ promptTokens, outputTokens, alike }) => ({
            promptTokens,
            outputTokens,
            prefix: { name: 'a', tokens: Math.min(alike, promptTokens) },
          }));
          const kv = { pageTokens, ...(window !== undefined && { window }) };
          let [decodePages, decodingPages] = [0, 0];
          for (const { promptTokens, outputTokens, prefix } of requests) {
            const shared = Math.floor(prefix.tokens / pageTokens);
            const seen = (row: number, end: number): number => {
              const first = Math.max(0, row + 1 - (window ?? Infinity));
              const pages = new Set<number>();
              for (let position = first; position < end; position++)
                pages.add(Math.floor(position / pageTokens));
              return [...pages].filter((page) => page >= shared).length;
            };
            const end = promptTokens + outputTokens - 1;
            for (let row = promptTokens; row < end; row++) decodePages += seen(row, row + 1);
            if (outputTokens > 1) decodingPages += seen(promptTokens, promptTokens);
          }
          expect(demandOf(requests, kv)).toMatchObject({ decodePages, decodingPages });
        },
      ),
      { numRuns: 200 },
    );
  });
});
