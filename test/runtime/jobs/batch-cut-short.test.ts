/** Batches that end before their requests do: what is answered by then is kept, and they say why. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RuntimeFailure } from '../../../runtime/failure.js';
import { localEncoder, type PromptEncoder } from '../../../runtime/jobs/prompt-encoder.js';
import { runBatch } from '../../../runtime/jobs/run-batch.js';
import { completionLine } from '../../fixtures/batch-lines.js';
import { fakeEngine } from '../../fixtures/fake-engine.js';
import { echo, model, openScratch, tokenizer } from './scratch-batches.js';

const { path, requestFile, run } = openScratch();

describe('a batch cut short', () => {
  const lines = Array.from({ length: 20 }, (_, i) =>
    completionLine(`r${i}`, { prompt: 'a'.repeat(i + 1), max_tokens: 99 }),
  );

  it('keeps finished results on abort', async () => {
    const stop = new AbortController();
    const engine = fakeEngine(echo, (round) => {
      if (round === 6) stop.abort();
    });
    const { results, summary } = await run(lines, { engine, signal: stop.signal });
    expect(summary.interrupted).toBe(true);
    expect(results.length).toBeGreaterThan(0);
    expect(results).toHaveLength(summary.answered);
    expect(summary.unfinished).toBe(20 - results.length);
  });

  it('does not wait for prompts that are being encoded', async () => {
    const stop = new AbortController();
    const encoder: PromptEncoder = {
      ...localEncoder(tokenizer, model.context),
      encode: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal!.addEventListener('abort', () => reject(signal!.reason as Error));
          stop.abort();
        }),
    };
    const { results, summary } = await run(lines, { encoder, signal: stop.signal });
    expect(summary).toMatchObject({ read: 20, answered: 0, failed: 0, unfinished: 20, interrupted: true });
    expect(results).toEqual([]);
  });

  it('encodes no further prompts on abort', async () => {
    const stop = new AbortController();
    let encoded = 0;
    const counting = {
      ...tokenizer,
      encode: (text: string, special: boolean) => {
        if (++encoded === 3) stop.abort();
        return tokenizer.encode(text, special);
      },
    };
    const { summary } = await run(lines, { tokenizer: counting, signal: stop.signal });
    expect(summary).toMatchObject({ answered: 0, unfinished: 20, interrupted: true });
    expect(encoded).toBe(3);
  });

  it('leaves earlier results alone when it was aborted before it began', async () => {
    const resultsPath = path('earlier.jsonl');
    writeFileSync(resultsPath, '{}\n');
    const requestsPath = requestFile(lines);
    const engine = fakeEngine(echo);
    const signal = AbortSignal.abort();
    const summary = await runBatch({ requestsPath, resultsPath, engine, tokenizer, model, signal });
    expect(summary).toMatchObject({ read: 0, answered: 0, unfinished: 0, interrupted: true });
    expect(readFileSync(resultsPath, 'utf8')).toBe('{}\n');
  });

  it('keeps finished results when the device is lost, and says so', async () => {
    const engine = fakeEngine(echo, (round) => {
      if (round === 6) throw new RuntimeFailure('FC0902', 'device gpu[0] is lost');
    });
    const { results, summary } = await run(lines, { engine });
    expect(summary.failure?.code).toBe('FC0902');
    expect(summary.interrupted).toBe(false);
    expect(results.length).toBe(summary.answered);
    expect(results.length).toBeGreaterThan(0);
    expect(summary.unfinished).toBe(20 - summary.answered);
  });

  it('gives up a pipe that has nothing to give, on abort and when the device is lost', async () => {
    const requestsPath = path('pipe');
    execFileSync('mkfifo', [requestsPath]);
    // Reading and writing: neither blocks, and the pipe never ends.
    const pipe = openSync(requestsPath, 'r+');
    writeSync(pipe, `${lines[0]}\n${lines[1]}\n`);
    const stop = new AbortController();
    const aborted = run([], {
      requestsPath,
      window: 1,
      signal: stop.signal,
      onProgress: ({ answered }) => answered === 2 && stop.abort(),
    });
    expect((await aborted).summary).toMatchObject({ read: 2, answered: 2, interrupted: true });
    writeSync(pipe, `${lines[0]}\n${lines[9]}\n`);
    const engine = fakeEngine(echo, (round) => {
      if (round === 6) throw new RuntimeFailure('FC0902', 'device gpu[0] is lost');
    });
    const { summary } = await run([], { requestsPath, window: 2, engine });
    expect(summary).toMatchObject({ read: 2, answered: 1, interrupted: false });
    expect(summary.failure?.code).toBe('FC0902');
    closeSync(pipe);
  });

  it('waits for the writer of a pipe, and can be told not to', async () => {
    const requestsPath = path('pipe');
    execFileSync('mkfifo', [requestsPath]);
    const stop = new AbortController();
    const waiting = run([], { requestsPath, resultsPath: path('none.jsonl'), signal: stop.signal });
    stop.abort();
    expect((await waiting).summary).toMatchObject({ read: 0, interrupted: true });
    const text = `${completionLine('ä', { prompt: 'x' })}\n${completionLine('b', { prompt: 'y' })}\n`;
    const answered = run([], { requestsPath });
    const writer = spawn('sh', ['-c', 'printf %s "$2" > "$1"', 'sh', requestsPath, text]);
    const { summary, results } = await answered;
    expect(summary).toMatchObject({ read: 2, readAll: true, answered: 2, interrupted: false });
    expect(results.map((line) => line.custom_id).sort()).toEqual(['b', 'ä']);
    writer.kill();
  });

  it.skipIf(process.platform !== 'linux')('does not wait for a writer of a pipe without a name', async () => {
    const reader = spawn('sh', ['-c', "true | sh -c 'echo $$; exec sleep 60 2>/dev/null'"]);
    const [pid] = (await once(reader.stdout, 'data')) as [Buffer];
    const requestsPath = `/proc/${pid.toString().trim()}/fd/0`;
    const link = path('link');
    symlinkSync(requestsPath, link);
    try {
      for (const each of [requestsPath, link])
        await expect(run([], { requestsPath: each })).rejects.toMatchObject({ code: 'FC0916' });
    } finally {
      process.kill(Number(pid));
    }
  });

  it('answers what a pipe has given without waiting for more', async () => {
    const requestsPath = path('pipe');
    execFileSync('mkfifo', [requestsPath]);
    const pipe = openSync(requestsPath, 'r+');
    writeSync(pipe, `${lines[0]}\n`);
    const stop = new AbortController();
    const { summary } = await run([], {
      requestsPath,
      signal: stop.signal,
      onProgress: ({ read, answered }) => {
        if (answered === 1 && read === 1) writeSync(pipe, `${lines[1]}\n`);
        if (answered === 2) stop.abort();
      },
    });
    expect(summary).toMatchObject({ read: 2, answered: 2, failed: 0, interrupted: true });
    closeSync(pipe);
  });

  it('passes bugs on', async () => {
    const engine = fakeEngine(() => {
      throw new TypeError('a bug');
    });
    await expect(run(lines, { engine })).rejects.toThrow(TypeError);
  });
});
