/**
 * KV pages on the clock: every rank of a pool moves its slice between its device and the host tier beside it. With one
 * queue per device a move also keeps kernels waiting; with copy engines it does not. What lies with the host of another node
 * comes from there first, once it is asked for (`page-homes.ts`).
 *
 * A move out is done when the pages are with the host. A move in is done for the host when it has written them to where the
 * device's queue takes them from: what is given to the device from then on finds them, whenever the queue gets there. Moves
 * that are asked for at the same moment go together. How they get into the queue is in `page-turns.ts`.
 */
import type { KvPool, RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { diskForPages } from '../../compiler/passes/kv-places.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { tierBeside } from '../../compiler/plan/routes.js';
import type { Road } from '../../compiler/reshard/roads.js';
import { once } from '../../compiler/once.js';
import type { Host } from '../../compiler/cost/host-queue.js';
import { readsBesideSteps } from '../kv/move-sizes.js';
import { chunkPages, moveBytesByDevice } from '../../compiler/ir/page-packing.js';
import {
  hostShares,
  hostTraffic,
  pageOwners,
  type PageSlice,
  type SliceMovers,
} from '../../compiler/ir/page-slices.js';
import type { HostOf } from './hosts.js';
import type { PageHomes } from './page-homes.js';
import { createPageTurns, type PageTurns, type TurnsContext } from './page-turns.js';

/** A move of KV pages of one replica between its devices and the host tier. */
export interface PageMove {
  readonly pool: string;
  readonly replica: number;
  readonly hostPages: readonly number[];
  readonly direction: 'out' | 'in';
}

/** The part of one rank in a move, with which the host is done now. */
export interface PageAnswer {
  readonly device: number;
  readonly bytes: number;
}

/** Pages of a rank on their way over a link. */
export interface CarriedPages {
  readonly pool: string;
  readonly direction: PageMove['direction'];
  readonly device: number;
  readonly start: number;
  readonly end: number;
  readonly pages: number;
  readonly bytes: number;
}

/** A move of pages between the host tier and the disk tier. */
export interface SpillMove {
  readonly hostPages: readonly number[];
  readonly diskPages: readonly number[];
  readonly direction: 'spill' | 'fetch';
}

/** Moves the KV pages of a simulation. */
export interface ClockPages {
  /**
   * Moves whole pages between host and disk from a time on; says when the first byte leaves and the last is there, and
   * how many bytes were moved.
   *
   * @param homes of the pages of the scheduler that asks for it
   */
  readonly spill: (
    move: SpillMove,
    homes: PageHomes,
    ready: number,
  ) => { readonly start: number; readonly end: number; readonly bytes: number };
  /**
   * Moves pages; tells of each rank that is done, calls back when all are, and returns how many bytes that moves.
   *
   * @param homes as above
   */
  readonly move: (
    move: PageMove,
    homes: PageHomes,
    onAnswer: (answer: PageAnswer) => void,
    done: () => void,
  ) => number;
  /** Seconds of its queue that a device has had for moves, as in `PageTurns`. */
  readonly seconds: (device: number) => number;
}

/** What page moves share with everything else on the clock. */
export interface PagesContext extends Omit<TurnsContext, 'readsBesideSteps' | 'afterSteps'> {
  readonly hostOf: HostOf;
  readonly onCarried: (carried: CarriedPages) => void;
}

/** Moves of the pools of a graph, with none under way. */
export function clockPages(graph: RuntimeGraph, plan: Plan, context: PagesContext): ClockPages {
  const { topology } = plan;
  const { clock, lanes } = context;
  const { roads } = lanes;
  const stageOf = new Map(graph.pools.map(({ id, stages }) => [id, stages[0]!]));
  const hostOf = tierBeside(topology, graph.hostTier?.name);
  const moversOfPools = new Map(
    graph.pools.map((pool) => {
      const road = (device: number, direction: PageMove['direction']): Road | undefined => {
        const [own, host] = [topology.devices[device]!.path, hostOf(device)];
        if (host === undefined) return undefined;
        return direction === 'out' ? roads.between(own, host) : roads.between(host, own);
      };
      return [pool.id, { out: moversOf(pool, 'out', road), in: moversOf(pool, 'in', road) }] as const;
    }),
  );
  const moves = moveBytesByDevice(graph.pools);
  const turns: PageTurns[] = [];
  /** Moves of the replicas of one host: what it goes on with waits for the steps that it prepares. */
  const turnsOf = once((host: Host) => {
    const own = createPageTurns({
      ...context,
      afterSteps: (go) => clock.behind(Math.max(clock.now(), host.prepared), go),
      readsBesideSteps: (device) => readsBesideSteps(moves.get(device)!.chunk),
    });
    turns.push(own);
    return own;
  });
  /** Moves what ranks have been asked for at this moment: together, as on devices. */
  const start = (pool: string, movers: PoolMovers, direction: PageMove['direction'], host: Host): void => {
    const queue = turnsOf(host)[direction];
    const asked = movers.asked.splice(0);
    let pages = 0;
    const parts = asked.map((each) => (pages += each.pages));
    for (const { device, pageBytes, chunkPages, road } of movers.ranks) {
      let next = 0;
      queue({
        device,
        road,
        pageBytes,
        chunkPages,
        pages,
        parts,
        carried: (span, some) =>
          context.onCarried({ pool, direction, device, ...span, pages: some, bytes: some * pageBytes }),
        gone(upTo, timeOf) {
          for (; next < asked.length && parts[next]! <= upTo; next++) {
            const { pages: own, answer } = asked[next]!;
            const time = timeOf(parts[next]!);
            const tell = (): void => answer({ device, bytes: own * pageBytes });
            if (time > clock.now()) clock.at(time, tell);
            else tell();
          }
        },
      });
    }
  };
  const diskOf = diskForPages(plan, graph.diskTier?.name);
  const traffic = hostTraffic(hostOf);
  const sharesOf = once((writer: SliceMovers) => hostShares(writer, hostOf));
  /** When all that a replica takes in is with the hosts beside its ranks. */
  const gathered = (hostPages: readonly number[], homes: PageHomes, reader: PoolMovers): number => {
    let end = clock.now();
    for (const [writer, pages] of homes.writers(hostPages))
      for (const { from, to, pageBytes } of traffic(writer, reader)) {
        const road = roads.between(from, to);
        if (road !== undefined) end = Math.max(end, lanes.send(road, pages * pageBytes, clock.now()));
      }
    return end;
  };
  return {
    spill({ hostPages, diskPages, direction }, homes, ready) {
      if (direction === 'fetch') homes.fetch(diskPages, hostPages);
      else homes.spill(hostPages, diskPages);
      const pageBytes = graph.hostTier?.pageBytes ?? 0;
      let [start, end] = [Infinity, ready];
      for (const [writer, pages] of homes.writers(hostPages))
        for (const { device, part } of sharesOf(writer)) {
          const [host, disk] = [hostOf(device)!, diskOf(device)!];
          const road = direction === 'spill' ? roads.between(host, disk) : roads.between(disk, host);
          if (road === undefined) continue;
          const travel = lanes.transfer(road, pages * pageBytes * part, ready);
          start = Math.min(start, travel.start);
          end = Math.max(end, travel.end);
        }
      return { start: Math.min(start, end), end, bytes: hostPages.length * pageBytes };
    },
    move({ pool, replica, hostPages, direction }, homes, onAnswer, done) {
      const pages = hostPages.length;
      const movers = pages === 0 ? undefined : moversOfPools.get(pool)![direction].get(replica);
      if (movers === undefined) {
        clock.at(clock.now(), done);
        return 0;
      }
      let left = movers.ranks.length;
      const asked: Asked = {
        pages,
        answer(each) {
          onAnswer(each);
          if (--left === 0) done();
        },
      };
      const ask = (): void => {
        const host = context.hostOf(stageOf.get(pool)!, replica);
        if (movers.asked.length === 0) clock.at(clock.now(), () => start(pool, movers, direction, host));
        movers.asked.push(asked);
      };
      if (direction === 'out') homes.put(hostPages, movers);
      const there = direction === 'out' ? clock.now() : gathered(hostPages, homes, movers);
      if (there > clock.now()) clock.at(there, ask);
      else ask();
      return movers.ranks.reduce((sum, { pageBytes }) => sum + pages * pageBytes, 0);
    },
    seconds: (device) => turns.reduce((sum, each) => sum + each.seconds(device), 0),
  };
}

/** A move that the ranks of a replica have been asked for. */
interface Asked {
  readonly pages: number;
  readonly answer: (answer: PageAnswer) => void;
}

/** A rank of a pool that moves its part of pages. */
interface PoolMover extends PageSlice {
  /** Pages of a chunk, which arrive together, however many are asked for. */
  readonly chunkPages: number;
  readonly road: Road;
}

/** The ranks of a replica that take part in its moves of one direction, and what they have been asked for. */
interface PoolMovers {
  readonly ranks: readonly PoolMover[];
  readonly asked: Asked[];
}

/** The ranks that take part in moves, by replica; of ranks with the same heads only one moves pages out. */
function moversOf(
  pool: KvPool,
  direction: PageMove['direction'],
  roadOf: (device: number, direction: PageMove['direction']) => Road | undefined,
): ReadonlyMap<number, PoolMovers> {
  const result = new Map<number, { readonly ranks: PoolMover[]; readonly asked: Asked[] }>();
  const owners = pageOwners(pool);
  for (const rank of pool.ranks) {
    const { device, dp, pageBytes, layers, heads } = rank;
    const road = roadOf(device, direction);
    if (road === undefined || (direction === 'out' && !owners.has(rank))) continue;
    const movers = result.get(dp) ?? { ranks: [], asked: [] };
    movers.ranks.push({
      device,
      pageBytes,
      layers,
      heads,
      road,
      chunkPages: chunkPages(pageBytes, pool.pages),
    });
    result.set(dp, movers);
  }
  return result;
}
