/** The built program as a process of its own: results, exit status, and what a signal leaves behind. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseExposition } from '../../fixtures/exposition.js';
import { readTrace } from '../../fixtures/trace-events.js';

const MAIN = 'dist/program/main.js';
const PLAN = 'plans/clerk.plan';
const DATA = 'plans/models/clerk/data';

interface ResultLine {
  readonly custom_id: string | null;
  readonly response: {
    readonly status_code: number;
    readonly body: { readonly choices?: readonly { text: string }[] };
  };
  readonly error: { readonly code: string } | null;
}

let folder = '';
beforeAll(() => {
  // `npm test` builds before it runs anything.
  expect(existsSync(MAIN)).toBe(true);
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-run-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fulcrum(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
}

function readLines<T>(path: string): T[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

/** The expected answers by request. */
function expectedTexts(): Map<string, string> {
  const lines = readLines<{ custom_id: string; completion: string }>(join(DATA, 'expected.jsonl'));
  return new Map(lines.map((line) => [line.custom_id, line.completion]));
}

function requestsFile(name: string, count: number, ...more: string[]): string {
  const lines = readFileSync(join(DATA, 'records.jsonl'), 'utf8').split('\n').slice(0, count);
  const path = join(folder, name);
  writeFileSync(path, [...lines, ...more].join('\n') + '\n');
  return path;
}

