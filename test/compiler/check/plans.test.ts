import { compileAndSimulate } from '../../fixtures/check-everything.js';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import type { Mesh, Plan } from '../../../compiler/plan/plan.js';
import { printPlan } from '../../../compiler/plan/print-plan.js';
import { fused, split, WORLD } from './marked.js';
import { checkText } from './memory-host.js';

const read = (name: string): string =>
  readFileSync(new URL(`../../../plans/${name}.plan`, import.meta.url), 'utf8');

/** The plans of a text that must be free of errors. */
function plansOf(text: string, set: Readonly<Record<string, string>> = {}): readonly Plan[] {
  const { plans, diagnostics } = checkText(text, { set });
  expect(diagnostics.filter((d) => d.severity === 'error')).toEqual([]);
  return plans;
}

const named = (plans: readonly Plan[], name: string): Plan => plans.find((p) => p.name === name)!;

describe('example plans', () => {
  for (const name of ['clerk', 'seesaw-70b', 'pod'])
    it(`${name} prints as before`, async () => {
      const text = plansOf(read(name)).map(printPlan).join('\n');
      await expect(text).toMatchFileSnapshot(`../../golden/plans/${name}.txt`);
    });

  it('clerk: derived plans change what they name and inherit the rest', () => {
    const plans = plansOf(read('clerk'));
    const meshes = (name: string): readonly unknown[] => named(plans, name).stages.map((s) => s.mesh);
    expect(meshes('reshard')).toEqual([
      { dp: 1, pp: 4, tp: 1 },
      { dp: 1, pp: 1, tp: 4 },
    ]);
    expect(meshes('pipeline')).toEqual([
      { dp: 1, pp: 4, tp: 1 },
      { dp: 1, pp: 4, tp: 1 },
    ]);
    expect(meshes('hybrid')).toEqual([
      { dp: 1, pp: 4, tp: 1 },
      { dp: 1, pp: 2, tp: 2 },
    ]);
    expect(named(plans, 'pipeline').stages[1]!.batchRequests).toBe(64);
    expect(named(plans, 'split').stages.map((s) => s.devices)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(named(plans, 'single').stages[0]!.phases).toEqual(['prefill', 'decode']);
    expect(named(plans, 'reshard').model.shape.kvHeads).toBe(4);
  });

  it('seesaw: --set changes the mesh and `fill` follows', () => {
    const [seesaw] = plansOf(read('seesaw-70b'), { decode_tp: '8' });
    expect(seesaw!.stages[1]!.mesh).toEqual({ dp: 1, pp: 1, tp: 8 });
    expect(seesaw!.params).toEqual({ decode_tp: 8 });
    expect(seesaw!.kv.tiers[1]!.cap).toBe(500 * 2 ** 30);
    expect(seesaw!.flow.rules).toMatchObject([
      { to: 'decode', when: { kind: 'or', left: { kind: 'tier_full' }, right: { kind: 'requests_empty' } } },
      { to: 'prefill', when: { kind: 'tier_used', op: '<', fraction: 0.2 } },
    ]);
    expect(seesaw!.expectations).toMatchObject([
      { measure: 'peak', stage: 'decode', devices: { text: 'gpu' }, op: '<=', limit: 24e9 },
      { measure: 'bytes', edge: { from: 'prefill', to: 'decode' }, per: 'token', limit: 320 * 1024 },
    ]);
  });

  it('pod: groups multiply out and tiers belong to their node', () => {
    const wide = named(plansOf(read('pod')), 'wide');
    expect(wide.topology.devices).toHaveLength(128);
    expect(wide.topology.devices[9]).toMatchObject({ path: 'node[1].gpu[1]', group: 'node[1]' });
    expect(wide.topology.links.map((l) => l.scope)).toEqual(['node[*]', 'node[*]', 'node[*]', '']);
    expect(wide.stages[1]!.devices[0]).toBe(64);
    expect(wide.stages[0]!.layerSplit).toEqual([32, 32, 31, 31]);
    expect(wide.kv.tiers[1]!.cap).toBeUndefined();
  });
});

describe('defaults', () => {
  it('are recorded with their reasons', () => {
    const [plan] = plansOf(split(''));
    expect(plan!.defaults.map((d) => d.what)).toEqual([
      'family',
      'head_dim',
      'norm_eps',
      'rope_theta',
      'tied',
      'prefill.microbatch',
      'prefill.layers',
      'decode.batch',
      'kv.page',
      'kv.dtype',
      'kv.tiers',
      'flow',
      'flow rule to prefill',
      'flow rule to decode',
      'memory_use',
      'residence',
    ]);
    expect(plan!.kv).toMatchObject({ pageTokens: 16, dtype: 'f16' });
    expect(plan!.memoryUse).toBe(0.9);
    expect(plan!.residence).toBe('auto');
    expect(plan!.defaults.every((d) => d.why.length > 5)).toBe(true);
  });

  it('a rule that is written replaces only its own default', () => {
    const [plan] = plansOf(
      split('flow requests -> prefill -> decode -> results { to decode when 90% < host.used }'),
    );
    expect(plan!.flow.rules.map((r) => [r.to, r.when, r.origin !== undefined])).toEqual([
      ['decode', { kind: 'tier_used', tier: 'host', op: '>', fraction: 0.9 }, true],
      ['prefill', { kind: 'tier_used', tier: 'host', op: '<', fraction: 0.2 }, false],
    ]);
  });

  it('stages that lie alike get no rules: there is nothing to switch', () => {
    const [plan] = plansOf(split('').replace('(pp: 8)', '(dp: 2, tp: 4)'));
    expect(plan!.flow.rules).toEqual([]);
  });
});

describe('kinds of devices', () => {
  it('are called as in the file of their topology, also where others are declared by the same name', () => {
    const text = WORLD.replace('gpu[8]: d', 'gpu[6]: d, other[2]: big');
    const plan = `plan p for m on t { stage serve: prefill + decode on gpu[0..1] { mesh (tp: 2) } }`;
    const far = 'device d { memory: 10 GB, bandwidth: 600 GB/s, compute: { f16: 200 TFLOPS } }\n';
    const { plans } = checkText(`import { d as big } from "far.plan"\n${text}${plan}`, {
      files: { 'far.plan': far },
    });
    const printed = printPlan(plans[0]!);
    expect(printed).toContain('device d x6: 16 GB, 300 GB/s');
    expect(printed).toContain('device big x2: 10 GB, 600 GB/s');
  });
});

describe('stages', () => {
  it('`like` takes over the rest of another stage', () => {
    const [plan] = plansOf(`${WORLD}plan p for m on t {
      stage prefill on gpu[0..3] { mesh (pp: 4), microbatch: 64 tokens, batch: 9 requests }
      stage decode on gpu[4..7] like prefill { mesh (tp: 4) }
    }`);
    expect(plan!.stages[1]).toMatchObject({
      phases: ['decode'],
      devices: [4, 5, 6, 7],
      mesh: { dp: 1, pp: 1, tp: 4 },
      microbatchTokens: 64,
      batchRequests: 9,
    });
  });

  it('lines place dimensions, split layers and override single layers', () => {
    const [plan] = plansOf(
      fused(`mesh (pp: 2, tp: 4)
        replicate vocab
        split layers on pp [3, 5]
        override layers[0..1].mlp { replicate ffn }`),
    );
    const [stage] = plan!.stages;
    expect(stage!.sharding).toEqual({ onTp: ['heads', 'kv_heads', 'ffn'], kvReplicas: 1 });
    expect(stage!.layerSplit).toEqual([3, 5]);
    expect(stage!.overrides).toMatchObject([
      { firstLayer: 0, lastLayer: 1, part: 'mlp', sharding: { onTp: ['heads', 'kv_heads'] } },
    ]);
  });

  it('a dimension is split unless it is replicated, and `shard` takes that back', () => {
    const whole = fused('mesh (dp: 2, tp: 4)\nreplicate vocab, shard heads on tp');
    const [plan, derived] = plansOf(`${whole}\nplan q from p { stage serve on gpu { shard vocab on tp } }`);
    expect(plan!.stages[0]!.sharding.onTp).toEqual(['heads', 'kv_heads', 'ffn']);
    expect(derived!.stages[0]!.sharding.onTp).toEqual(['heads', 'kv_heads', 'ffn', 'vocab']);
  });

  it('KV heads kept in copies let tp go beyond them', () => {
    const [plan] = plansOf(fused('mesh (tp: 8)\nreplicate kv_heads by 2'));
    expect(plan!.stages[0]!.sharding).toEqual({ onTp: ['heads', 'kv_heads', 'ffn', 'vocab'], kvReplicas: 2 });
  });

  it('`mesh auto` takes wide tp in a group, then as little pp as memory allows', () => {
    expect(plansOf(fused('mesh auto'))[0]!.stages[0]!.mesh).toEqual({ dp: 2, pp: 1, tp: 4 });
    const tight = fused('mesh auto').replace('memory: 16 GB', 'memory: 18 MB');
    expect(plansOf(tight)[0]!.stages[0]!.mesh).toEqual({ dp: 1, pp: 2, tp: 4 });
  });

  it('`mesh auto` takes the mesh with the most room for KV where none holds a full context', () => {
    const long = fused('mesh auto')
      .replace('context: 2048', 'context: 2_000_000')
      .replace('memory: 16 GB', 'memory: 300 MB');
    const { plans, diagnostics } = checkText(long);
    expect(plans[0]!.stages[0]!.mesh).toEqual({ dp: 1, pp: 2, tp: 4 });
    expect(diagnostics.map(({ slug }) => slug)).toEqual(['kv-tight']);
    expect(plans[0]!.defaults.find(({ what }) => what === 'serve.mesh')!.why).toContain('the most');
    const load = 'workload load { requests: 4000, prompt: 64 tokens, output: 2 tokens }\n';
    expect(plansOf(load + long)[0]!.stages[0]!.mesh.dp).toBe(8);
  });

  it('`mesh auto` takes the mesh that suits the workload where there is one', () => {
    const workload = (requests: number, prompt: number, output: number): string =>
      `workload load { requests: ${requests}, prompt: ${prompt} tokens, output: ${output} tokens }\n`;
    const meshFor = (load: string): Mesh => plansOf(load + fused('mesh auto'))[0]!.stages[0]!.mesh;
    // Replicas exchange nothing; one request alone is soonest where all devices work at it.
    expect(meshFor(workload(4000, 64, 2)).dp).toBe(8);
    expect(meshFor(workload(1, 64, 500)).dp).toBeLessThan(8);
    const [plan] = plansOf(workload(4000, 64, 2) + fused('mesh auto'));
    expect(plan!.defaults.find(({ what }) => what === 'serve.mesh')).toMatchObject({
      value: '(dp: 8)',
      why: expect.stringContaining('`load`') as string,
    });
  });

  it.each([35, 80, 110])('`mesh auto` takes a mesh with room for a microbatch, in %i MB', (megabytes) => {
    const load = 'workload load { requests: 4000, prompt: 64 tokens, output: 2 tokens }\n';
    const text = load + fused('mesh auto').replace('memory: 16 GB', `memory: ${megabytes} MB`);
    const [plan] = plansOf(text);
    expect(plan!.defaults.find(({ what }) => what === 'serve.mesh')!.why).toContain('`load`');
    expect(compilePlan(plan!).diagnostics).toEqual([]);
  });

  it('`mesh auto` goes by its simple rule where no mesh has room for a microbatch, and the plan is refused', () => {
    const load = 'workload load { requests: 4000, prompt: 64 tokens, output: 2 tokens }\n';
    const one = fused('mesh auto').replace('on gpu {', 'on gpu[0] {');
    const [plan] = plansOf(load + one.replace('memory: 16 GB', 'memory: 115 MB'));
    expect(plan!.defaults.find(({ what }) => what === 'serve.mesh')!.why).not.toContain('`load`');
    expect(compilePlan(plan!).diagnostics.map(({ slug }) => slug)).toEqual(['kv-does-not-fit']);
  });

  it('`mesh auto` takes no notice of workloads whose lengths are in a file, and names none of them', () => {
    const listed = 'workload listed { requests: "lengths.jsonl" }\n';
    const load = 'workload load { requests: 4000, prompt: 64 tokens, output: 2 tokens }\n';
    const meshOf = (text: string) => plansOf(text)[0]!.defaults.find(({ what }) => what === 'serve.mesh')!;
    expect(meshOf(listed + fused('mesh auto'))).toEqual(meshOf(fused('mesh auto')));
    expect(meshOf(listed + load + fused('mesh auto'))).toEqual(meshOf(load + fused('mesh auto')));
  });

  it('`mesh auto` goes by workloads that the file imports where it declares none with lengths', () => {
    const load = 'workload load { requests: 4000, prompt: 64 tokens, output: 2 tokens }';
    const text = `import { load as many } from "loads.plan"\n${fused('mesh auto')}`;
    const meshOf = (before: string): unknown => {
      const { plans } = checkText(before + text, { files: { 'loads.plan': load } });
      return plans[0]!.defaults.find(({ what }) => what === 'serve.mesh');
    };
    const why = (name: string): unknown => expect.stringContaining(`for \`${name}\``);
    expect(meshOf('')).toMatchObject({ value: '(dp: 8)', why: why('many') });
    expect(meshOf('workload listed { requests: "lengths.jsonl" }\n')).toEqual(meshOf(''));
    const own = 'workload own { requests: 1, prompt: 64 tokens, output: 500 tokens }\n';
    expect(meshOf(own)).toMatchObject({ why: why('own') });
    expect(meshOf(own)).not.toMatchObject({ value: '(dp: 8)' });
  });

  it('`mesh auto` counts a workload that the file imports by several names once', () => {
    const loads = `workload many { requests: 4000, prompt: 64 tokens, output: 2 tokens }
workload long { requests: 1, prompt: 64 tokens, output: 500 tokens }
`;
    const meshOf = (names: string): unknown => {
      const text = `import { ${names} } from "loads.plan"\n${fused('mesh auto')}`;
      const { plans } = checkText(text, { files: { 'loads.plan': loads } });
      return plans[0]!.defaults.find(({ what }) => what === 'serve.mesh');
    };
    const copies = Array.from({ length: 20 }, (_, i) => `long as long${i}`).join(', ');
    expect(meshOf(`many, long, ${copies}`)).toEqual(meshOf('many, long'));
  });
});

describe('`mesh auto` of stages that take turns', () => {
  it('takes the pair that the tuner finds best for the workload', () => {
    const text = read('seesaw-70b')
      .replace('mesh (pp: 8)', 'mesh auto')
      .replace('mesh (pp: fill, tp: decode_tp)', 'mesh auto');
    const { stages, flow } = named(plansOf(text), 'seesaw');
    expect(stages.map(({ mesh }) => mesh)).toEqual([
      { dp: 1, pp: 4, tp: 2 },
      { dp: 1, pp: 1, tp: 8 },
    ]);
    expect(stages[0]!.layerSplit).toEqual([20, 20, 20, 20]);
    expect(flow.rules.map(({ to }) => to)).toEqual(['decode', 'prefill']);
  });

  it('takes a pair that hands nothing over where the host tier has no room for a request', () => {
    const text = read('seesaw-70b')
      .replace('mesh (pp: 8)', 'mesh auto')
      .replace('mesh (pp: fill, tp: decode_tp)', 'mesh auto');
    const meshesWith = (room: string): readonly Mesh[] =>
      named(plansOf(text.replace('up to 500 GiB', `up to ${room}`)), 'seesaw').stages.map(({ mesh }) => mesh);
    const [prefill, decode] = meshesWith('100 MiB');
    expect(prefill).toEqual(decode);
    const [before, after] = meshesWith('10 GiB');
    expect(before).not.toEqual(after);
  });
});

describe('params', () => {
  it('every value of a domain is checked and the failing one is named', () => {
    const text = `param ways: int = 4 in [2, 4, 3]\n${fused('mesh (tp: ways, dp: fill)')}`;
    const { diagnostics, plans } = checkText(text);
    expect(diagnostics.map((d) => [d.slug, d.notes])).toEqual([['fill-not-whole', ['with ways = 3']]]);
    const named = diagnostics[0]!.related.find(({ label }) => label === 'with this value')!;
    expect(text.slice(named.span.start, named.span.end)).toBe('3');
    expect(plans[0]!.stages[0]!.mesh).toEqual({ dp: 2, pp: 1, tp: 4 });
  });

  it('may have any name, and plans say what they were checked with', () => {
    const { plans, diagnostics } = checkText(
      `param __proto__: int = 2\n${fused('mesh (tp: __proto__, dp: fill)')}`,
    );
    expect(diagnostics).toEqual([]);
    expect(Object.entries(plans[0]!.params)).toEqual([['__proto__', 2]]);
  });

  it('what depends on several params names their combinations, or the one that decides', () => {
    const text = (mesh: string): string =>
      `param a: int = 1 in [1, 2, 4]\nparam b: int = 1 in [1, 2, 4]\n${fused(mesh)}`;
    const found = (mesh: string) => checkText(text(mesh)).diagnostics.flatMap(({ notes }) => notes.at(-1));
    expect(found('mesh (tp: a, dp: fill)\nbatch: 3 - b')).toEqual(['with b = 4']);
    expect(found('mesh (tp: a * b, dp: fill)')).toEqual([
      'with a = 4, b = 4',
      'with a = 4, b = 2; with a = 2, b = 4',
    ]);
  });

  it('every value is compiled too, a plan that is the same only once, and where that is too much it is said', () => {
    const text = (domain: string, body: string): string =>
      `param n: int = 2 in [${domain}]\n${fused(`mesh (tp: 4, dp: 2)`, body)}`;
    const compiled = (source: string) =>
      compileAndSimulate(checkText(source), 'main.plan').diagnostics.map(({ slug, notes }) => [
        slug,
        notes.at(-1),
      ]);
    expect(compiled(text('2, 1, 0', 'expect { collectives(serve, per: layer) <= n }'))).toEqual([
      ['expectation-not-met', 'with n = 1'],
      ['expectation-not-met', 'with n = 0'],
    ]);
    expect(compiled(text('2, 1, 0', ''))).toEqual([]);
    const many = Array.from({ length: 80 }, (_, i) => i + 2).join(', ');
    expect(compiled(text(many, 'expect { collectives(serve, per: layer) <= n }'))).toEqual([
      ['too-many-values', expect.stringContaining('64 other plans')],
    ]);
    // Nine values of other params make no other plans. It says how many combinations there are, as the check does.
    const beside = Array.from({ length: 9 }, (_, i) => `param p${i}: int = 1 in [1, 2]`).join('\n');
    const both = compileAndSimulate(
      checkText(`${beside}\n${text(many, 'expect { collectives(serve, per: layer) <= n }')}`),
      'main.plan',
    ).diagnostics;
    expect(both.map(({ message }) => message)).toEqual(
      ['256 of them were checked', '74 of them were compiled'].map(
        (done) => `the params have 40960 combinations of values; only ${done}`,
      ),
    );
    for (const { helps } of both) expect(helps[0]).toContain('--set');
  });

  it('every value is checked, also where there are too many combinations, wherever its param stands', () => {
    const others = Array.from({ length: 4 }, (_, i) => `param p${i}: int = 1 in [1, 2, 3, 4, 5, 6, 7, 8]`);
    const ways = 'param ways: int = 4 in [2, 4, 3]';
    const found = (params: readonly string[]) =>
      checkText(`${params.join('\n')}\n${fused('mesh (tp: ways, dp: fill)')}`).diagnostics.map(
        ({ slug, message, notes }) => [slug, notes.at(-1), slug === 'too-many-values' ? message : ''],
      );
    const message = 'the params have 12288 combinations of values; only 256 of them were checked';
    for (const params of [
      [...others, ways],
      [ways, ...others],
    ]) {
      const [tooMany, ...failing] = found(params);
      expect(tooMany).toEqual(['too-many-values', expect.stringContaining('each value'), message]);
      expect(failing).not.toEqual([]);
      for (const [, note] of failing) expect(note).toBe('with ways = 3');
    }
  });

  it('values beyond what is checked leave room for those of other params', () => {
    const many = Array.from({ length: 400 }, (_, i) => i + 1).join(', ');
    const source = `param p: int = 1 in [${many}]\nparam ways: int = 4 in [4, 3]\n${fused('mesh (tp: ways, dp: fill)')}`;
    const { diagnostics, rounds } = checkText(source);
    expect(diagnostics.flatMap(({ notes }) => notes)).toContain('with ways = 3');
    expect(rounds).toHaveLength(256);
  });

  it('a value that is there twice is checked once', () => {
    const twice = Array.from({ length: 30 }, (_, i) => `param p${i}: int = 1 in [1, 1]`).join('\n');
    const { diagnostics, rounds } = checkText(`${twice}\n${fused('mesh (tp: 4, dp: fill)')}`);
    expect(diagnostics).toEqual([]);
    expect(rounds).toHaveLength(1);
  });

  it('too little memory is an error with the chosen value, and a warning with others', () => {
    const found = (domain: string) =>
      checkText(
        `param n: int = ${domain}\n${fused('mesh (tp: n, dp: fill)')}`.replace(
          'memory: 16 GB',
          'memory: 20 MB',
        ),
      ).diagnostics.map(({ slug, severity, notes }) => [slug, severity, notes.at(-1)]);
    expect(found('4 in [1, 4]')).toEqual([['weights-do-not-fit', 'warning', 'with n = 1']]);
    expect(found('1 in [1, 4]')).toEqual([['weights-do-not-fit', 'error', 'with n = 1']]);
  });

  it('a value that is set is the only one checked', () => {
    const text = `param ways: int = 4 in [2, 4, 3]\n${fused('mesh (tp: ways, dp: fill)')}`;
    expect(checkText(text, { set: { ways: '2' } }).diagnostics).toEqual([]);
  });

  it('have types with units', () => {
    const text = `param room: bytes = 32 GiB\nparam kind: name = f32 in [f32, f16]\n${fused('mesh (dp: 8)', 'kv { dtype: kind, tiers: gpu -> host up to room }')}`;
    const [plan] = plansOf(text, { room: '1 GiB', kind: 'f16' });
    expect(plan!.kv.tiers[1]!.cap).toBe(2 ** 30);
    expect(plan!.kv.dtype).toBe('f16');
  });
});

describe('expectations', () => {
  it('of a derived plan replace those of its base that measure the same', () => {
    const plans = plansOf(
      `${split('expect { peak(decode, gpu) <= 1 GB\n transitions <= 4 }')}
       plan q from p { expect { peak(decode, gpu) <= 2 GB\n never all_gather of kv in decode } }`,
    );
    expect(named(plans, 'q').expectations).toMatchObject([
      { measure: 'transitions', limit: 4 },
      { measure: 'peak', limit: 2e9 },
      { kind: 'never', op: 'all_gather', of: 'kv', stage: 'decode' },
    ]);
  });
});

describe('the devices of a peak', () => {
  const pods = `${WORLD}topology u { node[2] { gpu[4]: d\n link gpu <-> gpu { bandwidth: 10 GB/s } } }
    plan p for m on u { stage serve: prefill + decode on node.gpu { mesh (dp: 2, tp: 4) }`;

  it.each([
    ['gpu', [0, 1, 2, 3, 4, 5, 6, 7]],
    ['node[1].gpu', [4, 5, 6, 7]],
    ['node.gpu[1..2]', [1, 2, 5, 6]],
    ['gpu[3]', [3, 7]],
  ])('%s are those that its indexes name', (text, ids) => {
    const [plan] = plansOf(`${pods} expect { peak(serve, ${text}) <= 1 GB } }`);
    expect(plan!.expectations).toMatchObject([{ devices: { text, ids } }]);
  });
});

describe('keys of records', () => {
  const gemm = (record: string): ReturnType<typeof checkText> =>
    checkText(fused('mesh (dp: 8)').replace('compute: {', `gemm: ${record}, compute: {`));

  it('are whole numbers, written as in values', () => {
    const { plans, diagnostics } = gemm('{ 64: 9%, 1_024: 11% }');
    expect(diagnostics).toEqual([]);
    expect(plans[0]!.topology.devices[0]!.kind.gemm).toEqual({ 64: 0.09, 1024: 0.11 });
  });

  it.each([
    ['064', ['64']],
    ['1e3', ['1000']],
    ['-64', ['64']],
    ['rows64', ['64']],
    ['_64', ['64']],
    ['0', []],
    ['2.5', []],
    ['many', []],
    // That one is there already.
    ['02_048', []],
  ])('such as %s are offered as %j', (key, meant) => {
    const { diagnostics } = gemm(`{ ${key}: 9%, 2048: 11% }`);
    expect(diagnostics.map(({ slug }) => slug)).toEqual(['wrong-type']);
    expect(diagnostics[0]!.fixes.flatMap(({ edits }) => edits.map(({ newText }) => newText))).toEqual(meant);
  });
});

describe('workloads', () => {
  it('are counts with lengths, or files', () => {
    const { workloads, diagnostics } = checkText(`
      workload a { requests: 500, prompt: 2620 tokens, output: normal(279 tokens, 40 tokens) }
      workload b { requests: "batch.jsonl" }`);
    expect(diagnostics).toEqual([]);
    expect(workloads.map((w) => w.requests)).toEqual([
      {
        kind: 'drawn',
        count: 500,
        prompt: { kind: 'fixed', tokens: 2620 },
        output: { kind: 'normal', mean: 279, deviation: 40 },
      },
      {
        kind: 'file',
        path: 'batch.jsonl',
        base: 'main.plan',
        origin: expect.objectContaining({ file: 'main.plan' }) as unknown,
      },
    ]);
  });

  it.each([
    'lognormal(900 tokens, 400 tokens)',
    'lognormal(mean: 900 tokens, deviation: 400 tokens)',
    'lognormal(deviation: 400 tokens, mean: 900 tokens)',
    'lognormal(deviation: 400 tokens, 900 tokens)',
  ])('have arguments in their order or by name: %s', (prompt) => {
    const { workloads } = checkText(`workload a { requests: 5, prompt: ${prompt}, output: 1 }`);
    const [drawn] = workloads.map(({ requests }) => requests);
    expect(drawn).toMatchObject({ prompt: { kind: 'lognormal', mean: 900, deviation: 400 } });
  });

  it('have one request and one token at least, which is said in the singular', () => {
    const { diagnostics } = checkText('workload a { requests: 0, prompt: 0 tokens, output: 1 token }');
    expect(diagnostics.map(({ message }) => message)).toEqual([
      expect.stringMatching(/at least 1 request\b(?!s)/),
      expect.stringMatching(/at least 1 token\b(?!s)/),
    ]);
  });

  it('name a file where they take their requests from one', () => {
    const { workloads, diagnostics } = checkText('workload a { requests: "" }');
    expect(workloads).toEqual([]);
    expect(diagnostics.map(({ slug, message }) => [slug, message])).toEqual([
      ['wrong-type', expect.stringMatching(/file, such as `"lengths\.jsonl"`.* empty text/)],
    ]);
  });

  it('that a stage has no room for refuse the plans of their file, but not those of a file that imports them', () => {
    const long = 'workload long { requests: 1, prompt: 1500 tokens, output: 400 tokens }\n';
    const plan = fused('mesh (dp: 8)\nmicrobatch: 128 tokens').replace('memory: 16 GB', 'memory: 70 MB');
    const found = (before: string): unknown => {
      const { diagnostics } = checkText(before + plan, { files: { 'loads.plan': long } });
      return diagnostics.map(({ slug }) => slug);
    };
    expect(found(long)).toEqual(['kv-does-not-fit']);
    expect(found('import { long } from "loads.plan"\n')).toEqual(['kv-tight']);
  });
});
