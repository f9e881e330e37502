/** How much of KV a device moves at once, and how far ahead of it the host writes. */

/** Bytes of a chunk, unless a page is larger. */
const CHUNK_BYTES = 4 * 1024 * 1024;
/** Pages of a chunk at most. */
export const CHUNK_PAGES = 1024;

/** Bytes enqueued before the writes two windows back must be done. */
export const WINDOW_BYTES = 16 * 1024 * 1024;

/** Pages of a chunk, by bytes of a rank's part of a page. */
export function chunkPages(partBytes: number): number {
  return Math.min(CHUNK_PAGES, Math.max(1, Math.floor(CHUNK_BYTES / partBytes)));
}
