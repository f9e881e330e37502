/**
 * Topology as a diagram: devices and tiers in the groups that they stand in, and between them links as nodes of their
 * own, because a link joins any number of places. Every place has a lane each way on its links, which is what
 * contends, so an edge is a place's lanes and a link's node has what all of them carry together. Host memory has no lane:
 * its edge is as busy as the busiest of the link.
 *
 * Beyond a few devices, those that do the same are drawn once and counted, and so are groups that look the same:
 * `node[0..63]`, 64 times, with `gpu[0..7]`.
 */
import type { CompileResult } from '../../compiler/compile.js';
import { groupBy } from '../../compiler/group-by.js';
import { matchesPrefix, parsePath, printPath, type PathPart } from '../../compiler/plan/places.js';
import type { Link, PlacedDevice, Plan, Tier, Topology } from '../../compiler/plan/plan.js';
import { linkName } from '../../compiler/reshard/roads.js';
import { formatExactBytes, formatQuantity } from '../../compiler/check/units.js';
import type { Simulation } from '../../runtime/clock/simulation.js';
import { DRAWN_ALONE, rangesOf } from '../../compiler/plan/ranges.js';
import { formatBytes } from '../format.js';
import type { Diagram, DiagramEdge, DiagramItem, DiagramNode } from './diagram.js';
import { plannedUse, type PlannedUse } from './link-use.js';

/** A workload that was simulated, and its simulation. */
export interface Simulated {
  readonly workload: string;
  readonly simulation: Simulation;
}

/** The diagram of a plan's topology, with what its links carry. */
export function topologyDiagram(plan: Plan, compiled: CompileResult, simulated?: Simulated): Diagram {
  const { topology } = plan;
  const drawing = createDrawing(plan, compiled, simulated);
  const items = drawing.itemsOf([groupTree(topology)]);
  const busy = simulated ? ` Wide edges are busy in a simulation of ${simulated.workload}.` : '';
  return {
    title: `${plan.name}: ${plan.model.name} on ${topology.name}`,
    caption: `Bytes over every link in a full step of all replicas, for a token of KV (the mean of the replicas), and in a change of stage.${busy}`,
    items,
    edges: drawing.edges,
  };
}

/** A group of the topology and what stands in it; the topology itself is the outermost. */
interface Group {
  /** `''`, `node[2]`. */
  readonly path: string;
  readonly devices: readonly PlacedDevice[];
  readonly tiers: readonly Tier[];
  readonly groups: readonly Group[];
}

function groupTree({ devices, tiers }: Topology): Group {
  const byGroup = <T extends { readonly group: string }>(
    items: readonly T[],
  ): ReadonlyMap<string, readonly T[]> => groupBy(items, ({ group }) => group);
  const [devicesIn, tiersIn] = [byGroup(devices), byGroup(tiers)];
  const paths = new Set<string>();
  for (const group of [...devicesIn.keys(), ...tiersIn.keys()]) {
    const parts = parsePath(group);
    parts.forEach((_, depth) => paths.add(printPath(parts.slice(0, depth + 1))));
  }
  const inside = groupBy(paths, (path) => printPath(parsePath(path).slice(0, -1)));
  const build = (path: string): Group => ({
    path,
    devices: devicesIn.get(path) ?? [],
    tiers: tiersIn.get(path) ?? [],
    groups: (inside.get(path) ?? []).map(build),
  });
  return build('');
}

/** What is drawn for places that are alike: the first stands for all. */
interface Drawn {
  readonly id: string;
  readonly level: Level;
  readonly parts: readonly PathPart[];
  /** Paths of all places that it stands for. */
  readonly places: readonly string[];
}

/** Where a place stands between devices and disks. */
type Level = 0 | 1 | 2;

