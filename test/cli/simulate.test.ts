/** `fulcrum simulate` end to end. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { AgainstReport } from '../../cli/against.js';
import { expectWellFormed, readTrace } from '../fixtures/trace-events.js';
import { duringWork, runInProcess } from './run-program.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-simulate-'));
afterAll(() => rmSync(folder, { recursive: true }));

function lengthsFile(text: string): string {
  const file = join(folder, 'lengths.jsonl');
  writeFileSync(file, text);
  return file;
}

/** A file with a plan that has room for all, and the same in a tenth of the memory. */
function besideRoomy(name: string): string {
  const file = join(folder, `${name}.plan`);
  writeFileSync(
    file,
    `device d { memory: 64 MB, bandwidth: 20 GB/s, compute: { f32: 100 GFLOPS } }
topology solo { gpu[1]: d }
model clerk { source: "${resolve('plans/models/clerk')}", weights: f32 }
plan roomy for clerk on solo {
  stage serve: prefill + decode on gpu { mesh (tp: 1), microbatch: 16 tokens, batch: 4 requests }
  flow requests -> serve -> results
}
plan ${name} from roomy { memory_use: 10% }
`,
  );
  return file;
}

interface PlanReport {
  readonly plan: string;
  readonly requests: { readonly finished: number };
  readonly transitions: { readonly count: number };
}

const LONG = '{"prompt_tokens": 100, "output_tokens": 400}\n';
const SHORT = '{"prompt_tokens": 100, "output_tokens": 4}\n';

