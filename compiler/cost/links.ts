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

/** The time of a transfer or an exchange: `latency + bytes / bandwidth` seconds. */
export interface LinkCost {
  /** Seconds that do not depend on the bytes; of an exchange those of all its steps. */
  readonly latency: number;
  /** Bytes per second; of an exchange bytes of the tensor per second, its algorithm bandwidth. */
  readonly bandwidth: number;
  /**
   * The link declares `allreduce`: this bandwidth holds whatever algorithm is used, so lanes are occupied for no longer
   * than it says.
   */
  readonly declared?: true;
  /** Latency of an all-gather in seconds, where the link declares it (`allgather_latency`). */
  readonly gatherLatency?: number;
}

/** Cost of an all-reduce in a ring of devices in this order; undefined where some neighbours are not linked. */
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
 * all-gather of as many steps and bytes each. Through host memory both take as many steps, so that a link may declare
 * the latency of an all-gather.
 */
export function allGatherCost(allReduce: LinkCost): LinkCost {
  return {
    latency: allReduce.gatherLatency ?? allReduce.latency / 2,
    bandwidth: allReduce.bandwidth * 2,
  };
}

/** Cost of sending a tensor from one device to another; undefined where they are not linked. */
export function sendCost(routes: Routes, from: string, to: string): LinkCost | undefined {
  const route = routes.find(from, to);
  return route && { latency: route.latency, bandwidth: route.bandwidth };
}

/**
 * Bytes that each of `ranks` ranks passes to its neighbour in the ring of an exchange: 2 (n - 1) / n of a sum, of which
 * it gives and takes the whole, and (n - 1) / n of what is gathered, of which it gives one part and takes the whole.
 *
 * @param given bytes that a rank gives plus those it takes, as in `ProgramTraffic`
 */
export function ringBytes(
  given: { readonly allReduce: number; readonly allGather: number },
  ranks: number,
): number {
  return (given.allReduce * (ranks - 1)) / ranks + (given.allGather * (ranks - 1)) / (ranks + 1);
}

/** Seconds that the bytes take; none at all for no bytes. */
export function linkSeconds({ latency, bandwidth }: LinkCost, bytes: number): number {
  return bytes === 0 ? 0 : latency + bytes / bandwidth;
}
