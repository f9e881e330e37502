/** Which pages rows see: closed forms against counting positions. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  commonWindow,
  firstPageSeen,
  leastPages,
  mostPages,
  pagesSeen,
  pagesSpanned,
} from '../../../compiler/model/kv-window.js';
import type { KvView } from '../../../compiler/model/kv-window.js';
import { SMALL_SHAPE } from '../support/make-plan.js';

const views: fc.Arbitrary<KvView> = fc
  .record({
    pageTokens: fc.integer({ min: 1, max: 7 }),
    window: fc.oneof(fc.constant(undefined), fc.integer({ min: 2, max: 30 })),
  })
  .map(({ pageTokens, window }) => ({ pageTokens, ...(window !== undefined && { window }) }));

/** Pages of tokens before `before` that rows from `from` on see of a sequence, up to row `to`. */
function pagesOfRows(
  { pageTokens, window = Infinity }: KvView,
  from: number,
  to: number,
  before = to + 1,
): number[] {
  const pages = new Set<number>();
  for (let row = from; row <= to; row++)
    for (let position = 0; position <= row; position++)
      if (row - position < window && position < before) pages.add(Math.floor(position / pageTokens));
  return [...pages].sort((a, b) => a - b);
}

describe('the window of all layers', () => {
  const shape = { ...SMALL_SHAPE, layers: 3, context: 100 };

  it('is there where every layer slides, and less than the context', () => {
    const slides = (layers: number[], window = 20) => commonWindow({ ...shape, sliding: { window, layers } });
    expect(slides([0, 1, 2])).toBe(20);
    expect(slides([0, 2])).toBeUndefined();
    expect(slides([0, 1, 2], 100)).toBeUndefined();
    expect(commonWindow(shape)).toBeUndefined();
  });
});

describe('pages', () => {
  it('that a row sees begin with the first that it or a later row does', () => {
    fc.assert(
      fc.property(views, fc.nat(80), fc.nat(40), (view, position, more) => {
        expect(firstPageSeen(view, position)).toBe(pagesOfRows(view, position, position + more)[0]);
        const stored = pagesOfRows(view, position, position, position);
        expect(pagesSeen(view, position)).toBe(stored.length);
        expect(leastPages(view, position)).toBeLessThanOrEqual(pagesSeen(view, position + more));
      }),
      { numRuns: 200 },
    );
  });

  it('that rows and their windows lie in are as many as somewhere, and nowhere more', () => {
    fc.assert(
      fc.property(views, fc.integer({ min: 1, max: 12 }), fc.nat(60), (view, rows, start) => {
        const most = pagesSpanned(view, rows);
        expect(pagesOfRows(view, start, start + rows - 1).length).toBeLessThanOrEqual(most);
        if (view.window === undefined) return;
        const starts = Array.from({ length: view.pageTokens }, (_, at) => view.window! + at);
        const counts = starts.map((at) => pagesOfRows(view, at, at + rows - 1).length);
        expect(Math.max(...counts)).toBe(most);
        expect(mostPages(view, start, rows)).toBe(Math.min(Math.ceil(start / view.pageTokens), most));
      }),
      { numRuns: 200 },
    );
  });
});
