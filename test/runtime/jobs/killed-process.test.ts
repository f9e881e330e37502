/** Real processes, ended at random moments, resumed until the batch is done. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { parseJournal, type Journal } from '../../../runtime/jobs/journal-format.js';
import type { StartMode } from '../../../runtime/jobs/batch-start.js';
import { seededRandom } from '../../fixtures/random.js';
import { transpile } from '../../fixtures/transpiled.js';
import { completionLine } from '../../fixtures/batch-lines.js';

const program = transpile('test/fixtures/job-process.ts');
const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-killed-'));
afterAll(() => {
  program.remove();
  rmSync(scratch, { recursive: true });
});

const REQUESTS = 120;
const requests = join(scratch, 'requests.jsonl');
const schema = {
  type: 'object',
  properties: { n: { type: 'integer', minimum: 0, maximum: 99 } },
  required: ['n'],
  additionalProperties: false,
};
/** What requests ask for, in turn; where there is no seed, it follows from the name of the request. */
const wishes = [
  { max_tokens: 9 },
  { max_tokens: 9, n: 3, seed: 5 },
  { max_tokens: 9, logprobs: 1, n: 2 },
  { max_tokens: 20, response_format: { type: 'json_schema', json_schema: { schema } } },
];
writeFileSync(
  requests,
  Array.from({ length: REQUESTS }, (_, i) =>
    completionLine(`r${i}`, { prompt: [i], ...wishes[i % wishes.length] }),
  ).join('\n'),
);

interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly error: string;
  /** Prompts that the engine was given. */
  readonly submitted: readonly number[];
}

/** Runs the batch in a process; with `end`, sends that signal once `after` is over, which begins as the engine does. */
async function runProcess(
  results: string,
  start: StartMode,
  end?: { readonly signal: NodeJS.Signals; readonly after: () => Promise<unknown> },
  prefix: readonly string[] = [],
  log = `${results}.log`,
): Promise<Ended> {
  writeFileSync(log, '');
  const [command, ...args] = [...prefix, process.execPath, program.path, requests, results, start, log];
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let error = '';
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  if (end !== undefined) {
    child.stdout.once('data', () => void end.after().then(() => child.kill(end.signal)));
  } else child.stdout.resume();
  const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.once('close', (...ended) => resolve(ended)),
  );
  const submitted = readFileSync(log, 'utf8').trim().split('\n').filter(Boolean).map(Number);
  return { status, signal, error, submitted };
}

function journalOf(results: string): Journal {
  const parsed = parseJournal(readFileSync(`${results}.journal`));
  if (parsed.problem !== undefined) throw new Error(parsed.problem);
  return parsed.journal;
}

/** Answers by request; fails on a second line for one request. */
function answersOf(results: string): Map<string, unknown> {
  const answers = new Map<string, unknown>();
  for (const line of readFileSync(results, 'utf8').trimEnd().split('\n')) {
    const { custom_id: id, response } = JSON.parse(line) as {
      custom_id: string;
      response: { body: { choices: unknown; usage: unknown } };
    };
    expect(answers.has(id)).toBe(false);
    answers.set(id, [response.body.choices, response.body.usage]);
  }
  return answers;
}

const whole = join(scratch, 'whole.jsonl');
const uninterrupted = await runProcess(whole, 'new');
expect(uninterrupted.status).toBe(0);
const expected = answersOf(whole);

it('is a batch of answers of every kind', () => {
  type Answer = readonly [readonly { readonly text: string; readonly logprobs: unknown }[], unknown];
  const [plain, several, scored, structured] = [0, 1, 2, 3].map((i) => (expected.get(`r${i}`) as Answer)[0]);
  expect([plain, several, scored].map((choices) => choices!.length)).toEqual([1, 3, 2]);
  expect(new Set(several!.map(({ text }) => text)).size).toBe(3);
  expect(scored![1]!.logprobs).toHaveProperty('token_logprobs.0', expect.any(Number));
  expect(JSON.parse(structured![0]!.text)).toEqual({ n: expect.any(Number) as number });
});

