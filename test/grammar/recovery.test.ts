/** One slip is one problem, and everything around it stands. */
import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/parse.js';
import { planNamed, show } from './support.js';

/** A plan with a second stage of the given text, and a plan after it. */
function around(slip: string): string {
  return `plan a for m on t {
  stage prefill on gpu { mesh (pp: 4), microbatch: 512 tokens }
  ${slip}
  kv {
    page: 16 tokens
    tiers: gpu -> host
  }
  flow requests -> prefill -> decode -> results {
    to decode when host.full
  }
  expect { peak(decode, gpu) <= 22 GB }
}
/// The other one.
plan b from a { kv { page: 8 tokens } }`;
}

function problems(text: string): string[] {
  return show(text, parse(text, 'test.plan').errors);
}

/** Names of what the first plan holds, without unknown items; the second plan must stand too. */
function kept(text: string): string[] {
  expect(planNamed(text, 'b')).toMatchObject({
    base: { text: 'a' },
    doc: 'The other one.',
    members: [{ kind: 'kv' }],
  });
  return planNamed(text, 'a')!.members.flatMap((member) => {
    if (member.kind === 'unknown') return [];
    return [member.kind === 'stage' ? `stage ${member.name.text}` : member.kind];
  });
}

const others = ['stage prefill', 'kv', 'flow', 'expect'];
const all = ['stage prefill', 'stage decode', 'kv', 'flow', 'expect'];

describe('a slip in the head of an item', () => {
  it.each([
    ['stge decode on gpu { mesh (tp: 4) }', 'FC0102 3 "stge": unknown item `stge` in a plan', others],
    ['stag', 'FC0102 3 "stag": unknown item `stag` in a plan', others],
    ['foo', 'FC0105 3 "": expected `:` after `foo`', others],
    ['page 16 tokens', 'FC0105 3 "": expected `:` after `page`', [all[0], 'property', ...all.slice(2)]],
    ['page:', 'FC0103 3 "": expected a value', [all[0], 'property', ...all.slice(2)]],
    ['??', 'FC0112 3 "??": `??` means nothing here', others],
    [')', 'FC0108 3 ")": `)` closes nothing', others],
    ['{ a: 3 }', 'FC0101 3 "{": unexpected `{`', others],
    ['tier x { a: 1 }', 'FC0102 3 "tier": `tier` does not belong in a plan', others],
    ['device x { a: 1 }', 'FC0102 3 "device": `device` does not belong in a plan', others],
    ['stage decode onn gpu { mesh (tp: 4) }', 'FC0101 3 "onn": unexpected `onn`', all],
    ['stage decode on { mesh (tp: 4) }', 'FC0103 3 "": expected devices after `on`, such as `gpu` or `gpu[0..3]`', all], // prettier-ignore
    ['stage decode on gpu[0.. { mesh (tp: 4) }', 'FC0107 3 "[": `[` is never closed', all],
    ['stage decode: prefill + on gpu { }', 'FC0104 3 "": expected a phase: `prefill` or `decode`', all],
    ['stage decode on gpu like { }', 'FC0104 3 "": expected a stage after `like`', all],
    ['stage decode on gpu: { mesh (tp: 4) }', 'FC0101 3 ":": unexpected `:`', all],
    ['stage decode', 'FC0113 3 "": expected a block `{ ... }` here', all],
    ['stage', 'FC0104 3 "": expected the name of the stage', [all[0], 'stage ', ...all.slice(2)]],
  ])('%s', (slip, problem, items) => {
    const text = around(slip);
    const found = problems(text);
    if (slip.includes('[0..')) expect(found).toContain(problem);
    else expect(found).toEqual([problem]);
    expect(kept(text)).toEqual(items);
  });
});

