/**
 * Chooses for every load one of its roads so that the last lane is done as early as possible.
 *
 * State: bytes on every lane. A lane is done after its latency and its bytes over its bandwidth; the plan is done when
 * its last lane is. Longest loads first, each takes the road whose lanes would be done first; then loads leave the
 * last lane for other roads as long as that helps. Few loads are decided exactly, by trying every combination that can
 * still beat the best one found: the longest load first, which is where most combinations turn out to be too late.
 */
import { groupBy } from '../group-by.js';
import type { Lane, Road } from './roads.js';

/** Bytes that must travel one of several roads whole. */
export interface Load {
  readonly bytes: number;
  /** At least one, cheapest to explain first: of equally good roads the first is taken. */
  readonly roads: readonly Road[];
}

/** A load with the place that it goes to. */
export interface PlacedLoad extends Load {
  readonly destination: number;
  /** How many loads there are like it, each with places and lanes of its own; one unless said. */
  readonly times?: number;
}

export interface Balance {
  /** By load: index into its roads. */
  readonly picks: readonly number[];
  /** By lane. */
  readonly bytes: readonly number[];
  /** When the last lane is done. */
  readonly seconds: number;
}

/** Loads up to which every combination is considered; their number of roads does not matter. */
const EXACT_LOADS = 12;

/** Choices after which the search settles for the best found: about a tenth of a second. */
const MOST_CHOICES = 200_000;

/** `bound`: seconds that no choice can beat; one that takes no longer is not searched on. */
export function balance(loads: readonly Load[], lanes: readonly Lane[], bound = 0): Balance {
  const start = summarise(improve(greedy(loads, lanes), loads, lanes), loads, lanes);
  if (start.seconds <= bound || loads.length > EXACT_LOADS) return start;
  return summarise(searchAll(start, loads, lanes, bound), loads, lanes);
}

/** Seconds until a lane with these bytes is done. */
export function laneSeconds(lane: Lane, bytes: number): number {
  return bytes === 0 ? 0 : lane.latency + bytes / lane.bandwidth;
}

/**
 * Seconds that no choice of roads can beat: some lane that a load cannot avoid, or all lanes that lead to one place,
 * or all that lead out of the sources, have at least so much to carry. `destination` groups loads by place.
 */
export function boundSeconds(loads: readonly PlacedLoad[], lanes: readonly Lane[]): number {
  const forced = lanes.map(() => 0);
  const arriving = new Map<number, Gate>();
  const leaving: Gate = { bytes: 0, lanes: new Map() };
  for (const { bytes, roads, destination, times = 1 } of joinedLoads(loads)) {
    for (const lane of new Set(roads[0]!.lanes))
      if (roads.every((road) => road.lanes.includes(lane))) forced[lane]! += bytes;
    // A copy inside a device takes no lane from what arrives.
    if (lanes[roads[0]!.lanes[0]!]!.direction === 'within') continue;
    const gate = arriving.get(destination) ?? { bytes: 0, lanes: new Map<number, number>() };
    arriving.set(destination, gate);
    gate.bytes += bytes;
    leaving.bytes += times * bytes;
    for (const road of roads) {
      gate.lanes.set(road.lanes.at(-1)!, 1);
      leaving.lanes.set(road.lanes[0]!, times);
    }
  }
  const gateSeconds = (gate: Gate): number => {
    let latency = Infinity;
    let bandwidth = 0;
    for (const [id, times] of gate.lanes) {
      latency = Math.min(latency, lanes[id]!.latency);
      bandwidth += times * lanes[id]!.bandwidth;
    }
    return latency + gate.bytes / bandwidth;
  };
  let bound = 0;
  lanes.forEach((lane, id) => (bound = Math.max(bound, laneSeconds(lane, forced[id]!))));
  for (const gate of [...arriving.values(), leaving])
    if (gate.bytes > 0) bound = Math.max(bound, gateSeconds(gate));
  return bound;
}

/** Loads by place and choice of roads: most have theirs in common with others. */
function joinedLoads(loads: readonly PlacedLoad[]): readonly PlacedLoad[] {
  const all: (PlacedLoad & { bytes: number })[] = [];
  const byRoads = new Map<readonly Road[], (PlacedLoad & { bytes: number })[]>();
  for (const { bytes, roads, destination, times } of loads) {
    let alike = byRoads.get(roads);
    if (alike === undefined) byRoads.set(roads, (alike = []));
    const same = alike.find((load) => load.destination === destination);
    if (same) {
      same.bytes += bytes;
      continue;
    }
    const load = { bytes, roads, destination, times };
    alike.push(load);
    all.push(load);
  }
  return all;
}

interface Gate {
  bytes: number;
  /** How many there are like each, itself included. */
  readonly lanes: Map<number, number>;
}

function greedy(loads: readonly Load[], lanes: readonly Lane[]): number[] {
  const bytes = lanes.map(() => 0);
  const picks = loads.map(() => 0);
  for (const index of longestFirst(loads)) {
    const load = loads[index]!;
    let best = Infinity;
    for (let pick = 0; pick < load.roads.length; pick++) {
      const done = doneWith(load.roads[pick]!, load.bytes, bytes, lanes);
      if (done >= best) continue;
      best = done;
      picks[index] = pick;
    }
    put(load.roads[picks[index]!]!, load.bytes, bytes);
  }
  return picks;
}

