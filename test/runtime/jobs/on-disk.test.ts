/**
 * That a result is on disk before it counts, held against what a machine that dies would keep: the bytes of a file as they
 * were at its last sync, and names as they were when their directory was synced. A write may last without a sync as well.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type * as FileSystem from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeEach, expect, it, vi } from 'vitest';
import { parseJournal, type Journal } from '../../../runtime/jobs/journal-format.js';
import { runBatch } from '../../../runtime/jobs/run-batch.js';
import { loadTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { fakeEngine } from '../../fixtures/fake-engine.js';
import { completionLine } from '../../fixtures/batch-lines.js';

/** By name: what would be left of a file. */
const kept = vi.hoisted(() => ({ bytes: new Map<string, Buffer>(), names: new Set<string>() }));
/** Called behind every write that no sync has followed yet. */
const hooks = vi.hoisted(() => ({ written: (_path: string) => {} }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof FileSystem>();
  const renamed = new Map<string, string>();
  const watched = (file: FileHandle, opened: string): FileHandle => {
    const path = (): string => renamed.get(opened) ?? opened;
    const changes: Partial<FileHandle> = {
      datasync: async () => {
        const bytes = readFileSync(path());
        // Long enough for whatever does not wait for it to come first.
        await setTimeout(5);
        await file.datasync();
        kept.bytes.set(basename(path()), bytes);
      },
      sync: async () => {
        await file.sync();
        for (const name of readdirSync(path())) kept.names.add(name);
      },
      write: (async (...args: Parameters<FileHandle['write']>) => {
        const result = await file.write(...args);
        hooks.written(path());
        return result;
      }) as FileHandle['write'],
    };
    return new Proxy(file, {
      get: (target, name) => {
        if (name in changes) return changes[name as keyof typeof changes];
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  };
  return {
    ...real,
    open: async (...args: Parameters<typeof real.open>) => watched(await real.open(...args), String(args[0])),
    rename: async (from: string, to: string) => {
      await real.rename(from, to);
      renamed.set(from, to);
    },
  };
});

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-on-disk-'));
afterAll(() => rmSync(scratch, { recursive: true }));
beforeEach(() => {
  kept.bytes.clear();
  kept.names.clear();
});

const REQUESTS = 40;
const requestsPath = join(scratch, 'requests.jsonl');
writeFileSync(
  requestsPath,
  Array.from({ length: REQUESTS }, (_, i) =>
    completionLine(`r${i}`, { prompt: [2 + i], max_tokens: 1 + (i % 7) }),
  ).join('\n'),
);

function journalOf(bytes: Buffer | undefined): Journal | undefined {
  const parsed = bytes === undefined ? undefined : parseJournal(bytes);
  return parsed?.problem === undefined ? parsed?.journal : undefined;
}

it('counts a result when its line and the record that names it would outlast the machine', async () => {
  const resultsPath = join(scratch, 'results.jsonl');
  const [results, journal] = ['results.jsonl', 'results.jsonl.journal'];
  /** Bytes of the results that are named by the journal as it is now, and of those that would be left. */
  const named: { readonly end: number; readonly kept: number }[] = [];
  hooks.written = (path) => {
    if (basename(path) !== journal) return;
    const end = journalOf(readFileSync(path))?.finished.at(-1)?.end ?? 0;
    named.push({ end, kept: kept.bytes.get(results)?.length ?? 0 });
  };
  const counted: { readonly finished: number; readonly lasting: number; readonly lines: number }[] = [];
  const summary = await runBatch({
    requestsPath,
    resultsPath,
    batch: { model: 'fake' },
    engine: fakeEngine(
      () => [5, 6, 7, 8, 9, 10, 11].map((id) => ({ id })),
      // Several groups of results, each while the engine works.
      () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10),
    ),
    tokenizer: loadTokenizer('plans/models/clerk'),
    model: { name: 'fake', context: 512, vocab: 512 },
    window: 8,
    onProgress: ({ answered, failed }) => {
      const lasting = kept.names.has(journal) && kept.names.has(results);
      const finished = lasting ? (journalOf(kept.bytes.get(journal))?.finished ?? []) : [];
      const bytes = kept.bytes.get(results)?.subarray(0, finished.at(-1)?.end ?? 0);
      const lines = bytes?.toString().split('\n').filter(Boolean) ?? [];
      counted.push({ finished: answered + failed, lasting: finished.length, lines: lines.length });
    },
  });
  expect(summary).toMatchObject({ answered: REQUESTS, failed: 0 });
  expect(new Set(counted.map(({ finished }) => finished)).size).toBe(REQUESTS + 1);
  for (const { finished, lasting, lines } of counted) {
    expect(lasting).toBeGreaterThanOrEqual(finished);
    expect(lines).toBe(lasting);
  }
  expect(new Set(named.map(({ end }) => end)).size).toBeGreaterThan(3);
  for (const { end, kept: bytes } of named) expect(end).toBeLessThanOrEqual(bytes);
});
