/** What a flow edge's KV costs over the links, per token: on its way out to the tier and in again, against the bound. */
import { area, intersect, sliceRectangle } from '../ir/rectangles.js';
import type { KvCost, KvReshard, RankHolding } from '../ir/transitions.js';
import { BYTES_OF } from '../model/shape.js';
import type { Plan } from '../plan/plan.js';
import { tierFor } from '../plan/routes.js';
import { linkLoads } from './link-loads.js';
import { planKv } from './plan-kv.js';
import type { Road, Roads } from './roads.js';

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
  const travels = edge.path === 'shared' ? [] : tierTravels(edge, headBytes, roads);
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

/** Out to the tier beside each device, and from there to every device that needs it. */
function tierTravels(
  edge: KvReshard,
  headBytes: number,
  roads: Roads,
): readonly { readonly bytes: number; readonly road: Road }[] {
  const { topology } = roads;
  const tierOf = (device: number): string | undefined =>
    edge.tier === undefined ? undefined : tierFor(topology, topology.devices[device]!.group, edge.tier)?.path;
  const travel = (
    from: string | undefined,
    to: string | undefined,
    bytes: number,
  ): { bytes: number; road: Road }[] => {
    const road = from === undefined || to === undefined ? undefined : roads.between(from, to);
    return road && bytes > 0 ? [{ bytes, road }] : [];
  };
  const path = (device: number): string => topology.devices[device]!.path;
  const [out, arriving] = [edge.pageOut, edge.pageIn].map((slices) =>
    slices.filter((slice) => slice.dp === 0),
  );
  return [
    ...out!.flatMap((slice) => travel(path(slice.device), tierOf(slice.device), slice.bytesPerToken)),
    ...arriving!.flatMap((slice) =>
      out!.flatMap((source) => {
        const common = intersect(sliceRectangle(slice), sliceRectangle(source));
        return travel(tierOf(source.device), path(slice.device), common ? area(common) * headBytes : 0);
      }),
    ),
  ];
}
