/**
 * How KV gets along every flow edge. Stages whose ranks hold the same layers and heads on the same devices read the
 * same pages; between any others KV travels through the first host tier, in an order that no sharding shows in.
 */
import { sliceOwners } from '../ir/page-slices.js';
import type { KvReshard, KvSlice, RankHolding } from '../ir/transitions.js';
import { BYTES_OF } from '../model/shape.js';
import type { KvTier, Plan, Stage } from '../plan/plan.js';
import { intervalLength, sameInterval } from '../ir/rectangles.js';
import { alikeByDevice } from './holdings.js';

/** One edge per stage that prefills and later stage of the flow that decodes without prefilling. */
export function kvEdges(
  plan: Plan,
  holdings: Readonly<Record<string, readonly RankHolding[]>>,
): readonly KvReshard[] {
  const stages = flowStages(plan);
  return stages.flatMap((from, index) =>
    stages
      .slice(index + 1)
      .filter((to) => from.phases.includes('prefill') && !to.phases.includes('prefill'))
      .map((to) => kvEdge(plan, from, to, holdings)),
  );
}

/** Stages in flow order. */
export function flowStages(plan: Plan): readonly Stage[] {
  return plan.flow.stages.map((name) => plan.stages.find((stage) => stage.name === name)!);
}

/** The tier that KV crosses between stages: the first in host memory. */
export function carryingTier(plan: Plan): KvTier | undefined {
  return plan.kv.tiers.find((tier) => tier.medium === 'host');
}

/** The tier that the carrying tier spills to: the first on disk behind it. */
export function spillTier(plan: Plan): KvTier | undefined {
  const { tiers } = plan.kv;
  const host = tiers.findIndex((tier) => tier.medium === 'host');
  return host < 0 ? undefined : tiers.slice(host).find((tier) => tier.medium === 'disk');
}

function kvEdge(
  plan: Plan,
  from: Stage,
  to: Stage,
  holdings: Readonly<Record<string, readonly RankHolding[]>>,
): KvReshard {
  const before = holdings[from.name]!;
  const after = holdings[to.name]!;
  const edge = { from: from.name, to: to.name, origin: to.meshOrigin };
  if (sameKv(before, after)) {
    return { ...edge, path: 'shared', pageOut: [], pageIn: [], bytesPerToken: { out: 0, in: 0 } };
  }
  const { shape } = plan.model;
  const headBytes = 2 * shape.headDim * BYTES_OF[plan.kv.dtype];
  const pageOut = [...sliceOwners(before, ({ kv }) => kv)].map((rank) => kvSlice(rank, headBytes));
  const pageIn = after.map((rank) => kvSlice(rank, headBytes));
  const tier = carryingTier(plan);
  return {
    ...edge,
    path: 'tier',
    ...(tier ? { tier: tier.name } : {}),
    pageOut,
    pageIn,
    bytesPerToken: { out: perToken(pageOut), in: perToken(pageIn) },
  };
}

/** Whether two stages find every page's slice on the same device, for the same replica. */
function sameKv(a: readonly RankHolding[], b: readonly RankHolding[]): boolean {
  return alikeByDevice(
    a,
    b,
    ({ kv: here }, { kv: there }) =>
      sameInterval(here.layers, there.layers) && sameInterval(here.heads, there.heads),
  );
}

function kvSlice(rank: RankHolding, headBytes: number): KvSlice {
  return {
    device: rank.device,
    dp: rank.dp,
    layers: rank.kv.layers,
    heads: rank.kv.heads,
    bytesPerToken: intervalLength(rank.kv.layers) * intervalLength(rank.kv.heads) * headBytes,
  };
}

/** Bytes one token moves: it belongs to one replica. */
function perToken(slices: readonly KvSlice[]): number {
  return slices.filter((slice) => slice.dp === 0).reduce((sum, slice) => sum + slice.bytesPerToken, 0);
}
