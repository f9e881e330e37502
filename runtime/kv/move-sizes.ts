/** How much of KV a device moves at once, and how far ahead of it the host writes. */

/** Bytes of a chunk, unless a page is larger. */
const CHUNK_BYTES = 4 * 1024 * 1024;
/** Pages of a chunk at most. */
export const CHUNK_PAGES = 1024;

/** Bytes enqueued before the writes two windows back must be done. */
export const WINDOW_BYTES = 16 * 1024 * 1024;

/**
 * Pages of a chunk.
 *
 * @param partBytes of a rank's part of a page
 * @param pages that there are
 */
export function chunkPages(partBytes: number, pages = Infinity): number {
  return Math.min(pages, CHUNK_PAGES, Math.max(1, Math.floor(CHUNK_BYTES / partBytes)));
}

/**
 * Chunks of a device on their way to the host at once: one is copied out while another is packed. Few, as staging memory
 * that is used again and again is nearer to the processor.
 */
export const READS = 3;
/**
 * The same while steps are given to the device as well: those that waited for their turn then would have it behind a step
 * each time. So many at most, and no more than take so many bytes at once of the device's staging memory, which it keeps.
 */
const MOST_READS_BESIDE_STEPS = 64;
const STAGING_BYTES = 256 * 1024 * 1024;

/** By bytes of the largest chunk; staging memory comes in powers of two. */
export function readsBesideSteps(chunkBytes: number): number {
  const most = Math.floor(STAGING_BYTES / 2 ** Math.ceil(Math.log2(chunkBytes)));
  return Math.max(READS, Math.min(MOST_READS_BESIDE_STEPS, most));
}
