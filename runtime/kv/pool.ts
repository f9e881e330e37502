/**
 * Device pages of one KV pool: one buffer per rank and layer group, and the moves between them and the host tier.
 */
import type { KvPool } from '../../compiler/ir/runtime-graph.js';
import type { Interval } from '../../compiler/ir/transitions.js';
import type { Device, DeviceBuffer } from '../device/device.js';
import type { HostPages } from './host-pages.js';
import type { PageVerifier } from './verify-pages.js';

interface PoolRank {
  readonly device: Device;
  readonly deviceId: number;
  readonly dp: number;
  readonly heads: Interval;
  /** Heads this rank alone answers for when pages leave the device: replicas of a head are read once. */
  readonly owns: boolean;
  readonly groups: readonly {
    readonly layers: Interval;
    readonly buffer: DeviceBuffer;
    readonly pageBytes: number;
  }[];
}

export interface PagePool {
  readonly id: string;
  /** Buffer of a layer group on a device. */
  buffer(device: number, group: number): DeviceBuffer;
  /** Copies device pages of a replica to host pages; resolves with the bytes moved. */
  pageOut(replica: number, pages: readonly number[], hostPages: readonly number[]): Promise<number>;
  /**
   * Copies host pages to device pages of a replica. The writes are enqueued when it returns, so that commands submitted
   * from then on find them; resolves with the bytes moved.
   */
  pageIn(replica: number, pages: readonly number[], hostPages: readonly number[]): Promise<number>;
  free(): void;
}

/**
 * Allocates the pool's pages on its devices.
 *
 * @param headBytes bytes of one kv head of one layer of a page
 * @param verifier checks every part of a page that moves; the pools of a host tier share one
 */
export function createPagePool(
  pool: KvPool,
  headBytes: number,
  devices: ReadonlyMap<number, Device>,
  host: HostPages | undefined,
  verifier?: PageVerifier,
): PagePool {
  const seen = new Set<string>();
  const ranks: PoolRank[] = pool.ranks.map((rank) => {
    const device = devices.get(rank.device)!;
    const heads = rank.heads[1] - rank.heads[0];
    const key = `${rank.dp}:${rank.layers.join('-')}:${rank.heads.join('-')}`;
    const owns = !seen.has(key);
    seen.add(key);
    return {
      device,
      deviceId: rank.device,
      dp: rank.dp,
      heads: rank.heads,
      owns,
      groups: rank.groups.map((layers, group) => {
        const pageBytes = (layers[1] - layers[0]) * heads * headBytes;
        const label = `kv ${pool.id} group ${group}`;
        return {
          layers,
          pageBytes,
          buffer: device.createBuffer(label, Math.max(16, pageBytes * pool.pages)),
        };
      }),
    };
  });
  const ranksOf = (replica: number): PoolRank[] => ranks.filter((rank) => rank.dp === replica);
  const tier = (): HostPages => {
    if (host === undefined) throw new Error(`pool ${pool.id} pages out but the graph has no host tier`);
    return host;
  };
  return {
    id: pool.id,
    buffer(device, group) {
      const rank = ranks.find((candidate) => candidate.deviceId === device);
      if (rank === undefined) throw new Error(`pool ${pool.id} has no pages on device ${device}`);
      return rank.groups[group]!.buffer;
    },
    async pageOut(replica, pages, hostPages) {
      const moved = await Promise.all(
        ranksOf(replica)
          .filter((rank) => rank.owns)
          .map(async (rank) => {
            const ranges = rank.groups.flatMap((group) =>
              pages.map((page) => ({
                buffer: group.buffer,
                offset: page * group.pageBytes,
                bytes: group.pageBytes,
              })),
            );
            const parts = await rank.device.read(ranges);
            let bytes = 0;
            rank.groups.forEach((group, g) =>
              pages.forEach((_, i) => {
                const part = parts[g * pages.length + i]!;
                verifier?.left(hostPages[i]!, group.layers, rank.heads, part);
                tier().put(hostPages[i]!, group.layers, rank.heads, part);
                bytes += part.byteLength;
              }),
            );
            return bytes;
          }),
      );
      return moved.reduce((sum, bytes) => sum + bytes, 0);
    },
    async pageIn(replica, pages, hostPages) {
      let bytes = 0;
      for (const rank of ranksOf(replica)) {
        for (const group of rank.groups) {
          for (const run of contiguousRuns(pages)) {
            const packed = new Uint8Array(run.length * group.pageBytes);
            for (let i = 0; i < run.length; i++) {
              const part = packed.subarray(i * group.pageBytes, (i + 1) * group.pageBytes);
              tier().get(hostPages[run.at + i]!, group.layers, rank.heads, part);
              verifier?.check('host tier', hostPages[run.at + i]!, group.layers, rank.heads, part);
            }
            rank.device.write(group.buffer, pages[run.at]! * group.pageBytes, packed);
            bytes += packed.byteLength;
          }
        }
      }
      if (verifier !== undefined) {
        for (const rank of ranksOf(replica)) await checkArrived(verifier, rank, pages, hostPages);
      }
      return bytes;
    },
    free() {
      for (const rank of ranks) for (const group of rank.groups) rank.device.free(group.buffer);
    },
  };
}

/** Reads pages back from a rank and checks them against what left for the host tier. */
async function checkArrived(
  verifier: PageVerifier,
  { device, heads, groups }: PoolRank,
  pages: readonly number[],
  hostPages: readonly number[],
): Promise<void> {
  for (const { buffer, layers, pageBytes } of groups) {
    const parts = await device.read(
      pages.map((page) => ({ buffer, offset: page * pageBytes, bytes: pageBytes })),
    );
    parts.forEach((part, i) => verifier.check(device.label, hostPages[i]!, layers, heads, part));
  }
}

/** Maximal runs of consecutive page numbers: `[4, 5, 9]` -> `[{ at: 0, length: 2 }, { at: 2, length: 1 }]`. */
function contiguousRuns(pages: readonly number[]): { readonly at: number; readonly length: number }[] {
  const runs: { at: number; length: number }[] = [];
  pages.forEach((page, i) => {
    const last = runs.at(-1);
    if (last !== undefined && pages[i - 1] === page - 1) last.length++;
    else runs.push({ at: i, length: 1 });
  });
  return runs;
}
