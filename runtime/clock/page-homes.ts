/**
 * Which ranks have put out pages that lie in tiers: the pages are with the hosts beside these ranks, and the disks
 * beside those.
 */
import type { SliceMovers } from '../../compiler/ir/page-slices.js';

/** Which ranks have put out the pages of one scheduler, which has page numbers of its own. */
export interface PageHomes {
  /** The ranks of `writer` put pages out to the host tier. */
  readonly put: (hostPages: readonly number[], writer: SliceMovers) => void;
  /** Pages go from the host tier to the disk tier, one by one in these orders. */
  readonly spill: (hostPages: readonly number[], diskPages: readonly number[]) => void;
  /** Pages come back from the disk tier to the host tier, one by one in these orders. */
  readonly fetch: (diskPages: readonly number[], hostPages: readonly number[]) => void;
  /** How many of the pages the ranks of each writer have put out. */
  readonly writers: (hostPages: readonly number[]) => ReadonlyMap<SliceMovers, number>;
}

/** Begins with no pages in tiers. */
export function createPageHomes(): PageHomes {
  const onHost: SliceMovers[] = [];
  const onDisk: SliceMovers[] = [];
  return {
    put(hostPages, writer) {
      for (const page of hostPages) onHost[page] = writer;
    },
    spill(hostPages, diskPages) {
      diskPages.forEach((page, i) => (onDisk[page] = onHost[hostPages[i]!]!));
    },
    fetch(diskPages, hostPages) {
      hostPages.forEach((page, i) => (onHost[page] = onDisk[diskPages[i]!]!));
    },
    writers(hostPages) {
      const counts = new Map<SliceMovers, number>();
      for (const page of hostPages) {
        const writer = onHost[page]!;
        counts.set(writer, (counts.get(writer) ?? 0) + 1);
      }
      return counts;
    },
  };
}
