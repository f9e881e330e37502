/** Batches that go on after a crash: states that a crash may leave are made by hand here, byte by byte. */
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { EngineRequest } from '../../../runtime/engine/types.js';
import { RuntimeFailure } from '../../../runtime/failure.js';
import { encodeRecord, parseJournal, type Journal } from '../../../runtime/jobs/journal-format.js';
import { runBatch, type BatchJob } from '../../../runtime/jobs/run-batch.js';
import { loadTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { fakeEngine } from '../../fixtures/fake-engine.js';
import { completionLine } from '../../fixtures/batch-lines.js';

const tokenizer = loadTokenizer('plans/models/clerk');
const model = { name: 'clerk', context: 512, vocab: 512 };
const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-resume-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let files = 0;

/** Twelve requests, among them one that is no JSON, one refused and one whose custom_id is taken. */
const lines = [
  ...Array.from({ length: 9 }, (_, i) => completion(`r${i}`, 'x'.repeat(i + 1))),
  'no json',
  completion('r3', 'again'),
  JSON.stringify({ custom_id: 'get', method: 'GET', url: '/v1/completions', body: {} }),
];
const requestsPath = join(scratch, 'requests.jsonl');
writeFileSync(requestsPath, `${lines.join('\n')}\n`);

function completion(id: string, prompt: string): string {
  return completionLine(id, { prompt, max_tokens: 40 });
}

function echo(request: EngineRequest): { readonly id: number }[] {
  return [...request.promptIds.slice(1), 1].map((id) => ({ id }));
}

function job(resultsPath: string, options: Partial<BatchJob> = {}): BatchJob {
  const engine = options.engine ?? fakeEngine(echo);
  return {
    requestsPath,
    resultsPath,
    batch: { requests: 'ours', weights: 'w1' },
    engine,
    tokenizer,
    model,
    now: () => 0,
    ...options,
  };
}

function newPath(): string {
  return join(scratch, `results-${files++}.jsonl`);
}

/** Results by line number of their request; fails on a second line for one request. */
function resultsOf(path: string): Map<string, string> {
  const text = readFileSync(path, 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  const results = new Map<string, string>();
  for (const line of text.trimEnd().split('\n')) {
    const { id } = JSON.parse(line) as { id: string };
    expect(results.has(id)).toBe(false);
    results.set(id, line);
  }
  return results;
}

function journalOf(path: string): Journal {
  const parsed = parseJournal(readFileSync(`${path}.journal`));
  if (parsed.problem !== undefined) throw new Error(parsed.problem);
  return parsed.journal;
}

/** Stops after `rounds` rounds of the engine. */
async function cutShort(path: string, rounds: number, limit = lines.length): Promise<void> {
  const stop = new AbortController();
  const engine = fakeEngine(echo, (round) => round === rounds && stop.abort());
  await runBatch(job(path, { engine, signal: stop.signal, limit }));
}

const reference = newPath();
await runBatch(job(reference));
const expected = resultsOf(reference);

describe('resuming', () => {
  it('goes on from every state that a crash may leave, without doing finished work again', async () => {
    const results = readFileSync(reference);
    const journal = readFileSync(`${reference}.journal`);
    const headerEnd = journal.indexOf(10) + 1;
    // All results are one commit here; a journal with one record per result has more states.
    const records = journalOf(reference).finished.map((request) => encodeRecord({ finished: [request] }));
    const full = Buffer.concat([journal.subarray(0, headerEnd), Buffer.from(records.join(''))]);
    for (let cut = headerEnd; cut <= full.length; cut += 101) {
      const kept = full.subarray(0, cut);
      const parsed = parseJournal(kept);
      if (parsed.problem !== undefined) throw new Error(parsed.problem);
      const { resultBytes, finished } = parsed.journal;
      // The results may be longer than what is finished, but not shorter.
      for (const end of [resultBytes, Math.min(results.length, resultBytes + 50), results.length]) {
        const path = newPath();
        writeFileSync(path, results.subarray(0, end));
        writeFileSync(`${path}.journal`, kept);
        const engine = fakeEngine(echo);
        const summary = await runBatch(job(path, { start: 'resume', engine }));
        expect(resultsOf(path)).toEqual(expected);
        expect(summary).toMatchObject({ read: 12, answered: 9, failed: 3, resumed: finished.length });
        expect(summary.errors).toEqual({ invalid_json: 1, duplicate_custom_id: 1, invalid_request: 1 });
        const answered = finished.filter((request) => request.error === undefined).length;
        expect(engine.submitted).toHaveLength(9 - answered);
        expect(readFileSync(path).subarray(0, resultBytes)).toEqual(results.subarray(0, resultBytes));
        expect(journalOf(path)).toMatchObject({ complete: true, resultBytes: readFileSync(path).length });
      }
    }
  });

  it('sums up the tokens of all runs', async () => {
    const whole = await runBatch(job(newPath()));
    const path = newPath();
    await cutShort(path, 5);
    const resumed = await runBatch(job(path, { start: 'resume' }));
    expect(resumed.resumed).toBeGreaterThan(0);
    expect(resumed).toEqual({ ...whole, resumed: resumed.resumed });
  });

  it('has nothing to do after a complete run, and does the rest after a limited one', async () => {
    const path = newPath();
    const limited = await runBatch(job(path, { limit: 4 }));
    expect(limited).toMatchObject({ read: 4, answered: 4, readAll: true, unfinished: 0 });
    expect(journalOf(path).complete).toBe(true);
    const rest = fakeEngine(echo);
    expect(await runBatch(job(path, { start: 'resume', engine: rest }))).toMatchObject({
      read: 12,
      resumed: 4,
    });
    expect(rest.submitted).toHaveLength(5);
    const nothing = fakeEngine(echo);
    const again = await runBatch(job(path, { start: 'resume', engine: nothing }));
    expect(again).toMatchObject({ read: 12, answered: 9, failed: 3, resumed: 12, interrupted: false });
    expect(nothing.submitted).toHaveLength(0);
    expect(resultsOf(path)).toEqual(expected);
  });

  it('starts afresh where nothing is there', async () => {
    const path = newPath();
    expect(await runBatch(job(path, { start: 'resume' }))).toMatchObject({ answered: 9, resumed: 0 });
    expect(resultsOf(path)).toEqual(expected);
  });

  it('refuses results without a journal, and results that are no file', async () => {
    const path = newPath();
    writeFileSync(path, 'a line\n');
    await expect(runBatch(job(path, { start: 'resume' }))).rejects.toMatchObject({ code: 'FC0932' });
    expect(readFileSync(path, 'utf8')).toBe('a line\n');
    await expect(runBatch(job('/dev/null', { start: 'resume' }))).rejects.toMatchObject({ code: 'FC0932' });
  });

  it('refuses another batch and names every difference', async () => {
    const path = newPath();
    await cutShort(path, 5);
    const other = { requests: 'ours', weights: 'w2', 'KV type': 'f16' };
    const before = readFileSync(path);
    await expect(runBatch(job(path, { start: 'resume', batch: other }))).rejects.toMatchObject({
      code: 'FC0931',
      message: expect.stringMatching(
        /weights: w1 in the journal, w2 now\n {2}KV type: absent in the journal, f16 now$/,
      ) as unknown,
    });
    expect(readFileSync(path)).toEqual(before);
  });

  it('keeps answers that the KV pools cut short for plans with as much room, and for no others', async () => {
    const path = newPath();
    const tight = fakeEngine((request) =>
      request.promptIds.length > 9
        ? new RuntimeFailure('FC0917', 'no room')
        : echo(request).slice(0, Math.max(1, 9 - request.promptIds.length)),
    );
    // Prompts have two tokens to ten, and answers as many: three are whole, five are cut, and one has no room at all.
    const first = await runBatch(job(path, { engine: tight, room: 9, limit: 9 }));
    expect(first).toMatchObject({ answered: 8, failed: 1, cut: 5, errors: { FC0917: 1 } });
    const before = readFileSync(path);
    await expect(runBatch(job(path, { start: 'resume', room: 40 }))).rejects.toMatchObject({
      code: 'FC0931',
      message: expect.stringMatching(
        /KV room of a sequence: 9 tokens, too few for 6 results in the journal, 40 tokens now$/,
      ) as unknown,
    });
    expect(readFileSync(path)).toEqual(before);
    const rest = await runBatch(job(path, { start: 'resume', room: 9 }));
    expect(rest).toMatchObject({ read: 12, answered: 8, failed: 4, cut: 5, resumed: 9 });
  });

  it('goes on with more room or less where whole answers alone are finished', async () => {
    const path = newPath();
    await runBatch(job(path, { room: 100, limit: 4 }));
    await runBatch(job(path, { room: 200, start: 'resume', limit: 6 }));
    expect(await runBatch(job(path, { room: 60, start: 'resume' }))).toMatchObject({ resumed: 6, cut: 0 });
    expect(resultsOf(path)).toEqual(expected);
  });

  it('refuses a request line that is not the one that was answered, and one that is gone', async () => {
    const path = newPath();
    await runBatch(job(path, { limit: 6 }));
    const changed = join(scratch, 'changed.jsonl');
    writeFileSync(changed, [...lines.slice(0, 2), completion('r2', 'other'), ...lines.slice(3)].join('\n'));
    const shorter = join(scratch, 'shorter.jsonl');
    writeFileSync(shorter, lines.slice(0, 5).join('\n'));
    const resume = (requests: string) => runBatch(job(path, { start: 'resume', requestsPath: requests }));
    await expect(resume(changed)).rejects.toMatchObject({
      code: 'FC0931',
      message: expect.stringMatching(/line 3 /) as unknown,
    });
    await expect(resume(shorter)).rejects.toMatchObject({
      code: 'FC0931',
      message: expect.stringMatching(/line 6 /) as unknown,
    });
    await resume(requestsPath);
    expect(resultsOf(path)).toEqual(expected);
  });

  it('refuses results that were changed or shortened', async () => {
    const path = newPath();
    await runBatch(job(path));
    const whole = readFileSync(path);
    const changed = Buffer.from(whole);
    changed[20] = 0x21;
    writeFileSync(path, changed);
    const again = () => runBatch(job(path, { start: 'resume' }));
    await expect(again()).rejects.toMatchObject({ code: 'FC0932' });
    writeFileSync(path, whole.subarray(0, whole.length - 1));
    await expect(again()).rejects.toMatchObject({ code: 'FC0932' });
    rmSync(path);
    await expect(again()).rejects.toMatchObject({ code: 'FC0932' });
    writeFileSync(path, whole);
    await again();
  });
});

describe('starting without --resume', () => {
  it('refuses to replace results of a run that was cut short, unless asked to', async () => {
    const path = newPath();
    await cutShort(path, 5);
    const kept = readFileSync(path);
    expect(kept.length).toBeGreaterThan(0);
    await expect(runBatch(job(path))).rejects.toMatchObject({ code: 'FC0930' });
    expect(readFileSync(path)).toEqual(kept);
    expect(await runBatch(job(path, { start: 'overwrite' }))).toMatchObject({ answered: 9, resumed: 0 });
    expect(resultsOf(path)).toEqual(expected);
  });

  it('refuses to replace results of a complete run, unless asked to', async () => {
    const path = newPath();
    await runBatch(job(path));
    const kept = readFileSync(path);
    await expect(runBatch(job(path))).rejects.toMatchObject({
      code: 'FC0930',
      message: expect.stringContaining('12 finished results of a run that was complete') as unknown,
    });
    expect(readFileSync(path)).toEqual(kept);
    expect(await runBatch(job(path, { start: 'overwrite' }))).toMatchObject({ answered: 9, resumed: 0 });
    expect(resultsOf(path)).toEqual(expected);
  });

  it('refuses to replace a file that is of no run, unless asked to', async () => {
    const path = newPath();
    writeFileSync(path, 'precious\n');
    await expect(runBatch(job(path))).rejects.toMatchObject({ code: 'FC0930' });
    expect(readFileSync(path, 'utf8')).toBe('precious\n');
    expect(existsSync(`${path}.journal`)).toBe(false);
    await runBatch(job(path, { start: 'overwrite' }));
    expect(resultsOf(path)).toEqual(expected);
  });

  it('starts where nothing is to be lost: an empty file, results of nothing, a journal without results', async () => {
    const empty = newPath();
    writeFileSync(empty, '');
    await runBatch(job(empty));
    expect(resultsOf(empty)).toEqual(expected);
    const unfinished = newPath();
    await cutShort(unfinished, 0, 9);
    expect(journalOf(unfinished).complete).toBe(false);
    await runBatch(job(unfinished));
    expect(resultsOf(unfinished)).toEqual(expected);
    rmSync(unfinished);
    await runBatch(job(unfinished));
    expect(resultsOf(unfinished)).toEqual(expected);
  });

  it('refuses a damaged journal unless asked to overwrite', async () => {
    const path = newPath();
    await runBatch(job(path));
    const journal = readFileSync(`${path}.journal`);
    journal[3] = 0x21;
    writeFileSync(`${path}.journal`, journal);
    await expect(runBatch(job(path))).rejects.toMatchObject({ code: 'FC0932' });
    await expect(runBatch(job(path, { start: 'resume' }))).rejects.toMatchObject({ code: 'FC0932' });
    await runBatch(job(path, { start: 'overwrite' }));
    expect(resultsOf(path)).toEqual(expected);
  });

  it('writes no journal beside a device', async () => {
    expect(await runBatch(job('/dev/null'))).toMatchObject({ answered: 9, failed: 3, resumable: false });
    expect(existsSync('/dev/null.journal')).toBe(false);
  });
});

describe('one batch at a time', () => {
  it('refuses while a process that runs has the batch, and takes over from one that does not', async () => {
    const path = newPath();
    await cutShort(path, 5);
    const { bytes } = journalOf(path);
    const own = parseJournal(readFileSync(`${path}.journal`).subarray(0, -1));
    if (own.problem !== undefined) throw new Error(own.problem);
    const { owner } = own.journal;
    const heldBy = (pid: number, started?: string): void => {
      truncateSync(`${path}.journal`, bytes);
      appendFileSync(
        `${path}.journal`,
        encodeRecord({ run: { ...owner!, pid, ...(started && { started }) } }),
      );
    };
    // The first process of the system runs, but is a younger one's namesake when it started at another time.
    heldBy(1, '1');
    await runBatch(job(path, { start: 'resume', limit: 1 }));
    heldBy(2 ** 22 + 1);
    await runBatch(job(path, { start: 'resume' }));
    expect(resultsOf(path)).toEqual(expected);
  });
});
