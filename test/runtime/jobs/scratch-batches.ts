/** Batches over files in a folder of their own, on an engine that answers at once. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import type { EngineRequest, GeneratedToken } from '../../../runtime/engine/types.js';
import { runBatch, type BatchJob, type BatchSummary } from '../../../runtime/jobs/run-batch.js';
import { loadTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { fakeEngine } from '../../fixtures/fake-engine.js';

export const tokenizer = loadTokenizer('plans/models/clerk');
export const model = { name: 'clerk', context: 512, vocab: 512 };

/** A line of results. */
export interface Line {
  readonly id: string;
  readonly custom_id: string | null;
  readonly response: null | {
    readonly status_code: number;
    readonly body: {
      readonly choices: readonly {
        readonly text: string;
        readonly finish_reason: string;
        readonly index: number;
      }[];
      readonly usage: Record<string, number>;
      readonly error?: { readonly code: string };
    };
  };
  readonly error: null | { readonly code: string; readonly message: string };
}

/** Answers with the prompt's own tokens (without the start token), then the end token. */
export function echo(request: EngineRequest): GeneratedToken[] {
  return [...request.promptIds.slice(1), 1].map((id) => ({ id }));
}

export function readLines(path: string): Line[] {
  const text = readFileSync(path, 'utf8');
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

/** Files of a test file's batches; they are gone after its tests. */
export interface Scratch {
  readonly folder: string;
  /** A path in the folder that nothing has yet. */
  path(name: string): string;
  /** A request file of these lines, or of this text. */
  requestFile(lines: readonly string[] | string): string;
  /** Runs a batch over a request file of these lines; `options` may name another. */
  run(
    lines: readonly string[] | string,
    options?: Partial<BatchJob>,
  ): Promise<{ readonly summary: BatchSummary; readonly results: readonly Line[] }>;
}

export function openScratch(): Scratch {
  const folder = mkdtempSync(join(tmpdir(), 'fulcrum-jobs-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  let files = 0;
  const path = (name: string): string => join(folder, `${files++}-${name}`);
  const requestFile = (lines: readonly string[] | string): string => {
    const requests = path('requests.jsonl');
    writeFileSync(requests, typeof lines === 'string' ? lines : `${lines.join('\n')}\n`);
    return requests;
  };
  return {
    folder,
    path,
    requestFile,
    async run(lines, options = {}) {
      const resultsPath = path('results.jsonl');
      const summary = await runBatch({
        requestsPath: requestFile(lines),
        resultsPath,
        tokenizer,
        model,
        engine: fakeEngine(echo),
        now: () => 1_700_000_000_000,
        ...options,
      });
      return { summary, results: existsSync(resultsPath) ? readLines(resultsPath) : [] };
    },
  };
}
