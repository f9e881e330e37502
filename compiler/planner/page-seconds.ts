/** What KV pages take between devices and the host tier. */
import { carryingTier } from '../passes/kv-edges.js';
import type { Plan, Stage } from '../plan/plan.js';
import { tierFor, type Routes } from '../plan/routes.js';

/** Seconds of a page on its way to the host tier and back, beside latencies: pages of several sequences may go together. */
export interface PageSeconds {
  readonly out: number;
  readonly in: number;
}

/** The least seconds of a page over the replicas of a pipeline stage, by their first ranks. */
export function pageCost(
  plan: Plan,
  { mesh, devices }: Stage,
  pp: number,
  pageBytes: readonly number[],
  routes: Routes,
): PageSeconds {
  const { topology } = plan;
  const tier = carryingTier(plan);
  const least = { out: Infinity, in: Infinity };
  for (let dp = 0; dp < mesh.dp; dp++) {
    const rank = (dp * mesh.pp + pp) * mesh.tp;
    const { path, group } = topology.devices[devices[rank]!]!;
    const host = tier && tierFor(topology, group, tier.name)?.path;
    const seconds = (from?: string, to?: string): number => {
      const road = from === undefined || to === undefined ? undefined : routes.find(from, to);
      return road === undefined ? 0 : pageBytes[rank]! / road.bandwidth;
    };
    least.out = Math.min(least.out, seconds(path, host));
    least.in = Math.min(least.in, seconds(host, path));
  }
  return least;
}
