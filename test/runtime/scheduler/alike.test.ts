import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAlikeIndex } from '../../../runtime/scheduler/alike.js';

const anywhere = (): boolean => true;

describe('index of pages by their first tokens', () => {
  it('finds the page that begins with most of the tokens, behind the same tokens', () => {
    const index = createAlikeIndex(2);
    index.add(7, { after: 'a', tokens: [1, 2, 3, 4] });
    index.add(8, { after: 'a', tokens: [1, 2, 5] });
    index.add(9, { after: 'b', tokens: [1, 2, 5, 6] });
    expect(index.find({ after: 'a', tokens: [1, 2, 5, 6] }, anywhere)).toEqual({ page: 8, tokens: 3 });
    expect(index.find({ after: 'a', tokens: [1, 2] }, anywhere)).toEqual({ page: 7, tokens: 2 });
    expect(index.find({ after: 'c', tokens: [1, 2] }, anywhere)).toBeUndefined();
    index.remove(8);
    expect(index.find({ after: 'a', tokens: [1, 2, 5, 6] }, anywhere)).toEqual({ page: 7, tokens: 2 });
  });

  it('agrees with a comparison of all pages', () => {
    const tokens = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 6 });
    const held = fc.record({ after: fc.constantFrom('', 'a'), tokens });
    fc.assert(
      fc.property(
        fc.array(held, { maxLength: 30 }),
        held,
        fc.integer({ min: 1, max: 3 }),
        fc.nat(4),
        (pages, wanted, least, gone) => {
          const index = createAlikeIndex(least);
          pages.forEach((each, page) => index.add(page, each));
          index.remove(gone);
          const isThere = (page: number): boolean => page % 3 > 0;
          const common = ({ after, tokens: own }: (typeof pages)[number]): number => {
            const differs = wanted.tokens.findIndex((token, i) => own[i] !== token);
            return after === wanted.after ? (differs < 0 ? wanted.tokens.length : differs) : 0;
          };
          const counts = pages.map((each, page) => (page === gone || !isThere(page) ? 0 : common(each)));
          const most = Math.max(0, ...counts);
          const found = index.find(wanted, isThere);
          expect(found?.tokens ?? 0).toBe(most >= least ? most : 0);
          if (found !== undefined) expect(counts[found.page]).toBe(found.tokens);
        },
      ),
    );
  });
});
