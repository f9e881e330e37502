/** `check` and `compile` on files, as a user sees them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRuntimeGraph } from '../../compiler/ir/runtime-json.js';
import { runInProcess } from './run-program.js';

const CLERK = 'plans/clerk.plan';
const MODEL = `model tiny {
  family: llama
  layers: 4, hidden: 64, heads: 8, kv_heads: 4, ffn: 96, vocab: 100, context: 128
  weights: f32
}
`;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a plan file over a small model on the library's workstation of four devices. */
function planFile(name: string, plans: string): string {
  const path = join(folder, name);
  writeFileSync(path, `import { workstation } from "std/local"\n${MODEL}${plans}\n`);
  return path;
}

const good = (mesh: string): string => `plan serve for tiny on workstation {
  stage serve: prefill + decode on gpu { mesh (${mesh}) }
}`;

describe('a warning that check and compilation share', () => {
  const TIGHT =
    'plan serve for tiny on workstation { stage serve: prefill + decode on gpu { mesh (dp: 4), microbatch: 16 tokens, batch: 4 requests }, memory_use: 0.065% }';
  it.each([
    ['check'],
    ['compile'],
    ['explain'],
    ['simulate', '--workload', 'test/fixtures/lengths.jsonl'],
    ['diff', '--plan', 'serve', '--plan', 'serve'],
  ])('is told once by %s', async (command, ...options) => {
    const run = await runInProcess(command, planFile('tight.plan', TIGHT), ...options);
    expect(run.status).toBe(0);
    expect(run.err.match(/warning\[FC0602\]/g)).toHaveLength(1);
  });
});

describe('a plan with the mesh of another and less memory', () => {
  const base = good('dp: 4').replace(') }', '), microbatch: 16 tokens, batch: 4 requests }');
  const less = (share: string): string => `${base}\nplan less from serve { memory_use: ${share} }`;
  it.each([
    ['0.065%', 'FC0602'],
    ['0.058%', 'FC0601'],
    ['0.01%', 'FC0412'],
  ])('is named where the mesh is shown: %s', async (share, code) => {
    const { err } = await runInProcess('check', planFile('less.plan', less(share)));
    expect(err).toMatch(new RegExp(`less\\.plan:8:47: (warning|error)\\[${code}\\]`));
    expect(err).toMatch(/plan less from serve .*\n.*- plan `less` has this mesh from there/);
    // As it is written, and not as the fraction that is nearest to it.
    for (const [told] of err.matchAll(/memory_use [\d.]+%?/g)) expect(told).toBe(`memory_use ${share}`);
  });

  it('has one finding, where an estimate finds a little room and the plan none', async () => {
    const { err } = await runInProcess('check', planFile('less.plan', less('0.058%')));
    expect(err.match(/\[FC\d{4}\]/g)).toEqual(['[FC0601]']);
  });

  it('is not, where it is its own or that of the other does not suit either', async () => {
    const own = `${less('0.01%').slice(0, -1)}, stage serve { mesh (tp: 4) } }`;
    const both = `${base.slice(0, -1)} memory_use: 0.01% }\nplan less from serve { }`;
    for (const text of [own, both]) {
      const { err } = await runInProcess('check', planFile('less.plan', text));
      expect(err).toContain('error[FC0412]');
      expect(err).not.toContain('from there');
    }
  });
});

/** A plan whose stages take turns on their devices, with what it expects. */
const turns = (
  ...expected: readonly string[]
): string => `workload some { requests: 6, prompt: 20 tokens, output: 4 tokens }
plan turns for tiny on workstation {
  stage prefill on gpu { mesh (pp: 4) }
  stage decode on gpu { mesh (tp: 2, dp: 2) }
  residence: switch
  flow requests -> prefill -> decode -> results
  expect {
    ${expected.join('\n    ')}
  }
}`;

describe('check and compile', () => {
  it('hold a plan to what it expects of runs, also where it breaks what it expects of itself', async () => {
    const file = planFile(
      'both.plan',
      turns('transitions <= 0 for some', 'collectives(decode, per: layer) < 2'),
    );
    for (const command of ['check', 'compile']) {
      const { status, err } = await runInProcess(command, file);
      expect(status).toBe(1);
      expect(err).toContain('transitions is 1 for workload some, simulated, expected <= 0');
      expect(err).toContain('collectives(decode, per: layer) is 2, expected < 2');
    }
  });
});

