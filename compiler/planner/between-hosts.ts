/**
 * KV on its way between the hosts of two stages. A rank leaves what it puts out with the host beside it; a rank beside
 * another host takes it from there, over the link between their nodes.
 */
import { once, onceForObject } from '../once.js';
import { carryingTier } from '../passes/kv-edges.js';
import type { Plan, Stage, Topology } from '../plan/plan.js';
import { tierFor, type Routes } from '../plan/routes.js';

/** Of the bytes of a page what the hosts beside a stage have of it, in the mean over its replicas. */
export interface HostShares {
  /** Their paths: one list for all stages on the same devices. */
  readonly hosts: readonly string[];
  /** By their places in it. */
  readonly shares: readonly number[];
}

/** @param pageBytes that a page takes on each rank */
export function hostShares(plan: Plan, { devices }: Stage, pageBytes: readonly number[]): HostShares {
  const { hosts, places } = hostsBeside(plan.topology)(devices)(carryingTier(plan)?.name);
  const whole = pageBytes.reduce((sum, bytes) => sum + bytes, 0);
  const shares = hosts.map(() => 0);
  places.forEach((place, rank) => {
    if (place !== undefined) shares[place]! += pageBytes[rank]! / whole;
  });
  return { hosts, shares };
}

/** The instances of a tier that devices have, and the place among them of that of each. */
const hostsBeside = onceForObject((topology: Topology) =>
  onceForObject((devices: readonly number[]) =>
    once((tier: string | undefined) => {
      const paths = devices.map(
        (device) => tier && tierFor(topology, topology.devices[device]!.group, tier)?.path,
      );
      const hosts = [...new Set(paths)].filter((path) => path !== undefined);
      const placeOf = new Map(hosts.map((path, place) => [path, place]));
      return { hosts, places: paths.map((path) => (path === undefined ? undefined : placeOf.get(path))) };
    }),
  ),
);

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
  return Math.max(most, ...into) * RATHER_SHORT;
}

/**
 * From each host to each, in order: infinite where nothing has to be carried, or nothing leads. Looked up once for all
 * pairs of meshes.
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
