/** How many chunks of KV a device moves at once, and how far ahead of it the host writes. */

/** Bytes enqueued before the writes two windows back must be done. */
export const WINDOW_BYTES = 16 * 1024 * 1024;

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
