/** What a flow edge's KV costs over the links, per token: out to the tier, from host to host and in again, against the bound. */
import { hostTraffic, type PageSlice } from '../ir/page-slices.js';
import type { KvCost, KvReshard, KvSlice, RankHolding } from '../ir/transitions.js';
import { BYTES_OF } from '../model/shape.js';
import type { Plan } from '../plan/plan.js';
import { tierBeside } from '../plan/routes.js';
import { linkLoads, type RoadBytes } from './link-loads.js';
import { planKv } from './plan-kv.js';
import type { Roads } from './roads.js';

/**
 * Traffic of one token that the first replica of a stage hands to the first of the other. Time leaves latency out: pages
 * travel many at once. The lower bound is what devices must be given if nothing were kept in a tier in between.
 */
export function kvCost(
  plan: Plan,
  edge: KvReshard,
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  roads: Roads,
): KvCost {
  const headBytes = 2 * plan.model.shape.headDim * BYTES_OF[plan.kv.dtype];
  const pageTokens = { from: plan.kv.pageTokens, to: plan.kv.pageTokens };
  const sequences = [{ tokens: [0, 1], from: 0, to: 0 }] as const;
  const { lowerBound } = planKv({ from, to, pageTokens, headBytes, sequences }, roads);
  const travels = kvTravels(edge, { from: 0, to: 0 }, roads);
  const still = roads.lanes.map((lane) => ({ ...lane, latency: 0 }));
  const links = linkLoads(travels, still);
  return {
    from: edge.from,
    to: edge.to,
    ...([from, to].some((ranks) => ranks.some(({ dp }) => dp > 0)) && { betweenFirst: true as const }),
    links,
    seconds: Math.max(0, ...links.map((link) => link.busiest.seconds)),
    linkBytes: travels.reduce((sum, { bytes, road }) => sum + bytes * road.hops.length, 0),
    lowerBound,
  };
}

/**
 * What a token's KV travels from replica to replica: out to the tier beside each rank that has it, from there to the tier
 * beside each rank that needs it, and on to that rank. Nothing where both stages read the same pages.
 *
 * @param replicas dp coordinates in the first stage and in the second
 */
export function kvTravels(
  edge: KvReshard,
  replicas: { readonly from: number; readonly to: number },
  roads: Roads,
): readonly RoadBytes[] {
  const { tier } = edge;
  if (edge.path === 'shared' || tier === undefined) return [];
  const { topology } = roads;
  const pathOf = (device: number): string => topology.devices[device]!.path;
  const tierOf = tierBeside(topology, tier);
  const travel = (from: string | undefined, to: string | undefined, bytes: number): readonly RoadBytes[] => {
    const road = from === undefined || to === undefined ? undefined : roads.between(from, to);
    return road && bytes > 0 ? [{ bytes, road }] : [];
  };
  const slicesOf = (slices: readonly KvSlice[], replica: number): readonly PageSlice[] =>
    slices
      .filter(({ dp }) => dp === replica)
      .map(({ device, layers, heads, bytesPerToken }) => {
        return { device, layers, heads, pageBytes: bytesPerToken };
      });
  const [leaving, arriving] = [slicesOf(edge.pageOut, replicas.from), slicesOf(edge.pageIn, replicas.to)];
  return [
    ...leaving.flatMap(({ device, pageBytes }) => travel(pathOf(device), tierOf(device), pageBytes)),
    ...hostTraffic(tierOf)({ ranks: leaving }, { ranks: arriving }).flatMap(({ from, to, pageBytes }) =>
      travel(from, to, pageBytes),
    ),
    ...arriving.flatMap(({ device, pageBytes }) => travel(tierOf(device), pathOf(device), pageBytes)),
  ];
}
