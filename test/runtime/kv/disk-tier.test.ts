/** The disk tier gives back what it was given or says why not, whatever happens to its files. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDiskTier } from '../../../runtime/kv/disk-tier.js';
import type { DiskTier, DiskTierOptions, PageOutcome } from '../../../runtime/kv/disk-tier.js';
import { createHostPages } from '../../../runtime/kv/host-pages.js';
import type { HostPages } from '../../../runtime/kv/host-pages.js';
import { encodeHeader, HEADER_BYTES, recordBytes } from '../../../runtime/kv/segment.js';
import type { KvIdentity } from '../../../runtime/kv/segment.js';
import { nodeFiles } from '../../../runtime/kv/tier-files.js';
import { createPageVerifier } from '../../../runtime/kv/verify-pages.js';
import { seededRandom } from '../../fixtures/random.js';
import { flakyFiles, systemError } from '../support/flaky-files.js';

const IDENTITY: KvIdentity = {
  model: 'clerk 1234',
  layers: 3,
  kvHeads: 2,
  pageTokens: 8,
  headDim: 4,
  dtype: 'f32',
};
const HEAD_BYTES = 8 * 2 * 4 * 4;
const PAGE_BYTES = 3 * 2 * HEAD_BYTES;
const RECORD = recordBytes(PAGE_BYTES);
/** Room for three pages, so that tests cross from segment to segment. */
const SEGMENT_BYTES = HEADER_BYTES + 3 * RECORD;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fulcrum-disk-tier-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const newHost = (pages = 16): HostPages =>
  createHostPages(pages, { layers: IDENTITY.layers, heads: IDENTITY.kvHeads, headBytes: HEAD_BYTES });

function openTier(host: HostPages, options: Partial<DiskTierOptions> = {}): Promise<DiskTier> {
  const defaults = { directory, pages: 16, host, identity: IDENTITY, segmentBytes: SEGMENT_BYTES };
  return openDiskTier({ ...defaults, ...options });
}

/** Bytes of a page that no other number gives. */
function content(seed: number): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length: PAGE_BYTES }, () => random.below(256));
}

const all = (outcome: PageOutcome, count: number): PageOutcome[] => Array<PageOutcome>(count).fill(outcome);

/** A tier that holds pages 0..count-1 with `content(page)`, spilled from the host pages of the same numbers. */
async function filled(
  count: number,
  options: Partial<DiskTierOptions> = {},
): Promise<{ tier: DiskTier; host: HostPages; pages: number[] }> {
  const host = newHost();
  const pages = Array.from({ length: count }, (_, page) => page);
  for (const page of pages) host.bytes(page).set(content(page));
  const tier = await openTier(host, options);
  expect(await tier.spill(pages, pages)).toEqual(all('ok', count));
  for (const page of pages) host.bytes(page).fill(0);
  return { tier, host, pages };
}

const segmentPath = (tier: DiskTier, segment: number): string =>
  join(tier.path, `segment-00000${segment}.kv`);

async function overwrite(path: string, position: number, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'r+');
  await handle.write(bytes, 0, bytes.length, position);
  await handle.close();
}

describe('a disk tier', () => {
  it('gives back scattered pages over several segments, and removes its files when it is closed', async () => {
    const host = newHost();
    const tier = await openTier(host);
    const hostPages = [3, 0, 7, 1, 9];
    const diskPages = [4, 5, 2, 3, 15];
    for (const page of hostPages) host.bytes(page).set(content(page));
    expect(await tier.spill(hostPages, diskPages)).toEqual(all('ok', 5));
    for (const page of hostPages) host.bytes(page).fill(0);
    const back = [10, 11, 12, 13, 14];
    expect(await tier.fetch(diskPages, back)).toEqual(all('ok', 5));
    back.forEach((page, i) => expect(host.bytes(page)).toEqual(content(hostPages[i]!)));
    expect((await readdir(tier.path)).filter((name) => name.endsWith('.kv'))).toHaveLength(3);
    expect(tier.stats()).toMatchObject({ bytesWritten: 5 * PAGE_BYTES, bytesRead: 5 * PAGE_BYTES });
    expect(tier.rates().write).toBeGreaterThan(0);
    expect(tier.rates().read).toBeGreaterThan(0);
    await tier.close();
    expect(await readdir(directory)).toEqual([]);
    expect(await tier.spill([0], [0])).toEqual(['write_failed']);
    expect(await tier.fetch([4], [0])).toEqual(['read_failed']);
  });

  it('writes neighbouring pages with one call', async () => {
    const calls: number[] = [];
    const { tier } = await filled(3, {
      files: flakyFiles(nodeFiles, {
        write: (buffers) => {
          calls.push(buffers.length);
          return undefined;
        },
      }),
    });
    // The header of the segment, then page and trailer of three pages.
    expect(calls).toEqual([1, 6]);
    await tier.close();
  });

  it('says of pages that were never written that they hold nothing', async () => {
    const { tier } = await filled(2);
    expect(await tier.fetch([1, 2, 9], [5, 6, 7])).toEqual(['ok', 'corrupted', 'corrupted']);
    await tier.close();
  });

  it('refuses a page number beyond its capacity', async () => {
    const tier = await openTier(newHost());
    await expect(tier.spill([0], [16])).rejects.toThrow('disk page 16 of 16');
    await tier.close();
  });

  it('cannot be opened where there is a file', async () => {
    const path = join(directory, 'file');
    await writeFile(path, 'mine');
    await expect(openTier(newHost(), { directory: path })).rejects.toMatchObject({
      code: 'FC0922',
      details: { subject: path },
    });
  });
});