describe('a process that is ended', () => {
  it('loses and repeats nothing in 25 kills at random moments', { timeout: 60_000 }, async () => {
    expect(expected.size).toBe(REQUESTS);
    const random = seededRandom(7);
    let kills = 0;
    for (let batch = 0; kills < 25; batch++) {
      const results = join(scratch, `killed-${batch}.jsonl`);
      let finished = new Set<number>();
      for (let status: number | null = null; status === null;) {
        const wait = random.uniform() * 100;
        const kill = { signal: 'SIGKILL', after: () => setTimeout(wait) } as const;
        const ended = await runProcess(results, 'resume', kills < 25 ? kill : undefined);
        if (ended.signal === 'SIGKILL') kills++;
        status = ended.status;
        expect(ended.submitted.filter((prompt) => finished.has(prompt + 1))).toEqual([]);
        const now = new Set(journalOf(results).finished.map(({ line }) => line));
        expect([...finished].filter((line) => !now.has(line))).toEqual([]);
        finished = now;
      }
      expect(answersOf(results)).toEqual(expected);
      expect(journalOf(results).complete).toBe(true);
    }
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('keeps whole lines on %s and can be resumed', async (signal) => {
    const results = join(scratch, `${signal}.jsonl`);
    const cut = await runProcess(results, 'new', { signal, after: () => firstFinished(results) });
    expect(cut.status).toBe(130);
    const kept = readFileSync(results);
    const journal = journalOf(results);
    expect(journal).toMatchObject({ complete: false, resultBytes: kept.length });
    expect(journal.owner).toBeUndefined();
    expect((await runProcess(results, 'new')).error).toBe('FC0930');
    expect((await runProcess(results, 'resume')).status).toBe(0);
    expect(readFileSync(results).subarray(0, kept.length)).toEqual(kept);
    expect(answersOf(results)).toEqual(expected);
  });

  it('stops with FC0918 where the disk is full, and goes on when there is room', async () => {
    const results = join(scratch, 'full.jsonl');
    // A limit on the size of a file stands in for a full disk: the system refuses the write in the same way.
    const limited = ['bash', '-c', 'ulimit -f 30; exec "$@"', 'bash'];
    const full = await runProcess(results, 'new', undefined, limited);
    expect(full).toMatchObject({ status: 3, error: 'FC0918' });
    const journal = journalOf(results);
    expect(journal.finished.length).toBeGreaterThan(0);
    expect(readFileSync(results).length).toBeGreaterThanOrEqual(journal.resultBytes);
    expect(readFileSync(results).at(-1)).toBe(10);
    expect((await runProcess(results, 'resume')).status).toBe(0);
    expect(answersOf(results)).toEqual(expected);
  });

  it('has the batch alone where several start at once', async () => {
    const results = join(scratch, 'at-once.jsonl');
    const ended = await Promise.all(
      ['a', 'b', 'c'].map((name) => runProcess(results, 'resume', undefined, [], `${results}.${name}.log`)),
    );
    // Whoever waited found it finished, or has given up.
    for (const { status, error } of ended) expect(['', 'FC0933']).toContain(status === 0 ? '' : error);
    const submitted = ended.flatMap((each) => each.submitted);
    expect(submitted.length).toBe(uninterrupted.submitted.length);
    expect(answersOf(results)).toEqual(expected);
    expect(readdirSync(scratch).filter((name) => name.includes('at-once') && name.includes('lock'))).toEqual(
      [],
    );
  });

  it('is waited for by the next one while it has the batch', async () => {
    const results = join(scratch, 'twice.jsonl');
    const first = runProcess(results, 'new', { signal: 'SIGTERM', after: () => setTimeout(100) });
    while (!existsJournal(results)) await setTimeout(5);
    const second = await runProcess(results, 'resume');
    expect((await first).status).toBe(130);
    expect(second.status).toBe(0);
    expect(answersOf(results)).toEqual(expected);
  });
});

async function firstFinished(results: string): Promise<void> {
  while (journalOf(results).finished.length === 0) await setTimeout(5);
}

function existsJournal(results: string): boolean {
  try {
    return journalOf(results).owner !== undefined;
  } catch {
    return false;
  }
}
