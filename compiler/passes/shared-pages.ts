/**
 * Pools that share their pages. A stage that hands its KV on holds pages only while it prefills, and then the stage
 * that decodes on the same devices does not grow. Where a page takes the same bytes on every device in both, they get
 * one set of pages, each in its own layout: a page holds KV of one sequence in one layout at a time.
 *
 * The pool that hands on may take every page that is free; the other one no more than leaves the first enough to keep
 * its pipeline at work. So decode has nearly all of the memory, and prefill never stands before a full pool.
 *
 *     page bytes = layers * heads * bytes      8 layers of 1 head | 2 layers of 4 heads: the same
 *
 * Buffers are split by layers where they would outgrow a binding, and the parts must be of equal bytes in both pools
 * too: the number of parts divides the layers of every rank.
 */
import { intervalLength } from '../ir/rectangles.js';
import type { RankHolding } from '../ir/transitions.js';
import { alikeByDevice } from './holdings.js';
import type { PoolDraft } from './kv-pools.js';

/** Share of the common pages that are kept for the pool that hands on, if it has use for them. */
const KEPT_FOR_PREFILL = 1 / 8;

/** The pool whose pages a decoding pool may take part in. */
export function lenderOf(borrower: PoolDraft, drafts: readonly PoolDraft[]): PoolDraft | undefined {
  if (borrower.handsOn) return undefined;
  return drafts.find((draft) => draft.handsOn && alikeByDevice(draft.ranks, borrower.ranks, haveEqualPages));
}

/** Whether pages of both have as many bytes. */
function haveEqualPages(a: RankHolding, b: RankHolding): boolean {
  return pageParts(a) === pageParts(b);
}

/** Heads of layers in a page. */
function pageParts({ kv }: RankHolding): number {
  return intervalLength(kv.layers) * intervalLength(kv.heads);
}

/** The most parts of equal size that the layers of every rank of both pools can be split into. */
export function mostCommonGroups(pools: readonly PoolDraft[]): number {
  const counts = pools.flatMap(({ ranks }) => ranks.map(({ kv }) => intervalLength(kv.layers)));
  return counts.reduce(greatestCommonDivisor);
}

export function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** The fewest parts that keep a buffer within a binding, of those that split all layers evenly. */
export function commonGroups(pools: readonly PoolDraft[], parts: number): number {
  const most = mostCommonGroups(pools);
  for (let groups = 1; groups < most; groups++) if (most % groups === 0 && groups >= parts) return groups;
  return most;
}

/** The most of `pages` common pages that the decoding pool may hold. */
export function borrowedPages(pages: number, lender: PoolDraft): number {
  const kept = Math.max(Math.ceil(pages * KEPT_FOR_PREFILL), lender.longest);
  return pages - Math.min(kept, lender.useful, Math.floor(pages / 2));
}
