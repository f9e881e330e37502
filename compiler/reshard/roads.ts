/**
 * The declared links as roads with lanes: what a transfer occupies, and for how long.
 *
 * A link works in both directions at once. Every place it joins has a lane of its own in each direction: eight devices
 * with a link to the host can all be filled at full rate, a device that sends to two others shares its outgoing lane
 * between them. Host memory is wider than any link to it and has no lane; a group of devices has one where the link
 * is declared between groups. A device's own memory is a lane for copies inside it.
 */
import { once } from '../once.js';
import { matchesPrefix, parsePath, printPath } from '../plan/places.js';
import type { Link, Topology } from '../plan/plan.js';
import { routesOf, type Hop, type Routes } from '../plan/routes.js';

/** One direction of a link at one place. */
export interface Lane {
  /** `gpu <-> host`; `gpu memory` for copies inside a device. */
  readonly link: string;
  /** Where the lane is: `gpu[3]`, `node[2]`. */
  readonly place: string;
  readonly direction: 'in' | 'out' | 'within';
  /** The ends of the link, in the direction of what the lane carries: `gpu`, `host`. The same where they are alike. */
  readonly from: string;
  readonly to: string;
  /** Bytes per second; of a lane `within`, bytes copied. */
  readonly bandwidth: number;
  /** Of weights, where the link declares that. */
  readonly weights?: number;
  /** Seconds. */
  readonly latency: number;
}

/** One link on the way, as it is reported: whose instances are counted together. */
export interface RoadHop {
  readonly link: string;
  /** `host`, `gpu`, `node`. */
  readonly from: string;
  readonly to: string;
  /** Indices into `Roads.lanes`. */
  readonly lanes: readonly number[];
}

/** A way between two places. More than one hop means staging: every byte is moved once per hop. */
export interface Road {
  readonly hops: readonly RoadHop[];
  /** Lanes of all hops; indices into `Roads.lanes`. */
  readonly lanes: readonly number[];
  /** Bytes per second of the narrowest hop. */
  readonly bandwidth: number;
  /** Of weights, where some link on the way declares that. */
  readonly weights?: number;
  /** Seconds over all hops. */
  readonly latency: number;
}

export interface Roads {
  readonly topology: Topology;
  /** What the roads lead over. */
  readonly routes: Routes;
  /** All lanes met so far; grows as roads are asked for. */
  readonly lanes: readonly Lane[];
  /** What tells a lane from others at its place: its link and direction, as text. */
  readonly laneKind: (lane: number) => string;
  /** The road with fewest hops; a place's road to itself is a copy inside it, where it is a device. */
  readonly between: (from: string, to: string) => Road | undefined;
  /** The same for devices by number. */
  readonly betweenDevices: (from: number, to: number) => Road | undefined;
}