describe('damage to the files', () => {
  it('a flipped byte spoils its page alone', async () => {
    const { tier, host, pages } = await filled(3);
    const wrong = content(1)[77]! ^ 4;
    await overwrite(segmentPath(tier, 0), HEADER_BYTES + RECORD + 77, Uint8Array.of(wrong));
    expect(await tier.fetch(pages, pages)).toEqual(['ok', 'corrupted', 'ok']);
    expect(host.bytes(2)).toEqual(content(2));
    expect(tier.stats().faults.corrupted).toBe(1);
    await tier.close();
  });

  it('a truncated segment loses the pages behind the cut', async () => {
    const { tier, pages } = await filled(5);
    await truncate(segmentPath(tier, 0), HEADER_BYTES + RECORD + 100);
    expect(await tier.fetch(pages, pages)).toEqual(['ok', 'corrupted', 'corrupted', 'ok', 'ok']);
    await tier.close();
  });

  it('a record of an earlier write is told from the one that replaced it', async () => {
    const { tier, host } = await filled(1);
    const path = segmentPath(tier, 0);
    const record = new Uint8Array(RECORD);
    const handle = await open(path, 'r');
    await handle.read(record, 0, RECORD, HEADER_BYTES);
    await handle.close();
    host.bytes(4).set(content(0));
    expect(await tier.spill([4], [0])).toEqual(['ok']);
    await overwrite(path, HEADER_BYTES, record);
    expect(await tier.fetch([0], [5])).toEqual(['corrupted']);
    await tier.close();
  });

  it.each([
    ['another model', { identity: { ...IDENTITY, model: 'clerk 9999' } }],
    ['another layout', { identity: { ...IDENTITY, kvHeads: 1, layers: 6 } }],
    ['another element type', { identity: { ...IDENTITY, dtype: 'f16', headDim: 8 } }],
    ['another run', { run: '0123456789abcdef' }],
  ] as const)('a file of %s is foreign', async (_, difference) => {
    const { tier } = await filled(2);
    const run = tier.path.slice(-16);
    const header = { identity: IDENTITY, run, segment: 0, pageBytes: PAGE_BYTES, ...difference };
    await overwrite(segmentPath(tier, 0), 0, encodeHeader(header));
    await overwrite(segmentPath(tier, 0), HEADER_BYTES, content(99));
    expect(await tier.fetch([0], [0])).toEqual(['foreign']);
    await tier.close();
  });
});

describe('a verifier', () => {
  it('follows pages to disk and back, and finds one that changed in the host tier', async () => {
    const host = newHost();
    const verifier = createPageVerifier(HEAD_BYTES);
    const tier = await openTier(host, { verifier });
    host.bytes(0).set(content(0));
    verifier.left(0, [0, 3], [0, 2], content(0));
    expect(await tier.spill([0], [3])).toEqual(['ok']);
    expect(await tier.fetch([3], [1])).toEqual(['ok']);
    verifier.check('host tier', 1, [0, 3], [0, 2], content(0));
    host.bytes(1)[3 * HEAD_BYTES + 5]! ^= 1;
    await expect(tier.spill([1], [4])).rejects.toMatchObject({
      code: 'FC0921',
      message: expect.stringContaining('layer 1, head 1 of host page 1') as unknown,
    });
    await tier.close();
  });
});

