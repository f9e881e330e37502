/**
 * Device pages of one KV pool: one buffer per rank and layer group, and the moves between them and the host tier.
 */
import type { KvPool } from '../../compiler/ir/runtime-graph.js';
import type { Interval } from '../../compiler/ir/transitions.js';
import type { Device, DeviceBuffer } from '../device/device.js';
import type { HostPages } from './host-pages.js';
import { moveBytesByDevice } from '../../compiler/ir/page-packing.js';
import { pageOwners } from '../../compiler/ir/page-slices.js';
import { createPageMover, openMoveStaging } from './page-mover.js';
import type { PageGroup } from './page-group.js';
import type { MoveStaging, PageMover } from './page-mover.js';
import type { PageVerifier } from './verify-pages.js';

interface PoolRank {
  readonly staging: MoveStaging;
  readonly deviceId: number;
  readonly dp: number;
  readonly layers: Interval;
  readonly heads: Interval;
  /** Heads this rank alone answers for when pages leave the device: replicas of a head are read once. */
  readonly owns: boolean;
  readonly groups: readonly PageGroup[];
  readonly mover: PageMover;
  /** Bytes of a page over all groups. */
  readonly partBytes: number;
}

export interface PagePool {
  readonly id: string;
  /** Buffer of a layer group on a device. */
  buffer(device: number, group: number): DeviceBuffer;
  /** Where the pages of a device lie, by layer group. */
  groups(device: number): readonly PageGroup[];
  /**
   * Copies device pages of a replica to host pages; resolves with the bytes moved.
   *
   * @param moved told of each device that is done with its part
   */
  pageOut(
    replica: number,
    pages: readonly number[],
    hostPages: readonly number[],
    moved?: (device: number) => void,
  ): Promise<number>;
  /**
   * Copies host pages to device pages of a replica; resolves with the bytes moved when all is enqueued: commands
   * submitted from then on find them.
   *
   * @param moved told of each device for which all is enqueued
   */
  pageIn(
    replica: number,
    pages: readonly number[],
    hostPages: readonly number[],
    moved?: (device: number) => void,
  ): Promise<number>;
  free(): void;
}

/**
 * Staging for pages of pools that move, by device; what the pools of a device share.
 *
 * @param moves whether there is a tier to move pages to
 */
export async function openPoolStaging(
  pools: readonly KvPool[],
  devices: ReadonlyMap<number, Device>,
  moves: boolean,
): Promise<ReadonlyMap<number, MoveStaging>> {
  const wanted = moveBytesByDevice(pools);
  return new Map(
    await Promise.all(
      [...devices].map(async ([id, device]) => {
        const { chunk, packed } = wanted.get(id) ?? { chunk: 0, packed: 0 };
        return [id, await openMoveStaging(device, { chunk, packed: moves ? packed : 0 })] as const;
      }),
    ),
  );
}

/** Bytes of a page in each layer group of a rank. */
function groupBytes({ groups, heads }: KvPool['ranks'][number], headBytes: number): number[] {
  return groups.map((layers) => (layers[1] - layers[0]) * (heads[1] - heads[0]) * headBytes);
}

/**
 * Allocates the pool's pages on its devices.
 *
 * @param headBytes bytes of one kv head of one layer of a page
 * @param staging of every device of the pool; the pools of a device share one
 * @param verifier checks every part of a page that moves; the pools of a host tier share one
 * @param owner the pool that these pages lie within, if any: its buffers are used
 */
export function createPagePool(
  pool: KvPool,
  headBytes: number,
  staging: ReadonlyMap<number, MoveStaging>,
  host: HostPages | undefined,
  verifier?: PageVerifier,
  owner?: PagePool,
): PagePool {
  const owners = pageOwners(pool);
  const ranks: PoolRank[] = pool.ranks.map((rank) => {
    const mine = staging.get(rank.device)!;
    const groups = groupBytes(rank, headBytes).map((pageBytes, group) => {
      const label = `kv ${pool.id} group ${group}`;
      const buffer =
        owner?.buffer(rank.device, group) ??
        mine.device.createBuffer(label, Math.max(16, pageBytes * pool.pages));
      return { pageBytes, buffer };
    });
    return {
      staging: mine,
      deviceId: rank.device,
      dp: rank.dp,
      layers: rank.layers,
      heads: rank.heads,
      owns: owners.has(rank),
      groups,
      mover: createPageMover(mine, groups),
      partBytes: rank.pageBytes,
    };
  });
  const ranksOf = (replica: number): PoolRank[] => ranks.filter((rank) => rank.dp === replica);
  const tier = (): HostPages => {
    if (host === undefined) throw new Error(`pool ${pool.id} pages out but the graph has no host tier`);
    return host;
  };
  const groupsOn = (device: number): readonly PageGroup[] => {
    const rank = ranks.find((candidate) => candidate.deviceId === device);
    if (rank === undefined) throw new Error(`pool ${pool.id} has no pages on device ${device}`);
    return rank.groups;
  };
  return {
    id: pool.id,
    buffer: (device, group) => groupsOn(device)[group]!.buffer,
    groups: groupsOn,
    async pageOut(replica, pages, hostPages, moved = () => undefined) {
      const leaving = ranksOf(replica).filter((rank) => rank.owns);
      await Promise.all(
        leaving.map(async (rank) => {
          await rank.mover.out(pages, (first, packed) => {
            forEachPart(rank, first, packed, (i, part) => {
              verifier?.left(hostPages[i]!, rank.layers, rank.heads, part);
              tier().put(hostPages[i]!, rank.layers, rank.heads, part);
            });
          });
          moved(rank.deviceId);
        }),
      );
      return bytesOf(leaving, pages);
    },
    async pageIn(replica, pages, hostPages, moved = () => undefined) {
      const all = ranksOf(replica);
      await Promise.all(
        all.map(async (rank) => {
          await rank.mover.in(pages, (first, packed) => {
            forEachPart(rank, first, packed, (i, part) => {
              tier().get(hostPages[i]!, rank.layers, rank.heads, part);
              verifier?.check('host tier', hostPages[i]!, rank.layers, rank.heads, part);
            });
          });
          moved(rank.deviceId);
        }),
      );
      if (verifier !== undefined) {
        for (const rank of all) await checkArrived(verifier, rank, pages, hostPages);
      }
      return bytesOf(all, pages);
    },
    free() {
      if (owner !== undefined) return;
      for (const { staging: mine, groups } of ranks)
        for (const { buffer } of groups) mine.device.free(buffer);
    },
  };
}

function bytesOf(ranks: readonly PoolRank[], pages: readonly number[]): number {
  return ranks.reduce((sum, rank) => sum + rank.partBytes * pages.length, 0);
}

/** Visits the parts of a chunk with their positions in the move. */
function forEachPart(
  { partBytes }: PoolRank,
  first: number,
  packed: Uint8Array,
  visit: (i: number, part: Uint8Array) => void,
): void {
  for (let at = 0, i = first; at < packed.byteLength; at += partBytes, i++) {
    visit(i, packed.subarray(at, at + partBytes));
  }
}

/** Reads pages back from a rank and checks them against what left for the host tier. */
async function checkArrived(
  verifier: PageVerifier,
  rank: PoolRank,
  pages: readonly number[],
  hostPages: readonly number[],
): Promise<void> {
  await rank.mover.out(pages, (first, packed) => {
    forEachPart(rank, first, packed, (i, part) => {
      verifier.check(rank.staging.device.label, hostPages[i]!, rank.layers, rank.heads, part);
    });
  });
}
