/** `fulcrum diff`: figures side by side, and which plans are put there. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  describeDiff,
  diffFigures,
  markdownDiff,
  markdownUnpaired,
  type PlanDiff,
} from '../../cli/diff/diff.js';
import type { Figure } from '../../cli/diff/figures.js';
import type { PlanReport } from '../../cli/plan-report.js';
import { byName, diffs, folder, planFile } from './diff-support.js';
import { runInProcess } from './run-program.js';

afterAll(() => rmSync(folder, { recursive: true }));

const other = 'plan q from p { stage serve on gpu { mesh (dp: 4) } }';
const pipeline = planFile('pipeline.plan', '(pp: 4)', other);
const tensor = planFile('tensor.plan', '(tp: 4)');

describe('a difference of figures', () => {
  const figure = (name: string, value: number | string, unit: Figure['unit'] = 'bytes'): Figure => ({
    group: 'peak per tier',
    name,
    unit,
    value,
  });

  it('is in what changes, comes or goes, and not in what is nothing on both sides', () => {
    const diff = diffFigures(
      { title: 'a', figures: [figure('x', 1024), figure('same', 5), figure('gone', 1), figure('none', 0)] },
      { title: 'b', figures: [figure('x', 2048), figure('same', 5), figure('new', 3), figure('empty', 0)] },
    );
    expect(diff.changes.map(({ name, before, after }) => [name, before, after])).toEqual([
      ['x', 1024, 2048],
      ['gone', 1, undefined],
      ['new', undefined, 3],
    ]);
    expect(diff.equal).toBe(3);
  });

  it('is shown with units and how much it is', () => {
    const change = (before: number, after: number, unit: Figure['unit']): string =>
      describeDiff(
        diffFigures(
          { title: 'a', figures: [figure('x', before, unit)] },
          { title: 'b', figures: [figure('x', after, unit)] },
        ),
      );
    expect(change(1024, 3072, 'bytes')).toMatch(/x +1\.00 KiB +3\.00 KiB +3\.0x/);
    expect(change(0.2, 0.21, 'seconds')).toMatch(/x +200 ms +210 ms +\+5\.0%/);
    expect(change(1000, 500, 'count')).toMatch(/x +1,000 +500 +-50%/);
    expect(change(0, 2, 'count')).toMatch(/x +0 +2$/m);
    expect(change(100_000, 100_001, 'count')).toMatch(/ \+<0\.1%$/m);
    expect(change(100_000, 99_999, 'count')).toMatch(/ -<0\.1%$/m);
    expect(change(10_000, 9_994, 'count')).toMatch(/ -0\.1%$/m);
  });

  it('has sizes in one unit on both sides', () => {
    const size = (value: string, bytes: number): Figure => ({ ...figure('x', 0, 'text'), value, bytes });
    const changes = (before: Figure, after: Figure): unknown =>
      diffFigures({ title: 'a', figures: [before] }, { title: 'b', figures: [after] }).changes;
    const grown = [{ before: '1.40 GiB', after: '1.46 GiB' }];
    expect(changes(size('1.5 GB', 1.5e9), size('1.46 GiB', 1.5625e9))).toMatchObject(grown);
    expect(changes(size('24 GB', 24e9), size('25 GB', 25e9))).toMatchObject([
      { before: '24 GB', after: '25 GB' },
    ]);
    expect(changes(size('1.5 GB', 1.5e9), size('1.40 GiB', 1.5001e9))).toMatchObject([
      { before: '1500000000 B', after: '1500100000 B' },
    ]);
  });

  it('is a table in Markdown that no name breaks', () => {
    const diff = diffFigures(
      { title: 'a|b', figures: [figure('x|y', 'u', 'text')] },
      { title: 'c', figures: [figure('x|y', 'v', 'text')] },
    );
    expect(markdownDiff(diff).split('\n')).toEqual([
      '### a\\|b → c',
      '',
      '| peak per tier | before | after | change |',
      '| --- | ---: | ---: | ---: |',
      '| x\\|y | u | v |  |',
      '',
      '0 figures do not change.',
    ]);
  });

  it.each([
    ['__init__', '\\_\\_init\\_\\_'],
    ['serve: _b_', 'serve: \\_b\\_'],
    ['*a* and **b**', '\\*a\\* and \\*\\*b\\*\\*'],
    ['`c` ~d~ [e](f)', '\\`c\\` \\~d\\~ \\[e\\](f)'],
    ['a\\_b_', 'a\\\\\\_b\\_'],
    ['<b>&amp;', '\\<b>\\&amp;'],
    ['all_reduce over gpu <-> gpu & more', 'all_reduce over gpu <-> gpu & more'],
  ])('says %s in Markdown as it is written', (name, escaped) => {
    const unchanged = { figures: [figure(name, 1)] };
    const lines = markdownDiff(
      diffFigures({ title: name, ...unchanged }, { title: 'c', figures: [figure(name, 2)] }),
    ).split('\n');
    expect(lines[0]).toBe(`### ${escaped} → c`);
    expect(lines[4]).toBe(`| ${escaped} | 1 B | 2 B | 2.0x |`);
    expect(markdownUnpaired({ gone: [name], new: [] })).toEqual([`- plan ${escaped} is gone`]);
  });
});

describe('diff', () => {
  it('compares plans of one name in two files, and says which are only in one', async () => {
    const { all, gone, added } = await diffs(pipeline, tensor);
    expect(all).toHaveLength(1);
    expect([gone, added]).toEqual([['q'], []]);
    expect(await diffs(tensor, pipeline)).toMatchObject({ gone: [], added: ['q'] });
    expect(await diffs(pipeline, '--plan', 'p', '--plan', 'q')).toMatchObject({ gone: [], added: [] });
    expect((await runInProcess('diff', pipeline, tensor)).out).toMatch(/\n\nplan q is gone\n$/);
    expect((await runInProcess('diff', tensor, pipeline, '--markdown')).out).toMatch(
      /\n\n- plan q is new\n$/,
    );
    const changes = byName(all[0]!);
    expect(changes.get('serve: mesh')).toMatchObject({ before: '(pp: 4)', after: '(tp: 4)' });
    // Two sums a layer and one for the embedding, on each of four ranks, in place of three hand-overs.
    expect(changes.get('serve: all_reduce')).toMatchObject({ after: 36 });
    expect(changes.get('serve: send')).toMatchObject({ before: 3 });
    expect(changes.get('serve: all-reduce per token, gpu <-> gpu')!.after).toBeGreaterThan(0);
    for (const name of ['device', 'requests per second', 'time of the workload', 'bytes over gpu <-> gpu'])
      expect(changes.has(name), name).toBe(true);
  });

  it('compares two plans of one file, and finds nothing between a plan and itself', async () => {
    const [two] = (await diffs(pipeline, '--plan', 'p', '--plan', 'q')).all;
    expect(byName(two!).get('serve: mesh')).toMatchObject({ after: '(dp: 4)' });
    const run = await runInProcess('diff', pipeline, pipeline, '--plan', 'p');
    expect(run.out).toMatch(/p\n {2}workload w: .*\n {2}no difference in \d+ figures/);
  });

  it('looks at the plans that are named alone, and at all where none is', async () => {
    const bad = 'plan q for m on workstation { stage serve: prefill + decode on gpu { mesh (tp: 3) } }';
    const more = 'plan r for m on workstation { stage serve: prefill + decode on gpu { mesh (dp: 4) } }';
    const broken = planFile('broken.plan', '(pp: 4)', `${bad}\n${more}`);
    const plans = (...names: string[]): readonly string[] => names.flatMap((name) => ['--plan', name]);
    for (const args of [
      [broken, tensor, ...plans('p')],
      [tensor, broken, ...plans('p', 'r')],
      [broken, ...plans('p', 'r')],
    ])
      expect((await diffs(...args)).all).toHaveLength(1);
    for (const args of [
      [broken, tensor],
      [tensor, broken],
      [broken, tensor, ...plans('q', 'p')],
      [broken, ...plans('p', 'q')],
    ])
      expect(await runInProcess('diff', ...args)).toMatchObject({
        status: 1,
        err: expect.stringContaining('FC0405') as string,
      });
  });

  it('compares what a stage prefills and decodes at once, where it does', async () => {
    const parts = `stage prefill on gpu[0..1] { mesh (tp: 2) } stage decode on gpu[2..3] { mesh (tp: 2) }`;
    const apart = planFile(
      'apart.plan',
      '(tp: 4)',
      `plan a for m on workstation {\n${parts}\nflow requests -> prefill -> decode -> results }`,
    );
    const [diff] = (await diffs(apart, apart, '--plan', 'p', '--plan', 'a')).all;
    const named = [...byName(diff!).keys()].filter((name) => /tokens of a step|requests at once/.test(name));
    expect(named.sort()).toEqual([
      'decode: requests at once',
      'prefill: tokens of a step',
      'serve: requests at once',
      'serve: tokens of a step',
    ]);
  });

  it('tells a cap of KV as the plan has it, in each of several nodes', async () => {
    const nodes = `topology t {
  node[2] { gpu[2]: own, tier host { capacity: 8 GiB }, link gpu <-> host { bandwidth: 8 GB/s } }
}
device own { memory: 1 GiB, bandwidth: 100 GB/s, compute: { f32: 1 TFLOPS } }`;
    const capped = (cap: string): string =>
      `plan x for m on t { stage serve: prefill + decode on node.gpu { mesh (dp: 2, tp: 2) }
  ${cap}, flow requests -> serve -> results }\n${nodes}`;
    const files = [
      planFile('free.plan', '(pp: 4)', capped('kv { tiers: gpu -> host }')),
      planFile('capped.plan', '(pp: 4)', capped('kv { tiers: gpu -> host up to 3 GiB }')),
    ];
    const [diff] = (await diffs(...files, '--plan', 'x')).all;
    expect(byName(diff!).get('KV: tiers')).toMatchObject({
      before: 'gpu -> host',
      after: 'gpu -> host up to 3 GiB in each of 2, 6 GiB in all',
    });
  });

  it('tells another kind of device', async () => {
    const text = readFileSync(pipeline, 'utf8').replace('"std/local"', '"./machine.plan"');
    const on = (folderName: string, kind: string): string => {
      const own = join(folder, folderName);
      mkdirSync(own);
      const machine = `import { ${kind} } from "std/devices"
topology workstation { gpu[4]: ${kind}, tier host { capacity: 1 GiB }, link gpu <-> gpu { bandwidth: 1 GB/s }, link gpu <-> host { bandwidth: 1 GB/s } }\n`;
      writeFileSync(join(own, 'machine.plan'), machine);
      writeFileSync(join(own, 'own.plan'), text);
      return join(own, 'own.plan');
    };
    const [change] = (await diffs(on('first', 'l4'), on('second', 'a10'), '--plan', 'p')).all;
    expect(byName(change!).get('serve: devices')).toMatchObject({
      before: '4 l4 on gpu[0..3]',
      after: '4 a10 on gpu[0..3]',
    });
  });

  it('tells constants that are others, whatever plan and topology are called', async () => {
    const file = (name: string, node: string, bandwidth: string, layer: string): string => {
      const path = join(folder, name);
      writeFileSync(
        path,
        `import { lavapipe } from "std/devices"
topology ${node} {
  gpu[2]: lavapipe
  tier host { capacity: 8 GiB }
  link gpu <-> gpu { bandwidth: 2 GB/s }
  link gpu <-> host { bandwidth: ${bandwidth} }
  overhead { layer: ${layer}, kernel: 1 us }
}
model m { family: llama, layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64, context: 128, weights: f32 }
plan ${node}_plan for m on ${node} { stage serve: prefill + decode on gpu { mesh (pp: 2) }, flow requests -> serve -> results, memory_use: 0.5 }
`,
      );
      return path;
    };
    const before = file('constants.plan', 'a', '10 GB/s', '5 us');
    const plans = ['--plan', 'a_plan', '--plan', 'b_plan'];
    const { all } = await diffs(before, file('other-constants.plan', 'b', '20 GB/s', '7 us'), ...plans);
    const constants = all[0]!.changes.filter(({ group }) => group === 'constants');
    expect(constants.map((each) => [each.name, each.before, each.after])).toEqual([
      ['gpu <-> host: bandwidth', '10 GB/s', '20 GB/s'],
      ['overhead layer', '5 us', '7 us'],
    ]);
  });

  it('says where requests are not served, also where no plan serves them', async () => {
    const lengths = join(folder, 'unserved.jsonl');
    const one = (prompt: number, output: number): string =>
      `{"prompt_tokens": ${prompt}, "output_tokens": ${output}}\n`;
    writeFileSync(lengths, `${one(20, 8)}${one(100_000, 1)}${one(100, 100_000)}`);
    const args = ['--plan', 'p', '--plan', 'p', '--workload', lengths];
    const { all, err } = await diffs(pipeline, tensor, ...args);
    for (const file of [pipeline, tensor]) {
      expect(err).toContain(`warning: ${file}: plan p can never fit 1 of 3 requests`);
      expect(err).toContain(`warning: ${file}: plan p has no room for the whole answers of 1 of 2 requests`);
    }
    const rows = [
      { group: 'predicted', name: 'requests rejected', unit: 'count', before: 1, after: 1 },
      { group: 'predicted', name: 'answers cut short', unit: 'count', before: 1, after: 1 },
    ];
    expect(all[0]!.standing).toEqual(rows);
    expect(byName(all[0]!).has('requests rejected')).toBe(false);
    const same = await runInProcess('diff', pipeline, ...args);
    expect(same.err.match(/^warning: plan p can never fit/gm)).toHaveLength(1);
    expect(same.out).toMatch(/requests rejected +1 +1\n +answers cut short +1 +1\n +no difference in/);
    const served = await diffs(pipeline, tensor, '--plan', 'p');
    expect([served.all[0]!.standing, served.err]).toEqual([[], '']);
  });

  it('tells another model, by name, type of the weights and shape', async () => {
    const models = join(folder, 'models.plan');
    const sizes = 'family: llama, layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64';
    writeFileSync(
      models,
      `import { workstation } from "std/local"
model m { ${sizes}, context: 128, weights: f32 }
model m_small { ${sizes}, context: 64, weights: f16, tied: true, rope_theta: 500000 }
${['m', 'm_small'].map((name) => `plan on_${name} for ${name} on workstation { stage serve: prefill + decode on gpu { mesh (tp: 4) }, flow requests -> serve -> results }`).join('\n')}
`,
    );
    const run = await diffs(models, '--plan', 'on_m', '--plan', 'on_m_small');
    const ofModel = run.all[0]!.changes.filter(({ group }) => group === 'model');
    expect(ofModel.map(({ name, before, after }) => [name, before, after])).toEqual([
      ['name', 'm', 'm_small'],
      ['weights', 'f32', 'f16'],
      ['context', 128, 64],
      ['rope_theta', '10000', '500000'],
      ['features', 'none', 'tied'],
    ]);
  });

  it('tells exchanges and sends that go over other links, though as many bytes do', async () => {
    const nodes = join(folder, 'nodes.plan');
    const on = (name: string, devices: string, mesh: string): string =>
      `plan ${name} for m on pair { stage serve: prefill + decode on ${devices} { mesh ${mesh} }, flow requests -> serve -> results }`;
    writeFileSync(
      nodes,
      `import { l4 } from "std/devices"
topology pair {
  node[2] { gpu[3]: l4, tier host { capacity: 1 GiB }, link gpu <-> gpu { bandwidth: 100 GB/s }, link gpu <-> host { bandwidth: 10 GB/s } }
  link node <-> node { bandwidth: 1 GB/s }
}
model m { family: llama, layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64, context: 128, weights: f32 }
${on('near', 'node[0].gpu[0..1]', '(tp: 2)')}
${on('far', 'node.gpu[0]', '(tp: 2)')}
${on('row', 'node[0].gpu[0..1]', '(pp: 2)')}
${on('long_row', 'node.gpu[0]', '(pp: 2)')}
${on('pairs', 'node.gpu[0..1]', '(dp: 2, tp: 2)')}
${on('mixed', 'node.gpu', '(dp: 3, tp: 2)')}
`,
    );
    const between = async (before: string, after: string) =>
      byName((await diffs(nodes, '--plan', before, '--plan', after)).all[0]!);
    const [inside, outside] = ['node[*]: gpu <-> gpu', 'node <-> node'];
    const sums = await between('near', 'far');
    // Two sums a layer and one for the embedding, of rows of 64 floats that two ranks give and take.
    const bytes = 9 * 64 * 4 * 2;
    expect(sums.get(`serve: all-reduce per token, ${inside}`)).toMatchObject({ before: bytes });
    expect(sums.get(`serve: all-reduce per token, ${outside}`)).toMatchObject({ after: bytes });
    expect(sums.get('serve: devices')).toMatchObject({
      before: '2 l4 on node[0].gpu[0..1]',
      after: '2 l4 on node[0..1].gpu[0]',
    });
    const sends = await between('row', 'long_row');
    expect(sends.get(`serve: send per token, ${inside}`)).toMatchObject({ before: 64 * 4 });
    expect(sends.get(`serve: send per token, ${outside}`)).toMatchObject({ after: 64 * 4 });
    // One of three replicas lies across the nodes.
    const replicas = await between('pairs', 'mixed');
    expect(replicas.get(`serve: all-reduce per token, ${inside}`)).toMatchObject({
      before: bytes,
      after: (bytes * 2) / 3,
    });
    expect(replicas.get(`serve: all-reduce per token, ${outside}`)).toMatchObject({ after: bytes / 3 });
  });

  it('counts as many bytes per token as the report of a plan', async () => {
    const [changes] = (await diffs(pipeline, tensor, '--plan', 'p')).all.map(byName);
    const explained = async (file: string) => {
      const run = await runInProcess('explain', file, '--plan', 'p', '--json');
      const { plans } = JSON.parse(run.out) as { readonly plans: readonly PlanReport[] };
      return plans[0]!.stages[0]!.perToken;
    };
    expect(changes!.get('serve: send per token, gpu <-> gpu')!.before).toBe((await explained(pipeline)).send);
    expect(changes!.get('serve: all-reduce per token, gpu <-> gpu')!.after).toBe(
      (await explained(tensor)).allReduce,
    );
  });

  it('predicts no time where there is no workload to choose, and says so', async () => {
    const bare = join(folder, 'bare.plan');
    writeFileSync(bare, readFileSync(pipeline, 'utf8').replace(/^workload.*\n/m, ''));
    const { all, err } = await diffs(bare, '--plan', 'p', '--plan', 'q');
    expect(err.match(/no time is predicted: /g)).toHaveLength(1);
    expect(byName(all[0]!).has('requests per second')).toBe(false);
    const chosen = await diffs(
      bare,
      '--plan',
      'p',
      '--plan',
      'q',
      '--workload',
      'test/fixtures/lengths.jsonl',
    );
    expect(byName(chosen.all[0]!).has('requests per second')).toBe(true);
  });

  describe('of files with other workloads', () => {
    const text = readFileSync(tensor, 'utf8').replace(other, '');
    const having = (name: string, ...workloads: string[]): string => {
      const file = join(folder, name);
      writeFileSync(
        file,
        text.replace(/^workload.*\n/m, workloads.map((each) => `workload ${each}\n`).join('')),
      );
      return file;
    };
    const short = having('short.plan', 'w { requests: 6, prompt: 20 tokens, output: 8 tokens }');
    const renamed = having('renamed.plan', 'v_ { requests: 6, prompt: 20 tokens, output: 8 tokens }');
    const long = having('long.plan', 'w { requests: 6, prompt: 20 tokens, output: 80 tokens }');
    const spread = having(
      'spread.plan',
      'w { requests: 6, prompt: 20 tokens, output: uniform(1 tokens, 15 tokens) }',
    );
    const alike = having(
      'alike.plan',
      'w { requests: 6, prompt: 20 tokens, prefix: 16 tokens, output: 8 tokens }',
    );
    const fewer = having('fewer.plan', 'w { requests: 3, prompt: 20 tokens, output: 8 tokens }');
    const several = having(
      'several.plan',
      'w { requests: 6, prompt: 20 tokens, output: 8 tokens }',
      'u { requests: 3, prompt: 9 tokens, output: 8 tokens }',
    );
    const all = { requests: 6, promptTokens: 120, outputTokens: 48, prefixTokens: 0 };

    it('names the one that both have', async () => {
      const [{ workload }] = (await diffs(short, short)).all as [PlanDiff];
      expect(workload).toEqual({
        before: { name: 'w', ...all },
        after: { name: 'w', ...all },
        sameRequests: true,
        differIn: [],
      });
      const line = 'workload w: 6 requests, 120 prompt tokens and 48 of output';
      expect((await runInProcess('diff', short, short)).out).toContain(`p\n  ${line}\n  no difference`);
      const { out } = await runInProcess('diff', short, short, '--markdown');
      expect(out).toContain(`p\n\n${line}\n\nNo difference`);
    });

    it('says that one has another name, or other requests', async () => {
      const [{ workload }] = (await diffs(short, renamed)).all as [PlanDiff];
      expect(workload).toMatchObject({ before: { name: 'w' }, after: { name: 'v_' }, sameRequests: true });
      const named = await runInProcess('diff', short, renamed);
      expect(named.out).toContain(
        'workload w -> v_: the same 6 requests, 120 prompt tokens and 48 of output\n  no difference',
      );
      const [{ workload: longer }] = (await diffs(short, long)).all as [PlanDiff];
      expect(longer).toMatchObject({ after: { ...all, outputTokens: 480 }, sameRequests: false });
      const changed = await runInProcess('diff', short, long);
      expect(changed.out).toContain(
        '48 of output -> workload w: 6 requests, 120 prompt tokens and 480 of output\n',
      );
      expect(changed.out).toContain(
        '\n  workload w has other requests after, in output lengths: what is predicted changes with',
      );
      const { out } = await runInProcess('diff', renamed, long, '--markdown');
      expect(out).toContain('\n\nworkload v\\_: 6 requests');
      expect(out).toContain(
        '\n\n**w is another workload than v\\_, in output lengths: what is predicted changes with the requests too',
      );
      // The same amounts are not the same requests.
      const [{ workload: prefixed }] = (await diffs(short, alike)).all as [PlanDiff];
      expect(prefixed).toMatchObject({
        after: { ...all, prefixTokens: 96 },
        differIn: ['prefixes'],
        sameRequests: false,
      });
      const begun = await runInProcess('diff', short, alike);
      expect(begun.out).toContain(
        'workload w: 6 requests, 120 prompt tokens, 96 of them in prefixes, and 48 of output\n' +
          '  workload w has other requests after, in prefixes: what is predicted changes with',
      );
      const [{ workload: half }] = (await diffs(short, fewer)).all as [PlanDiff];
      expect(half).toMatchObject({ sameRequests: false, differIn: ['number'] });
      const left = await runInProcess('diff', short, fewer);
      expect(left.out).toContain('workload w has other requests after, in number: what is predicted changes');
      // Other lengths are other requests, under whatever name.
      expect((await diffs(short, spread)).all[0]!.workload).toMatchObject({ sameRequests: false });
    });

    it('predicts nothing of one side alone', async () => {
      for (const files of [
        [short, several],
        [several, short],
      ]) {
        const { all: found, err } = await diffs(...files);
        expect(err).toContain(`no time is predicted: ${several} has several workloads`);
        expect(found[0]).toMatchObject({ changes: [] });
        expect(found[0]!.workload).toBeUndefined();
      }
      const { all: found } = await diffs(short, several, '--workload', 'w');
      expect(found[0]!.workload).toMatchObject({ sameRequests: true });
    });
  });

  it('sets a param in the files that have it, and says where it has none to set', async () => {
    const both = planFile('both.plan', '(dp: 4 / k, tp: k)', 'param k: int = 4 in [2, 4]');
    const meshes = async (...args: string[]): Promise<{ mesh: unknown; err: string }> => {
      const { all, err } = await diffs(...args);
      return { mesh: byName(all[0]!).get('serve: mesh'), err };
    };
    for (const [files, change] of [
      [[pipeline, both], { before: '(pp: 4)', after: '(dp: 2, tp: 2)' }],
      [[both, pipeline], { before: '(dp: 2, tp: 2)', after: '(pp: 4)' }],
    ] as const) {
      const { mesh, err } = await meshes(...files, '--set', 'k=2', '--plan', 'p');
      expect(mesh).toMatchObject(change);
      expect(err).toContain(`${pipeline} has no param k: it is set in the other file alone`);
    }
    const shared = await meshes(both, both, '--set', 'k=2');
    expect(shared).toEqual({ mesh: undefined, err: '' });
    const run = await runInProcess('diff', pipeline, both, '--set', 'l=2');
    expect(run).toMatchObject({ status: 1, out: '' });
    expect(run.err).toContain('there is no param called `l` to set');
  });

  it('prints Markdown', async () => {
    const run = await runInProcess('diff', pipeline, tensor, '--markdown');
    expect(run.out).toContain('| predicted | before | after | change |');
  });

  const broken = planFile('broken.plan', '(tp: 3)');
  it.each([
    [[pipeline], 2, 'two plans of one file'],
    [[pipeline, '--plan', 'p'], 2, 'two plans of one file'],
    [[pipeline, '--plan', 'p', '--plan', 'r'], 2, 'declares no plan called `r`'],
    [[pipeline, '--plan', 'p', '--plan', 'q', '--plan', 'p'], 2, 'twice at most'],
    [[pipeline, broken], 1, 'error'],
    [[pipeline, tensor, '--workload', 'v'], 2, 'has no workload v; it has w'],
    [[pipeline, tensor, '--markdown', '--json'], 2, 'cannot be used'],
  ])('refuses %j', async (args, status, message) => {
    const run = await runInProcess('diff', ...args);
    expect(run).toMatchObject({ status, out: '' });
    expect(run.err).toContain(message);
  });

  it('tells KV in a tier from the room for it, and the weights of a transition from all that it takes', async () => {
    const turns = planFile(
      'turns.plan',
      '(tp: 4)',
      `plan t for m on workstation { residence: switch, stage a: prefill on gpu { mesh (pp: 4) }, stage b: decode on gpu { mesh (tp: 4) }, flow requests -> a -> b -> results }`,
    );
    const { all } = await diffs(turns, '--plan', 't', '--plan', 'p');
    const changed = byName(all[0]!);
    const before = (name: string): number => Number(changed.get(name)!.before);
    const run = await runInProcess('simulate', turns, '--plan', 't', '--json');
    const { plans } = JSON.parse(run.out) as {
      plans: readonly { tierPeak: { host: number }; transitions: { seconds: number } }[];
    };
    expect(before('host: KV')).toBe(plans[0]!.tierPeak.host);
    expect(before('host: KV')).toBeGreaterThan(0);
    expect(before('host: room for KV')).toBeGreaterThan(before('host: KV'));
    expect(before('time of all transitions')).toBe(plans[0]!.transitions.seconds);
    expect(before('time of all transitions')).toBeGreaterThan(before('transition a -> b, its weights alone'));
  });
});