describe('a slip inside a stage', () => {
  const inStage = (slip: string): string => around(`stage decode on gpu {\n${slip}\nbatch: 64 requests\n}`);
  it.each([
    ['mehs (tp: 4)', 'FC0102 4 "mehs": unknown item `mehs` in a stage'],
    ['mesh (tp: 4', 'FC0107 4 "(": `(` is never closed'],
    ['mesh (tp 4)', 'FC0105 4 "": expected `:` after `tp`'],
    ['mesh (tp = 4)', 'FC0105 4 "=": expected `:` after `tp`, found `=`'],
    ['mesh (pp: 2 tp: 4)', 'FC0106 4 "": expected `,` here'],
    ['mesh (tp:)', 'FC0103 4 "": expected a value'],
    ['mesh', 'FC0103 4 "": expected axes such as `(tp: 4)`, or `auto`'],
    ['mesh 4', 'FC0103 4 "": expected axes such as `(tp: 4)`, or `auto`'],
    ['mesh:', 'FC0103 4 "": expected axes such as `(tp: 4)`, or `auto`'],
    ['mesh: auto', 'FC0101 4 ":": `mesh` takes no `:`'],
    ['mesh = (tp: 4)', 'FC0101 4 "=": `mesh` takes no `=`'],
    ['shard: heads on tp', 'FC0101 4 ":": `shard` takes no `:`'],
    ['replicate: ffn by 2', 'FC0101 4 ":": `replicate` takes no `:`'],
    ['split: layers on pp [1, 2]', 'FC0101 4 ":": `split` takes no `:`'],
    ['override: layers[0..1].mlp { replicate ffn }', 'FC0101 4 ":": `override` takes no `:`'],
    ['override layers[0..1].mlp: { replicate ffn }', 'FC0101 4 ":": `override` takes no `:`'],
    ['weights f16', 'FC0105 4 "": expected `:` after `weights`'],
    ['weights = f16', 'FC0105 4 "=": expected `:` after `weights`, found `=`'],
    ['microbatch: = 4 tokens', 'FC0103 4 "": expected a value'],
    ['microbatch: 4 tokens foo bar, baz', 'FC0101 4 "foo": unexpected `foo`'],
    ['a: 1 b: 2', 'FC0106 4 "": expected `,` or a line end here'],
    ['mesh (tp: 4) b: 2', 'FC0106 4 "": expected `,` or a line end here'],
    ['a: 1; b: 2', 'FC0101 4 ";": unexpected `;`'],
    ['a: "abc', 'FC0109 4 "\\"abc": this string is never closed'],
    ['a: 1 +', 'FC0103 4 "": expected a value after `+`'],
    ['a: gpu ->', 'FC0103 4 "": expected a name after `->`'],
    ['a: gpu.', 'FC0104 4 "": expected a name after `.`'],
    ['a: gpu -> 4', 'FC0103 4 "4": expected the name of a place or a stage'],
    ['a: f(1 2)', 'FC0106 4 "": expected `,` here'],
    ['a: [1..2]', 'FC0101 4 "..": unexpected `..`'],
    ['a: gpu[0:3]', 'FC0101 4 ":": unexpected `:`'],
    ['a: gpu[0,3]', 'FC0101 4 ",": unexpected `,`'],
    ['a: gpu[0...3]', 'FC0101 4 ".": unexpected `.`'],
    ['a: gpu[0 to n[2]]', 'FC0101 4 "to": unexpected `to`'],
    ['a: gpu[0 § 3]', 'FC0112 4 "§": `§` means nothing here'],
    ['a: f(1 § 3)', 'FC0112 4 "§": `§` means nothing here'],
    ['a: gpu[*]', 'FC0101 4 "*": unexpected `*`'],
    ['a: gpu[0;1]', 'FC0101 4 ";": unexpected `;`'],
    ['a: f(1 :)', 'FC0101 4 ":": unexpected `:`'],
    ['mesh (tp: 4 4)', 'FC0101 4 "4": unexpected `4`'],
    ['mesh (2, 4)', 'FC0103 4 "(2, 4)": expected axes such as `(tp: 4)`, or `auto`'],
    ['a: [1, 2', 'FC0107 4 "[": `[` is never closed'],
    ['a: 3 )', 'FC0101 4 ")": unexpected `)`'],
    ['shard', 'FC0104 4 "": expected dimensions after `shard`'],
    ['shard heads, ffn', 'FC0114 4 "": expected `on` and a mesh axis here'],
    ['shard heads on', 'FC0104 4 "": expected a mesh axis after `on`'],
    ['shrad heads, ffn on tp', 'FC0102 4 "shrad": unknown item `shrad` in a stage'],
    ['replicate a by', 'FC0103 4 "": expected a number after `by`'],
    ['split layers on pp', 'FC0103 4 "": expected sizes such as `[10, 30]`'],
    ['override { replicate ffn }', 'FC0103 4 "": expected a part of the model, such as `layers[0..1].mlp`'],
  ])('%s', (slip, problem) => {
    const text = inStage(slip);
    expect(problems(text)).toEqual([problem]);
    expect(kept(text)).toEqual(all);
    const stage = planNamed(text, 'a')!.members[1]!;
    const names =
      stage.kind === 'stage' ? stage.members.map((it) => (it.kind === 'property' ? it.name.text : '')) : [];
    expect(names).toContain('batch');
  });
});

