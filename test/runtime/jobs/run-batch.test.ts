import { appendFileSync, existsSync, linkSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GeneratedToken } from '../../../runtime/engine/types.js';
import { RuntimeFailure } from '../../../runtime/failure.js';
import { countRequests } from '../../../runtime/jobs/request-lines.js';
import type { BatchProgress } from '../../../runtime/jobs/batch-outcomes.js';
import { runBatch } from '../../../runtime/jobs/run-batch.js';
import type { ChatMessage } from '../../../runtime/tokenizer/chat-template.js';
import { chatLine, completionLine } from '../../fixtures/batch-lines.js';
import { fakeEngine } from '../../fixtures/fake-engine.js';
import { echo, model, openScratch, readLines, tokenizer } from './scratch-batches.js';

const { folder, path, requestFile, run } = openScratch();

describe('a batch', () => {
  it('answers in completion order in the OpenAI shape', async () => {
    const { results, summary } = await run([
      completionLine('long', { prompt: 'shipment of chairs', max_tokens: 90 }),
      completionLine('short', { prompt: 'x', max_tokens: 90, model: 'mine' }),
    ]);
    expect(results.map((line) => line.custom_id)).toEqual(['short', 'long']);
    expect(results[0]).toEqual({
      id: 'batch_req_00000002',
      custom_id: 'short',
      response: {
        status_code: 200,
        request_id: 'batch_req_00000002',
        body: {
          id: 'cmpl-batch_req_00000002',
          object: 'text_completion',
          created: 1_700_000_000,
          model: 'mine',
          choices: [{ index: 0, text: 'x', logprobs: null, finish_reason: 'stop', stop_reason: null }],
          usage: { prompt_tokens: 2, completion_tokens: 2, total_tokens: 4 },
        },
      },
      error: null,
    });
    expect(results[1]!.response!.body.choices[0]!.text).toBe('shipment of chairs');
    expect(summary).toMatchObject({ read: 2, answered: 2, failed: 0, unfinished: 0, interrupted: false });
    expect(summary.failure).toBeUndefined();
  });

  it('turns each bad request into one error line and serves the others', async () => {
    const { results, summary } = await run([
      completionLine('good', { prompt: 'x' }),
      '{"custom_id": "cut',
      JSON.stringify({ custom_id: 'get', method: 'GET', url: '/v1/completions', body: {} }),
      completionLine('field', { prompt: 'x', best_of: 2 }),
      completionLine('long', { prompt: Array<number>(512).fill(5) }),
      completionLine('id', { prompt: [512] }),
      completionLine('good', { prompt: 'y' }),
      chatLine('chat', { messages: [{ role: 'user', content: 'hi' }] }),
      '',
      completionLine('fits', { prompt: Array<number>(511).fill(5), max_tokens: 40 }),
    ]);
    const code = (customId: string | null): (string | undefined)[] =>
      results.filter((line) => line.custom_id === customId).map((line) => line.error?.code);
    expect(code(null)).toEqual(['invalid_json']);
    expect(code('get')).toEqual(['invalid_request']);
    expect(code('field')).toEqual(['unsupported_field']);
    expect(code('long')).toEqual(['context_length_exceeded']);
    expect(code('id')).toEqual(['invalid_token']);
    expect(code('chat')).toEqual(['no_chat_template']);
    expect(code('good').sort()).toEqual(['duplicate_custom_id', undefined]);
    expect(results.find((line) => line.custom_id === 'fits')!.response!.body.usage).toMatchObject({
      prompt_tokens: 511,
      completion_tokens: 1,
    });
    const bad = results.filter((line) => line.error !== null);
    expect(bad.find((line) => line.custom_id === null)!.error!.message).toMatch(
      /^line 2: the line is not JSON/,
    );
    expect(bad.find((line) => line.custom_id === 'good')!.error!.message).toMatch(
      'line 1 has the custom_id "good"',
    );
    for (const line of bad) {
      expect(line.response!.status_code).toBe(400);
      expect(line.response!.body.error!.code).toBe(line.error!.code);
    }
    expect(summary).toMatchObject({ read: 9, answered: 2, failed: 7, unfinished: 0 });
  });

  it('refuses what is far beyond the context without encoding it', async () => {
    const text = 'x'.repeat(100_000);
    const encoded: string[] = [];
    const counting = {
      ...tokenizer,
      encode: (given: string, special: boolean) => {
        encoded.push(given);
        return tokenizer.encode(given, special);
      },
      renderChat: ([message]: readonly ChatMessage[]) => message!.content,
    };
    const lines = [
      completionLine('text', { prompt: text }),
      chatLine('chat', { messages: [{ role: 'user', content: text }] }),
      completionLine('little', { prompt: 'x'.repeat(600) }),
      completionLine('short', { prompt: 'x' }),
    ];
    const { results } = await run(lines, { tokenizer: counting });
    const errorOf = (id: string): unknown => results.find((line) => line.custom_id === id)!.error;
    const refused = (tokens: string): object => ({
      code: 'context_length_exceeded',
      message: `the prompt has ${tokens} tokens, the context of 512 leaves no room for an answer`,
    });
    expect(errorOf('text')).toMatchObject(refused('more than 512'));
    expect(errorOf('chat')).toMatchObject(refused('more than 512'));
    expect(errorOf('little')).toMatchObject(refused('601'));
    expect(errorOf('short')).toBe(null);
    expect(encoded.map(({ length }) => length)).toEqual([600, 1]);
  });

  it('refuses a line that is not UTF-8, and takes separators of lines and paragraphs within texts', async () => {
    const lines = [
      completionLine('whole', { prompt: 'a\u2028b\u2029c' }),
      completionLine('latin', { prompt: 'caf\u00e9' }),
    ];
    const bytes = Buffer.concat([Buffer.from(`${lines[0]}\n`), Buffer.from(lines[1]!, 'latin1')]);
    const requestsPath = requestFile([]);
    writeFileSync(requestsPath, bytes);
    const resultsPath = path('latin.jsonl');
    const summary = await runBatch({ requestsPath, resultsPath, engine: fakeEngine(echo), tokenizer, model });
    expect(summary).toMatchObject({ read: 2, answered: 1, failed: 1 });
    expect(countRequests(requestsPath)).toBe(2);
    const results = readLines(resultsPath);
    expect(results.find((line) => line.custom_id === 'latin')!.error).toEqual({
      code: 'invalid_json',
      message: 'the line is not UTF-8',
    });
    expect(results.find((line) => line.custom_id === 'whole')!.response!.body.choices[0]!.text).toBe(
      'a\u2028b\u2029c',
    );
  });

  it('refuses a line that is too long for a text, and serves those around it', async () => {
    const requestsPath = requestFile([]);
    const around = ['before', 'behind'].map((id) => completionLine(id, { prompt: 'x' }));
    writeFileSync(requestsPath, `${around[0]}\r\n`);
    const piece = Buffer.alloc(1 << 23, 'x');
    for (let i = 0; i < 9; i++) appendFileSync(requestsPath, piece);
    appendFileSync(requestsPath, `\r\n${around[1]}`);
    const { summary, results } = await run([], { requestsPath });
    expect(summary).toMatchObject({ read: 3, readAll: true, answered: 2, failed: 1 });
    expect(results.filter(({ error }) => error !== null)).toMatchObject([
      { id: 'batch_req_00000002', custom_id: null, error: { code: 'invalid_request' } },
    ]);
    expect(results.find(({ error }) => error !== null)!.error!.message).toBe(
      'line 2: the line has more than 64 MiB',
    );
    expect(results.map((line) => line.custom_id)).toEqual(expect.arrayContaining(['before', 'behind']));
  });

  it('honours n, stop, max_tokens and ignore_eos', async () => {
    const engine = fakeEngine((request) => [...echo(request), ...echo(request)]);
    const { results } = await run(
      [
        completionLine('n', { prompt: 'ab', n: 3, seed: 5 }),
        completionLine('stop', { prompt: 'one END two', stop: 'END', max_tokens: 90 }),
        completionLine('max', { prompt: 'one two three', max_tokens: 2 }),
        completionLine('eos', { prompt: 'ab', max_tokens: 90, ignore_eos: true }),
      ],
      { engine, ordered: true },
    );
    const choices = (customId: string) =>
      results.find((line) => line.custom_id === customId)!.response!.body.choices;
    expect(choices('n').map((choice) => [choice.index, choice.text])).toEqual([
      [0, 'ab'],
      [1, 'ab'],
      [2, 'ab'],
    ]);
    expect(new Set(engine.submitted.slice(0, 3).map((request) => request.sampling.seed)).size).toBe(3);
    expect(choices('stop')[0]).toMatchObject({ text: 'one ', finish_reason: 'stop' });
    expect(choices('max')[0]).toMatchObject({ finish_reason: 'length' });
    expect(engine.submitted[4]!.maxNewTokens).toBe(2);
    expect(choices('eos')[0]).toMatchObject({ text: 'abab', finish_reason: 'length' });
  });

  it('reports log-probabilities of the tokens of the text', async () => {
    const [a, b] = tokenizer.encode('xq', false) as [number, number];
    const token = (id: number): GeneratedToken => ({
      id,
      logprob: -id / 100,
      top: [{ id, logprob: -id / 100 }],
    });
    const engine = fakeEngine(() => [token(a), token(b), token(1)]);
    const { results } = await run([completionLine('lp', { prompt: 'x', logprobs: 1 })], { engine });
    expect(results[0]!.response!.body.choices[0]).toMatchObject({
      logprobs: {
        tokens: ['x', 'q'],
        token_logprobs: [-a / 100, -b / 100],
        top_logprobs: [{ x: -a / 100 }, { q: -b / 100 }],
        text_offset: [0, 1],
      },
    });
  });

  it('writes an error line when the engine gives up one request', async () => {
    const lost = new RuntimeFailure('FC0902', 'device gpu[1] is lost');
    const engine = fakeEngine((request) => (request.promptIds.length > 3 ? lost : echo(request)));
    const { results, summary } = await run(
      [completionLine('a', { prompt: 'shipment of chairs', n: 2 }), completionLine('b', { prompt: 'x' })],
      { engine },
    );
    const failed = results.filter((line) => line.custom_id === 'a');
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatchObject({ response: { status_code: 500 }, error: { code: 'FC0902' } });
    expect(summary).toMatchObject({ answered: 1, failed: 1 });
  });

  it('submits requests in the order that helps, or in the order of the file', async () => {
    const lines = ['short', 'one of a middling length', 'one that is the longest of the three'].map(
      (prompt) => completionLine(prompt, { prompt, max_tokens: 9 }),
    );
    const lengths = async (ordered: boolean): Promise<number[]> => {
      const engine = fakeEngine(echo);
      await run(lines, { engine, ordered });
      return engine.submitted.map(({ promptIds }) => promptIds.length);
    };
    const inFile = await lengths(true);
    expect(inFile).toEqual([...inFile].sort((a, b) => a - b));
    expect(await lengths(false)).toEqual([...inFile].reverse());
  });

  it('takes blocks from a long file, in order of the blocks', async () => {
    const lines = Array.from({ length: 2500 }, (_, i) =>
      completionLine(`r${i}`, { prompt: [i % 500, i >> 9] }),
    );
    const engine = fakeEngine(() => [{ id: 1 }]);
    const { summary, results } = await run(lines, { engine, limit: 2400 });
    expect(summary).toMatchObject({ read: 2400, answered: 2400, readAll: true });
    expect(new Set(results.map((line) => line.custom_id)).size).toBe(2400);
    expect(engine.submitted.slice(0, 1024).map(({ promptIds }) => promptIds)).toContainEqual([1023 % 500, 1]);
    expect(engine.submitted[1024]!.promptIds).toEqual([1024 % 500, 2]);
  });

  it('keeps the window and reports progress', async () => {
    const lines = Array.from({ length: 60 }, (_, i) => completionLine(`r${i}`, { prompt: 'some text' }));
    const seen: BatchProgress[] = [];
    const engine = fakeEngine(echo);
    const { summary } = await run(lines, {
      engine,
      window: 8,
      onProgress: (progress) => seen.push(progress),
    });
    expect(summary.answered).toBe(60);
    expect(engine.mostPending()).toBe(8);
    expect(seen.at(-1)).toMatchObject({ read: 60, readAll: true, answered: 60 });
    expect(summary.completionTokens).toBe(60 * (tokenizer.encode('some text', false).length + 1));
  });
});

