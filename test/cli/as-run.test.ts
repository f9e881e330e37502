/** What is held against a run is its plan as it was run: the values of its params, and how stages change. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgainstReport } from '../../cli/against.js';
import { runInProcess } from './run-program.js';

const PLAN = `import { workstation } from "std/local"
param dtp: int = 4 in [1, 4]
param pause: time = 1 ms in [0.25 us, 1 ms]
model m { layers: 4, hidden: 64, heads: 8, kv_heads: 4, ffn: 96, vocab: 100, context: 128, weights: f32 }
workload w { requests: 6, prompt: 20 tokens, output: 8 tokens }
plan p for m on workstation {
  stage prefill on gpu { mesh (pp: 4) }
  stage decode on gpu { mesh (dp: fill, tp: dtp) }
  residence: switch
  flow requests -> prefill -> decode -> results
  expect { collectives(decode, per: layer) <= 2 }
}
`;

let folder = '';
let [plan, trace] = ['', ''];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-as-run-'));
  [plan, trace] = [join(folder, 'p.plan'), join(folder, 't.json')];
  writeFileSync(plan, PLAN);
  const set = ['--set', 'dtp=1', '--set', 'pause=0.25 us', '--transitions', 'barrier'];
  const run = await runInProcess('simulate', plan, ...set, '--trace', trace);
  expect(run).toMatchObject({ status: 0 });
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The trace with its first event, the facts of the run, changed. */
function traceWith(name: string, change: (facts: Record<string, unknown>) => void): string {
  const [open, ...lines] = readFileSync(trace, 'utf8').split('\n');
  const changed = lines.map((line) => {
    if (!line.includes('"name":"run"')) return line;
    const event = JSON.parse(line.replace(/,$/, '')) as { args: Record<string, unknown> };
    change(event.args);
    return `${JSON.stringify(event)},`;
  });
  const path = join(folder, name);
  writeFileSync(path, [open, ...changed].join('\n'));
  return path;
}

/** As traces were before they told of these facts. */
const older = (): string =>
  traceWith('older.json', (facts) => {
    delete facts['params'];
    delete facts['transitions'];
  });

interface Simulated {
  readonly engine: { readonly transitions: string };
  readonly against: AgainstReport;
}

describe('simulate --against', () => {
  it('takes params and transitions from the trace, and says so', async () => {
    const run = await runInProcess('simulate', plan, '--against', trace, '--json');
    expect(run.status).toBe(0);
    expect(run.err).toContain(`params as in the run of ${trace}: dtp = 1, pause = 250 ns\n`);
    expect(run.err).toContain(`transitions as in the run of ${trace}: barrier\n`);
    const { engine, against } = JSON.parse(run.out) as Simulated;
    expect(engine.transitions).toBe('barrier');
    expect(against).not.toHaveProperty('params');
    expect(against.categories.length).toBeGreaterThan(3);
    for (const { error } of against.categories) expect(error).toBeCloseTo(0, 3);
  });

  it('says what of the command line is not as in the run', async () => {
    const asked = ['simulate', plan, '--against', trace, '--set', 'dtp=4', '--transitions', 'dataflow'];
    const run = await runInProcess(...asked);
    expect(run).toMatchObject({ status: 0 });
    expect(run.err).not.toContain('dtp');
    expect(run.out).toContain(
      `plan p with dtp = 4 with dataflow transitions against ${trace}, a run with dtp = 1 with barrier transitions, 6 requests`,
    );
    const { against } = JSON.parse((await runInProcess(...asked, '--json')).out) as Simulated;
    expect(against).toMatchObject({
      params: 'dtp = 4',
      paramsOfRun: 'dtp = 1',
      transitions: 'dataflow',
      transitionsOfRun: 'barrier',
    });
  });

  it('compares with no steps of another mesh, whatever the trace tells', async () => {
    const path = older();
    const run = await runInProcess('simulate', plan, '--against', path);
    expect(run).toMatchObject({ status: 3, out: '' });
    expect(run.err).toContain(
      `error[FC0924]: ${path} is no run of plan p as it is here: its steps of decode have the mesh dp 4, pp 1, tp 1, and the plan has dp 1, pp 1, tp 4`,
    );
    const asRun = await runInProcess('simulate', plan, '--against', path, '--set', 'dtp=1');
    expect(asRun).toMatchObject({ status: 0 });
    expect(asRun.out).not.toContain('a run');
  });

  it('refuses requests that have no room in the context of the model', async () => {
    const path = join(folder, 'long.json');
    writeFileSync(
      path,
      readFileSync(trace, 'utf8').replaceAll('"promptTokens":20,', '"promptTokens":1000000000,'),
    );
    const run = await runInProcess('simulate', plan, '--against', path);
    expect(run).toMatchObject({ status: 3, out: '' });
    expect(run.err).toContain(
      `error[FC0923]: ${path} tells of a prompt or an answer of 1,000,000,000 tokens, and model m has a context of 128`,
    );
  });

  it('passes over params that the file no longer has', async () => {
    const path = traceWith('more.json', (facts) => {
      facts['params'] = { gone: 3, dtp: 1 };
    });
    const run = await runInProcess('simulate', plan, '--against', path);
    expect(run).toMatchObject({ status: 0 });
    expect(run.err).toContain(`params as in the run of ${path}: dtp = 1\n`);
  });
});

describe('check --trace', () => {
  it('judges the plan with the params of the run', async () => {
    const run = await runInProcess('check', plan, '--trace', trace);
    expect(run).toMatchObject({ status: 0 });
    expect(run.err).toContain(`params as in the run of ${trace}: dtp = 1, pause = 250 ns\n`);
    expect(run.out).toMatch(/collectives\(decode, per: layer\) <= 2 +kept, 0\n/);
  });

  it('judges no plan of another mesh by it', async () => {
    const named = await runInProcess('check', plan, '--trace', trace, '--set', 'dtp=4');
    expect(named).toMatchObject({ status: 3 });
    expect(named.err).toContain(`params are not as in the run of ${trace}: dtp = 4, there dtp = 1\n`);
    expect(named.err).toContain('its steps of decode have the mesh dp 4, pp 1, tp 1');
    const unnamed = await runInProcess('check', plan, '--trace', older());
    expect(unnamed).toMatchObject({ status: 3 });
    expect(unnamed.err).toMatch(/error\[FC0924\]: .* is no run of plan p: its steps of decode have the mesh/);
  });
});
