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
