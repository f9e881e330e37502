/**
 * Routes over the links of a topology.
 *
 * A link joins any place that matches its `from` to any other that matches its `to`, inside one instance of its
 * scope; a link between groups (`node <-> node`) joins the devices and hosts of one with those of another, and disks
 * are reached through their host. The instances are never listed: two places are tested against a link when they meet
 * in a search. A route stays inside the smallest group that holds both of its ends and a way between them.
 */
import { groupBy } from '../group-by.js';
import { once, onceForObject } from '../once.js';
import { matchesPrefix, parsePath, pathWithin, type PathPart } from './places.js';
import type { Link, Tier, Topology } from './plan.js';

export interface Hop {
  readonly link: Link;
  readonly from: string;
  readonly to: string;
  /** Bytes per second this way. */
  readonly bandwidth: number;
}

export interface Route {
  readonly hops: readonly Hop[];
  /** Bytes per second of the narrowest hop. */
  readonly bandwidth: number;
  /** Seconds over all hops. */
  readonly latency: number;
}

interface ParsedLink {
  readonly link: Link;
  readonly scope: readonly PathPart[];
  readonly from: readonly PathPart[];
  readonly to: readonly PathPart[];
}

interface Place {
  readonly path: string;
  readonly parts: readonly PathPart[];
  readonly disk: boolean;
}

/** Answers questions about one topology; keeps its parsed form. */
export interface Routes {
  /** The route with fewest hops (the widest of equals) between two places; none when nothing leads there. */
  readonly find: (from: string, to: string) => Route | undefined;
}

/** Prepares a topology for route questions. */
export function routesOf(topology: Topology): Routes {
  const links = topology.links.map((link): ParsedLink => ({
    link,
    scope: parsePath(link.scope),
    from: parsePath(link.from),
    to: parsePath(link.to),
  }));
  const places: readonly Place[] = [
    ...topology.devices.map(({ path }) => ({ path, parts: parsePath(path), disk: false })),
    ...topology.tiers.map(({ path, medium }) => ({ path, parts: parsePath(path), disk: medium === 'disk' })),
  ];
  const byPath = new Map(places.map((p): [string, Place] => [p.path, p]));
  const known = new Map<string, Route | undefined>();
  const find = (from: string, to: string): Route | undefined => {
    const key = `${from} ${to}`;
    if (!known.has(key)) known.set(key, search(byPath.get(from), byPath.get(to), places, links));
    return known.get(key);
  };
  return { find };
}

/** Whether a link leads from devices to devices, so that an exchange of theirs may go over it alone. */
export function joinsDevices(
  { scope, from, to }: Pick<Link, 'scope' | 'from' | 'to'>,
  { devices }: Pick<Topology, 'devices'>,
): boolean {
  return [from, to].every((end) => {
    const pattern = parsePath(pathWithin(scope, end));
    return devices.some(({ path }) => matchesPrefix(pattern, parsePath(path)));
  });
}

/** A hop over the widest link that joins two places directly. */
function direct(a: Place, b: Place, links: readonly ParsedLink[]): Hop | undefined {
  let best: { readonly link: Link; readonly bandwidth: number } | undefined;
  for (const candidate of links) {
    const { link } = candidate;
    const widest = Math.max(link.bandwidth, link.bandwidthBack ?? 0);
    if (best !== undefined && widest <= best.bandwidth) continue;
    const bandwidth = bandwidthOf(candidate, a, b);
    if (bandwidth !== undefined && (best === undefined || bandwidth > best.bandwidth))
      best = { link, bandwidth };
  }
  return best && { ...best, from: a.path, to: b.path };
}

/** Bytes per second from one place to another over a link; undefined where it does not join them. */
function bandwidthOf(link: ParsedLink, a: Place, b: Place): number | undefined {
  const { bandwidth, bandwidthBack } = link.link;
  const depth = link.scope.length;
  if (!matchesPrefix(link.scope, a.parts) || !matchesPrefix(link.scope, b.parts)) return undefined;
  for (let i = 0; i < depth; i++) if (a.parts[i]!.first !== b.parts[i]!.first) return undefined;
  if (reaches(link, a, b, depth)) return bandwidth;
  return reaches(link, b, a, depth) ? (bandwidthBack ?? bandwidth) : undefined;
}

/** `a` stands at the `from` end and `b` at the `to` end, and the ends are different instances. */
function reaches(link: ParsedLink, a: Place, b: Place, depth: number): boolean {
  const [pa, pb] = [a.parts.slice(depth), b.parts.slice(depth)];
  if (!matchesPrefix(link.from, pa) || !matchesPrefix(link.to, pb)) return false;
  if ((a.disk && link.from.length < pa.length) || (b.disk && link.to.length < pb.length)) return false;
  return !sameParts(pa.slice(0, link.from.length), pb.slice(0, link.to.length));
}

