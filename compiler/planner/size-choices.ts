/**
 * Sizes that a search tries where nobody names any: the plan's own, and around them powers of two.
 *
 * What could make no difference is left out: a batch larger than one that takes all requests at once, a microbatch larger
 * than one that takes all their prompts at once, and a cap of KV that all KV of the workload stays below.
 */
import { kvView, mostPages } from '../model/kv-window.js';
import { neutralPageBytes } from '../passes/kv-pools.js';
import type { Plan } from '../plan/plan.js';
import { hostKvBytes, planSizes, type SizeChoices } from './candidates.js';
import type { RequestLengths } from './demand.js';

/**
 * Tokens of a prefill step: fewer leave matrix units idle, more leave a pipeline empty and take room from KV. Where a stage
 * does both, sequences that decode wait for them at every token. A step takes several prompts, so that the context of the
 * model is no limit.
 */
const MICROBATCHES = [128, 256, 512, 1024, 2048, 4096, 8192];

/** Requests decoding at once. */
const BATCHES = [16, 32, 64, 128, 256, 512, 1024];

/**
 * The sizes to try for a plan and its workload, each list ascending but for `hostKvBytes`, which begins with the plan's
 * own.
 */
export function sizeChoices(plan: Plan, requests: readonly RequestLengths[]): SizeChoices {
  const own = planSizes(plan);
  const microbatches = upToAll(
    MICROBATCHES,
    requests.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
  );
  const batches = upToAll(BATCHES, requests.length);
  const caps = hostCaps(plan, requests);
  return {
    microbatchTokens: inOrder([own.microbatchTokens, ...microbatches]),
    batchRequests: inOrder([own.batchRequests, ...batches]),
    ...(caps && { hostKvBytes: caps }),
  };
}

/**
 * Caps of KV in the host tier, in bytes: all that the plan allows, and half of it, with which there are twice as many
 * transitions and half as much waiting between them. Undefined where the plan has no host tier.
 */
function hostCaps(plan: Plan, requests: readonly RequestLengths[]): readonly number[] | undefined {
  const own = hostKvBytes(plan);
  if (own === undefined) return undefined;
  const view = kvView(plan.model.shape, plan.kv.pageTokens);
  const pages = requests.reduce(
    (sum, { promptTokens, outputTokens }) => sum + mostPages(view, promptTokens + outputTokens, 1),
    0,
  );
  const half = Math.floor(own / 2);
  return pages * neutralPageBytes(plan) > half ? [own, half] : [own];
}

/** Ascending sizes, up to the first that takes all at once. */
function upToAll(sizes: readonly number[], all: number): readonly number[] {
  const most = sizes.find((size) => size >= all) ?? Infinity;
  return sizes.filter((size) => size <= most);
}

function inOrder(sizes: readonly number[]): readonly number[] {
  return [...new Set(sizes)].sort((a, b) => a - b);
}