describe('a system that fails', () => {
  it('a full disk keeps what was written before and takes pages again when there is room', async () => {
    let room = HEADER_BYTES + 2 * RECORD + 10;
    const files = flakyFiles(nodeFiles, {
      write(buffers) {
        const bytes = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
        if (room === 0) throw systemError('ENOSPC');
        const taken = Math.min(room, bytes);
        room -= taken;
        return taken;
      },
    });
    const host = newHost();
    const pages = [0, 1, 2, 3];
    for (const page of pages) host.bytes(page).set(content(page));
    const tier = await openTier(host, { files });
    expect(await tier.spill([0, 1, 2], [0, 1, 2])).toEqual(['ok', 'ok', 'disk_full']);
    // A new segment finds no room for its header.
    expect(await tier.spill([3], [3])).toEqual(['disk_full']);
    room = Infinity;
    expect(await tier.spill([2, 3], [2, 3])).toEqual(['ok', 'ok']);
    for (const page of pages) host.bytes(page).fill(0);
    expect(await tier.fetch(pages, pages)).toEqual(all('ok', 4));
    for (const page of pages) expect(host.bytes(page)).toEqual(content(page));
    expect(tier.stats().faults.disk_full).toBe(2);
    await tier.close();
  });

  it('a failing write or read is named', async () => {
    let broken = false;
    const fail = (): undefined => {
      if (broken) throw systemError('EIO');
    };
    const { tier } = await filled(1, { files: flakyFiles(nodeFiles, { write: fail, read: fail }) });
    broken = true;
    expect(await tier.spill([1], [1])).toEqual(['write_failed']);
    expect(await tier.fetch([0], [0])).toEqual(['read_failed']);
    broken = false;
    expect(await tier.fetch([0], [0])).toEqual(['ok']);
    await tier.close();
  });

  const mounted = mountTiny();
  it.skipIf(mounted === undefined)('a file system that is really full', async () => {
    try {
      const { directory: tiny, bytes } = mounted!;
      const host = newHost(64);
      const tier = await openTier(host, { directory: tiny, pages: 64 });
      const pages = Array.from({ length: 64 }, (_, page) => page);
      for (const page of pages) host.bytes(page).set(content(page));
      const outcomes = await tier.spill(pages, pages);
      const kept = pages.filter((page) => outcomes[page] === 'ok');
      expect(new Set(outcomes)).toEqual(new Set(['ok', 'disk_full']));
      expect(kept.length * RECORD).toBeLessThan(bytes);
      expect(await tier.fetch(kept, kept)).toEqual(all('ok', kept.length));
      await tier.close();
      expect(await readdir(tiny)).toEqual([]);
    } finally {
      unmount(mounted!.directory);
    }
  });

  /** A file system of 128 KiB in memory, where the test may mount one. */
  function mountTiny(): { readonly directory: string; readonly bytes: number } | undefined {
    try {
      const path = execFileSync('mktemp', ['-d', join(tmpdir(), 'fulcrum-tiny-XXXXXX')], {
        encoding: 'utf8',
      });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', path.trim()], { stdio: 'ignore' });
      return { directory: path.trim(), bytes: 128 * 1024 };
    } catch {
      return undefined;
    }
  }

  function unmount(path: string): void {
    execFileSync('umount', [path]);
    execFileSync('rmdir', [path]);
  }
});

describe('random moves', () => {
  const step = fc.record({
    spill: fc.boolean(),
    disk: fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 6 }),
    host: fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 6, maxLength: 6 }),
    /** Bytes until the next call fails; most never get there. */
    room: fc.option(fc.integer({ min: 0, max: 4 * RECORD }), { freq: 2 }),
    shortest: fc.integer({ min: 1, max: RECORD }),
  });

  it('agree with a map of what was written, through short counts and failures', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        let room = Infinity;
        let shortest = 1;
        const some = (buffers: readonly Uint8Array[]): number => {
          const bytes = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
          if (room <= 0) throw systemError('ENOSPC');
          const taken = Math.min(room, bytes, Math.max(shortest, Math.floor(bytes / 2)));
          room -= taken;
          return taken;
        };
        const host = newHost(8);
        const tier = await openTier(host, { files: flakyFiles(nodeFiles, { write: some, read: some }) });
        const oracle = new Map<number, number>();
        let seed = 0;
        for (const { spill, disk, host: chosen, room: left, shortest: least } of steps) {
          const hostPages = chosen.slice(0, disk.length);
          room = left ?? Infinity;
          shortest = least;
          if (spill) {
            const seeds = hostPages.map(() => seed++);
            hostPages.forEach((page, i) => host.bytes(page).set(content(seeds[i]!)));
            const outcomes = await tier.spill(hostPages, disk);
            outcomes.forEach((outcome, i) => {
              if (outcome === 'ok') oracle.set(disk[i]!, seeds[i]!);
              else oracle.delete(disk[i]!);
            });
            if (left === null) expect(outcomes).toEqual(all('ok', disk.length));
          } else {
            for (const page of hostPages) host.bytes(page).fill(0);
            const outcomes = await tier.fetch(disk, hostPages);
            outcomes.forEach((outcome, i) => {
              const known = oracle.get(disk[i]!);
              if (outcome === 'ok') expect(host.bytes(hostPages[i]!)).toEqual(content(known!));
              else if (left === null) expect(known).toBeUndefined();
            });
          }
        }
        room = Infinity;
        await tier.close();
        expect(await readdir(directory)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('file size', () => {
  it('keeps to the segments in use', async () => {
    const { tier } = await filled(4);
    expect((await stat(segmentPath(tier, 0))).size).toBe(SEGMENT_BYTES);
    expect((await stat(segmentPath(tier, 1))).size).toBe(HEADER_BYTES + RECORD);
    await tier.close();
  });
});
