/**
 * What KV the coming rows of a sequence see, in pages.
 *
 * A page holds a token's keys and values of all layers of its rank. Where every layer attends to a window, no row sees what
 * lies before the window, so pages that lie wholly before it are needed no more. Where one layer sees all, all are needed.
 *
 *     window 6, pages of 4: a row at 13 sees 8 to 13
 *     0 1 2 3 | 4 5 6 7 | 8 9 10 11 | 12 13 ..     pages 0 and 1 are not seen, by it nor by any row behind it
 */
import type { ModelShape } from './shape.js';

export interface KvView {
  readonly pageTokens: number;
  /** Positions that a row sees in every layer, its own included; all before it when absent. */
  readonly window?: number;
}

/** The window that all layers of a model have in common; undefined where a layer sees all before it. */
export function commonWindow({ sliding, layers, context }: ModelShape): number | undefined {
  if (sliding === undefined || sliding.layers.length < layers) return undefined;
  return sliding.window < context ? sliding.window : undefined;
}

/** How rows of a model see KV in pages of so many tokens. */
export function kvView(shape: ModelShape, pageTokens: number): KvView {
  const window = commonWindow(shape);
  return { pageTokens, ...(window !== undefined && { window }) };
}

/** Position of the first page that a row at `position` sees, and so the first that this row or one behind it does. */
export function firstPageSeen({ pageTokens, window }: KvView, position: number): number {
  return window === undefined ? 0 : Math.floor(Math.max(0, position + 1 - window) / pageTokens);
}

/** Pages with what rows behind the first `tokens` tokens of a sequence see of these. */
export function pagesSeen(view: KvView, tokens: number): number {
  return Math.ceil(tokens / view.pageTokens) - firstPageSeen(view, tokens);
}

/** The most pages that neighbouring rows and all that they see lie in, wherever they are; unbounded without a window. */
export function pagesSpanned({ pageTokens, window }: KvView, rows: number): number {
  return window === undefined ? Infinity : Math.ceil((window + rows - 2) / pageTokens) + 1;
}

/** The most pages that a sequence of `tokens` tokens needs at once, where `rows` rows of it are in work at a time. */
export function mostPages(view: KvView, tokens: number, rows: number): number {
  return Math.min(Math.ceil(tokens / view.pageTokens), pagesSpanned(view, rows));
}

/** Pages with what rows behind `tokens` tokens or more see of these, at least. */
export function leastPages({ pageTokens, window = Infinity }: KvView, tokens: number): number {
  return Math.ceil(Math.min(tokens, window - 1) / pageTokens);
}