describe('check --trace', () => {
  const plan = (bound: string): string =>
    turns(bound, 'never all_reduce in prefill', 'collectives(decode, per: layer) <= 2', 'time <= 3600 s');
  let trace = '';
  beforeAll(() => {
    trace = join(folder, 'turns.json');
  });

  it('holds a plan to what was traced, line by line', async () => {
    const good = planFile('turns.plan', plan('transitions <= 1 for some'));
    const simulated = await runInProcess('simulate', good, '--trace', trace);
    expect(simulated).toMatchObject({ status: 0 });
    const kept = await runInProcess('check', good, '--trace', trace, '--json');
    expect(kept.status).toBe(0);
    const { files } = JSON.parse(kept.out) as { files: { run: { expectations: { verdict: string }[] } }[] };
    expect(files[0]!.run.expectations.map(({ verdict }) => verdict)).toEqual([
      'kept',
      'kept',
      'kept',
      'kept',
    ]);
    const bad = planFile('turns.plan', plan('transitions <= 0 for some'));
    const broken = await runInProcess('check', bad, '--trace', trace);
    expect(broken.status).toBe(1);
    expect(broken.err).toContain('transitions is 1 in the run, expected <= 0');
    expect(broken.out).toMatch(/transitions <= 0 for some +broken, 1\n/);
    expect(await runInProcess('check', bad)).toMatchObject({ status: 1 });
    expect(await runInProcess('compile', bad)).toMatchObject({ status: 1, out: '' });
    const again = await runInProcess('simulate', bad);
    expect(again.status).toBe(1);
    expect(again.err).toContain('transitions is 1 for workload some, simulated, expected <= 0');
  });

  it('says of a plan that expects nothing that it does', async () => {
    const silent = planFile('silent.plan', plan('').replace(/ {2}expect \{[^]*?\n {2}\}\n/, ''));
    const run = await runInProcess('check', silent, '--trace', trace);
    expect(run.out).toMatch(`plan turns in ${trace}\nit expects nothing\n`);
    expect(run.status).toBe(0);
  });

  it('says of a plan with errors what they are, and nothing of its run', async () => {
    const misplaced = planFile('turns.plan', plan('transitions <= 4 GB'));
    const run = await runInProcess('check', misplaced, '--trace', trace);
    expect(run.status).toBe(1);
    expect(run.err).toContain('error[FC0305]');
    expect(run.err).not.toContain('is a run of plan');
    const missing = await runInProcess('check', join(folder, 'no.plan'), '--trace', trace);
    expect(missing.err).not.toContain('is a run of plan');
  });

  it('says of a plan that is not in the file that it is not there, whatever errors others have', async () => {
    const misplaced = planFile('turns.plan', plan('transitions <= 4 GB'));
    const run = await runInProcess('check', misplaced, '--trace', trace, '--plan', 'others', '--json');
    expect(run.status).toBe(2);
    expect(run.err).toContain('choose one of the file with --plan');
    expect(JSON.parse(run.out)).toMatchObject({
      ok: false,
      failure: { message: expect.stringContaining('choose one of the file') as string },
    });
  });

  it('refuses what is no trace of the plan', async () => {
    const other = planFile('other.plan', good('tp: 4'));
    const named = await runInProcess('check', other, '--trace', trace);
    expect(named).toMatchObject({ status: 2 });
    const why = `${trace} is a run of plan turns: choose one of the file with --plan (serve)`;
    expect(named.err).toBe(`1 file checked\nerror: ${why}\n`);
    const foreign = await runInProcess('check', other, '--trace', trace, '--plan', 'serve');
    expect(foreign).toMatchObject({ status: 3 });
    expect(foreign.err).toMatch(/error\[FC0924\]: .* is no run of plan serve/);
    const absent = join(folder, 'absent.json');
    const unread = await runInProcess('check', other, '--trace', absent, '--json');
    expect(unread).toMatchObject({ status: 3 });
    expect(unread.err).toMatch(/^1 file checked\nerror\[FC0924\]: cannot read/);
    expect(JSON.parse(unread.out)).toMatchObject({
      ok: false,
      files: [{ file: other }],
      failure: { code: 'FC0924', slug: 'trace-unusable', subject: absent },
    });
    expect(await runInProcess('check', other, '--plan', 'serve')).toMatchObject({ status: 2 });
    expect(await runInProcess('check', other, other, '--trace', trace)).toMatchObject({ status: 2 });
  });
});

