/**
 * KV pages on the clock: every rank of a pool moves its slice between its device and the host tier beside it. With one
 * queue per device a move also keeps kernels waiting; with copy engines it does not.
 */
import type { KvPool, RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { tierFor } from '../../compiler/plan/routes.js';
import { groupHosts } from './group-hosts.js';
import { pageOwners } from '../kv/page-owners.js';
import type { ClockDevices } from './devices.js';
import type { Lanes } from './lanes.js';

export interface PageMove {
  readonly pool: string;
  readonly replica: number;
  readonly pages: number;
  readonly direction: 'out' | 'in';
}

export interface PageSpan {
  readonly device: number;
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
  /** Moves pages from a time on; says when the last rank is done and how many bytes went. */
  readonly move: (
    move: PageMove,
    ready: number,
    onSpan: (span: PageSpan) => void,
  ) => { readonly end: number; readonly bytes: number };
}

export function clockPages(
  graph: RuntimeGraph,
  plan: Plan,
  lanes: Lanes,
  devices: ClockDevices,
  copyEngines: boolean,
): ClockPages {
  const { topology } = plan;
  const tier = graph.hostTier?.name;
  const path = (device: number): string => topology.devices[device]!.path;
  const hostOf = groupHosts(topology, (group) =>
    tier === undefined ? undefined : tierFor(topology, group, tier),
  );
  const ranks = new Map(graph.pools.map((pool) => [pool.id, ranksByReplica(pool)]));
  // Where every node has tiers of its own, those of the first stand for all.
  const [hostPath, diskPath] = [graph.hostTier?.name, graph.diskTier?.name].map((name) => {
    const { group } = topology.devices[graph.devices[0]!.id]!;
    return name === undefined ? undefined : tierFor(topology, group, name)?.path;
  });
  return {
    spill({ pages, direction }, ready) {
      const bytes = pages * (graph.hostTier?.pageBytes ?? 0);
      const [from, to] = direction === 'spill' ? [hostPath, diskPath] : [diskPath, hostPath];
      const travel = lanes.transfer(from!, to!, bytes, ready);
      return { end: travel?.end ?? ready, bytes };
    },
    move({ pool, replica, pages, direction }, ready, onSpan) {
      const movers = ranks.get(pool)!.get(replica) ?? [];
      let end = ready;
      let moved = 0;
      for (const { device, pageBytes, owns } of movers) {
        if (direction === 'out' && !owns) continue;
        const host = hostOf(device);
        if (host === undefined) continue;
        const bytes = pages * pageBytes;
        const [from, to] = direction === 'out' ? [path(device), host] : [host, path(device)];
        const free = copyEngines ? ready : Math.max(ready, devices.freeAt(device));
        const travel = lanes.transfer(from, to, bytes, free);
        if (travel === undefined) continue;
        if (!copyEngines) devices.run([device], travel.start, () => travel.end - travel.start);
        onSpan({ device, ...travel, bytes });
        end = Math.max(end, travel.end);
        moved += bytes;
      }
      return { end, bytes: moved };
    },
  };
}

interface PoolMover {
  readonly device: number;
  readonly pageBytes: number;
  /** Replicas of a head leave a device once. */
  readonly owns: boolean;
}

function ranksByReplica(pool: KvPool): ReadonlyMap<number, readonly PoolMover[]> {
  const result = new Map<number, PoolMover[]>();
  const owners = pageOwners(pool);
  for (const rank of pool.ranks) {
    const movers = result.get(rank.dp) ?? [];
    movers.push({ device: rank.device, pageBytes: rank.pageBytes, owns: owners.has(rank) });
    result.set(rank.dp, movers);
  }
  return result;
}
