/** The built program, killed on a real device and resumed. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseJournal, type Journal } from '../../../runtime/jobs/journal-format.js';

const MAIN = 'dist/program/main.js';
const PLAN = 'plans/clerk.plan';
const DATA = 'plans/models/clerk/data';
const REQUESTS = 80;

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-resume-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const records = readFileSync(join(DATA, 'records.jsonl'), 'utf8').split('\n').slice(0, REQUESTS);

/** A run of the built program: its requests and where its results are. */
interface Batch {
  readonly requests: string;
  readonly results: string;
}

function newBatch(name: string, lines: readonly string[]): Batch {
  const requests = join(folder, `${name}-requests.jsonl`);
  writeFileSync(requests, `${lines.join('\n')}\n`);
  return { requests, results: join(folder, `${name}.jsonl`) };
}

function commandLine({ requests, results }: Batch, ...more: string[]): string[] {
  return [MAIN, 'run', PLAN, '--plan', 'single', '--requests', requests, '--out', results, ...more];
}

function finish(batch: Batch, ...more: string[]): unknown {
  const last = spawnSync(process.execPath, commandLine(batch, '--json', ...more), { encoding: 'utf8' });
  expect(last.status).toBe(0);
  return JSON.parse(last.stdout);
}

function journal({ results }: Batch): Journal | undefined {
  if (!existsSync(`${results}.journal`)) return undefined;
  const parsed = parseJournal(readFileSync(`${results}.journal`));
  return parsed.problem === undefined ? parsed.journal : undefined;
}

/** Runs until more requests are finished than before, then kills what `victim` says; the number finished. */
async function killed(
  batch: Batch,
  victim: (program: number, journal: Journal) => number,
  ...more: string[]
): Promise<number> {
  const before = journal(batch)?.finished.length ?? 0;
  const child = spawn(process.execPath, commandLine(batch, ...more), { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const watch = setInterval(() => {
    const now = journal(batch);
    if (now?.owner === undefined || now.finished.length <= before) return;
    clearInterval(watch);
    process.kill(victim(child.pid!, now), 'SIGKILL');
  }, 5);
  await ended;
  clearInterval(watch);
  return journal(batch)!.finished.length;
}

interface Line {
  readonly custom_id: string;
  readonly completion: string;
  readonly response: {
    readonly body: {
      readonly choices: readonly {
        readonly text: string;
        readonly logprobs: { readonly token_logprobs: readonly number[] } | null;
      }[];
    };
  };
}

const read = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

describe('a killed run', () => {
  it('is resumed to the results of an uninterrupted one', async () => {
    const batch = newBatch('greedy', records);
    const first = await killed(batch, (program) => program);
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(REQUESTS);
    // At once: the process that held the devices may still be ending.
    const second = await killed(batch, (_, { owner }) => owner!.pid, '--resume');
    expect(second).toBeGreaterThan(first);
    expect(second).toBeLessThan(REQUESTS);

    const summary = finish(batch, '--resume');
    expect(summary).toMatchObject({ requests: { answered: REQUESTS, resumed: second } });
    const answers = read(batch.results).map(
      (line) => [line.custom_id, line.response.body.choices[0]!.text] as const,
    );
    expect(answers).toHaveLength(REQUESTS);
    const expected = read(join(DATA, 'expected.jsonl')).slice(0, REQUESTS);
    const texts = new Map(answers);
    const differing = expected.filter((line) => texts.get(line.custom_id) !== line.completion);
    // The model itself gets two of all the records wrong.
    expect(differing.length).toBeLessThanOrEqual(2);
  });

  it('gives several drawn answers, their logprobs and JSON of a schema as one that was not killed', async () => {
    const schema = {
      type: 'object',
      properties: {
        item: { type: 'string', maxLength: 12 },
        total: { type: 'integer', minimum: 0, maximum: 99 },
      },
      required: ['item', 'total'],
      additionalProperties: false,
    };
    // A seed of its own, or one that follows from the name of the request.
    const wishes = [
      { n: 3, temperature: 1, seed: 7, max_tokens: 12 },
      { n: 2, temperature: 1, logprobs: 2, max_tokens: 20 },
      { temperature: 1, response_format: { type: 'json_schema', json_schema: { name: 'record', schema } } },
    ];
    const lines = records.slice(0, 24).map((record, i) => {
      const request = JSON.parse(record) as { readonly body: object };
      return JSON.stringify({ ...request, body: { ...request.body, ...wishes[i % wishes.length] } });
    });
    const [whole, cut] = [newBatch('whole', lines), newBatch('cut', lines)];
    finish(whole);
    const kept = await killed(cut, (program) => program);
    expect(kept).toBeLessThan(lines.length);
    expect(finish(cut, '--resume')).toMatchObject({ requests: { answered: lines.length, resumed: kept } });

    const sorted = ({ results }: Batch) => read(results).sort((a, b) => (a.custom_id < b.custom_id ? -1 : 1));
    const choicesOf = (batch: Batch) => sorted(batch).map(({ response }) => response.body.choices);
    const [expected, found] = [choicesOf(whole), choicesOf(cut)];
    const texts = (all: typeof found) => all.map((choices) => choices.map(({ text }) => text));
    expect(texts(found)).toEqual(texts(expected));
    expect(found.map((choices) => choices.length)).toEqual(lines.map((_, i) => [3, 2, 1][i % 3]));
    // Sums of a batch of another size may be rounded otherwise.
    const logprobs = (all: typeof found) =>
      all.flatMap((choices) => choices.flatMap((choice) => choice.logprobs?.token_logprobs ?? []));
    expect(logprobs(found).length).toBeGreaterThan(50);
    logprobs(found).forEach((logprob, i) => expect(logprob).toBeCloseTo(logprobs(expected)[i]!, 3));
    for (const choices of found.filter((_, i) => i % 3 === 2))
      expect(JSON.parse(choices[0]!.text)).toEqual({ item: expect.any(String), total: expect.any(Number) });
  });
});