describe('simulate', () => {
  it('ranks the plans of a file and says where their time goes', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 100, "output_tokens": 20}\n'.repeat(20));
    const run = await runInProcess('simulate', 'plans/clerk.plan', '--workload', lengths);
    expect(run.status).toBe(0);
    expect(run.err).toContain('20 requests');
    for (const name of ['reshard', 'pipeline', 'tensor', 'hybrid', 'replicas', 'single', 'split'])
      expect(run.out).toContain(`plan ${name}\n`);
    expect(run.out).toMatch(/^plan +requests\/s/);
    expect(run.out).toMatch(/ 1\.00x$/m);
    // Not beside what links carry, which is something else.
    expect(run.out).toMatch(/^ {2}exchanged +all-reduce [^,]+, given and taken by ranks$/m);
    expect(run.out).not.toMatch(/^ {2}bytes moved .*all-/m);
  });

  it('gives one document with --json', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 100, "output_tokens": 20}\n'.repeat(8));
    const run = await runInProcess(
      ...['simulate', 'plans/clerk.plan', '--plan', 'reshard', '--workload', lengths, '--json'],
    );
    const { version, plans } = JSON.parse(run.out) as { version: number; plans: PlanReport[] };
    expect(version).toBe(1);
    expect(plans).toHaveLength(1);
    expect(plans[0]).toMatchObject({ plan: 'reshard', requests: { finished: 8 }, transitions: { count: 1 } });
  });

  it('says in the document which workload and which engine the figures are of', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 100, "output_tokens": 20}\n'.repeat(8));
    const about = async (...options: readonly string[]): Promise<unknown> => {
      const args = ['--plan', 'reshard', '--workload', lengths, '--json', ...options];
      const run = await runInProcess('simulate', 'plans/clerk.plan', ...args);
      const { workload, engine } = JSON.parse(run.out) as Record<string, unknown>;
      return { workload, engine };
    };
    const workload = { name: lengths, requests: 8 };
    const usual = { hostOverhead: true, smallGemmLoss: true };
    const special = { virtualEngines: false, copyEngines: false, fullReload: false, hostPerReplica: false };
    expect(await about()).toEqual({ workload, engine: { transitions: 'dataflow', ...usual, ...special } });
    const switches = ['--with', 'full-reload', '--without', 'host-overhead'];
    expect(await about('--transitions', 'barrier', ...switches)).toEqual({
      workload,
      engine: {
        transitions: 'barrier',
        ...usual,
        ...special,
        hostOverhead: false,
        fullReload: true,
      },
    });
  });

  it('tells of answers that a plan has no room for', async () => {
    const file = besideRoomy('tight');
    const page = join(folder, 'tight.html');
    const args = ['simulate', file, '--workload', lengthsFile(LONG.repeat(3)), '--html', page];
    const run = await runInProcess(...args);
    expect(run.status).toBe(0);
    expect(run.err).toMatch(
      /^warning: plan tight has no room for .* of 3 of 3 requests: they are cut short/m,
    );
    const single = await runInProcess('simulate', file, '--workload', lengthsFile(LONG));
    expect(single.err).toMatch(/^warning: plan tight has no room for .* of 1 of 1 request: it is cut short/m);
    expect(run.err).not.toContain('plan roomy has no room');
    expect(run.out).toMatch(/^plan .* of best +answers cut$/m);
    expect(run.out).toMatch(/^roomy .* 0$/m);
    expect(run.out).toMatch(/^tight .* 3$/m);
    expect(run.out).toMatch(/^ {2}cut short +3 requests: no room/m);
    expect(readFileSync(page, 'utf8')).toContain('3 answers cut short');
    const pair = ['--plan', 'roomy', '--plan', 'tight', '--workload', lengthsFile(LONG.repeat(3))];
    expect((await runInProcess('diff', file, ...pair)).out).toMatch(/^ +answers cut short +0 +3$/m);
    const json = JSON.parse((await runInProcess(...args, '--json')).out) as { plans: unknown };
    expect(json.plans).toMatchObject([
      { plan: 'roomy', requests: { finished: 3, cut: 0 } },
      { plan: 'tight', requests: { finished: 3, cut: 3 } },
    ]);
    const short = await runInProcess('simulate', file, '--workload', lengthsFile(SHORT));
    expect(short.err).not.toContain('cut short');
    expect(short.out).not.toMatch(/cut/);
  });

  it('says nothing of plans beside the one that is named', async () => {
    const file = besideRoomy('tight');
    const lengths = lengthsFile(SHORT);
    const warned = await runInProcess('simulate', file, '--workload', lengths);
    expect(warned.err).toContain('FC0602');
    const run = await runInProcess('simulate', file, '--workload', lengths, '--plan', 'roomy');
    expect(run.status).toBe(0);
    expect(run.err).not.toContain('FC0602');
  });

  it('tells of requests that a plan can never fit', async () => {
    const file = besideRoomy('narrow');
    const page = join(folder, 'narrow.html');
    const lengths = lengthsFile(`${SHORT}{"prompt_tokens": 500, "output_tokens": 4}\n`);
    const run = await runInProcess('simulate', file, '--workload', lengths, '--html', page);
    expect(run.err).toMatch(/^warning: plan narrow can never fit 1 of 2 requests: .* rates are not/m);
    expect(run.err).not.toContain('plan roomy can never fit');
    expect(run.out).toMatch(/^plan .* of best +rejected$/m);
    expect(run.out).toMatch(/^roomy .* 0$/m);
    expect(run.out).toMatch(/^narrow .* 1$/m);
    const html = readFileSync(page, 'utf8');
    expect(html).toContain('1 request rejected');
    expect(html).toContain('rejected: they can never fit');
    const pair = ['--plan', 'roomy', '--plan', 'narrow', '--workload', lengths];
    expect((await runInProcess('diff', file, ...pair)).out).toMatch(/^ +requests rejected +0 +1$/m);
    expect((await runInProcess('simulate', file, '--workload', lengthsFile(SHORT))).out).not.toContain(
      'rejected',
    );
  });

  it('has no field in its document that is not described', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 100, "output_tokens": 20}\n');
    const run = await runInProcess(
      ...['simulate', 'plans/clerk.plan', '--plan', 'reshard', '--workload', lengths, '--json'],
    );
    const [plan] = (JSON.parse(run.out) as { plans: (object & { devices: object[] })[] }).plans;
    const docs = readFileSync('docs/simulation.md', 'utf8');
    const about = docs.slice(docs.indexOf('`--json` has all of it'), docs.indexOf('## What is simulated'));
    for (const field of [...Object.keys(plan!), ...Object.keys(plan!.devices[0]!)])
      if (field !== 'device') expect(about, field).toContain(`\`${field}\``);
  });

  it('writes the trace of one plan', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 100, "output_tokens": 20}\n'.repeat(8));
    const trace = join(folder, 'trace.json');
    const args = ['simulate', 'plans/clerk.plan', '--workload', lengths, '--trace', trace];
    const all = await runInProcess(...args);
    expect(all).toMatchObject({ status: 2, out: '' });
    expect(all.err).toContain('--trace is about one plan: choose it with --plan (reshard, pipeline');
    const one = await runInProcess(...args, '--plan', 'reshard');
    expect(one.status).toBe(0);
    expect(one.err).toContain(`wrote ${trace}`);
    const read = readTrace(trace);
    expectWellFormed(read);
    const about = read.events.find(({ name }) => name === 'run')!.args!;
    expect(about).toMatchObject({ plan: 'reshard', device_times: 'simulated' });
    const processes = read.events
      .filter(({ name }) => name === 'process_name')
      .toSorted((a, b) => a.pid - b.pid)
      .map(({ args }) => args!['name']);
    expect(processes).toEqual(['host', 'gpu[0]', 'gpu[1]', 'gpu[2]', 'gpu[3]']);
    const decode = read.slices.find(({ name }) => name === 'decode decode')!;
    expect(decode.args!['origin']).toMatch(/^plans\/clerk\.plan:\d+:\d+$/);
    const refused = await runInProcess(
      ...args.slice(0, -1),
      join(folder, 'no/such/folder.json'),
      '--plan',
      'reshard',
    );
    expect(refused.status).toBe(3);
    expect(refused.err).toContain('FC0940');
  });

  it.skipIf(!existsSync('/dev/full'))(
    'fails when its trace cannot be written, after all figures',
    async () => {
      const args = ['simulate', 'plans/clerk.plan', '--plan', 'reshard', '--workload', lengthsFile(SHORT)];
      const run = await runInProcess(...args, '--trace', '/dev/full');
      expect(run.status).toBe(3);
      expect(run.out).toContain('plan reshard');
      expect(run.err).toContain('error[FC0940]: cannot write /dev/full: ');
      expect(run.err).not.toContain('wrote');
    },
  );

  it('finds no error against a trace of its own, and the effect of what is left out', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 100, "output_tokens": 20}\n'.repeat(8));
    const trace = join(folder, 'own.json');
    const args = ['simulate', 'plans/clerk.plan', '--plan', 'reshard', '--workload', lengths];
    await runInProcess(...args, '--trace', trace);
    // Plan and requests come from the trace.
    const same = await runInProcess('simulate', 'plans/clerk.plan', '--against', trace);
    expect(same.err).toContain(`workload of ${trace}: 8 requests`);
    expect(same.out).toMatch(/whole run .* 0%/);
    expect(same.out).not.toContain('a run of plan');
    const other = await runInProcess('simulate', 'plans/clerk.plan', '--plan', 'tensor', '--against', trace);
    expect(other.out).toContain(`plan tensor against ${trace}, a run of plan reshard, 8 requests`);
    const elsewhere = join(folder, 'elsewhere.json');
    const text = readFileSync(trace, 'utf8');
    writeFileSync(elsewhere, text.replace(/("model": ?")[^"]+/, '$1typist'));
    const foreign = await runInProcess('simulate', 'plans/clerk.plan', '--against', elsewhere);
    expect(foreign.out).toContain(`plan reshard against ${elsewhere}, a run for model typist, 8 requests`);
    const fewer = join(folder, 'fewer.jsonl');
    writeFileSync(fewer, '{"prompt_tokens": 100, "output_tokens": 20}\n'.repeat(3));
    const less = ['simulate', 'plans/clerk.plan', '--against', trace, '--workload', fewer];
    expect((await runInProcess(...less)).out).toContain(
      `against ${trace}, 8 requests; simulated: 3 requests of ${fewer}, which is other work;`,
    );
    expect(JSON.parse((await runInProcess(...less, '--json')).out)).toMatchObject({
      against: { requests: 8, workload: { name: fewer, requests: 3 } },
    });
    const json = await runInProcess(
      ...['simulate', 'plans/clerk.plan', '--against', trace, '--without', 'host-overhead', '--json'],
    );
    const { against } = JSON.parse(json.out) as { against: AgainstReport };
    expect(against).toMatchObject({ plan: 'reshard', planOfRun: 'reshard', requests: 8 });
    expect(against).not.toHaveProperty('workload');
    const errors = new Map(against.categories.map(({ category, error }) => [category, error]));
    expect(errors.get('collectives')).toBeCloseTo(0, 3);
    expect(errors.get('kernels')).toBeLessThan(-0.01);
    expect(errors.get('host work')).toBeCloseTo(-1, 6);
  });

  it('finds no error against a trace of its own of virtual engines', async () => {
    const lines = Array.from({ length: 12 }, (_, i) => {
      const [prompt, output] = [20 + 30 * (i % 5), 5 + 9 * (i % 7)];
      return `{"prompt_tokens": ${prompt}, "output_tokens": ${output}}\n`;
    });
    const file = join(folder, 'engines.plan');
    writeFileSync(
      file,
      `import { workstation } from "std/local"
model clerk { source: "${resolve('plans/models/clerk')}", weights: f32 }
plan deep for clerk on workstation {
  stage serve: prefill + decode on gpu { mesh (pp: 4), batch: 64 requests }
  flow requests -> serve -> results
}
`,
    );
    const trace = join(folder, 'engines.json');
    const args = ['simulate', file, '--with', 'virtual-engines', '--json'];
    const own = await runInProcess(...args, '--workload', lengthsFile(lines.join('')), '--trace', trace);
    const again = await runInProcess(...args, '--against', trace);
    const figures = ({ out }: { out: string }): unknown => (JSON.parse(out) as { plans: unknown }).plans;
    expect(figures(again)).toEqual(figures(own));
  });

  it('says of which plans virtual engines change nothing', async () => {
    const file = join(folder, 'some-pipelines.plan');
    writeFileSync(
      file,
      `import { workstation } from "std/local"
model m { layers: 4, hidden: 64, heads: 8, kv_heads: 4, ffn: 96, vocab: 100, context: 128, weights: f32 }
workload w { requests: 2, prompt: 20 tokens, output: 3 tokens }
plan deep for m on workstation { stage serve: prefill + decode on gpu { mesh (pp: 4) } }
plan wide for m on workstation { stage serve: prefill + decode on gpu { mesh (tp: 4) } }
plan both for m on workstation {
  stage prefill on gpu { mesh (pp: 4) }
  stage decode on gpu { mesh (tp: 4) }
  flow requests -> prefill -> decode -> results
}
`,
    );
    const run = await runInProcess('simulate', file, '--with', 'virtual-engines');
    expect(run.status).toBe(0);
    const named = [...run.err.matchAll(/^plan (\w+) has no pipeline of one stage: /gm)].map(
      ([, name]) => name,
    );
    expect(named).toEqual(['wide', 'both']);
  });

  it('says what of a workload does not count', async () => {
    const lengths = lengthsFile(SHORT.replace('{', '{"bogus": 1, ').repeat(8));
    const odd = await runInProcess('simulate', 'plans/clerk.plan', '--plan', 'single', '--workload', lengths);
    expect(odd.status).toBe(0);
    expect(odd.err.match(/^warning: .*`bogus` of its lines means nothing here$/gm)).toHaveLength(1);
    const wrong = lengthsFile(SHORT.replace('{', '{"prefx_tokens": 1, '));
    const refused = await runInProcess(
      'simulate',
      'plans/clerk.plan',
      '--plan',
      'single',
      '--workload',
      wrong,
    );
    expect(refused.err).toContain('did you mean `prefix_tokens`?');
    const file = join(folder, 'long.plan');
    writeFileSync(
      file,
      `import { g6_48xlarge } from "std/aws"
      model m { layers: 2, hidden: 512, heads: 8, ffn: 1536, vocab: 1000, context: 1024, weights: f16 }
      workload long { requests: 8, prompt: uniform(2000 tokens, 3000 tokens), output: 1 tokens }
      plan p for m on g6_48xlarge { stage serve: prefill + decode on gpu { mesh (dp: 8) } }`,
    );
    const cut = await runInProcess('simulate', file);
    expect(cut.err).toMatch(/^warning: workload long: 8 of 8 prompts would fill the context of /m);
  });

  it('shares what prompts have in common as the run did', async () => {
    const line = (tokens: number, prefix: number) =>
      `{"prompt_tokens": ${tokens}, "output_tokens": 20, "prefix_tokens": ${prefix}}\n`;
    const lengths = lengthsFile(line(100, 70).repeat(6) + line(120, 90).repeat(6));
    const trace = join(folder, 'alike.json');
    const args = ['simulate', 'plans/clerk.plan', '--plan', 'reshard', '--json'];
    const own = await runInProcess(...args, '--workload', lengths, '--trace', trace);
    const again = await runInProcess('simulate', 'plans/clerk.plan', '--against', trace, '--json');
    const figures = ({ out }: { out: string }): unknown => (JSON.parse(out) as { plans: unknown }).plans;
    expect(figures(own)).toMatchObject([
      { reused: { device: expect.closeTo(6 * 70 + 6 * 90, -3) as number } },
    ]);
    expect(figures(again)).toEqual(figures(own));
    const reused = readTrace(trace).slices.filter(({ args: facts }) => facts?.['reused'] !== undefined);
    expect(reused.length).toBeGreaterThan(0);
  });

  it('says that it was interrupted, and writes nothing', async () => {
    const [lengths, trace] = [lengthsFile(SHORT.repeat(8)), join(folder, 'interrupted.json')];
    const before = process.listenerCount('SIGINT');
    const run = await duringWork(
      () => process.emit('SIGINT'),
      ...['simulate', 'plans/clerk.plan', '--plan', 'single', '--workload', lengths, '--trace', trace],
    );
    expect(run).toMatchObject({ status: 130, out: '' });
    expect(run.err).toMatch(/^interrupted$/m);
    expect(existsSync(trace)).toBe(false);
    expect(process.listenerCount('SIGINT')).toBe(before);
  });

  it.each([
    [['--against', 'absent.json'], 3, 'cannot read absent.json'],
    [['--against', 'test/fixtures/lengths.jsonl'], 3, 'is not a trace'],
  ])('refuses %j', async (args, status, message) => {
    const run = await runInProcess('simulate', 'plans/clerk.plan', ...args);
    expect(run).toMatchObject({ status, out: '' });
    expect(run.err).toContain(message);
  });

  it('finds effects of an engine to be switches', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 100, "output_tokens": 20}\n'.repeat(8));
    const time = async (...options: string[]): Promise<number> => {
      const run = await runInProcess(
        ...[
          'simulate',
          'plans/clerk.plan',
          '--plan',
          'pipeline',
          '--workload',
          lengths,
          '--json',
          ...options,
        ],
      );
      return (JSON.parse(run.out) as { plans: { makespan: number }[] }).plans[0]!.makespan;
    };
    expect(await time('--without', 'host-overhead')).toBeLessThan(await time());
  });

  it('takes the effects of an engine that the topology declares, unless told otherwise', async () => {
    const text = readFileSync('plans/seesaw-70b.plan', 'utf8');
    const declared = join(folder, 'declared.plan');
    writeFileSync(
      declared,
      text.replace('layer: 30 us }', 'layer: 30 us, full_reload: true, copy_engines: true }'),
    );
    const lengths = lengthsFile('{"prompt_tokens": 1000, "output_tokens": 20}\n'.repeat(40));
    const plan = async (file: string, ...options: string[]): Promise<Record<string, unknown>> => {
      const args = ['simulate', file, '--plan', 'seesaw', '--workload', lengths, '--json', ...options];
      const { plans } = JSON.parse((await runInProcess(...args)).out) as {
        plans: Record<string, unknown>[];
      };
      return plans[0]!;
    };
    const same = await plan(declared);
    const plain = await plan('plans/seesaw-70b.plan');
    expect(same['engine']).toMatchObject({ fullReload: true, copyEngines: true, hostOverhead: true });
    expect(same).toEqual(await plan('plans/seesaw-70b.plan', '--with', 'full-reload,copy-engines'));
    expect(same['makespan']).not.toBe(plain['makespan']);
    expect(await plan(declared, '--without', 'full-reload,copy-engines')).toEqual(plain);
    const explained = await runInProcess('explain', declared, '--plan', 'seesaw');
    expect(explained.out).toMatch(/overhead full_reload +true +\S*declared\.plan:16:\d\d\n/);
    expect(explained.out).toMatch(/overhead virtual_engines +false +default, /);
  });

  it('names effects of the engine wherever they come from', async () => {
    const file = join(folder, 'effects.plan');
    const machine = (name: string, effects: string): string =>
      `topology ${name} { gpu[1]: d, overhead { step: 10 us${effects} } }`;
    const plan = (name: string): string =>
      `plan on_${name} for m on ${name} { stage serve: prefill + decode on gpu { mesh (tp: 1) } }`;
    writeFileSync(
      file,
      `device d { memory: 1 GB, bandwidth: 20 GB/s, compute: { f32: 100 GFLOPS } }
${machine('own', ', copy_engines: true, virtual_engines: true, host_overhead: false')}
${machine('plain', '')}
model m { layers: 4, hidden: 64, heads: 8, kv_heads: 4, ffn: 96, vocab: 100, context: 128, weights: f32 }
workload w { requests: 2, prompt: 20 tokens, output: 3 tokens }
${plan('own')}
${plan('plain')}
`,
    );
    const page = join(folder, 'effects.html');
    const run = await runInProcess('simulate', file, '--html', page);
    const effects = ['with virtual-engines, copy-engines', 'without host-overhead'];
    expect(run.out.match(/^ +engine .*$/gm)).toEqual([`  engine       ${effects.join(', ')}`]);
    expect(run.out).toMatch(/^plan on_own\n {2}engine /m);
    expect(run.err.match(/^plan \w+ has no pipeline of one stage/gm)).toEqual([
      'plan on_own has no pipeline of one stage',
    ]);
    expect(readFileSync(page, 'utf8').split(`m on own; ${effects.join('; ')}<`)).toHaveLength(2);
    expect(readFileSync(page, 'utf8')).toContain('m on plain<');
    const json = JSON.parse((await runInProcess('simulate', file, '--json')).out) as Record<string, unknown>;
    const usual = { smallGemmLoss: true, fullReload: false, hostPerReplica: false };
    expect(json['engine']).toEqual({ transitions: 'dataflow', ...usual });
    expect(json['plans']).toMatchObject([
      { engine: { ...usual, hostOverhead: false, copyEngines: true, virtualEngines: true } },
      { engine: { ...usual, hostOverhead: true, copyEngines: false, virtualEngines: false } },
    ]);
    const one = ['simulate', file, '--plan', 'on_own', '--with', 'full-reload', '--html', page];
    expect((await runInProcess(...one)).out).toContain('copy-engines, full-reload, without');
    expect(readFileSync(page, 'utf8')).toContain('<h1>on_own: m on own; with virtual-engines, ');
  });

  it.each([
    [['plans/clerk.plan'], 2, 'no workload'],
    [['plans/seesaw-70b.plan', '--workload', 'arxif'], 2, 'did you mean arxiv?'],
    [['plans/seesaw-70b.plan', '--plan', 'seesow'], 2, 'did you mean seesaw?'],
    [['plans/clerk.plan', '--workload', 'absent.jsonl'], 3, 'cannot read absent.jsonl'],
    [['plans/clerk.plan', '--workload', 'absent.JSONL'], 3, 'cannot read absent.JSONL'],
    [['plans/clerk.plan', '--workload', 'l.json'], 2, 'files of lengths are those that end in .jsonl'],
    [['plans/clerk.plan', '--workload', './lengths'], 2, 'files of lengths are those that end in .jsonl'],
    [['plans/clerk.plan', '--with', 'magic'], 2, 'magic'],
    [
      ['plans/clerk.plan', '--without', 'full-reload,magic'],
      2,
      "'magic' is none of the choices host-overhead, ",
    ],
    [
      ['plans/seesaw-70b.plan', '--with', 'full-reload,copy-engines', '--without', 'copy-engines'],
      2,
      'error: copy-engines cannot be both --with and --without',
    ],
  ])('refuses %j', async (args, status, message) => {
    const run = await runInProcess('simulate', ...args);
    expect(run).toMatchObject({ status, out: '' });
    expect(run.err).toContain(message);
  });

  it('runs each of the plans that are named', async () => {
    const args = [
      '--plan',
      'tensor',
      '--plan',
      'single',
      '--plan',
      'tensor',
      '--workload',
      lengthsFile(SHORT),
    ];
    const run = await runInProcess('simulate', 'plans/clerk.plan', ...args);
    expect(run.out.match(/^plan \w+$/gm)).toEqual(['plan tensor', 'plan single']);
    expect((await runInProcess('simulate', 'plans/clerk.plan', ...args, '--plan', 'singel')).err).toContain(
      'did you mean single?',
    );
    const trace = join(folder, 'two.json');
    expect((await runInProcess('simulate', 'plans/clerk.plan', ...args, '--trace', trace)).err).toContain(
      '--trace is about one plan: choose it with --plan (tensor, single)',
    );
  });

  it('takes `all` for the name of a plan', async () => {
    const file = join(folder, 'all.plan');
    const text = readFileSync('plans/clerk.plan', 'utf8').replace('./models', resolve('plans/models'));
    writeFileSync(file, text.replace('plan single ', 'plan all '));
    const args = ['--plan', 'all', '--workload', lengthsFile(SHORT)];
    expect((await runInProcess('simulate', file, ...args)).out.match(/^plan \w+$/gm)).toEqual(['plan all']);
    expect((await runInProcess('simulate', 'plans/clerk.plan', ...args)).err).toContain(
      'no plan called `all`',
    );
  });

  it('runs workloads that the file imports', async () => {
    const loads = join(folder, 'loads.plan');
    const file = join(folder, 'imports.plan');
    const workload = (name: string): string =>
      `workload ${name} { requests: 3, prompt: 20 tokens, output: 4 tokens }\n`;
    const machine = 'import { workstation } from "std/local"\n';
    const plan = `model m { family: llama, layers: 2, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 256, context: 64, weights: f32 }
plan p for m on workstation { stage serve: prefill + decode on gpu[0] { mesh (tp: 1) }, flow requests -> serve -> results }\n`;
    writeFileSync(loads, workload('one') + workload('two'));
    const chosen = async (names: string, own: string, ...args: readonly string[]): Promise<string> => {
      writeFileSync(file, `import { ${names} } from "./loads.plan"\n${machine}${own}${plan}`);
      return (await runInProcess('simulate', file, ...args)).err;
    };
    expect(await chosen('one, two', '', '--workload', 'two')).toContain('workload two: 3 requests');
    expect(await chosen('one', '')).toContain('workload one: 3 requests');
    expect(await chosen('one, two', '')).toContain('choose one with --workload (one, two)');
    // What the file declares goes before what it imports.
    expect(await chosen('one, two', workload('own'))).toContain('workload own: 3 requests');
  });

  it('judges what is expected of a workload that is imported by another name', async () => {
    const loads = join(folder, 'named.plan');
    const file = join(folder, 'renames.plan');
    writeFileSync(loads, 'workload big { requests: 3, prompt: 20 tokens, output: 4 tokens }\n');
    writeFileSync(
      file,
      `import { big as mine } from "./named.plan"
import { workstation } from "std/local"
model m { family: llama, layers: 2, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 256, context: 64, weights: f32 }
plan p for m on workstation {
  stage serve: prefill + decode on gpu[0] { mesh (tp: 1) }
  flow requests -> serve -> results
  expect { transitions >= 1 for mine }
}
`,
    );
    const run = await runInProcess('simulate', file, '--workload', 'mine', '--json');
    expect(run.err).toContain('transitions >= 1 for mine');
    expect(run.status).toBe(1);
  });

  it('prints how KV fills with --json, whatever else is asked for', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 20, "output_tokens": 4}\n'.repeat(3));
    const run = await runInProcess(
      ...['simulate', 'plans/clerk.plan', '--plan', 'reshard', '--workload', lengths, '--json'],
    );
    const { plans } = JSON.parse(run.out) as { plans: { kv: unknown[] }[] };
    expect(plans[0]!.kv.length).toBeGreaterThan(1);
  });

  it('names the line of a file of lengths that is no good', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 1, "output_tokens": 1}\n{"prompt_tokens": 1}\n');
    const run = await runInProcess('simulate', 'plans/clerk.plan', '--workload', lengths);
    expect(run.status).toBe(3);
    expect(run.err).toMatch(
      /^error\[FC0923\]: cannot take lengths from .*lengths.jsonl\n {2}.*:2:1: `output_tokens`/m,
    );
  });

  it('lists the first lines of many that cannot be read', async () => {
    const lengths = lengthsFile('{"prompt_tokens": 1}\n'.repeat(13));
    const run = await runInProcess('simulate', 'plans/clerk.plan', '--workload', lengths);
    expect(run.err.match(/lengths\.jsonl:\d+:1: /g)).toHaveLength(10);
    expect(run.err).toMatch(/:10:1: .*\n {2}and 3 more lines\n {2}help: each line is as /);
  });
});
