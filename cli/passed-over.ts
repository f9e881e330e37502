/** A disk tier that is declared and takes no KV: see `runtime/scheduler/costs.ts`. */
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import { kvView } from '../compiler/model/kv-window.js';
import { bestLoad, loadSeconds, paysToLoad } from '../runtime/scheduler/costs.js';
import { formatDuration, formatCount } from './format.js';

export interface PassedOver {
  readonly tier: string;
  /** Tokens of the sequence that is compared; a full page where they are absent. */
  readonly tokens?: number;
  /** Seconds for which it is loaded from there. */
  readonly load: number;
  /** Seconds for which it is computed again. */
  readonly compute: number;
}

/**
 * The disk tier of a graph where computing KV again is quicker than loading it, by what the topology declares, for every
 * sequence of one of these lengths.
 */
export function passedOver(
  { model, diskTier, kv: { costs, pageTokens } }: Pick<RuntimeGraph, 'model' | 'diskTier' | 'kv'>,
  lengths: Iterable<number>,
): PassedOver | undefined {
  if (diskTier === undefined || diskTier.pages === 0) return undefined;
  const { pages, tokens } = bestLoad(kvView(model.shape, pageTokens), lengths);
  if (paysToLoad(costs, 'disk', pages, tokens)) return undefined;
  return {
    tier: diskTier.name,
    ...(tokens !== pageTokens && { tokens }),
    load: loadSeconds(costs, 'disk', pages),
    compute: tokens * costs.prefillToken,
  };
}

export function describePassedOver({ tier, tokens, load, compute }: PassedOver): string {
  const [from, again] = [load, compute].map(formatDuration);
  const what = tokens === undefined ? 'a page' : `a sequence of ${formatCount(tokens)} tokens`;
  return `${tier} takes nothing: loading ${what} from there takes ${from}, computing it again ${again}`;
}
