/**
 * The disk tier of the KV cache: pages of the host tier in large segment files (see segment.ts), written and read in runs
 * of neighbouring pages with nothing copied between host pages and file. Who may use which page is the scheduler's to
 * say; a page, on disk or host, is busy until the promise of its move settles.
 *
 * What goes wrong with a page is a value, not an exception: its request is recomputed and the run goes on. What a page
 * must look like is kept in memory from the time it was written, so that a lost or torn write, a page of an earlier write
 * and a replaced file are all found when it is read.
 */
import { crc32 } from 'node:zlib';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';
import { createGate } from './gate.js';
import type { HostPages } from './host-pages.js';
import { createRateMeter } from './rate-meter.js';
import { createRunFolder } from './run-folder.js';
import { createSegmentFiles } from './segment-files.js';
import { segmentRuns, type Run } from './segment-runs.js';
import { decodeTrailer, encodeTrailer, recordBytes, type KvIdentity, type Trailer } from './segment.js';
import { nodeFiles } from './tier-files.js';
import type { TierFile, TierFiles } from './tier-files.js';
import { readFully, writeFully } from './transfer.js';
import type { PageVerifier } from './verify-pages.js';

/**
 * Why a page is not there: the disk is full, the system refused a write or a read, the bytes are not those that were
 * written, or the file is not the one that was written.
 */
export type PageFault = 'disk_full' | 'write_failed' | 'read_failed' | 'corrupted' | 'foreign';
export type PageOutcome = 'ok' | PageFault;

export interface DiskTier {
  /** Disk pages are numbered from 0 to `pages - 1`. */
  readonly pages: number;
  /** Folder of this run's files. */
  readonly path: string;
  /**
   * Writes host pages to disk pages, pairwise; resolves with an outcome per page, in order. A disk page that is not `ok`
   * holds nothing. Rejects only with FC0921, from a verifier.
   */
  spill(hostPages: readonly number[], diskPages: readonly number[]): Promise<readonly PageOutcome[]>;
  /**
   * Reads disk pages to host pages, pairwise; resolves with an outcome per page, in order. A host page that is not `ok`
   * holds anything. Rejects only with FC0921, from a verifier.
   */
  fetch(diskPages: readonly number[], hostPages: readonly number[]): Promise<readonly PageOutcome[]>;
  /** Bytes per second as measured so far, with all transfers of a kind together; undefined before the first. */
  readonly rates: () => { readonly write: number | undefined; readonly read: number | undefined };
  readonly stats: () => DiskTierStats;
  /** Waits for what is under way, then removes the files. Later moves fail. Never rejects. */
  close(): Promise<void>;
}

export interface DiskTierStats {
  /** Bytes of pages, without what the file format adds. */
  readonly bytesWritten: number;
  readonly bytesRead: number;
  /** Pages by what happened to them. */
  readonly faults: Readonly<Record<PageFault, number>>;
}

export interface DiskTierOptions {
  /** Where the run makes its folder; made when it is not there. */
  readonly directory: string;
  readonly pages: number;
  readonly host: HostPages;
  readonly identity: KvIdentity;
  /** Checks every page that is spilled and fetched; the pools of the host tier have the same. */
  readonly verifier?: PageVerifier;
  /** Default: the files of the system. */
  readonly files?: TierFiles;
  /** Size of a segment file at most, unless a page is larger. Default 256 MiB. */
  readonly segmentBytes?: number;
}

/** System calls of a kind at once; more keep Node's pool of threads from other work. */
const CONCURRENT = 2;

