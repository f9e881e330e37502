/**
 * Loading KV against computing it again. KV in a tier saves prefill work only where the load is quicker than the
 * prefill it replaces; a tier for which that does not hold is passed over.
 *
 *     load(n pages)      = n * page seconds, summed over the tiers on the way to the device
 *     recompute(t tokens) = t * prefill token seconds
 *
 * Both are linear because both are bound by a rate: loads by a link, prefill by arithmetic. The rates are those the
 * topology declares until an executor has measured them.
 */

import type { LoadCosts } from '../../compiler/ir/runtime-graph.js';
import { pagesSeen, type KvView } from '../../compiler/model/kv-window.js';

/** Where KV lies that may be loaded. */
export type LoadSource = 'host' | 'disk';

/** Seconds until pages of a tier are on a device. */
export function loadSeconds(costs: LoadCosts, from: LoadSource, pages: number): number {
  return pages * (costs.hostPage + (from === 'disk' ? costs.diskPage : 0));
}

/** Whether loading `pages` pages that hold `tokens` tokens is no slower than computing the tokens again. */
export function paysToLoad(costs: LoadCosts, from: LoadSource, pages: number, tokens: number): boolean {
  return loadSeconds(costs, from, pages) <= tokens * costs.prefillToken;
}

/** Pages, and the tokens that are computed again where these are not loaded. */
export interface Load {
  readonly pages: number;
  readonly tokens: number;
}

/**
 * The load that pays best of a full page and those of sequences of so many tokens: where it does not pay, none of them
 * does. Mostly it is a full page; where every layer sees a window alone, a sequence holds few pages for its tokens.
 */
export function bestLoad(view: KvView, lengths: Iterable<number>): Load {
  let best: Load = { pages: 1, tokens: view.pageTokens };
  for (const tokens of lengths) best = betterLoad(best, view, tokens);
  return best;
}

/** The one of two loads that pays better, one of them that of a sequence of so many tokens. */
export function betterLoad(load: Load, view: KvView, tokens: number): Load {
  const pages = pagesSeen(view, tokens);
  return pages * load.tokens < load.pages * tokens ? { pages, tokens } : load;
}
