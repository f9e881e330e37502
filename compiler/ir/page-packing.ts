/**
 * KV pages move between a device and the host tier in chunks. Where the parts of a page are small, a chunk is packed into
 * one buffer of the device on its way, by page numbers in another. The compiler counts these buffers, the executor
 * allocates them (`runtime/kv/page-mover.ts`).
 */
import { intervalLength } from './rectangles.js';
import type { KvPool } from './runtime-graph.js';

/** Bytes of a chunk, unless a page is larger. */
const CHUNK_BYTES = 4 * 1024 * 1024;
/** Pages of a chunk at most. */
const CHUNK_PAGES = 1024;
/** Of the page numbers of a chunk, a u32 each. */
export const PAGE_LIST_BYTES = CHUNK_PAGES * 4;
/** A piece of this size is copied by a command of its own as fast as it would be packed. */
const DIRECT_BYTES = 32 * 1024;
/** Bytes that a thread packs at a time. */
export const PACKING_UNIT_BYTES = 16;

/**
 * Pages of a chunk.
 *
 * @param partBytes of a rank's part of a page
 * @param pages that there are
 */
export function chunkPages(partBytes: number, pages = Infinity): number {
  return Math.min(pages, CHUNK_PAGES, Math.max(1, Math.floor(CHUNK_BYTES / partBytes)));
}

/** Whether pages that lie in groups of so many bytes are packed, not copied where they lie. */
export function arePacked(groupBytes: readonly number[]): boolean {
  return (
    groupBytes.some((bytes) => bytes < DIRECT_BYTES) &&
    groupBytes.every((bytes) => bytes % PACKING_UNIT_BYTES === 0)
  );
}

/** What moves of pages want of a device. */
export interface MoveBytes {
  /** Of the largest chunk. */
  readonly chunk: number;
  /** Of the buffer that chunks are packed in; 0 where none are. */
  readonly packed: number;
}

/** Bytes of memory that packing takes on a device, page numbers included. */
export function packingBytes({ packed }: Pick<MoveBytes, 'packed'>): number {
  return packed === 0 ? 0 : packed + PAGE_LIST_BYTES;
}

type PoolRank = KvPool['ranks'][number];

/** What moves of a rank's pages want, of which there are so many. */
export function moveBytes(rank: Pick<PoolRank, 'groups' | 'layers' | 'pageBytes'>, pages: number): MoveBytes {
  const { groups, layers, pageBytes } = rank;
  const chunk = chunkPages(pageBytes, pages) * pageBytes;
  const layerBytes = pageBytes / intervalLength(layers);
  return { chunk, packed: arePacked(groups.map((group) => intervalLength(group) * layerBytes)) ? chunk : 0 };
}

/** By device; all moves of one take turns on the same buffers. */
export function moveBytesByDevice(pools: readonly KvPool[]): ReadonlyMap<number, MoveBytes> {
  const byDevice = new Map<number, MoveBytes>();
  for (const { ranks, pages } of pools)
    for (const rank of ranks) {
      const { chunk, packed } = moveBytes(rank, pages);
      const other = byDevice.get(rank.device) ?? { chunk: 0, packed: 0 };
      byDevice.set(rank.device, {
        chunk: Math.max(chunk, other.chunk),
        packed: Math.max(packed, other.packed),
      });
    }
  return byDevice;
}
