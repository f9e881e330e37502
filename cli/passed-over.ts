/** A disk tier that is declared and takes no KV: see `runtime/scheduler/costs.ts`. */
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import { loadSeconds, paysToLoad } from '../runtime/scheduler/costs.js';
import { formatDuration } from './format.js';

export interface PassedOver {
  readonly tier: string;
  /** Seconds for which a page is loaded from there. */
  readonly load: number;
  /** Seconds for which it is computed again. */
  readonly compute: number;
}

/** The disk tier of a graph where computing a page again is quicker than loading it, by what the topology declares. */
export function passedOver({
  diskTier,
  kv: { costs, pageTokens },
}: Pick<RuntimeGraph, 'diskTier' | 'kv'>): PassedOver | undefined {
  if (diskTier === undefined || paysToLoad(costs, 'disk', 1, pageTokens)) return undefined;
  const load = loadSeconds(costs, 'disk', 1);
  return { tier: diskTier.name, load, compute: pageTokens * costs.prefillToken };
}

export function describePassedOver({ tier, load, compute }: PassedOver): string {
  const [from, again] = [load, compute].map(formatDuration);
  return `${tier} takes nothing: loading a page from there takes ${from}, computing it again ${again}`;
}
