/**
 * KV on its way between the hosts of two stages. A rank leaves what it puts out with the host beside it; a rank beside
 * another host takes it from there, over the link between their nodes.
 */
import { once, onceForObject } from '../once.js';
import { carryingTier } from '../passes/kv-edges.js';
import type { Plan, Stage, Topology } from '../plan/plan.js';
import { tierFor, type Routes } from '../plan/routes.js';
import { BETWEEN_HOSTS_MARGIN } from './estimate-margins.js';

/** How the bytes of a KV page are spread over the hosts beside a stage, in the mean over its replicas. */
export interface HostShares {
  /** Paths of the hosts: one list for all stages on the same devices. */
  readonly hosts: readonly string[];
  /** Fraction of the bytes with each host, in the order of `hosts`. */
  readonly shares: readonly number[];
}

/**
 * The shares of the hosts beside a stage.
 *
 * @param pageBytes bytes that a page takes on each rank of the stage
 */
export function hostShares(plan: Plan, { devices }: Stage, pageBytes: readonly number[]): HostShares {
  const { hosts, hostOf } = hostsBeside(plan.topology)(devices)(carryingTier(plan)?.name);
  const whole = pageBytes.reduce((sum, bytes) => sum + bytes, 0);
  const shares = hosts.map(() => 0);
  hostOf.forEach((host, rank) => {
    if (host !== undefined) shares[host]! += pageBytes[rank]! / whole;
  });
  return { hosts, shares };
}

/** The instances of a tier beside some devices, and for each device the index of its instance among them. */
const hostsBeside = onceForObject((topology: Topology) =>
  onceForObject((devices: readonly number[]) =>
    once((tier: string | undefined) => {
      const paths = devices.map(
        (device) => tier && tierFor(topology, topology.devices[device]!.group, tier)?.path,
      );
      const hosts = [...new Set(paths)].filter((path) => path !== undefined);
      const indexOf = new Map(hosts.map((path, index) => [path, index]));
      return { hosts, hostOf: paths.map((path) => (path === undefined ? undefined : indexOf.get(path))) };
    }),
  ),
);

/**
 * Estimated seconds of one page from the hosts of a stage to those of another, where others are on their way all the
 * time: those of the busiest lane, out of a host or into one. No bound: any replica may hand over to any.
 *
 * @param pageBytes bytes of a page on all ranks of the replica that takes it in
 */
export function secondsBetweenHosts(
  from: HostShares,
  to: HostShares,
  pageBytes: number,
  routes: Routes,
): number {
  const bandwidths = bandwidthsOver(routes)(from.hosts)(to.hosts);
  const into = new Float64Array(to.hosts.length);
  let most = 0;
  from.shares.forEach((given, source) => {
    let out = 0;
    for (let target = 0; target < into.length; target++) {
      const seconds = (given * to.shares[target]! * pageBytes) / bandwidths[source * into.length + target]!;
      out += seconds;
      into[target]! += seconds;
    }
    most = Math.max(most, out);
  });
  return Math.max(most, ...into) * BETWEEN_HOSTS_MARGIN;
}

/**
 * Bytes per second from each host to each, in order: infinite where nothing has to be carried, or no link leads there.
 * Looked up once for all pairs of meshes.
 */
const bandwidthsOver = onceForObject((routes: Routes) =>
  onceForObject((from: readonly string[]) =>
    onceForObject((to: readonly string[]) =>
      Float64Array.from(
        from.flatMap((source) =>
          to.map((target) =>
            source === target ? Infinity : (routes.find(source, target)?.bandwidth ?? Infinity),
          ),
        ),
      ),
    ),
  ),
);
