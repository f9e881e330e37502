/** Where pages lie in the segment files of a disk tier, and which of them one system call can move. */
import { HEADER_BYTES, recordBytes } from './segment.js';

/** Size of a segment file at most, unless a page is larger. */
const SEGMENT_BYTES = 256 * 1024 * 1024;
/** Bytes of pages in one call: enough for the rate of the disk, little enough to checksum between two steps. */
const RUN_BYTES = 4 * 1024 * 1024;

/** Pages that lie one after the other in a segment; `items` are positions in the arguments of the move. */
export interface Run {
  readonly segment: number;
  readonly position: number;
  readonly items: readonly number[];
}

/**
 * Cuts a move of disk pages into runs of neighbours in one segment, in the order of their positions.
 *
 * @param pages of the tier; a page beyond them is a bug and throws
 */
export function segmentRuns(
  pages: number,
  pageBytes: number,
  segmentBytes = SEGMENT_BYTES,
): (diskPages: readonly number[]) => readonly Run[] {
  const stride = recordBytes(pageBytes);
  const segmentPages = Math.max(1, Math.floor((segmentBytes - HEADER_BYTES) / stride));
  const runPages = Math.max(1, Math.floor(RUN_BYTES / stride));
  return (diskPages) => {
    const order = diskPages.map((_, item) => item).sort((a, b) => diskPages[a]! - diskPages[b]!);
    const runs: (Run & { readonly items: number[] })[] = [];
    let next = -1;
    for (const item of order) {
      const page = diskPages[item]!;
      if (page < 0 || page >= pages) throw new Error(`disk page ${page} of ${pages}`);
      const segment = Math.floor(page / segmentPages);
      const last = runs.at(-1);
      if (page === next && last?.segment === segment && last.items.length < runPages) last.items.push(item);
      else {
        const position = HEADER_BYTES + (page % segmentPages) * stride;
        runs.push({ segment, position, items: [item] });
      }
      next = page + 1;
    }
    return runs;
  };
}