describe('a brace', () => {
  it.each([
    ['a `}` missing', 'stage decode on gpu {\n    mesh (tp: 4)', 'FC0107 3 "{": `{` is never closed'],
    ['a `{` missing', 'stage decode on gpu\n    mesh (tp: 4)\n  }', 'FC0113 3 "": expected `{` here'],
    [
      'a `}` too many',
      'stage decode on gpu { mesh (tp: 4) } }',
      'FC0108 3 "}": this `}` closes `a` too early',
    ],
  ])('%s', (_, slip, problem) => {
    const text = around(slip);
    expect(problems(text)).toEqual([problem]);
    expect(kept(text)).toEqual(all);
  });
  it('is not what ends a plan that has no block', () => {
    const text = 'plan a stage x on t {\n stage y on gpu { mesh (tp: 2) }\n}\nplan b from a {}';
    expect(problems(text)).toEqual([
      'FC0113 1 "": expected a block `{ ... }` here',
      'FC0107 1 "{": `{` is never closed',
    ]);
  });
  it('left open in an unknown block keeps the items after it', () => {
    const text = around('stge x {\n    mesh (tp: 4)');
    expect(problems(text)).toEqual([
      'FC0102 3 "stge": unknown item `stge` in a plan',
      'FC0107 3 "{": `{` is never closed',
    ]);
    expect(kept(text)).toEqual(others);
  });
  it('missing at the end of a plan keeps the next one', () => {
    const text =
      'plan a for m on t {\n  kv { page: 16 tokens }\n\nplan b from a { }\nmodel m { weights: f16 }';
    expect(problems(text)).toEqual(['FC0107 1 "{": `{` is never closed']);
    expect(parse(text, 'x').file.items.map((item) => item.kind)).toEqual(['plan', 'plan', 'model']);
  });
  it('missing at the end of the file', () => {
    expect(problems('plan a for m on t {\n  kv {\n    page: 16 tokens')).toEqual([
      'FC0107 1 "{": `{` is never closed',
      'FC0107 2 "{": `{` is never closed',
    ]);
  });
  it.each(['gpu[2]: l4', 'gpu: l4', 'path: "x"'])('behind `%s` in a topology opens nothing', (placed) => {
    const text = `topology t {\n${placed} { memory: 3 GB }\ntier host { capacity: 1 GB }\n}`;
    const name = placed.split(/[[:]/)[0]!;
    expect(problems(text)).toEqual([`FC0101 2 "{": unexpected \`{\`: \`${name}\` has a value already`]);
    expect(parse(text, 'x').file.items).toMatchObject([{ members: [{}, { kind: 'tier' }] }]);
  });
  it('missing in a topology keeps the tiers and links after it', () => {
    const text =
      'topology t {\n  gpu[8]: l4\n  tier host {\n    capacity: 1 GB\n  link gpu <-> host { latency: 1 us }\n}';
    expect(problems(text)).toEqual(['FC0107 3 "{": `{` is never closed']);
    const [topology] = parse(text, 'x').file.items;
    expect(topology).toMatchObject({ members: [{ kind: 'devices' }, { kind: 'tier' }, { kind: 'link' }] });
  });
});

describe('a colon before a block', () => {
  it.each([
    ['topology t: { gpu[2]: d }', 'topology', [{ kind: 'topology', members: [{ kind: 'devices' }] }]],
    [
      'topology t { overhead: { step: 5 ms } }',
      'overhead',
      [{ members: [{ kind: 'overhead', members: [{}] }] }],
    ],
    [
      'topology t { overhead = { step: 5 ms } }',
      'overhead',
      [{ members: [{ kind: 'overhead', members: [{}] }] }],
    ],
    [
      'topology t { tier host: { capacity: 1 GB } }',
      'tier',
      [{ members: [{ kind: 'tier', members: [{}] }] }],
    ],
    [
      'topology t { link a <-> b: { latency: 1 us } }',
      'link',
      [{ members: [{ kind: 'link', members: [{}] }] }],
    ],
    ['topology t { node[2]: { gpu[4]: d } }', 'node', [{ members: [{ kind: 'group', members: [{}] }] }]],
    [
      'topology t { node[2]: {\ntier host { capacity: 1 GB }\n} }',
      'node',
      [{ members: [{ kind: 'group', members: [{ kind: 'tier' }] }] }],
    ],
    ['topology t { node: { gpu[4]: d } }', 'node', [{ members: [{ kind: 'group', members: [{}] }] }]],
    [
      'topology t { node: { link a <-> b { latency: 1 us } } }',
      'node',
      [{ members: [{ kind: 'group', members: [{}] }] }],
    ],
    ['plan p from q { kv: { page: 16 tokens } }', 'kv', [{ members: [{ kind: 'kv', members: [{}] }] }]],
    [
      'plan p from q { flow: a -> b { to: c when d } }',
      'flow,to',
      [{ members: [{ kind: 'flow', rules: [{}] }] }],
    ],
    [
      'plan p from q { expect: { never: send in b, a <= 1 } }',
      'expect,never',
      [{ members: [{ kind: 'expect', items: [{}, {}] }] }],
    ],
  ])('%s is one too many', (text, words, items) => {
    const { file, errors } = parse(text, 'x');
    expect(errors.map(({ message }) => message)).toEqual(
      words.split(',').map((word) => expect.stringMatching(`\`${word}\` takes no \`[:=]\``)),
    );
    expect(file.items).toMatchObject(items);
  });

  it.each([
    ['tier: host { capacity: 1 GB }', 'tier', { kind: 'tier', name: { text: 'host' }, members: [{}] }],
    ['tier = host { capacity: 1 GB }', 'tier', { kind: 'tier', name: { text: 'host' }, members: [{}] }],
    ['link: a <-> b { latency: 1 us }', 'link', { kind: 'link', from: {}, to: {}, members: [{}] }],
    ['link: a.b[0] <-> c { latency: 1 us }', 'link', { kind: 'link', from: {}, to: {}, members: [{}] }],
  ])('is one too many behind a keyword of a topology: %s', (item, word, member) => {
    const { file, errors } = parse(`topology t {\ngpu[2]: d\n${item}\n}`, 'x');
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringMatching(`^\`${word}\` takes no \`[:=]\`$`),
    ]);
    expect(file.items).toMatchObject([{ members: [{ kind: 'devices' }, member] }]);
  });

  it('is no surplus behind a device that is called like an item', () => {
    expect(problems('topology t { tier: d\nlink: d }')).toEqual([]);
    expect(problems('topology t { link: d, gpu[2]: d, link gpu <-> link { latency: 1 us } }')).toEqual([]);
    expect(parse('topology t { tier: d\nlink: d }', 'x').file.items).toMatchObject([
      { members: [{ kind: 'devices' }, { kind: 'devices' }] },
    ]);
  });

  it('that is none of a group is what a device or a property is written with', () => {
    expect(problems('topology t { gpu[2]: { memory: 3 GB } }')).toEqual([
      'FC0103 1 "{": expected the name of a device',
    ]);
    expect(problems('topology t { gpu: { memory: 3 GB } }')).toEqual([]);
  });

  it.each([
    ['device d { gemm { 64: 11% }, memory: 1 GB }', 'gemm'],
    ['device d { compute { f16: 1 TFLOPS }, memory: 1 GB }', 'compute'],
    ['topology t { link a <-> b { allreduce { 2: 1 GB/s }, latency: 1 us } }', 'allreduce'],
    ['topology t { overhead { submit { 1: 1 us }, step: 1 us } }', 'submit'],
  ])('of a record is missed where it is not there: %s', (text, name) => {
    expect(problems(text)).toEqual([`FC0105 1 "": expected \`:\` after \`${name}\``]);
    const [item] = parse(text, 'x').file.items;
    const block = item!.kind === 'topology' ? item!.members[0] : item;
    expect(block).toMatchObject({ members: [{ name: { text: name }, value: { kind: 'record' } }, {}] });
  });
});