/** Prepares a topology for questions about roads. */
export function roadsOf(topology: Topology): Roads {
  const routes = routesOf(topology);
  const hosts = new Set(topology.tiers.filter((tier) => tier.medium === 'host').map((tier) => tier.path));
  const devices = new Map(topology.devices.map((device) => [device.path, device]));
  const lanes: Lane[] = [];
  const laneIds = new Map<string, number>();
  const laneKinds: string[] = [];
  const known = new Map<string, Road | undefined>();
  const [parse, nameOf, arrayOf] = [once(parsePath), once(linkName), once(arrayName)];

  const lane = (kind: string, place: string, make: () => Omit<Lane, 'place'>): number => {
    const key = `${kind} ${place}`;
    let id = laneIds.get(key);
    if (id === undefined) {
      laneIds.set(key, (id = lanes.length));
      lanes.push({ ...make(), place });
      laneKinds.push(kind);
    }
    return id;
  };
  const linkLane = ({ link, bandwidth }: Hop, ends: LaneEnds, direction: 'in' | 'out'): number =>
    lane(`${topology.links.indexOf(link)} ${direction}`, direction === 'out' ? ends.from : ends.to, () => ({
      link: nameOf(link),
      direction,
      from: arrayOf(ends.from),
      to: arrayOf(ends.to),
      bandwidth,
      ...(link.weights !== undefined && { weights: link.weights }),
      latency: link.latency,
    }));
  const hopOf = (hop: Hop): RoadHop => {
    const ends = endsOf(hop, parse);
    const { from, to } = ends;
    const all = [
      ...(hosts.has(from) ? [] : [linkLane(hop, ends, 'out')]),
      ...(hosts.has(to) ? [] : [linkLane(hop, ends, 'in')]),
    ];
    return {
      link: nameOf(hop.link),
      from: arrayOf(from),
      to: arrayOf(to),
      lanes: all.length > 0 ? all : [linkLane(hop, ends, 'out')],
    };
  };
  const within = (path: string): Road | undefined => {
    const device = devices.get(path);
    if (!device) return undefined;
    const name = arrayName(path);
    // A copy reads and writes every byte.
    const bandwidth = (device.kind.bandwidth * device.kind.sustained.bandwidth) / 2;
    const link = `${name} memory`;
    const ends = { from: name, to: name };
    const id = lane('within', path, () => ({
      link,
      direction: 'within',
      ...ends,
      bandwidth,
      latency: 0,
    }));
    return { hops: [{ link, ...ends, lanes: [id] }], lanes: [id], bandwidth, latency: 0 };
  };
  const build = (from: string, to: string): Road | undefined => {
    if (from === to) return within(from);
    const route = routes.find(from, to);
    if (!route) return undefined;
    const hops = route.hops.map(hopOf);
    const { bandwidth, latency } = route;
    const lanes = hops.flatMap((hop) => hop.lanes);
    if (route.hops.every(({ link }) => link.weights === undefined))
      return { hops, lanes, bandwidth, latency };
    const weights = Math.min(...route.hops.map((hop) => hop.link.weights ?? hop.bandwidth));
    return { hops, lanes, bandwidth, weights, latency };
  };
  const between = (from: string, to: string): Road | undefined => {
    const key = `${from} ${to}`;
    if (!known.has(key)) known.set(key, build(from, to));
    return known.get(key);
  };
  // Asked for every piece that moves: numbers are found faster than paths.
  const byDevice = new Map<number, Map<number, Road | undefined>>();
  const betweenDevices = (from: number, to: number): Road | undefined => {
    let there = byDevice.get(to);
    if (there === undefined) byDevice.set(to, (there = new Map<number, Road | undefined>()));
    if (!there.has(from)) there.set(from, build(topology.devices[from]!.path, topology.devices[to]!.path));
    return there.get(from);
  };
  return { topology, routes, lanes, laneKind: (id) => laneKinds[id]!, between, betweenDevices };
}

/** `gpu <-> host`, with its scope where it has one: `node[*]: gpu <-> host`. */
export function linkName({ scope, from, to }: Link): string {
  return `${scope === '' ? '' : `${scope}: `}${from} <-> ${to}`;
}

/** Places that a link joins, in the direction of the traffic. */
interface LaneEnds {
  readonly from: string;
  readonly to: string;
}

/** The instances that a hop's link joins: `node[3]` for a device of node 3 where the link is between nodes. */
function endsOf({ link, from, to }: Hop, parse: typeof parsePath): LaneEnds {
  const depth = parse(link.scope).length;
  const [a, b] = [parse(link.from), parse(link.to)];
  const [start, end] = [parse(from), parse(to)];
  const forth = matchesPrefix(a, start.slice(depth)) && matchesPrefix(b, end.slice(depth));
  const [near, far] = forth ? [a, b] : [b, a];
  const upTo = (path: string, parts: ReturnType<typeof parse>, count: number): string =>
    parts.length <= count ? path : printPath(parts.slice(0, count));
  return { from: upTo(from, start, depth + near.length), to: upTo(to, end, depth + far.length) };
}

/** `gpu` of `node[2].gpu[5]`: what ends of a link are called. */
export function arrayName(path: string): string {
  return parsePath(path).at(-1)!.name;
}