describe('fulcrum run', () => {
  it('answers a batch, gives bad lines an error, and prints one document', () => {
    const requests = requestsFile(
      'six.jsonl',
      6,
      'not json',
      '{"custom_id":"odd","method":"GET","url":"/v1/models"}',
    );
    const results = join(folder, 'six.out.jsonl');
    const summary = join(folder, 'six.summary.json');
    const files = ['--requests', requests, '--out', results, '--summary', summary];
    const run = fulcrum('run', PLAN, '--plan', 'reshard', ...files, '--json');
    expect(run.stderr).toMatch('2 requests could not be answered');
    expect(run.status).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject({
      format: 'fulcrum-run',
      version: 1,
      command: 'run',
      plan: 'reshard',
      requests: { read: 8, answered: 6, failed: 2, resumed: 0, unfinished: 0, interrupted: false },
      stats: { transitions: 1 },
    });
    expect(JSON.parse(readFileSync(summary, 'utf8'))).toEqual(JSON.parse(run.stdout));
    const lines = readLines<ResultLine>(results);
    expect(lines).toHaveLength(8);
    const expected = expectedTexts();
    const answered = lines.filter((line) => line.error === null);
    expect(answered).toHaveLength(6);
    for (const line of answered) {
      expect(line.response.body.choices![0]!.text).toBe(expected.get(line.custom_id!));
    }
  });

  it('runs a compiled graph from a file', () => {
    const graph = join(folder, 'graph.json');
    expect(fulcrum('compile', PLAN, '--plan', 'single', '-o', graph).status).toBe(0);
    const results = join(folder, 'graph.out.jsonl');
    const run = fulcrum('run', graph, '--requests', requestsFile('two.jsonl', 2), '--out', results);
    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(/^prefill +\d/);
    const expected = expectedTexts();
    const texts = readLines<ResultLine>(results).map((line) => [
      line.custom_id,
      line.response.body.choices![0]!.text,
    ]);
    expect(new Map(texts as [string, string][])).toEqual(
      new Map([...expected].filter(([id]) => ['record-0001', 'record-0002'].includes(id))),
    );
  });

  it('warns of answers that a KV pool cuts short, counts them, and goes on with as much room alone', () => {
    const plan = (memory: string): string => {
      const path = join(folder, `room-${memory}.plan`);
      const model = `model clerk { source: "${resolve('plans/models/clerk')}", weights: f32 }`;
      const text = `device small { memory: ${memory} MiB, bandwidth: 20 GB/s, compute: { f32: 40 GFLOPS } }
topology tiny { gpu[1]: small }
${model}
plan one for clerk on tiny {
  memory_use: 100%
  stage serve: prefill + decode on gpu { mesh (tp: 1), batch: 4 requests, microbatch: 64 tokens }
  flow requests -> serve -> results
}
`;
      writeFileSync(path, text);
      return path;
    };
    const results = join(folder, 'room.out.jsonl');
    const files = ['--requests', requestsFile('room.jsonl', 4), '--out', results, '--json'];
    const run = fulcrum('run', plan('5.8'), ...files);
    expect(run.status).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject({
      requests: { answered: 2, cut: 1, failed: 2, errors: { FC0917: 2 } },
    });
    expect(readFileSync(results, 'utf8').match(/"finish_reason":"length"/g)).toHaveLength(1);
    expect(run.stderr).toContain(
      'warning: the KV pools have no room for the whole answers of 1 of 2 answered requests: it is cut short',
    );
    const roomier = fulcrum('run', plan('64'), ...files, '--resume');
    expect(roomier.stderr).toMatch(/FC0931[^]*KV room of a sequence: \d+ tokens, too few for 3 results/);
    expect(roomier.status).toBe(3);
    const whole = fulcrum('run', plan('64'), ...files, '--overwrite');
    expect(JSON.parse(whole.stdout)).toMatchObject({ requests: { answered: 4, cut: 0 } });
    expect(whole.stderr).not.toContain('warning');
  });

  it('holds the plan to what was measured, and check does with the trace', () => {
    const plan = (transitions: number): string => {
      const path = join(folder, `expects-${transitions}.plan`);
      const text = `import { reshard } from "${resolve(PLAN)}"
plan held from reshard { expect { transitions <= ${transitions}, peak(decode, gpu) <= 200 MB, never all_reduce in prefill } }
`;
      writeFileSync(path, text);
      return path;
    };
    const trace = join(folder, 'held.json');
    const files = ['--requests', requestsFile('held.jsonl', 3), '--json', '--out'];
    const kept = fulcrum('run', plan(1), ...files, join(folder, 'kept.jsonl'), '--trace', trace);
    expect(kept.status).toBe(0);
    const verdicts = ({ stdout }: { stdout: string }): readonly string[] =>
      (JSON.parse(stdout) as { expectations: { verdict: string }[] }).expectations.map(
        ({ verdict }) => verdict,
      );
    expect(verdicts(kept)).toEqual(['kept', 'kept', 'kept']);
    const broken = fulcrum('run', plan(0), ...files, join(folder, 'broken.jsonl'));
    expect(broken.status).toBe(1);
    expect(verdicts(broken)).toEqual(['broken', 'kept', 'unknown']);
    expect(broken.stderr).toContain('error[FC0804]: transitions is 1 in the run, expected <= 0');
    expect(readLines<ResultLine>(join(folder, 'broken.jsonl'))).toHaveLength(3);
    expect(fulcrum('check', plan(1), '--trace', trace).status).toBe(0);
    const checked = fulcrum('check', plan(0), '--trace', trace);
    expect(checked.status).toBe(1);
    expect(checked.stderr).toContain('transitions is 1 in the run, expected <= 0');
  });

  it('holds a run of some of a file to nothing that is said for a workload of all of it', () => {
    const path = join(folder, 'expects-all.plan');
    const requests = requestsFile('all.jsonl', 3);
    const text = `import { reshard } from "${resolve(PLAN)}"
workload all { requests: "all.jsonl" }
plan held from reshard { expect { transitions == 9 for all } }
`;
    writeFileSync(path, text);
    const [results, trace] = [join(folder, 'all.out.jsonl'), join(folder, 'all.json')];
    const run = (...more: string[]) =>
      fulcrum('run', path, '--requests', requests, '--out', results, ...more).stderr;
    const limited = 'not known: it was a run of 2 of the requests of workload all';
    expect(run('--limit', '2', '--trace', trace)).toContain(limited);
    expect(fulcrum('check', path, '--trace', trace).stdout).toContain(limited);
    expect(run('--resume')).toContain('not known: an earlier run had done a part of it');
    expect(run('--limit', '3', '--overwrite')).toContain('transitions is 1 in the run, expected == 9');
  });

  it('writes metrics, and a trace with places of the plan; refuses a trace it cannot write', () => {
    const trace = join(folder, 'trace.json');
    const metrics = join(folder, 'metrics.prom');
    const requests = requestsFile('traced.jsonl', 2);
    const run = (path: string, results: string) =>
      fulcrum(
        ...['run', PLAN, '--plan', 'single', '--requests', requests],
        ...['--out', join(folder, results), '--trace', path, '--metrics', metrics],
      );
    expect(run(trace, 'traced.out.jsonl').status).toBe(0);
    const { slices } = readTrace(trace);
    const step = slices.find(({ name }) => name === 'serve decode')!;
    expect(step.args!['origin']).toMatch(/clerk\.plan:\d+:\d+$/);
    expect(slices.some(({ thread }) => thread === 'tokenise')).toBe(true);
    const events = JSON.parse(readFileSync(trace, 'utf8')) as { name: string; args: object }[];
    expect(events.find(({ name }) => name === 'run')!.args).toMatchObject({
      plan: 'single',
      requests,
      params: {},
      transitions: 'dataflow',
      prefixReuse: true,
    });
    const { value } = parseExposition(readFileSync(metrics, 'utf8'));
    expect(value('vllm:request_success_total', { finished_reason: 'stop' })).toBe(2);
    expect(value('vllm:generation_tokens_total')).toBeGreaterThan(2);
    expect(value('fulcrum_results_total', { outcome: 'answered' })).toBe(2);
    expect(value('fulcrum_kv_pages_used', { tier: 'device' })).toBe(0);
    expect(value('fulcrum_host_seconds_total', { phase: 'decode', work: 'encode' })).toBeGreaterThan(0);
    const refused = run(join(folder, 'none', 'trace.json'), 'untraced.out.jsonl');
    expect(refused.status).toBe(3);
    expect(refused.stderr).toMatch(/error\[FC0940\]/);
  });

  it.skipIf(!existsSync('/dev/full'))('says what came of a run whose summary cannot be written', () => {
    const run = fulcrum(
      ...['run', PLAN, '--plan', 'single', '--requests', requestsFile('unsummed.jsonl', 1), '--json'],
      ...['--out', join(folder, 'unsummed.out.jsonl'), '--summary', '/dev/full'],
    );
    expect(run.status).toBe(3);
    expect(run.stderr).toContain('error[FC0918]: cannot write the summary to /dev/full');
    expect(JSON.parse(run.stdout)).toMatchObject({ requests: { answered: 1 } });
  });

  it.skipIf(!existsSync('/dev/full'))('tells of a trace that ended early when all results are there', () => {
    const results = join(folder, 'half-traced.out.jsonl');
    const run = fulcrum(
      ...['run', PLAN, '--plan', 'single', '--requests', requestsFile('half.jsonl', 1), '--json'],
      ...['--out', results, '--trace', '/dev/full'],
    );
    expect(run.status).toBe(3);
    expect(run.stderr.match(/^the trace ends early: cannot write \/dev\/full: .*$/gm)).toHaveLength(1);
    expect(JSON.parse(run.stdout)).toMatchObject({ requests: { answered: 1 } });
    expect(readLines<ResultLine>(results)).toHaveLength(1);
  });

  it('names a request file that is not there', () => {
    const run = fulcrum(
      'run',
      PLAN,
      '--plan',
      'single',
      '--requests',
      join(folder, 'none'),
      '--out',
      join(folder, 'x'),
    );
    expect(run.status).toBe(3);
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(/error\[FC09\d\d\]: .*none/);
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });

  it('serves metrics, keeps whole lines and exits with 130 when interrupted', async () => {
    const results = join(folder, 'cut.out.jsonl');
    const child = spawn(
      process.execPath,
      [
        ...[MAIN, 'run', PLAN, '--plan', 'single', '--metrics-port', '0'],
        ...['--requests', join(DATA, 'records.jsonl'), '--out', results],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    child.stderr.on('data', (chunk) => (said += String(chunk)));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    let served = '';
    const look = async (): Promise<void> => {
      const url = /http:\S+/.exec(said)![0];
      served = await (await fetch(url)).text();
      child.kill('SIGINT');
    };
    const watch = setInterval(() => {
      if (existsSync(results) && readFileSync(results).includes(10)) {
        clearInterval(watch);
        void look();
      }
    }, 50);
    const status = await ended;
    clearInterval(watch);
    expect(status).toBe(130);
    const { value } = parseExposition(served);
    expect(value('vllm:num_requests_running')).toBeGreaterThan(0);
    expect(value('vllm:request_success_total', { finished_reason: 'stop' })).toBeGreaterThan(0);
    const lines = readLines<ResultLine>(results);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(256);
    expect(said).toMatch(new RegExp(`interrupted; ${lines.length} results? kept`));
  });
});

describe('fulcrum devices', () => {
  it('says that it was interrupted', async () => {
    const child = spawn(process.execPath, [MAIN, 'devices', '--calibrate'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [written, said] = ['', ''];
    child.stdout.on('data', (chunk) => (written += String(chunk)));
    child.stderr.on('data', (chunk) => {
      said += String(chunk);
      if (said.includes('measuring') && !child.killed) child.kill('SIGINT');
    });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(130);
    expect(written).toBe('');
    expect(said).toMatch(/^interrupted$/m);
  });

  it('describes the adapter in one document', () => {
    const run = fulcrum('devices', '--json', '--no-measure');
    expect(run.status).toBe(0);
    const { adapters } = JSON.parse(run.stdout) as { adapters: { limits: Record<string, number> }[] };
    expect(adapters[0]!.limits['maxBufferSize']).toBeGreaterThan(0);
  });
});