/** A device and a topology around a record with a slip, and a plan behind them. */
const withRecord = (slip: string): string => `device d {
  memory: 24 GB
  gemm: ${slip}
  bandwidth: 300 GB/s
}
topology t {
  link gpu <-> gpu { allreduce: ${slip}, latency: 20 us }
  link gpu <-> host { bandwidth: 12 GB/s }
}
plan a for m on t { kv { page: 16 tokens } }`;

describe('a slip in a record', () => {
  it.each([
    ['{ 2 ranks: 1, 4: 1 }', '"2 ranks": a key is a whole number', [2, 4]],
    ['{ 1_024 ranks: 1, 4: 1 }', '"1_024 ranks": a key is a whole number', ['1_024', 4]],
    ['{ "2": 1, 4: 1 }', '"\\"2\\"": a key is a whole number', [2, 4]],
    ['{ (2): 1, 4: 1 }', '"(2)": a key is a whole number', [2, 4]],
    ['{ <=2: 1, 4: 1 }', '"<=2": a key is a whole number', [2, 4]],
    ['{ "f16": 1, 4: 1 }', '"\\"f16\\"": a key is a name', ['f16', 4]],
    ['{ 2..4: 1, 4: 1 }', '"2..4": a key is one whole number', [4]],
    ['{ a b: 1, 4: 1 }', '"a b": a key is one name', [4]],
    ['{ *: 1, 4: 1 }', '"*": a key is a name or a whole number', [4]],
    ['{ 2 -> 1, 4: 1 }', '"->": expected `:` after `2`, found `->`', [2, 4]],
    ['{ 2 = 1, 4: 1 }', '"=": expected `:` after `2`, found `=`', [2, 4]],
    ['{ 2 1, 4: 1 }', '"": expected `:` after `2`', [2, 4]],
    ['{ 2 1 GB/s ), 4: 1 }', '"": expected `:` after `2`', [2, 4]],
    ['{ 2: 1 29%, 4: 1 }', '"29": unexpected `29`', [2, 4]],
    ['{ 2: 1 ) ] :, 4: 1 }', '")": unexpected `)`', [2, 4]],
    ['{ (2: 1, 3: 1\n4: 1 }', '"(": unexpected `(`', [4]],
    ['{ 2: 1 { 3: 1, 5 }, 4: 1 }', '"{": unexpected `{`', [2, 4]],
    ['{ 2: 1 4: 1 }', '"": expected `,` here', [2, 4]],
    ['{ : 1, 4: 1 }', '":": unexpected `:`', [4]],
    ['{ § 2: 1, 4: 1 }', '"§": `§` means nothing here', [2, 4]],
  ])('%s', (slip, problem, keys) => {
    const text = withRecord(slip);
    const found = problems(text).map((line) => line.replace(/^FC01\d\d \d+ /, ''));
    expect(found).toEqual([problem, problem]);
    const [device, topology, plan] = parse(text, 'x').file.items;
    const entries = keys.map((key) => ({ key: { text: String(key) } }));
    expect(device).toMatchObject({
      members: [{}, { name: { text: 'gemm' }, value: { entries } }, { name: { text: 'bandwidth' } }],
    });
    expect(topology).toMatchObject({
      members: [{ members: [{ value: { entries } }, { name: { text: 'latency' } }] }, { kind: 'link' }],
    });
    expect(plan).toMatchObject({ kind: 'plan', members: [{ kind: 'kv' }] });
  });

  it.each(['{ *: 1 }', '{ : 1 }', '{ 2..4: 1 }'])('%s leaves nothing to be checked', (slip) => {
    const [device] = parse(withRecord(slip), 'x').file.items;
    expect(device).toMatchObject({ members: [{}, { value: { kind: 'error' } }, {}] });
  });

  it('among imported names keeps the others', () => {
    const text = 'import { a, : , b as c ) d, e } from "x"\nmodel m { weights: f16 }';
    expect(problems(text)).toEqual(['FC0101 1 ":": unexpected `:`', 'FC0101 1 ")": unexpected `)`']);
    const names = [{ name: { text: 'a' } }, { alias: { text: 'c' } }, { name: { text: 'e' } }];
    expect(parse(text, 'x').file.items).toMatchObject([{ names, from: { value: 'x' } }, { kind: 'model' }]);
  });
});