/** When the last lane of a road would be done with this many bytes more. */
function doneWith(road: Road, more: number, bytes: readonly number[], lanes: readonly Lane[]): number {
  let last = 0;
  for (const lane of road.lanes) last = Math.max(last, laneSeconds(lanes[lane]!, bytes[lane]! + more));
  return last;
}

function put(road: Road, more: number, bytes: number[]): void {
  for (const lane of road.lanes) bytes[lane]! += more;
}

/**
 * Takes loads off the last lane, best relief first, until none can leave without making another lane as late. Loads
 * that are alike (the layers of a model) on the same road are looked at once.
 */
function improve(start: readonly number[], loads: readonly Load[], lanes: readonly Lane[]): number[] {
  const picks = [...start];
  const bytes = laneBytes(picks, loads, lanes);
  const choices = new Set(loads.map((load) => load.roads));
  const used = [...new Set([...choices].flatMap((choice) => choice.flatMap((road) => road.lanes)))];
  const crowds = alike(loads).map((members) => {
    const { roads } = loads[members[0]!]!;
    return roads.map((_, pick) => members.filter((index) => picks[index] === pick));
  });
  for (let round = 0; round < 4 * used.length; round++) {
    const last = lastLane(used, bytes, lanes);
    const now = laneSeconds(lanes[last]!, bytes[last]!);
    let relief: Relief | undefined;
    for (const byPick of crowds)
      byPick.forEach((members, leaves) => {
        const [index] = members;
        if (index === undefined) return;
        const load = loads[index]!;
        if (!load.roads[leaves]!.lanes.includes(last)) return;
        put(load.roads[leaves]!, -load.bytes, bytes);
        load.roads.forEach((road, pick) => {
          if (road.lanes.includes(last)) return;
          const done = doneWith(road, load.bytes, bytes, lanes);
          if (done < now && isBefore({ index, done }, relief)) relief = { byPick, leaves, index, pick, done };
        });
        put(load.roads[leaves]!, load.bytes, bytes);
      });
    if (!relief) break;
    const { byPick, leaves, index, pick } = relief;
    const load = loads[index]!;
    put(load.roads[leaves]!, -load.bytes, bytes);
    put(load.roads[pick]!, load.bytes, bytes);
    picks[index] = pick;
    byPick[leaves]!.shift();
    byPick[pick] = [...byPick[pick]!, index].sort((a, b) => a - b);
  }
  return picks;
}

interface Relief {
  /** Loads that are alike, by pick, ascending. */
  readonly byPick: number[][];
  readonly leaves: number;
  readonly index: number;
  readonly pick: number;
  readonly done: number;
}

/** Whether a relief is better; of equally good ones that of the first load is. */
function isBefore(a: Pick<Relief, 'index' | 'done'>, b: Pick<Relief, 'index' | 'done'> | undefined): boolean {
  return b === undefined || a.done < b.done || (a.done === b.done && a.index < b.index);
}

/** Indices of loads by bytes and choice of roads. */
function alike(loads: readonly Load[]): readonly (readonly number[])[] {
  const byRoads = groupBy(loads.keys(), (index) => loads[index]!.roads);
  return [...byRoads.values()].flatMap((members) => [
    ...groupBy(members, (index) => loads[index]!.bytes).values(),
  ]);
}

function lastLane(used: readonly number[], bytes: readonly number[], lanes: readonly Lane[]): number {
  return used.reduce((last, lane) =>
    laneSeconds(lanes[lane]!, bytes[lane]!) > laneSeconds(lanes[last]!, bytes[last]!) ? lane : last,
  );
}

function longestFirst(loads: readonly Load[]): readonly number[] {
  return loads.map((_, index) => index).sort((a, b) => loads[b]!.bytes - loads[a]!.bytes || a - b);
}

/** Depth first over all combinations, leaving those that are already as late as the best. */
function searchAll(
  start: Balance,
  loads: readonly Load[],
  lanes: readonly Lane[],
  bound: number,
): readonly number[] {
  let best = start.picks;
  let bestSeconds = start.seconds;
  let choices = 0;
  const bytes = lanes.map(() => 0);
  const picks = loads.map(() => 0);
  const order = longestFirst(loads);
  const decide = (depth: number, seconds: number): void => {
    const index = order[depth];
    if (index === undefined) {
      best = [...picks];
      bestSeconds = seconds;
      return;
    }
    const load = loads[index]!;
    load.roads.forEach((road, pick) => {
      if (bestSeconds <= bound || ++choices > MOST_CHOICES) return;
      const done = Math.max(seconds, doneWith(road, load.bytes, bytes, lanes));
      if (done >= bestSeconds) return;
      picks[index] = pick;
      put(road, load.bytes, bytes);
      decide(depth + 1, done);
      put(road, -load.bytes, bytes);
    });
  };
  decide(0, 0);
  return best;
}

function laneBytes(picks: readonly number[], loads: readonly Load[], lanes: readonly Lane[]): number[] {
  const bytes = lanes.map(() => 0);
  loads.forEach((load, index) => put(load.roads[picks[index]!]!, load.bytes, bytes));
  return bytes;
}

function summarise(picks: readonly number[], loads: readonly Load[], lanes: readonly Lane[]): Balance {
  const bytes = laneBytes(picks, loads, lanes);
  const seconds = lanes.reduce((last, lane, id) => Math.max(last, laneSeconds(lane, bytes[id]!)), 0);
  return { picks, bytes, seconds };
}
