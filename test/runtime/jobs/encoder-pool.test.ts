import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { ModelSpec } from '../../../compiler/model/shape.js';
import { encoderWorkers, openEncoderPool } from '../../../runtime/jobs/encoder-pool.js';
import { localEncoder, type PromptInput } from '../../../runtime/jobs/prompt-encoder.js';
import { runBatch } from '../../../runtime/jobs/run-batch.js';
import { loadTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { fakeEngine } from '../../fixtures/fake-engine.js';
import { transpile } from '../../fixtures/transpiled.js';
import { completionLine } from '../../fixtures/batch-lines.js';

const worker = transpile('runtime/jobs/encode-worker.ts');
const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-encoder-'));
afterAll(() => {
  worker.remove();
  rmSync(scratch, { recursive: true });
});
const entry = pathToFileURL(worker.path);
const CLERK = 'plans/models/clerk';
const model = { name: 'clerk', source: CLERK, shape: { vocab: 512, context: 512 } } as ModelSpec;
const data = { model, modelDirectory: CLERK };

/** A worker that does what it is told to: ends at the third task. */
const failing = (how: string): URL => {
  const path = join(scratch, 'failing.mjs');
  writeFileSync(
    path,
    `import { parentPort } from 'node:worker_threads';
    let tasks = 0;
    parentPort.on('message', ({ task, inputs }) => {
      if (++tasks === 3) ${how};
      parentPort.postMessage({ task, prompts: inputs.map(() => ({ ids: [1] })) });
    });`,
  );
  return pathToFileURL(path);
};

const inputs = Array.from({ length: 333 }, (_, i): PromptInput => {
  const given = (input: PromptInput['input']): PromptInput => ({ input, addSpecialTokens: i % 3 > 0 });
  if (i % 50 === 7) {
    const options = { addGenerationPrompt: true, kwargs: {} };
    return given({ kind: 'chat', messages: [{ role: 'user', content: 'hi' }], options });
  }
  if (i % 50 === 9) return given({ kind: 'ids', ids: [i] });
  return given({ kind: 'text', text: `number ${i} `.repeat(1 + (i % 9)) });
});

describe('an encoder pool', () => {
  it('gives what encoding in one thread gives, in the same order, refusals among it', async () => {
    const pool = openEncoderPool(data, { workers: 3, entry });
    const expected = await localEncoder(loadTokenizer(CLERK), 512).encode(inputs);
    expect(expected.some((prompt) => prompt.error?.code === 'no_chat_template')).toBe(true);
    const [first, second] = await Promise.all([pool.encode(inputs), pool.encode(inputs.slice(5, 40))]);
    expect(first).toEqual(expected);
    expect(second).toEqual(expected.slice(5, 40));
    expect(await pool.encode([])).toEqual([]);
    await pool.close();
  });

  it.each([
    ['throws', 'throw new Error("out of luck")', /out of luck/],
    ['ends', 'process.exit(7)', /status 7/],
  ])('says so when a worker %s, now and from then on', async (_, how, why) => {
    const pool = openEncoderPool(data, { workers: 2, entry: failing(how) });
    await expect(pool.encode(inputs)).rejects.toMatchObject({
      code: 'FC0934',
      message: expect.stringMatching(why) as unknown,
    });
    await expect(pool.encode(inputs)).rejects.toMatchObject({ code: 'FC0934' });
    await pool.close();
  });

  it('gives up on abort, however long a worker takes', async () => {
    const pool = openEncoderPool(data, { workers: 1, entry: failing('for (;;);') });
    const stop = new AbortController();
    const given = pool.encode(inputs, stop.signal);
    stop.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    await expect(pool.encode(inputs, stop.signal)).rejects.toThrow('enough');
    await pool.close();
  });

  it('says so when a worker cannot open the tokenizer', async () => {
    const pool = openEncoderPool({ model, modelDirectory: scratch }, { workers: 1, entry });
    await expect(pool.encode(inputs)).rejects.toMatchObject({
      code: 'FC0934',
      message: expect.stringMatching('tokenizer.json') as unknown,
    });
    await pool.close();
  });

  it('ends a batch with what is finished when a worker is lost', async () => {
    const requestsPath = join(scratch, 'requests.jsonl');
    const lines = Array.from({ length: 1100 }, (_, i) => completionLine(`${i}`, { prompt: 'x' }));
    writeFileSync(requestsPath, lines.join('\n'));
    const pool = openEncoderPool(data, { workers: 1, entry: failing('throw new Error("out of luck")') });
    let calls = 0;
    const summary = await runBatch({
      requestsPath,
      resultsPath: join(scratch, 'results.jsonl'),
      engine: fakeEngine(() => [{ id: 1 }]),
      tokenizer: loadTokenizer(CLERK),
      // The first block is encoded elsewhere; the second meets the worker that fails.
      encoder: {
        ...pool,
        encode: (prompts) =>
          calls++ === 0
            ? Promise.resolve(prompts.map(() => ({ ids: [1] })))
            : pool.encode([...prompts, ...inputs]),
      },
      model: { name: 'clerk', context: 512, vocab: 512 },
    });
    expect(summary).toMatchObject({ answered: 1024, unfinished: 76, interrupted: false });
    expect(summary.failure?.code).toBe('FC0934');
    await pool.close();
  });
});

describe('the number of workers', () => {
  it('is none for small files and single cores, and a few at most', () => {
    expect(encoderWorkers(1000, 8)).toBe(0);
    expect(encoderWorkers(1 << 24, 1)).toBe(0);
    expect(encoderWorkers(1 << 24, 2)).toBe(1);
    expect(encoderWorkers(1 << 24, 64)).toBe(4);
  });
});