describe('a block that is never closed', () => {
  it.each([
    ['{ 2: 1, 4: 1', [2, 4]],
    ['{\n    2: 1\n    4: 1', [2, 4]],
    ['{ 2: 1\n    4: 1', [2, 4]],
  ])('ends before a line no deeper than its own: a record %j', (record, keys) => {
    const text = withRecord('{ 2: 1 }').replace('gemm: { 2: 1 }', `gemm: ${record}`);
    expect(problems(text)).toEqual(['FC0107 3 "{": `{` is never closed']);
    const entries = keys.map((key) => ({ key: { text: String(key) } }));
    expect(parse(text, 'x').file.items).toMatchObject([
      { members: [{}, { value: { entries } }, { name: { text: 'bandwidth' } }] },
      { kind: 'topology' },
      { kind: 'plan' },
    ]);
  });

  it('ends before the `}` of the block around it', () => {
    const text = 'topology t {\n  node[2] {\n    tier host { capacity: 1 GB\n  }\n  gpu[2]: d\n}';
    expect(problems(text)).toEqual(['FC0107 3 "{": `{` is never closed']);
    expect(parse(text, 'x').file.items).toMatchObject([
      { members: [{ kind: 'group', members: [{ kind: 'tier' }] }, { kind: 'devices' }] },
    ]);
  });

  it('ends before an item of the block around it that no keyword begins', () => {
    const text = 'topology t {\n  stuff x {\n    a: 1\n  node[2] {\n    gpu[2]: d\n  }\n}';
    expect(problems(text)).toEqual([
      'FC0102 2 "stuff": unknown item `stuff` in a topology',
      'FC0107 2 "{": `{` is never closed',
    ]);
    expect(parse(text, 'x').file.items).toMatchObject([{ members: [{}, { kind: 'group' }] }]);
  });

  it('is the only thing for which the layout counts: in a sound file lines may begin anywhere', () => {
    const text = 'device d {\n    gemm: { 2: 1\n4: 1 }\n  kernels: {\n a: 1\n}\n bandwidth: 1 GB/s }';
    expect(problems(text)).toEqual([]);
    expect(parse(text, 'x').file.items).toMatchObject([
      { members: [{ value: { entries: [{}, {}] } }, { value: { entries: [{}] } }, {}] },
    ]);
  });

  it('holds what begins where it does where its first line is no deeper', () => {
    const text = 'plan a for m on t {\nstage s on gpu {\nmesh (tp: 2)\nbatch: 4 requests\n}\n';
    expect(problems(text)).toEqual(['FC0107 1 "{": `{` is never closed']);
    const stage = { kind: 'stage', members: [{ kind: 'mesh_member' }, { kind: 'property' }] };
    expect(parse(text, 'x').file.items).toMatchObject([{ members: [stage] }]);
  });
});