function sameParts(a: readonly PathPart[], b: readonly PathPart[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ name, first, last }, i) => {
      const other = b[i]!;
      return name === other.name && first === other.first && last === other.last;
    })
  );
}

/** Looks in the smallest group around both ends first, then in those around it. */
function search(
  start: Place | undefined,
  goal: Place | undefined,
  places: readonly Place[],
  links: readonly ParsedLink[],
): Route | undefined {
  if (!start || !goal) return undefined;
  if (start === goal) return { hops: [], bandwidth: Infinity, latency: 0 };
  const straight = direct(start, goal, links);
  if (straight) return toRoute([straight]);
  let depth = 0;
  while (depth < start.parts.length - 1 && samePart(start, goal, depth)) depth++;
  for (; depth >= 0; depth--) {
    const group = start.parts.slice(0, depth);
    const inside = places.filter((place) => matchesPrefix(group, place.parts));
    const found = searchAmong(start, goal, inside, links);
    if (found) return found;
  }
  return undefined;
}

const samePart = (a: Place, b: Place, at: number): boolean =>
  a.parts[at]!.name === b.parts[at]?.name && a.parts[at]!.first === b.parts[at].first;

/** Breadth first; of a level, places are settled from the widest link down. */
function searchAmong(
  start: Place,
  goal: Place,
  places: readonly Place[],
  links: readonly ParsedLink[],
): Route | undefined {
  let frontier: { readonly place: Place; readonly hops: readonly Hop[] }[] = [{ place: start, hops: [] }];
  const seen = new Set([start]);
  while (frontier.length > 0) {
    const level = new Map<Place, readonly Hop[]>();
    const reach = (next: Place, { place, hops }: (typeof frontier)[number]): void => {
      const hop = direct(place, next, links);
      if (!hop) return;
      const reached = [...hops, hop];
      const rival = level.get(next);
      if (!rival || narrowest(reached) > narrowest(rival)) level.set(next, reached);
    };
    // The goal first: where it is near, the rest of the level, which may be all of a pod, does not matter.
    for (const each of frontier) reach(goal, each);
    const done = level.get(goal);
    if (done) return toRoute(done);
    for (const each of frontier) for (const next of places) if (!seen.has(next)) reach(next, each);
    for (const place of level.keys()) seen.add(place);
    frontier = [...level].map(([place, hops]) => ({ place, hops }));
  }
  return undefined;
}

const narrowest = (hops: readonly Hop[]): number => Math.min(...hops.map((h) => h.bandwidth));

function toRoute(hops: readonly Hop[]): Route {
  const [only] = hops;
  if (hops.length === 1) return { hops, bandwidth: only!.bandwidth, latency: only!.link.latency };
  return { hops, bandwidth: narrowest(hops), latency: hops.reduce((s, h) => s + h.link.latency, 0) };
}

/** The instance of tier `name` that a place in `group` uses: the one in the nearest enclosing group. */
export function tierFor({ tiers }: Topology, group: string, name: string): Tier | undefined {
  const byGroup = tiersByName(tiers).get(name);
  if (byGroup === undefined) return undefined;
  for (let around = group; ; around = around.slice(0, Math.max(0, around.lastIndexOf('.')))) {
    const tier = byGroup.get(around);
    if (tier !== undefined || around === '') return tier;
  }
}

/** The path of the instance of a tier that each device uses, if there is one; looked up once for a group, of which there are fewer. */
export function tierBeside(
  topology: Topology,
  name: string | undefined,
): (device: number) => string | undefined {
  const pathOf = once((group: string) =>
    name === undefined ? undefined : tierFor(topology, group, name)?.path,
  );
  return (device) => pathOf(topology.devices[device]!.group);
}

/** The tiers of a name that devices in some groups use, each once. */
export function tiersFor(topology: Topology, groups: Iterable<string>, name: string): readonly Tier[] {
  return [...new Set([...new Set(groups)].flatMap((group) => tierFor(topology, group, name) ?? []))];
}

/** By the groups they stand in: a pod has a tier or two per node, and each of its devices is asked for. */
const tiersByName = onceForObject((tiers: Topology['tiers']) => {
  const byName = groupBy(tiers, ({ name }) => name);
  return new Map(
    [...byName].map(([name, named]) => [name, new Map(named.map((tier) => [tier.group, tier]))]),
  );
});
