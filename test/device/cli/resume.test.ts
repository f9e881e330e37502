/** The built program, killed on a real device and resumed. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseJournal, type Journal } from '../../../runtime/jobs/journal-format.js';

const MAIN = 'dist/cli/main.js';
const PLAN = 'plans/clerk.plan';
const DATA = 'plans/models/clerk/data';
const REQUESTS = 80;

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-resume-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const requests = join(folder, 'requests.jsonl');
const results = join(folder, 'results.jsonl');
writeFileSync(
  requests,
  `${readFileSync(join(DATA, 'records.jsonl'), 'utf8').split('\n').slice(0, REQUESTS).join('\n')}\n`,
);

function commandLine(...more: string[]): string[] {
  return [MAIN, 'run', PLAN, '--plan', 'single', '--requests', requests, '--out', results, ...more];
}

function journal(): Journal | undefined {
  if (!existsSync(`${results}.journal`)) return undefined;
  const parsed = parseJournal(readFileSync(`${results}.journal`));
  return parsed.problem === undefined ? parsed.journal : undefined;
}

/** Runs until more requests are finished than before, then kills what `victim` says; the number finished. */
async function killed(victim: (program: number, journal: Journal) => number, ...more: string[]) {
  const before = journal()?.finished.length ?? 0;
  const child = spawn(process.execPath, commandLine(...more), { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const watch = setInterval(() => {
    const now = journal();
    if (now?.owner === undefined || now.finished.length <= before) return;
    clearInterval(watch);
    process.kill(victim(child.pid!, now), 'SIGKILL');
  }, 5);
  await ended;
  clearInterval(watch);
  return journal()!.finished.length;
}

describe('a killed run', () => {
  it('is resumed to the results of an uninterrupted one', async () => {
    const first = await killed((program) => program);
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(REQUESTS);
    // At once: the process that held the devices may still be ending.
    const second = await killed((_, { owner }) => owner!.pid, '--resume');
    expect(second).toBeGreaterThan(first);
    expect(second).toBeLessThan(REQUESTS);

    const last = spawnSync(process.execPath, commandLine('--resume', '--json'), { encoding: 'utf8' });
    expect(last.status).toBe(0);
    expect(JSON.parse(last.stdout)).toMatchObject({ requests: { answered: REQUESTS, resumed: second } });
    interface Line {
      readonly custom_id: string;
      readonly completion: string;
      readonly response: { readonly body: { readonly choices: readonly { readonly text: string }[] } };
    }
    const read = (path: string): Line[] =>
      readFileSync(path, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Line);
    const answers = read(results).map((line) => [line.custom_id, line.response.body.choices[0]!.text]);
    expect(answers).toHaveLength(REQUESTS);
    const expected = read(join(DATA, 'expected.jsonl')).slice(0, REQUESTS);
    const differing = expected.filter(
      (line) => new Map(answers as [string, string][]).get(line.custom_id) !== line.completion,
    );
    // The model itself gets two of all the records wrong.
    expect(differing.length).toBeLessThanOrEqual(2);
  });
});
