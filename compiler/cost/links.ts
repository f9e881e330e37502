/**
 * What traffic between the ranks of a stage costs over the declared links.
 *
 * An all-reduce takes `latency + bytes / algorithm bandwidth` (tensor bytes by time). Where a link declares the
 * bandwidth by group size (`allreduce`), that is taken, the nearest declared size at or above the group for others;
 * and likewise the latency (`allreduce_latency`, `allgather_latency`); else a ring: every rank sends and receives
 * 2 (n - 1) / n of the tensor, in 2 (n - 1) steps of one latency each (Patarasuk and Yuan, JPDC 2009; NCCL's performance
 * notes). The narrowest link between neighbours of the group decides.
 */
import type { Link } from '../plan/plan.js';
import type { Route, Routes } from '../plan/routes.js';
import { figureOf } from './by-size.js';

export interface LinkCost {
  /** Seconds before the first byte arrives. */
  readonly latency: number;
  /** Bytes per second. */
  readonly bandwidth: number;
  /** The link's declaration has it for groups: it is so however the exchange goes about it. */
  readonly declared?: true;
  /** Of an all-gather, where the link's declaration has it. */
  readonly gatherLatency?: number;
}

/** Time of an all-reduce among devices in this order; undefined where no links join them. */
export function allReduceCost(routes: Routes, devices: readonly string[]): LinkCost | undefined {
  const ranks = devices.length;
  if (ranks < 2) return { latency: 0, bandwidth: Infinity };
  const ring = devices.map((device, i) => routes.find(device, devices[(i + 1) % ranks]!));
  if (!ring.every((each): each is Route => each !== undefined)) return undefined;
  const narrowest = ring.reduce((least, each) => (each.bandwidth < least.bandwidth ? each : least));
  const link = onlyLink(narrowest);
  const declared = figureOf(link?.allreduce ?? {}, ranks);
  const ownLatency = figureOf(link?.allreduceLatency ?? {}, ranks);
  const latency = Math.max(...ring.map((each) => each.latency));
  const gatherLatency = figureOf(link?.allgatherLatency ?? {}, ranks);
  const gather = gatherLatency === undefined ? {} : { gatherLatency };
  if (declared !== undefined)
    return { latency: ownLatency ?? latency, bandwidth: declared, declared: true, ...gather };
  const steps = 2 * (ranks - 1);
  return {
    latency: ownLatency ?? steps * latency,
    bandwidth: (narrowest.bandwidth * ranks) / steps,
    ...gather,
  };
}

/** The link of a route over one link. */
function onlyLink({ hops }: Route): Link | undefined {
  return hops.length === 1 ? hops[0]?.link : undefined;
}

/**
 * Time of an all-gather, by bytes of the gathered tensor: half of an all-reduce, which is a reduce-scatter and an
 * all-gather of as many steps and bytes each. Through the memory of a host both have as many, so that the latency of an
 * all-gather may be declared.
 */
export function allGatherCost(allReduce: LinkCost): LinkCost {
  return {
    latency: allReduce.gatherLatency ?? allReduce.latency / 2,
    bandwidth: allReduce.bandwidth * 2,
  };
}

/** Time of handing a tensor from one device to another. */
export function sendCost(routes: Routes, from: string, to: string): LinkCost | undefined {
  const route = routes.find(from, to);
  return route && { latency: route.latency, bandwidth: route.bandwidth };
}

/**
 * Bytes that each of so many ranks passes to its neighbour in the ring of an exchange: 2 (n - 1) / n of a sum, of which
 * it gives and takes the whole, and (n - 1) / n of what is gathered, of which it gives one part and takes the whole.
 *
 * @param given bytes that a rank gives and takes
 */
export function ringBytes(
  given: { readonly allReduce: number; readonly allGather: number },
  ranks: number,
): number {
  return (given.allReduce * (ranks - 1)) / ranks + (given.allGather * (ranks - 1)) / (ranks + 1);
}

/** Seconds of so many bytes. */
export function linkSeconds({ latency, bandwidth }: LinkCost, bytes: number): number {
  return bytes === 0 ? 0 : latency + bytes / bandwidth;
}
