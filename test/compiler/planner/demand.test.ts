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

describe('prompts that begin alike', () => {
  const demand = (tokens: number, promptTokens = 100) =>
    demandOf([{ promptTokens, outputTokens: 5, prefix: { name: 'a', tokens } }], { pageTokens: 32 });

  it.each([
    // Less than a quarter of a page is no reason to copy it.
    [7, 0, 0],
    [8, 8, 0],
    [31, 31, 0],
    [32, 32, 32],
    [39, 32, 32],
    [40, 40, 32],
    [99, 96, 96],
    // The last token is computed in any case.
    [100, 96, 96],
  ])('with %i tokens find %i of them, and %i in pages of others', (tokens, found, longestPrefix) => {
    expect(demand(tokens)).toMatchObject({ promptTokens: 100 - found, longestPrefix });
  });

  it('compute their last token where they end with a page', () => {
    expect(demand(64, 64)).toMatchObject({ promptTokens: 1, longestPrefix: 64 });
  });

  it('are as others where they have nothing that is found', () => {
    expect(demand(7)).toEqual(demandOf([{ promptTokens: 100, outputTokens: 5 }], { pageTokens: 32 }));
  });
});
