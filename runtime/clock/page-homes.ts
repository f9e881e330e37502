/** Who has put out pages that lie in tiers: with the hosts beside its ranks, and the disks beside those. */
import type { SliceMovers } from '../../compiler/ir/page-slices.js';

/** Who has put out the pages of one scheduler, which have numbers of their own. */
export interface PageHomes {
  readonly put: (hostPages: readonly number[], writer: SliceMovers) => void;
  readonly spill: (hostPages: readonly number[], diskPages: readonly number[]) => void;
  readonly fetch: (diskPages: readonly number[], hostPages: readonly number[]) => void;
  /** How many of the pages each has put out. */
  readonly writers: (hostPages: readonly number[]) => ReadonlyMap<SliceMovers, number>;
}

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
