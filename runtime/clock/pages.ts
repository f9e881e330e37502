/**
 * KV pages on the clock: every rank of a pool moves its slice between its device and the host tier beside it. With one
 * queue per device a move also keeps kernels waiting; with copy engines it does not.
 *
 * A move out is done when the pages are with the host. A move in is done for the host when it has written them to where the
 * device's queue takes them from: what is given to the device from then on finds them, whenever the queue gets there. It
 * gets ahead of the device by no more than the pace of writes allows. Moves that are asked for at the same moment go
 * together, in chunks of which each arrives as a whole.
 */
import type { KvPool, RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { tierFor } from '../../compiler/plan/routes.js';
import type { Road } from '../../compiler/reshard/roads.js';
import { groupHosts } from './group-hosts.js';
import { chunkPages, WINDOW_BYTES } from '../kv/move-sizes.js';
import { pageOwners } from '../kv/page-owners.js';
import type { ClockDevices } from './devices.js';
import type { Lanes } from './lanes.js';
import type { VirtualClock } from './virtual-clock.js';

/** Bytes that the host writes ahead of a device: up to two windows. */
const MOST_AHEAD = 2 * WINDOW_BYTES;

export interface PageMove {
  readonly pool: string;
  readonly replica: number;
  readonly pages: number;
  readonly direction: 'out' | 'in';
}

export interface PageSpan {
  readonly device: number;
  /** When its part of a joint move began, and when the last byte of it was there. */
  readonly start: number;
  readonly end: number;
  /** When the host was done with it. */
  readonly answered: number;
  readonly bytes: number;
}

/** Pages between the host tier and the disk tier. */
export interface SpillMove {
  readonly pages: number;
  readonly direction: 'spill' | 'fetch';
}

export interface ClockPages {
  /** Moves whole pages between host and disk from a time on; says when the last byte is there and how many went. */
  readonly spill: (move: SpillMove, ready: number) => { readonly end: number; readonly bytes: number };
  /** Moves pages; tells of each rank that begins, calls back when all are done, and returns how many bytes that moves. */
  readonly move: (move: PageMove, onSpan: (span: PageSpan) => void, done: () => void) => number;
}

export function clockPages(
  graph: RuntimeGraph,
  plan: Plan,
  lanes: Lanes,
  devices: ClockDevices,
  clock: VirtualClock,
  copyEngines: boolean,
): ClockPages {
  const { topology } = plan;
  const { roads } = lanes;
  const tier = graph.hostTier?.name;
  const hostOf = groupHosts(topology, (group) =>
    tier === undefined ? undefined : tierFor(topology, group, tier),
  );
  const movers = new Map(
    graph.pools.map((pool) => {
      const road = (device: number, direction: PageMove['direction']): Road | undefined => {
        const [own, host] = [topology.devices[device]!.path, hostOf(device)];
        if (host === undefined) return undefined;
        return direction === 'out' ? roads.between(own, host) : roads.between(host, own);
      };
      return [pool.id, { out: moversOf(pool, 'out', road), in: moversOf(pool, 'in', road) }] as const;
    }),
  );
  /** Bytes by device that the host has written, or is about to, and that are not there yet. */
  const written: number[] = [];
  /** Moves what a rank has been asked for at this moment: together, as on devices. */
  const start = (mover: PoolMover, direction: PageMove['direction']): void => {
    const { device, pageBytes, chunkPages, road } = mover;
    const asked = mover.asked.splice(0);
    const all = asked.reduce((sum, { pages }) => sum + pages, 0);
    const ahead = direction === 'in' && !copyEngines;
    if (ahead) written[device] = (written[device] ?? 0) + all * pageBytes;
    const mostAhead = ahead ? MOST_AHEAD / pageBytes : 0;
    const atOnce = ahead && written[device]! <= MOST_AHEAD;
    const now = clock.now();
    const travel = (over: () => void): number => {
      const begun = clock.now();
      const { end } = lanes.transfer(road, all * pageBytes, begun);
      const when = (pages: number): number => (pages < all ? begun + (pages / all) * (end - begun) : end);
      const last: Asked[] = [];
      let moved = 0;
      for (const each of asked) {
        const first = moved;
        moved += each.pages;
        const chunks = Math.ceil(moved / chunkPages) * chunkPages;
        const answered = atOnce ? now : when(Math.max(0, chunks - mostAhead));
        const bytes = each.pages * pageBytes;
        each.onSpan({ device, start: when(first), end: when(moved), answered, bytes });
        if (atOnce) continue;
        if (answered === end) last.push(each);
        else clock.at(answered, each.answer);
      }
      clock.at(end, () => {
        if (ahead) written[device]! -= all * pageBytes;
        over();
        for (const { answer } of last) answer();
      });
      return end;
    };
    if (copyEngines) travel(() => undefined);
    else devices.movePages(device, travel);
    if (atOnce) for (const { answer } of asked) answer();
  };
  // Where every node has tiers of its own, those of the first stand for all.
  const [hostPath, diskPath] = [graph.hostTier?.name, graph.diskTier?.name].map((name) => {
    const { group } = topology.devices[graph.devices[0]!.id]!;
    return name === undefined ? undefined : tierFor(topology, group, name)?.path;
  });
  return {
    spill({ pages, direction }, ready) {
      const bytes = pages * (graph.hostTier?.pageBytes ?? 0);
      const [from, to] = direction === 'spill' ? [hostPath, diskPath] : [diskPath, hostPath];
      const road = roads.between(from!, to!);
      return { end: road === undefined ? ready : lanes.transfer(road, bytes, ready).end, bytes };
    },
    move({ pool, replica, pages, direction }, onSpan, done) {
      const moving = movers.get(pool)![direction].get(replica) ?? [];
      let left = moving.length;
      const answer = (): void => {
        if (--left === 0) done();
      };
      if (left === 0) clock.at(clock.now(), done);
      for (const mover of moving) {
        if (mover.asked.length === 0) clock.at(clock.now(), () => start(mover, direction));
        mover.asked.push({ pages, onSpan, answer });
      }
      return moving.reduce((sum, { pageBytes }) => sum + pages * pageBytes, 0);
    },
  };
}

/** A part of a move that one rank has. */
interface Asked {
  readonly pages: number;
  readonly onSpan: (span: PageSpan) => void;
  readonly answer: () => void;
}

/** A rank of a pool that moves its part of pages. */
interface PoolMover {
  readonly device: number;
  readonly pageBytes: number;
  /** Pages that arrive together, however many are asked for. */
  readonly chunkPages: number;
  readonly asked: Asked[];
  readonly road: Road;
}

/** The ranks of every replica that take part in moves of this direction: of those with the same heads one goes out. */
function moversOf(
  pool: KvPool,
  direction: PageMove['direction'],
  roadOf: (device: number, direction: PageMove['direction']) => Road | undefined,
): ReadonlyMap<number, readonly PoolMover[]> {
  const result = new Map<number, PoolMover[]>();
  const owners = pageOwners(pool);
  for (const rank of pool.ranks) {
    const road = roadOf(rank.device, direction);
    if (road === undefined || (direction === 'out' && !owners.has(rank))) continue;
    const movers = result.get(rank.dp) ?? [];
    const { device, pageBytes } = rank;
    movers.push({
      device,
      pageBytes,
      chunkPages: Math.min(pool.pages, chunkPages(pageBytes)),
      asked: [],
      road,
    });
    result.set(rank.dp, movers);
  }
  return result;
}
