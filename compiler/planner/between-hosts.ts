/**
 * KV on its way between the hosts of two stages. A rank leaves what it puts out with the host beside it; a rank beside
 * another host takes it from there, over the link between their nodes.
 */
import { carryingTier } from '../passes/kv-edges.js';
import type { Plan, Stage } from '../plan/plan.js';
import { tierFor, type Routes } from '../plan/routes.js';

/** Of the bytes of a page what the hosts beside a stage have of it, by their paths, in the mean over its replicas. */
export type HostShares = ReadonlyMap<string, number>;

/** @param pageBytes that a page takes on each rank */
export function hostShares(plan: Plan, { devices }: Stage, pageBytes: readonly number[]): HostShares {
  const { topology } = plan;
  const tier = carryingTier(plan);
  const shares = new Map<string, number>();
  const whole = pageBytes.reduce((sum, bytes) => sum + bytes, 0);
  devices.forEach((device, rank) => {
    const host = tier && tierFor(topology, topology.devices[device]!.group, tier.name)?.path;
    if (host !== undefined) shares.set(host, (shares.get(host) ?? 0) + pageBytes[rank]! / whole);
  });
  return shares;
}

/** An estimate that is too long may cost the best plan. */
const RATHER_SHORT = 0.98;

/**
 * Seconds that a page may well take there, where others are on their way all the time: those of the lane, out of a host or
 * into one, that has most to carry. No bound: any replica may hand over to any.
 *
 * @param pageBytes of all ranks of a replica that take it in
 */
export function secondsBetweenHosts(
  from: HostShares,
  to: HostShares,
  pageBytes: number,
  routes: Routes,
): number {
  if (from.size === 1 && to.size === 1 && to.has([...from.keys()][0]!)) return 0;
  const lanes = new Map<string, number>();
  const add = (lane: string, seconds: number): void => void lanes.set(lane, (lanes.get(lane) ?? 0) + seconds);
  for (const [source, given] of from)
    for (const [target, taken] of to) {
      const route = source === target ? undefined : routes.find(source, target);
      if (route === undefined) continue;
      const seconds = (given * taken * pageBytes) / route.bandwidth;
      add(`out of ${source}`, seconds);
      add(`into ${target}`, seconds);
    }
  return Math.max(0, ...lanes.values()) * RATHER_SHORT;
}
