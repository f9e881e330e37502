/** What a flow edge's KV costs over the links, per token: out to the tier, from host to host and in again, against the bound. */
import { groupBy } from '../group-by.js';
import type { KvCost, KvReshard, LinkLoad, RankHolding } from '../ir/transitions.js';
import { BYTES_OF } from '../model/shape.js';
import type { Plan } from '../plan/plan.js';
import { kvTravels, replicasOf } from './kv-travels.js';
import { linkLoads } from './link-loads.js';
import { planKv } from './plan-kv.js';
import type { Roads } from './roads.js';

/**
 * Traffic of one token that a replica of a stage hands to one of the other, the mean of all that may. Time leaves latency
 * out: pages travel many at once. The lower bound is what devices must be given if nothing were kept in a tier in between.
 */
export function kvCost(
  plan: Plan,
  edge: KvReshard,
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  roads: Roads,
): KvCost {
  const { travels, pairs } = kvTravels(edge, roads);
  const still = roads.lanes.map((lane) => ({ ...lane, latency: 0 }));
  const links = linkLoads(travels, still).map((load) => meanLoad(load, pairs));
  const allBytes = travels.reduce((sum, { bytes, road }) => sum + bytes * road.hops.length, 0);
  return {
    from: edge.from,
    to: edge.to,
    ...(pairs > 1 && { meanOfReplicas: true as const }),
    links,
    seconds: Math.max(0, ...links.map((link) => link.busiest.seconds)),
    linkBytes: pairs === 0 ? 0 : allBytes / pairs,
    lowerBound: pairs === 0 ? 0 : allMissing(plan, edge, from, to, roads) / pairs,
  };
}

/** Of a load without latency. */
function meanLoad({ bytes, busiest, ...link }: LinkLoad, pairs: number): LinkLoad {
  return {
    ...link,
    bytes: bytes / pairs,
    busiest: { ...busiest, bytes: busiest.bytes / pairs, seconds: busiest.seconds / pairs },
  };
}

/**
 * Fewest bytes that devices must be given of as many tokens as there are pairs of replicas. Those that share a device are
 * planned, once for all that are alike; to others all of a token is new.
 */
function allMissing(
  plan: Plan,
  { pageOut, pageIn, bytesPerToken }: KvReshard,
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  roads: Roads,
): number {
  const headBytes = 2 * plan.model.shape.headDim * BYTES_OF[plan.kv.dtype];
  const pageTokens = { from: plan.kv.pageTokens, to: plan.kv.pageTokens };
  const held = new Map(from.map((rank) => [rank.device, rank]));
  const [writers, readers] = [from, to].map((ranks) => groupBy(ranks, ({ dp }) => dp));
  const sharing = [...readers!].flatMap(([reader, ranks]) => {
    const before = ranks.map(({ device }) => held.get(device));
    return [...new Set(before.flatMap((rank) => rank?.dp ?? []))].map((writer) => {
      const kept = before.map((rank) => (rank?.dp === writer ? rank.kv : undefined));
      return { writer, reader, likeness: JSON.stringify([kept, ranks.map(({ kv }) => kv)]) };
    });
  });
  const missing = [...groupBy(sharing, ({ likeness }) => likeness).values()].map((alike) => {
    const { writer, reader } = alike[0]!;
    const sequences = [{ tokens: [0, 1], from: writer, to: reader }] as const;
    const pair = { from: writers!.get(writer)!, to: readers!.get(reader)! };
    return alike.length * planKv({ ...pair, pageTokens, headBytes, sequences }, roads).lowerBound;
  });
  const strangers = replicasOf(pageOut).size * replicasOf(pageIn).size - sharing.length;
  return missing.reduce((sum, bytes) => sum + bytes, strangers * bytesPerToken.in);
}