function createDrawing(
  plan: Plan,
  compiled: CompileResult,
  simulated: Simulated | undefined,
): {
  readonly itemsOf: (groups: readonly Group[]) => readonly DiagramItem[];
  readonly edges: readonly DiagramEdge[];
} {
  const { topology } = plan;
  const alone = topology.devices.length <= DRAWN_ALONE;
  const useOf = groupBy(plannedUse(plan, compiled), ({ link }) => link);
  const peaks = new Map(compiled.runtime.devices.map((device) => [device.id, device]));
  const lanes = groupBy(simulated?.simulation.links ?? [], ({ link, place }) => `${link} ${place}`);
  const roles = new Map<number, string[]>();
  for (const { name, ranks, mesh } of compiled.runtime.stages)
    for (const rank of ranks) {
      const axes = (['dp', 'pp', 'tp'] as const).filter((axis) => mesh[axis] > 1);
      const place = alone ? axes.map((axis) => `${axis} ${rank[axis]}`).join(', ') : '';
      const role = place === '' ? name : `${name}: ${place}`;
      roles.set(rank.device, [...(roles.get(rank.device) ?? []), role]);
    }
  const hosts = new Set(topology.tiers.filter(({ medium }) => medium === 'host').map(({ path }) => path));
  const edges: DiagramEdge[] = [];

  /** Ends of links that a place is at: places of a kind differ where a link names a range of them. */
  const ends = (path: string): string => {
    const parts = parsePath(path);
    return topology.links
      .flatMap((link, index) => sidesOf(link, parts).map((side) => `${index}${side}`))
      .join();
  };
  const deviceKey = ({ id, path, kind }: PlacedDevice): string =>
    alone ? path : JSON.stringify([arrayOf(path), kind.name, roles.get(id) ?? [], ends(path)]);
  const tierKey = ({ path, capacity }: Tier): string =>
    alone ? path : JSON.stringify([arrayOf(path), capacity, ends(path)]);
  const counts = (keys: readonly string[]): string =>
    JSON.stringify([...groupBy(keys, (key) => key)].map(([key, all]) => [key, all.length]));
  const groupKey = ({ path, devices, tiers, groups }: Group): string =>
    alone
      ? path
      : counts([...devices.map(deviceKey), ...tiers.map(tierKey), ...groups.map(groupKey), ends(path)]);

  const busyOf = (link: Link, places: readonly string[]): number | undefined => {
    if (simulated === undefined) return undefined;
    const { makespan } = simulated.simulation;
    const found = places.flatMap((place) => lanes.get(`${linkName(link)} ${place}`) ?? []);
    return makespan > 0 ? Math.max(0, ...found.map(({ busy }) => busy / makespan)) : 0;
  };

  const deviceNode = (devices: readonly PlacedDevice[], shown: readonly string[]): DiagramNode => {
    const { kind, path, id } = devices[0]!;
    const used = devices.flatMap((device) => peaks.get(device.id) ?? []);
    return {
      id: path,
      kind: 'device',
      title: `${rangesOf(shown)}: ${kind.name}`,
      lines: [
        ...(roles.get(id) ?? ['not used']),
        used.length === 0
          ? formatExactBytes(kind.memory)
          : `${mostBytes(used.map(({ peak }) => peak.total))} of ${formatBytes(used[0]!.budget)}`,
      ],
    };
  };

  /** Contents of groups that are alike; what is drawn goes into `drawn` too, that of inner groups included. */
  const drawGroups = (groups: readonly Group[], drawn: Drawn[]): readonly DiagramItem[] => {
    const [first] = groups;
    const own: Drawn[] = [];
    const add = (id: string, level: Level, places: readonly string[]): void => {
      own.push({ id, level, parts: parsePath(id), places });
    };
    // Names are those in the first group, without the path to it.
    const shown = (paths: readonly string[]): readonly string[] => {
      const depth = parsePath(first!.path).length;
      return paths
        .filter((path) => matchesPrefix(parsePath(first!.path), parsePath(path)))
        .map((path) => printPath(parsePath(path).slice(depth)));
    };
    const pathsOf = (places: readonly { readonly path: string }[]): readonly string[] =>
      places.map(({ path }) => path);
    const devices = classes(groups, (group) => group.devices, deviceKey).map((members) => {
      add(members[0]!.path, 0, pathsOf(members));
      return deviceNode(members, shown(pathsOf(members)));
    });
    const boxes = classes(groups, (group) => group.groups, groupKey).map((members): DiagramItem => {
      const { path } = members[0]!;
      add(path, 0, pathsOf(members));
      const names = shown(pathsOf(members));
      const title = rangesOf(names) + (names.length > 1 ? ` (${names.length} alike)` : '');
      return { id: path, title, items: drawGroups(members, own) };
    });
    const tiers = classes(groups, (group) => group.tiers, tierKey).map((members): [Tier, DiagramNode] => {
      const [tier] = members;
      add(tier!.path, tier!.medium === 'disk' ? 2 : 1, pathsOf(members));
      const capacity = formatExactBytes(tier!.capacity);
      const node = { id: tier!.path, title: rangesOf(shown(pathsOf(members))), lines: [capacity] };
      return [tier!, { ...node, kind: tier!.medium }];
    });
    const links = drawLinks(groups, own);
    const of = (medium: Tier['medium']): readonly DiagramNode[] =>
      tiers.filter(([tier]) => tier.medium === medium).map(([, node]) => node);
    drawn.push(...own);
    return [
      ...devices,
      ...boxes,
      ...links.filter(({ level }) => level === 0).map(({ node }) => node),
      ...of('host'),
      ...links.filter(({ level }) => level > 0).map(({ node }) => node),
      ...of('disk'),
    ];
  };

  /** Nodes of the links that are declared in a group, with the level of the places nearer to devices; adds their edges. */
  const drawLinks = (
    groups: readonly Group[],
    own: readonly Drawn[],
  ): readonly { readonly node: DiagramNode; readonly level: Level }[] => {
    const parts = parsePath(groups[0]!.path);
    const instances = groups.map(({ path }) => path);
    return topology.links.flatMap((link, index) => {
      const scope = parsePath(link.scope);
      if (scope.length !== parts.length || !matchesPrefix(scope, parts)) return [];
      const joined = own.filter((each) => sidesOf(link, each.parts).length > 0);
      const level = joined.reduce<Level>((least, each) => (each.level < least ? each.level : least), 2);
      const id = `link ${index} ${groups[0]!.path}`;
      const all = joined.flatMap(({ places }) => places);
      for (const { id: place, level: at, places } of joined) {
        const busy = busyOf(link, hosts.has(place) ? all : places);
        const ends = at === level ? { from: place, to: id } : { from: id, to: place };
        edges.push({ ...ends, label: [], kind: 'joins', ...(busy !== undefined && { busy }) });
      }
      return [{ node: linkNode(id, link, all, instances), level }];
    });
  };

  const linkNode = (
    id: string,
    link: Link,
    places: readonly string[],
    instances: readonly string[],
  ): DiagramNode => {
    const busy = busyOf(link, places);
    return {
      id,
      kind: 'link',
      title: `${link.from} <-> ${link.to}`,
      lines: [
        `${bandwidthWords(link)}, ${formatQuantity(link.latency, 'seconds')}`,
        ...useLines(useOf.get(linkName(link)) ?? [], instances),
        ...(busy === undefined ? [] : [`busiest lane in use ${(100 * busy).toFixed(1)}% of the time`]),
      ],
      ...(busy !== undefined && { busy }),
    };
  };

  return { itemsOf: (groups) => drawGroups(groups, []), edges };
}