describe('files', () => {
  const job = (requestsPath: string, resultsPath = join(folder, 'never.jsonl')): Promise<unknown> =>
    runBatch({ requestsPath, resultsPath, engine: fakeEngine(echo), tokenizer, model });

  it('refuses unreadable and empty request files without touching the output', async () => {
    const missing = join(folder, 'none.jsonl');
    await expect(job(missing)).rejects.toMatchObject({ code: 'FC0916', details: { subject: missing } });
    await expect(job(folder)).rejects.toMatchObject({ code: 'FC0916' });
    await expect(job(requestFile('\n \n'))).rejects.toMatchObject({ code: 'FC0916' });
    expect(() => countRequests(missing)).toThrow(expect.objectContaining({ code: 'FC0916' }));
    expect(() => countRequests(requestFile('\n \n'))).toThrow(expect.objectContaining({ code: 'FC0916' }));
    expect(existsSync(join(folder, 'never.jsonl'))).toBe(false);
  });

  it('refuses an output that cannot be written or is the input', async () => {
    const requests = requestFile([completionLine('a', { prompt: 'x' })]);
    await expect(job(requests, join(folder, 'no', 'dir.jsonl'))).rejects.toMatchObject({ code: 'FC0918' });
    await expect(job(requests, requests)).rejects.toMatchObject({ code: 'FC0918' });
    const link = path('hard-link.jsonl');
    linkSync(requests, link);
    await expect(job(requests, link)).rejects.toMatchObject({ code: 'FC0918' });
    expect(readFileSync(requests, 'utf8')).toContain('"a"');
  });

  it('stops when the results can no longer be written', async () => {
    const requests = requestFile(
      Array.from({ length: 50 }, (_, i) => completionLine(`${i}`, { prompt: 'x' })),
    );
    await expect(job(requests, '/dev/full')).rejects.toMatchObject({ code: 'FC0918' });
  });

  it('counts requests, line endings and byte order mark aside', async () => {
    const line = completionLine('a', { prompt: 'x' });
    const path = requestFile(`\ufeff${line}\r\n\r\n${completionLine('b', { prompt: 'x' })}`);
    expect(countRequests(path)).toBe(2);
    expect(countRequests(requestFile(`\ufeff\r\n${line}`))).toBe(1);
    expect(() => countRequests(requestFile('\ufeff\n'))).toThrow(expect.objectContaining({ code: 'FC0916' }));
    const { summary } = await run(`\ufeff${line}\r\n`);
    expect(summary).toMatchObject({ answered: 1, failed: 0 });
  });
});
