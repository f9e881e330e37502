/**
 * What KV travels between stages: out to the tier beside each rank that has it, from there to the tier beside each rank that
 * needs it, and on to that rank. Any replica of the first stage may hand to any of the second, so all of them are told
 * together.
 */
import { groupBy } from '../group-by.js';
import { hostTraffic, type PageSlice } from '../ir/page-slices.js';
import type { KvReshard, KvSlice } from '../ir/transitions.js';
import { tierBeside } from '../plan/routes.js';
import { instancesOf, type Instance } from './instances.js';
import type { RoadBytes } from './link-loads.js';
import type { Roads } from './roads.js';

export interface KvTravels {
  /** Of as many tokens as there are pairs of replicas: one from each of the first stage to each of the second. */
  readonly travels: readonly RoadBytes[];
  readonly pairs: number;
}

/** The tier beside a device, if there is one. */
type TierOf = (device: number) => string | undefined;

/**
 * Bytes on all roads. Between hosts that are alike those of some roads are told, which occupy every lane for as long as
 * all would. Nothing travels where both stages read the same pages.
 */
export function kvTravels(edge: KvReshard, roads: Roads): KvTravels {
  const { tier, path, pageOut, pageIn } = edge;
  const [writers, readers] = [replicasOf(pageOut).size, replicasOf(pageIn).size];
  const pairs = writers * readers;
  if (path === 'shared' || tier === undefined) return { travels: [], pairs };
  const { devices } = roads.topology;
  const tierOf = tierBeside(roads.topology, tier);
  const travel = (from: string | undefined, to: string | undefined, bytes: number): readonly RoadBytes[] => {
    const road = from === undefined || to === undefined ? undefined : roads.between(from, to);
    return road && bytes > 0 ? [{ bytes, road }] : [];
  };
  return {
    travels: [
      ...pageOut.flatMap(({ device, bytesPerToken }) =>
        travel(devices[device]!.path, tierOf(device), readers * bytesPerToken),
      ),
      ...betweenHosts(edge, tierOf, roads).flatMap(({ from, to, bytes }) => travel(from, to, bytes)),
      ...pageIn.flatMap(({ device, bytesPerToken }) =>
        travel(tierOf(device), devices[device]!.path, writers * bytesPerToken),
      ),
    ],
    pairs,
  };
}

/** The dp coordinates of the ranks that have slices. */
export function replicasOf(slices: readonly Pick<KvSlice, 'dp'>[]): ReadonlySet<number> {
  return new Set(slices.map(({ dp }) => dp));
}

/** What all replicas leave with a host, and what they take in beside it. */
interface HostKv {
  readonly path: string;
  /** Where it stands in a group that others are like. */
  readonly instance: Instance | undefined;
  readonly left: readonly PageSlice[];
  readonly taken: readonly PageSlice[];
}

interface HostBytes {
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
}

function betweenHosts(edge: KvReshard, tierOf: TierOf, roads: Roads): readonly HostBytes[] {
  const hosts = hostsOf(edge, tierOf, roads);
  if (hosts.length < 2) return [];
  const traffic = hostTraffic(tierOf);
  const bytesBetween = (from: HostKv, to: HostKv): number =>
    traffic({ ranks: from.left }, { ranks: to.taken })[0]?.pageBytes ?? 0;
  const classes = [...groupBy(hosts, likenessOf).values()];
  return classes.flatMap((givers) =>
    classes.flatMap((takers) => {
      // Of a class each has as much, and no host hands to itself.
      const bytes = bytesBetween(givers[0]!, takers.find((host) => host !== givers[0]) ?? givers[0]!);
      if (bytes === 0) return [];
      return pairsOf(givers, takers, roads)
        .filter(({ from, to }) => from !== to)
        .map(({ from, to, times }) => ({ from: from.path, to: to.path, bytes: times * bytes }));
    }),
  );
}

function hostsOf({ pageOut, pageIn }: KvReshard, tierOf: TierOf, roads: Roads): readonly HostKv[] {
  const instanceOf = instancesOf(roads.topology);
  const [left, taken] = [pageOut, pageIn].map((slices) =>
    groupBy(
      slices.map(({ device, layers, heads, bytesPerToken }) => {
        return { device, layers, heads, pageBytes: bytesPerToken };
      }),
      ({ device }) => tierOf(device),
    ),
  );
  return [...new Set([...left!.keys(), ...taken!.keys()])].flatMap((path): readonly HostKv[] => {
    if (path === undefined) return [];
    const [own, others] = [left!.get(path) ?? [], taken!.get(path) ?? []];
    const around = instanceOf((own[0] ?? others[0]!).device);
    const instance = around && path.startsWith(`${around.path}.`) ? around : undefined;
    return [{ path, instance, left: own, taken: others }];
  });
}

/** Equal for hosts that stand in groups that are alike, in the same place there, with the same slices. */
function likenessOf({ path, instance, left, taken }: HostKv): string {
  if (instance === undefined) return path;
  const parts = [left, taken].map((slices) => slices.map(({ layers, heads }) => [layers, heads]));
  return JSON.stringify([instance.likeness, path.slice(instance.path.length), ...parts]);
}

interface HostPair {
  readonly from: HostKv;
  readonly to: HostKv;
  /** For how many pairs it stands. */
  readonly times: number;
}

/**
 * Pairs that stand for every host of one class with every one of another. Where roads occupy lanes at their own ends alone
 * it is all the same to a lane with whom its end trades: each end is paired with one other, or a few, as often as it trades
 * in all.
 */
function pairsOf(givers: readonly HostKv[], takers: readonly HostKv[], roads: Roads): readonly HostPair[] {
  const all = (): readonly HostPair[] =>
    givers.flatMap((from) => takers.map((to) => ({ from, to, times: 1 })));
  const [from, to] = [givers, takers].map((hosts) => hosts.map(({ instance }) => instance?.path));
  if (from!.some((path, index) => path === to![index])) {
    // Inside of a group there is a road of its own.
    const [count, next] = [givers.length, (index: number) => takers[(index + 1) % count]!];
    const together = takers.length === count && from!.every((path, index) => path === to![index]);
    if (!together || count < 2 || !endsAlone(givers[0]!, next(0), roads)) return all();
    return givers.flatMap((host, index) => [
      { from: host, to: takers[index]!, times: 1 },
      { from: host, to: next(index), times: count - 1 },
    ]);
  }
  if (to!.some((path) => from!.includes(path)) || !endsAlone(givers[0]!, takers[0]!, roads)) return all();
  // Each giver has the length of a taker's part of a line, each taker that of a giver's: those that lie together trade.
  const pairs: HostPair[] = [];
  const [perGiver, perTaker] = [takers.length, givers.length];
  for (let at = 0; at < perGiver * perTaker;) {
    const [giver, taker] = [Math.floor(at / perGiver), Math.floor(at / perTaker)];
    const end = Math.min((giver + 1) * perGiver, (taker + 1) * perTaker);
    pairs.push({ from: givers[giver]!, to: takers[taker]!, times: end - at });
    at = end;
  }
  return pairs;
}

/** Whether the road between two hosts occupies lanes in the groups around them alone; then those of others like them do. */
function endsAlone(from: HostKv, to: HostKv, { lanes, between }: Roads): boolean {
  const groups = [from, to].map(({ instance }) => instance?.path);
  const isWithin = (place: string): boolean =>
    groups.some((group) => group !== undefined && `${place}.`.startsWith(`${group}.`));
  const road = groups.includes(undefined) ? undefined : between(from.path, to.path);
  return road?.lanes.every((lane) => isWithin(lanes[lane]!.place)) ?? false;
}