/**
 * `weights prefill -> decode: 1.2 GiB, host to gpu` of what a link carries in some places that are drawn once: in each of
 * them, or `up to` what it is in the one that has most.
 */
function useLines(use: readonly PlannedUse[], instances: readonly string[]): readonly string[] {
  const drawn = new Set(instances);
  const here = use.filter(({ instance }) => drawn.has(instance));
  return [...groupBy(here, ({ what, from, to }) => `${what} ${from} ${to}`).values()].map((loads) => {
    const { what, from, to } = loads[0]!;
    const bytes = [...loads.map((load) => load.bytes), ...(loads.length < drawn.size ? [0] : [])];
    return `${what}: ${mostBytes(bytes)}${from === to ? '' : `, ${from} to ${to}`}`;
  });
}

/** Bytes of places that are drawn once: `up to` the most of them where they are not the same. */
function mostBytes(bytes: readonly number[]): string {
  const [least, most] = [Math.min(...bytes), Math.max(...bytes)].map((each) => formatBytes(Math.round(each)));
  return least === most ? most! : `up to ${most}`;
}

/** Members of equal groups that are alike, in order. */
function classes<T>(
  groups: readonly Group[],
  members: (group: Group) => readonly T[],
  key: (member: T) => string,
): readonly (readonly T[])[] {
  return [...groupBy(groups.flatMap(members), key).values()];
}

/** At which ends of a link a place is. */
function sidesOf({ scope, from, to }: Link, parts: readonly PathPart[]): readonly ('from' | 'to')[] {
  const outer = parsePath(scope);
  if (!matchesPrefix(outer, parts)) return [];
  const rest = parts.slice(outer.length);
  const isAt = (end: string): boolean => {
    const pattern = parsePath(end);
    return pattern.length === rest.length && matchesPrefix(pattern, rest);
  };
  return (['from', 'to'] as const).filter((side) => isAt(side === 'from' ? from : to));
}

/** `node.gpu` of `node[2].gpu[5]`. */
function arrayOf(path: string): string {
  return printPath(parsePath(path).map(({ name }) => ({ name })));
}

function bandwidthWords({ bandwidth, bandwidthBack }: Link): string {
  const there = formatQuantity(bandwidth, 'bytes/s');
  return bandwidthBack === undefined
    ? `${there} each way`
    : `${there} there, ${formatQuantity(bandwidthBack, 'bytes/s')} back`;
}