describe('check', () => {
  it.each([
    [
      CLERK,
      ['reshard', 'pipeline', 'tensor', 'hybrid', 'replicas', 'single', 'split'],
      '1 file checked, no problems\n',
    ],
    // With every value of its param.
    ['plans/seesaw-70b.plan', ['static_t2p4', 'seesaw'], '1 file checked, no problems\n'],
    ['plans/pod.plan', ['wide', 'chosen'], '1 file checked, no problems\n'],
  ])('accepts %s', async (file, plans, summary) => {
    const run = await runInProcess('check', file);
    expect(run.status).toBe(0);
    expect(run.err).toContain(summary);
    for (const plan of plans) expect(run.out).toMatch(new RegExp(`^plan ${plan}, model `, 'm'));
  });

  it('takes several files at once', async () => {
    const files = ['pipeline.plan', 'tensor.plan'].map((name, i) =>
      planFile(name, good(i === 0 ? 'pp: 4' : 'tp: 4')),
    );
    const run = await runInProcess('check', ...files);
    expect(run).toMatchObject({ status: 0, err: '2 files checked, no problems\n' });
    expect(run.out.match(/^plan serve, model tiny/gm)).toHaveLength(2);
  });

  it('shows the place, the code and what would help', async () => {
    const path = planFile('bad.plan', good('tp: 3'));
    const run = await runInProcess('check', path);
    expect(run.status).toBe(1);
    expect(run.out).toBe('');
    expect(run.err).toMatch(/bad\.plan:\d+:\d+: error\[FC\d{4}\]: /);
    expect(run.err).toMatch(/mesh \(tp: 3\)/);
    expect(run.err).toMatch(/\^+/);
    expect(run.err).toMatch(/1 file checked, \d+ errors?\n$/);
  });

  it('prints one document with --json, for sound and unsound files', async () => {
    const run = await runInProcess(
      'check',
      '--json',
      planFile('a.plan', good('tp: 4')),
      planFile('b.plan', good('tp: 3')),
    );
    expect(run.status).toBe(1);
    const document = JSON.parse(run.out) as {
      version: number;
      ok: boolean;
      files: {
        diagnostics: { code: string; primary: { start: { line: number } } }[];
        plans: { plan: string }[];
      }[];
    };
    expect(document).toMatchObject({ command: 'check', version: 1, ok: false });
    expect(document.files[0]).toMatchObject({ diagnostics: [], plans: [{ plan: 'serve' }] });
    expect(document.files[1]!.plans).toEqual([]);
    expect(document.files[1]!.diagnostics[0]).toMatchObject({
      severity: 'error',
      code: expect.stringMatching(/^FC\d{4}$/) as string,
      primary: { start: { line: 8 } },
    });
  });

  it('reports a file that is not there', async () => {
    const run = await runInProcess('check', join(folder, 'none.plan'));
    expect(run.status).toBe(1);
    expect(run.err).toMatch(/error\[FC\d{4}\]: .*none\.plan/);
  });

  it('refuses a setting without a value', async () => {
    const run = await runInProcess('check', CLERK, '--set', 'tp');
    expect(run.status).toBe(2);
    expect(run.err).toMatch('expected name=value');
  });
});

describe('compile', () => {
  it('prints every level', async () => {
    for (const level of ['syntax', 'plan', 'logical', 'sharded', 'transitions', 'runtime']) {
      const run = await runInProcess('compile', CLERK, '--plan', 'reshard', '--emit', level);
      expect(run).toMatchObject({ status: 0, err: '' });
      expect(run.out.split('\n').length).toBeGreaterThan(10);
    }
  });

  it('writes a runtime graph that can be read back', async () => {
    const path = join(folder, 'graph.json');
    const run = await runInProcess('compile', planFile('c.plan', good('tp: 4')), '-o', path);
    expect(run).toMatchObject({ status: 0, out: '' });
    const { graph } = parseRuntimeGraph(JSON.parse(readFileSync(path, 'utf8')));
    expect(graph?.plan).toBe('serve');
    expect(graph?.devices).toHaveLength(4);
  });

  it('asks which plan is meant, and suggests the nearest name', async () => {
    const several = await runInProcess('compile', CLERK);
    expect(several).toMatchObject({ status: 2, out: '' });
    expect(several.err).toMatch(
      'choose one with --plan (reshard, pipeline, tensor, hybrid, replicas, single, split)',
    );
    const misspelt = await runInProcess('compile', CLERK, '--plan', 'rehsard');
    expect(misspelt).toMatchObject({ status: 2, out: '' });
    expect(misspelt.err).toMatch('did you mean reshard?');
  });

  it('prints the syntax tree of a broken file, and what is broken', async () => {
    const path = planFile('torn.plan', good('tp 4'));
    const run = await runInProcess('compile', path, '--emit', 'syntax');
    expect(run.status).toBe(1);
    expect(run.out).toMatch(/stage serve: prefill \+ decode/);
    expect(run.err).toMatch(/torn\.plan:8:\d+: error\[FC01\d\d\]: /);
  });

  it('names an output that cannot be written', async () => {
    const path = planFile('d.plan', good('tp: 4'));
    const run = await runInProcess('compile', path, '-o', join(folder, 'no', 'graph.json'));
    expect(run).toMatchObject({ status: 3, out: '' });
    expect(run.err).toMatch(/error\[FC0940\]: .*no.graph\.json/);
  });

  it('knows the levels', async () => {
    const run = await runInProcess('compile', CLERK, '--emit', 'shraded');
    expect(run).toMatchObject({ status: 2, out: '' });
    expect(run.err).toMatch('syntax, plan, logical, sharded, transitions, runtime');
  });
});