/** Opens the tier in a new folder of its own. Rejects with RuntimeFailure FC0922 when the directory cannot be used. */
export async function openDiskTier(options: DiskTierOptions): Promise<DiskTier> {
  const { directory, pages, host, identity, verifier, files = nodeFiles } = options;
  const { pageBytes } = host;
  const stride = recordBytes(pageBytes);
  const runsOf = segmentRuns(pages, pageBytes, options.segmentBytes);
  const folder = await createRunFolder(directory).catch((cause: unknown) => {
    throw new RuntimeFailure('FC0922', `${directory} cannot hold KV pages: ${systemReason(cause)}`, {
      subject: directory,
      help: 'give the disk tier a directory that can be written, or take the tier out of the cache',
      cause,
    });
  });
  const whole = { layers: [0, identity.layers], heads: [0, identity.kvHeads] } as const;
  const segments = createSegmentFiles(folder, files, identity, pageBytes);
  /** Of every disk page that holds something. */
  const written = new Map<number, Trailer>();
  const gates = { write: createGate(CONCURRENT), read: createGate(CONCURRENT) };
  const meters = { write: createRateMeter(), read: createRateMeter() };
  const faults = { disk_full: 0, write_failed: 0, read_failed: 0, corrupted: 0, foreign: 0 };
  const bytes = { written: 0, read: 0 };
  const moves = new Set<Promise<unknown>>();
  let closed = false;
  let stamp = 0;

  async function spillRun(
    run: Run,
    hostPages: readonly number[],
    diskPages: readonly number[],
  ): Promise<PageOutcome[]> {
    for (const item of run.items) written.delete(diskPages[item]!);
    let file: TierFile;
    try {
      file = await segments.open(run.segment);
    } catch (error) {
      return run.items.map(() => writeFault(error));
    }
    const trailers: Trailer[] = [];
    const buffers = run.items.flatMap((item) => {
      const page = host.bytes(hostPages[item]!);
      verifier?.check('host tier', hostPages[item]!, whole.layers, whole.heads, page);
      stamp = (stamp + 1) >>> 0;
      const trailer = { page: diskPages[item]!, stamp, checksum: crc32(page) };
      trailers.push(trailer);
      const tail = new Uint8Array(stride - pageBytes);
      encodeTrailer(tail, trailer);
      return [page, tail];
    });
    const end = meters.write.begin();
    const result = await writeFully(file, buffers, run.position);
    end(result.bytes);
    return run.items.map((item, i) => {
      if ((i + 1) * stride > result.bytes) return writeFault(result.error);
      written.set(diskPages[item]!, trailers[i]!);
      verifier?.spilled(hostPages[item]!, diskPages[item]!);
      bytes.written += pageBytes;
      return 'ok';
    });
  }

  async function fetchRun(
    run: Run,
    diskPages: readonly number[],
    hostPages: readonly number[],
  ): Promise<PageOutcome[]> {
    // A page that is known has a segment that could be made.
    const opened = run.items.some((item) => written.has(diskPages[item]!));
    if (!opened) return run.items.map(() => 'corrupted');
    const file = await segments.open(run.segment);
    const tails = run.items.map(() => new Uint8Array(stride - pageBytes));
    const buffers = run.items.flatMap((item, i) => [host.bytes(hostPages[item]!), tails[i]!]);
    const end = meters.read.begin();
    const result = await readFully(file, buffers, run.position);
    end(result.bytes);
    const outcomes = run.items.map((item, i): PageOutcome => {
      if ((i + 1) * stride > result.bytes) return result.error === undefined ? 'corrupted' : 'read_failed';
      const page = host.bytes(hostPages[item]!);
      if (!isAsWritten(page, tails[i]!, written.get(diskPages[item]!))) return 'corrupted';
      bytes.read += pageBytes;
      return 'ok';
    });
    if (outcomes.includes('corrupted') && (await segments.isForeign(file, run.segment))) {
      return outcomes.map((outcome) => (outcome === 'corrupted' ? 'foreign' : outcome));
    }
    return outcomes;
  }

  /** Carries out a move run by run and puts the outcomes in the order of its pages. */
  function move(
    kind: 'write' | 'read',
    diskPages: readonly number[],
    perform: (run: Run) => Promise<PageOutcome[]>,
  ): Promise<PageOutcome[]> {
    const outcomes = diskPages.map((): PageOutcome => (kind === 'write' ? 'write_failed' : 'read_failed'));
    const work = async (): Promise<PageOutcome[]> => {
      if (!closed) {
        await Promise.all(
          runsOf(diskPages).map((run) =>
            gates[kind].run(async () => {
              const found = await perform(run);
              run.items.forEach((item, i) => (outcomes[item] = found[i]!));
            }),
          ),
        );
      }
      for (const outcome of outcomes) if (outcome !== 'ok') faults[outcome]++;
      return outcomes;
    };
    const result = work();
    moves.add(result);
    const done = (): unknown => moves.delete(result);
    result.then(done, done);
    return result;
  }

  return {
    pages,
    path: folder.path,
    spill: (hostPages, diskPages) => move('write', diskPages, (run) => spillRun(run, hostPages, diskPages)),
    async fetch(diskPages, hostPages) {
      const outcomes = await move('read', diskPages, (run) => fetchRun(run, diskPages, hostPages));
      if (verifier !== undefined) {
        outcomes.forEach((outcome, i) => {
          if (outcome !== 'ok') return;
          const page = hostPages[i]!;
          verifier.fetched(diskPages[i]!, page);
          verifier.check('disk tier', page, whole.layers, whole.heads, host.bytes(page));
        });
      }
      return outcomes;
    },
    rates: () => ({ write: meters.write.rate(), read: meters.read.rate() }),
    stats: () => ({ bytesWritten: bytes.written, bytesRead: bytes.read, faults: { ...faults } }),
    async close() {
      closed = true;
      await Promise.allSettled([...moves]);
      await segments.close();
      await folder.remove();
    },
  };
}

function isAsWritten(page: Uint8Array, tail: Uint8Array, expected: Trailer | undefined): boolean {
  const found = decodeTrailer(tail);
  return (
    expected !== undefined &&
    found !== undefined &&
    found.page === expected.page &&
    found.stamp === expected.stamp &&
    found.checksum === expected.checksum &&
    crc32(page) === expected.checksum
  );
}

function writeFault(error: unknown): PageFault {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT' ? 'disk_full' : 'write_failed';
}
