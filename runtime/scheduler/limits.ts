/** What fits at all: decided on arrival, so that every sequence let in can run to its end, if need be alone. */
import { mostPages, pagesSpanned } from '../../compiler/model/kv-window.js';
import type { SchedulerConfig, SchedulerRequest, SchedulerStage } from './types.js';

function hasDecoder(config: SchedulerConfig, prefill: SchedulerStage): boolean {
  return config.stages.some((stage) => stage.phases.includes('decode') && stage.pool === prefill.pool);
}

/** Fewest pages among the places a sequence passes through, and which place that is. */
function narrowest(
  config: SchedulerConfig,
  decodes: boolean,
): { readonly pages: number; readonly place: string } {
  const places = config.stages
    .filter((stage) => decodes || stage.phases.includes('prefill'))
    .map((stage) => ({
      pages: config.pools.find((pool) => pool.id === stage.pool)?.pages ?? 0,
      place: `the KV pool of stage \`${stage.name}\``,
    }));
  const throughHost = config.stages.some(
    (stage) => stage.phases.includes('prefill') && !hasDecoder(config, stage),
  );
  if (decodes && throughHost) {
    places.push({ pages: config.hostPages, place: `the tier \`${config.hostTier}\`` });
  }
  return places.reduce((least, place) => (place.pages < least.pages ? place : least));
}

/**
 * Most tokens (prompt and generated) of one sequence. The last generated token needs no KV. Callers cut
 * `maxNewTokens` to it (`newTokensWithin`) the way they cut it to the model's context; what exceeds it is rejected.
 */
export function longestSequence(config: SchedulerConfig): number {
  const { pages } = narrowest(config, true);
  // With room for a window a sequence may go on for ever.
  if (pages >= pagesSpanned(config, 1)) return config.context;
  return Math.min(config.context, pages * config.pageTokens + 1);
}

/** Tokens that a request is answered with, of those it wants, where a sequence has `longest` at most: one in any case. */
export function newTokensWithin(longest: number, promptTokens: number, wanted: number): number {
  return Math.max(1, Math.min(wanted, longest - promptTokens));
}

/** Why the request can never run, or undefined. */
export function rejection(config: SchedulerConfig, request: SchedulerRequest): string | undefined {
  if (request.promptTokens < 1) return 'the prompt is empty';
  if (request.maxNewTokens < 1) return 'no token may be generated';
  const tokens = request.promptTokens + request.maxNewTokens - 1;
  if (tokens > config.context) {
    return `${request.promptTokens} prompt tokens and ${request.maxNewTokens} new ones exceed the context of ${config.context}`;
  }
  const { pages, place } = narrowest(config, request.maxNewTokens > 1);
  const needed = mostPages(config, tokens, 1);
  if (needed <= pages) return undefined;
  return (
    `${request.promptTokens} prompt tokens and ${request.maxNewTokens} new ones need ` +
    `${needed} KV pages, and ${place} has ${pages}`
  );
}