describe('a slip between items of a file', () => {
  it.each([
    ['langage 1', 'FC0102 1 "langage": unknown item `langage` in a file'],
    ['language', 'FC0103 1 "": expected the edition, such as `1`'],
    [
      'import l4 from "std/aws"',
      'FC0114 1 "": imported names stand in braces: `import { name } from "file"`',
    ],
    ['import { l4 }', 'FC0114 1 "": expected `from` and a file here, such as `from "std/devices"`'],
    ['import { l4 } from', 'FC0103 1 "": expected a file in quotes after `from`'],
    ['import { l4 from "x"', 'FC0107 1 "{": `{` is never closed'],
    ['import { l4 h100 } from "x"', 'FC0106 1 "": expected `,` here'],
    ['import { l4 as } from "x"', 'FC0104 1 "": expected a name after `as`'],
    ['param y = 4', 'FC0114 1 "": expected a type here, such as `: int`'],
    ['param y: int', 'FC0103 1 "": expected a default, such as `= 4`'],
    ['param y: int =', 'FC0103 1 "": expected a default, such as `= 4`'],
    ['param y: int = 4 in', 'FC0103 1 "": expected a list of values after `in`'],
    ['device { memory: 1 GB }', 'FC0104 1 "": expected the name of the device'],
    ['modle m { weights: f16 }', 'FC0102 1 "modle": unknown item `modle` in a file'],
    ['x: 3', 'FC0101 1 "x": `x` looks like a property, and there are none outside any block'],
    ['}', 'FC0108 1 "}": `}` closes nothing'],
    ['kv { page: 16 tokens }', 'FC0102 1 "kv": `kv` belongs in a plan'],
    ['topology t { gpu[8] l4 }', 'FC0105 1 "": expected `:` after `gpu[...]`'],
    ['topology t { gpu[0..3]: l4 }', 'FC0101 1 "[0..3]": a count is one number, not a range'],
    ['topology t { overhed { step: 5 ms } }', 'FC0102 1 "overhed": unknown item `overhed` in a topology'],
    ['topology t { teir host { } }', 'FC0102 1 "teir": unknown item `teir` in a topology'],
    ['topology t { link gpu -> host { } }', 'FC0101 1 "->": a link goes both ways'],
    ['topology t { link gpu <-> { } }', 'FC0103 1 "": expected a place after `<->`'],
    ['plan p from { }', 'FC0104 1 "": expected a plan after `from`'],
    ['plan p for m on t[0] { }', 'FC0101 1 "t[0]": a plan stands on a whole topology'],
    ['plan p from a { flow a -> -> c }', 'FC0104 1 "": expected a stage, `requests` or `results`'],
    ['plan p from a { flow a -> b { to when x.full } }', 'FC0104 1 "": expected a stage after `to`'],
    ['plan p from a { flow a -> b { to c } }', 'FC0114 1 "": expected `when` and a condition here'],
    ['plan p from a { flow a -> b { to c when } }', 'FC0103 1 "": expected a condition after `when`'],
    ['plan p from a { flow a -> b { page: 3 } }', 'FC0101 1 "page": `page` looks like a property, and there are none in a flow'], // prettier-ignore
    ['plan p from a { expect { nevr send of kv in b } }', 'FC0102 1 "nevr": unknown item `nevr` in an `expect` block'], // prettier-ignore
    ['plan p from a { expect { never } }', 'FC0104 1 "": expected an operation after `never`'],
    ['plan p from a { expect { a <= 3 for } }', 'FC0104 1 "": expected a workload after `for`'],
    ['plan p from a { expect { a <= } }', 'FC0103 1 "": expected a value after `<=`'],
  ])('%s', (slip, problem) => {
    const text = `${slip}\nmodel last { weights: f16 }`;
    const { file, errors } = parse(text, 'test.plan');
    expect(show(text, errors)).toEqual([problem]);
    expect(file.items.at(-1)).toMatchObject({ kind: 'model', name: { text: 'last' } });
  });
});

