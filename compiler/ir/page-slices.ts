/**
 * Slices of KV pages, and where they lie beside devices: every rank that puts pages out leaves its slice of them with the host
 * beside it. What a rank on another node takes in goes from host to host first, and what goes to disk goes to the disk beside
 * the host.
 */
import { once } from '../once.js';
import { area, intersect, sliceRectangle } from './rectangles.js';
import type { KvPool } from './runtime-graph.js';
import type { Interval } from './transitions.js';

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

type PoolRank = KvPool['ranks'][number];

/** The first rank of every slice of a replica's pages: replicas of a head leave the devices once. */
export function pageOwners({ ranks }: Pick<KvPool, 'ranks'>): ReadonlySet<PoolRank> {
  return sliceOwners(ranks, (rank) => rank);
}

/** The same of ranks of which it is told what KV each holds. */
export function sliceOwners<Rank extends { readonly dp: number }>(
  ranks: readonly Rank[],
  heldBy: (rank: Rank) => Pick<PageSlice, 'layers' | 'heads'>,
): ReadonlySet<Rank> {
  const first = new Map<string, Rank>();
  for (const rank of ranks) {
    const { layers, heads } = heldBy(rank);
    const slice = `${rank.dp}:${layers.join('-')}:${heads.join('-')}`;
    if (!first.has(slice)) first.set(slice, rank);
  }
  return new Set(first.values());
}

/** Bytes of every page that one host has for ranks beside another. */
export interface HostTraffic {
  readonly from: string;
  readonly to: string;
  readonly pageBytes: number;
}

/**
 * What has to go from host to host before readers take in what a writer put out. Each rank fetches its own.
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
