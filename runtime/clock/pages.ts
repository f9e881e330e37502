/**
 * KV pages on the clock: every rank of a pool moves its slice between its device and the host tier beside it. With one
 * queue per device a move also keeps kernels waiting; with copy engines it does not.
 */
import type { KvPool, RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { tierFor } from '../../compiler/plan/routes.js';
import type { Road } from '../../compiler/reshard/roads.js';
import { groupHosts } from './group-hosts.js';
import { pageOwners } from '../kv/page-owners.js';
import type { ClockDevices } from './devices.js';
import type { Lanes } from './lanes.js';
import type { VirtualClock } from './virtual-clock.js';

export interface PageMove {
  readonly pool: string;
  readonly replica: number;
  readonly pages: number;
  readonly direction: 'out' | 'in';
}

export interface PageSpan {
  readonly device: number;
  /** When the device began to do nothing else, and when the last byte was there. */
  readonly start: number;
  readonly end: number;
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
  /** Moves pages; tells of each rank that is done, calls back when all are, and returns how many bytes that moves. */
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
      let total = 0;
      if (left === 0) clock.at(clock.now(), done);
      for (const { device, alone, pageBytes, road } of moving) {
        const bytes = pages * pageBytes;
        total += bytes;
        const travel = (over: () => void): void => {
          const start = clock.now();
          const { end } = lanes.transfer(road, bytes, start);
          clock.at(end, () => {
            onSpan({ device, start, end, bytes });
            over();
            if (--left === 0) done();
          });
        };
        if (copyEngines) travel(() => undefined);
        else devices.run(alone, travel);
      }
      return total;
    },
  };
}

interface PoolMover {
  readonly device: number;
  readonly alone: readonly [number];
  readonly pageBytes: number;
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
    movers.push({ device: rank.device, alone: [rank.device], pageBytes: rank.pageBytes, road });
    result.set(rank.dp, movers);
  }
  return result;
}