describe('what would fix a slip', () => {
  it.each([
    ['topology t { gpu[0..3]: l4 }', 'write how many there are, such as `[8]`: they are counted from 0'],
    ['model m { a: b.f(1) }', 'write one name before `(`'],
    ['plan p from a { kv { tiers: gpu -> 4 } }', 'a chain is of names, such as `gpu -> host`'],
    [`model m { a: ${'('.repeat(70)}8${')'.repeat(70)} }`, 'take out brackets that change nothing'],
    [`model m { a: 1${' + 1'.repeat(3000)} }`, 'name parts of it with `param`'],
  ])('case %# is helped', (slip, help) => {
    expect(parse(slip, 'test.plan').errors.map(({ helps }) => helps)).toEqual([[help]]);
  });
});

describe('suggestions', () => {
  it.each([
    ['stge decode on gpu { }', 'stage'],
    ['epxect { }', 'expect'],
    ['flwo a -> b', 'flow'],
    ['stage decode onn gpu { }', 'on'],
  ])('%s: did you mean `%s`?', (slip, suggestion) => {
    const [problem] = parse(around(slip), 'test.plan').errors;
    expect(problem!.helps).toEqual([`did you mean \`${suggestion}\`?`]);
    expect(problem!.data).toMatchObject({ suggestion });
  });

  it.each([
    ['stage decode nonsense gpu { }', '`:`, `on`, `like`, `{`'],
    ['kv nonsense { }', '`{`'],
  ])('%s: says what may follow', (slip, signs) => {
    const [problem] = parse(around(slip), 'test.plan').errors;
    expect(problem!.helps).toEqual([`what may follow is ${signs}`]);
  });
});
