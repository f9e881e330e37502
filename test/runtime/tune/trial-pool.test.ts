/** Trials in worker threads: a search comes to what it comes to without them, and ends when it is told to. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { findCandidates } from '../../../compiler/planner/candidates.js';
import { decided, type TuneOptions, type TuneResult } from '../../../runtime/tune/search.js';
import { trialWorkers } from '../../../runtime/tune/trial-pool.js';
import { tune, tuneOnWorkers } from '../../../runtime/tune/tune.js';
import { transpile } from '../../fixtures/transpiled.js';
import { planOn } from './machines.js';

const worker = transpile('runtime/tune/trial-worker.ts');
const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-trials-'));
afterAll(() => {
  worker.remove();
  rmSync(scratch, { recursive: true });
});
const entry = pathToFileURL(worker.path);

/** A worker that answers a trial with some code. */
function answering(name: string, code: string): URL {
  const path = join(scratch, `${name}.mjs`);
  writeFileSync(
    path,
    `import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => { ${code} });`,
  );
  return pathToFileURL(path);
}

const PLAIN = { peerBandwidth: 1e8, deviceMemory: 6e6, step: 0, layer: 0, request: 0, pageTokens: 16 };
const requests = Array.from({ length: 12 }, (_, index) => ({
  promptTokens: 20 + ((index * 7) % 31),
  outputTokens: 3 + ((index * 5) % 17),
}));
const candidates = findCandidates(planOn({ ...PLAIN, window: 24 })).filter((_, index) => index % 4 === 0);

async function onWorkers(
  options: TuneOptions,
  pooled: { readonly entry: URL; readonly signal?: AbortSignal },
): Promise<TuneResult> {
  const signal = new AbortController().signal;
  const search = tuneOnWorkers(candidates, requests, options, { workers: 2, signal, ...pooled });
  for (;;) {
    const { done, value } = await search.next();
    if (done) return value;
  }
}

describe('trials on workers', () => {
  it('come to what they come to in this thread', async () => {
    const every = tune(candidates, requests, { keep: 'all' });
    expect(every.counts.simulated).toBeGreaterThan(4);
    expect(await onWorkers({ keep: 'all' }, { entry })).toEqual(every);
  });

  it('leave the best the best', async () => {
    const alone = tune(candidates, requests, { keep: 2 });
    const { ranked, counts } = await onWorkers({ keep: 2 }, { entry });
    expect(ranked.slice(0, 2)).toEqual(alone.ranked.slice(0, 2));
    expect(decided(counts)).toBe(candidates.length);
    expect(counts.givenUp + counts.outbid + counts.outbidCompiled).toBeGreaterThan(0);
  });

  it('end when they are interrupted', async () => {
    const controller = new AbortController();
    const silent = answering('silent', '');
    setTimeout(() => controller.abort(), 50);
    const { ranked, counts } = await onWorkers({}, { entry: silent, signal: controller.signal });
    expect(ranked).toEqual([]);
    expect(counts.simulated + counts.givenUp).toBe(0);
  });

  it('fail with what made a worker end', async () => {
    const failing = answering('failing', "throw new Error('no more');");
    await expect(onWorkers({}, { entry: failing })).rejects.toThrow('no more');
  });

  it('are for searches that are worth it', () => {
    expect(trialWorkers(requests, 4, 8)).toBe(0);
    const many = Array.from({ length: 10_000 }, () => requests[0]!);
    expect(trialWorkers(many, 8, 2)).toBe(2);
    expect(trialWorkers(many, 8, 1)).toBe(0);
    expect(trialWorkers(many, 8, 64)).toBe(8);
  });
});
