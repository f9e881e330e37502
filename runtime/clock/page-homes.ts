/**
 * Where pages of the host tier lie: every rank that puts pages out leaves its slice of them with the host beside it. What
 * a rank on another node takes in goes from host to host first, and what goes to disk goes to the disk beside the host.
 */
import type { Interval } from '../../compiler/ir/transitions.js';
import { area, intersect, sliceRectangle } from '../../compiler/ir/rectangles.js';
import { once } from '../../compiler/once.js';

/** A rank's slice of every page of its pool. */
export interface PageSlice {
  readonly device: number;
  readonly pageBytes: number;
  readonly layers: Interval;
  readonly heads: Interval;
}

/** The ranks of a replica that move pages of its pool, in one direction. */
export interface SliceMovers {
  readonly ranks: readonly PageSlice[];
}

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

/** Bytes of every page that one host has for ranks beside another. */
export interface HostTraffic {
  readonly from: string;
  readonly to: string;
  readonly pageBytes: number;
}

/**
 * What has to go from host to host before readers take in what a writer put out. Each rank fetches its own, as
 * `kv-cost.ts` counts it.
 */
export function hostTraffic(
  hostOf: (device: number) => string | undefined,
): (writer: SliceMovers, reader: SliceMovers) => readonly HostTraffic[] {
  const found = once((writer: SliceMovers) =>
    once((reader: SliceMovers): readonly HostTraffic[] => {
      const traffic = new Map<string, HostTraffic>();
      for (const taking of reader.ranks)
        for (const given of writer.ranks) {
          const [from, to] = [hostOf(given.device), hostOf(taking.device)];
          const [all, common] = [
            sliceRectangle(taking),
            intersect(sliceRectangle(taking), sliceRectangle(given)),
          ];
          if (from === undefined || to === undefined || from === to || common === undefined) continue;
          const key = `${from} ${to}`;
          const before = traffic.get(key)?.pageBytes ?? 0;
          const pageBytes = before + (taking.pageBytes * area(common)) / area(all);
          traffic.set(key, { from, to, pageBytes });
        }
      return [...traffic.values()];
    }),
  );
  return (writer, reader) => found(writer)(reader);
}

/** Of every page that a writer put out the part that lies with the host beside each of some devices; all together are 1. */
export function hostShares(
  { ranks }: SliceMovers,
  hostOf: (device: number) => string | undefined,
): readonly { readonly device: number; readonly part: number }[] {
  const shares = new Map<string | undefined, { device: number; part: number }>();
  const whole = ranks.reduce((sum, { pageBytes }) => sum + pageBytes, 0);
  for (const { device, pageBytes } of ranks) {
    const host = hostOf(device);
    const share = shares.get(host) ?? { device, part: 0 };
    share.part += pageBytes / whole;
    shares.set(host, share);
  }
  return [...shares.values()];
}
