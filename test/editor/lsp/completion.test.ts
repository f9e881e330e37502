/** Completion by grammar position: the cursor stands at `‸`. */
import { describe, expect, it } from 'vitest';
import type { TextEdit } from 'vscode-languageserver/node.js';
import { checkFile } from '../../../compiler/check/check-file.js';
import { completionsAt } from '../../../editor/lsp/completion.js';
import { applyChanges } from '../../../editor/lsp/text.js';
import { WORDS } from '../../../grammar/reference-words.js';
import { memoryHost } from '../../compiler/check/memory-host.js';
import { atCursor, MAIN, WORLD } from './support.js';

/** Labels at the cursor, in their order. */
function labels(marked: string, others: Readonly<Record<string, string>> = {}): string[] {
  const { workspace, offset } = atCursor(marked, others);
  return completionsAt(workspace, MAIN, offset).map(({ label }) => label);
}

const inPlan = (body: string): string => `${WORLD}plan p for small on box {\n${body}\n}\n`;
const inStage = (body: string): string => inPlan(`stage serve: prefill + decode on gpu {\n${body}\n}`);
const two = (rest: string): string =>
  inPlan(`stage prefill on gpu { mesh (pp: 8) }\nstage decode on gpu { mesh (tp: 4, dp: 2) }\n${rest}`);

describe('at the start of a member', () => {
  it.each([
    ['a file', '‸', ['language', 'import', 'param', 'device', 'topology', 'model', 'workload', 'plan']],
    ['a half-typed word', `${WORLD}pl‸`, ['plan']],
    [
      'a plan',
      inPlan('‸'),
      ['stage', 'kv', 'flow', 'expect', 'memory_use', 'weights', 'residence', 'numerics'],
    ],
    ['a stage', inStage('‸'), ['mesh', 'shard', 'replicate', 'split', 'override', 'microbatch', 'batch']],
    ['the line after another', inStage('mesh (tp: 4)\n‸'), ['microbatch', 'batch']],
    ['a place after a comma', inStage('mesh (tp: 4), ‸'), ['microbatch']],
    ['a kv block', inPlan('kv { ‸ }'), ['page', 'dtype', 'tiers']],
    ['an expect block', inPlan('expect { ‸ }'), ['never', 'peak', 'collectives', 'bytes', 'transitions']],
    ['a flow', two('flow requests -> prefill -> decode -> results { ‸ }'), ['to']],
    ['a device', 'device d { ‸ }', ['memory', 'bandwidth', 'compute', 'sustained', 'gemm', 'shared']],
    ['a tier', 'topology t { tier host { ‸ } }', ['capacity', 'path']],
    ['a group of a topology', 'topology t { node[2] { ‸ } }', ['tier', 'link', 'overhead', 'gpu']],
    [
      'an unclosed block',
      `${WORLD}plan p for small on box {\n  stage serve on gpu {\n    ‸`,
      ['mesh', 'batch'],
    ],
  ])('of %s', (_, marked, wanted) => {
    expect(labels(marked)).toEqual(expect.arrayContaining(wanted));
  });

  it('offers nothing of another block', () => {
    expect(labels(inStage('‸'))).not.toContain('kv');
    expect(labels(inPlan('‸'))).not.toContain('microbatch');
  });

  it('offers nothing in comments', () => {
    expect(labels('// ‸')).toEqual([]);
    expect(labels('/* ‸ */')).toEqual([]);
  });
});

describe('at the end of a line that others follow', () => {
  it.each([
    ['places', inPlan('stage decode on ‸\nkv { page: 16 tokens }'), ['gpu']],
    ['further places', inPlan('stage decode on gpu[0], ‸\nkv { page: 16 tokens }'), ['gpu']],
    ['units', 'device d {\n  memory: 24 ‸\n  bandwidth: 300 GB/s\n}', ['GiB']],
    ['words', inPlan('weights: ‸\nresidence: switch'), ['f32']],
    ['models', `plan p for ‸\n${WORLD}`, ['small']],
    ['stages', two('flow requests -> ‸\n// then\nkv { page: 16 tokens }'), ['prefill', 'decode']],
  ])('come %s', (_, marked, wanted) => {
    expect(labels(marked)).toEqual(expect.arrayContaining(wanted));
    for (const next of ['kv', 'bandwidth', 'residence', 'device']) expect(labels(marked)).not.toContain(next);
  });

  it('comes the next member where the line cannot go on', () => {
    expect(labels(`${WORLD}plan p for\n‸`)).toContain('model');
    expect(labels(inStage('batch: 4 requests\n‸\nmesh (tp: 4)'))).toContain('microbatch');
  });
});

describe('what may stand once', () => {
  it.each([
    ['a property', 'device d { memory: 24 GB, ‸ }', 'memory', 'bandwidth'],
    ['a property that follows', 'device d {\n  ‸\n  memory: 24 GB\n}', 'memory', 'bandwidth'],
    ['a property behind the one that is typed', 'device d { b‸, memory: 24 GB }', 'memory', 'bandwidth'],
    ['a mesh', inStage('mesh (tp: 4)\n‸'), 'mesh', 'batch'],
    ['a mesh below', inStage('‸\nmesh (tp: 4)'), 'mesh', 'batch'],
    ['a kv block', inPlan('kv { page: 16 tokens }\n‸'), 'kv', 'stage'],
    ['a flow', two('flow requests -> prefill -> decode -> results\n‸'), 'flow', 'expect'],
    ['an axis', inStage('mesh (tp: 4, ‸)'), 'tp', 'dp'],
    ['an axis that follows', inStage('mesh (‸, tp: 4)'), 'tp', 'dp'],
    ['a key of a record', 'device d { compute: { f16: 121 TFLOPS, ‸ } }', 'f16', 'f32'],
    ['the edition', 'language 1\n‸', 'language', 'import'],
  ])('%s is not offered again', (_, marked, given, other) => {
    expect(labels(marked)).not.toContain(given);
    expect(labels(marked)).toContain(other);
  });

  it('stands in every block of its own', () => {
    expect(labels(inPlan('stage prefill on gpu { mesh (pp: 8) }\nstage decode on gpu { ‸ }'))).toContain(
      'mesh',
    );
    expect(labels('device a { memory: 24 GB }\ndevice b { ‸ }')).toContain('memory');
    expect(labels(`${inPlan('kv { page: 16 tokens }')}plan q for small on box {\n  ‸`)).toContain('kv');
  });

  it('is a clause of an op that must not occur, in its order', () => {
    const never = (rest: string): string[] => labels(two(`expect { never all_reduce ${rest}‸ }`));
    expect(never('')).toEqual(['of', 'in']);
    expect(never('of activations ')).toEqual(['in']);
    expect(never('in decode ')).toEqual([]);
  });

  it('is what a model has beside the rest', () => {
    const beside = (rest: string): string[] => labels(`model m { ${rest}, ‸ }`);
    const some = ['window', 'attention_softcap', 'logit_softcap'];
    expect(beside('layers: 4')).toEqual(expect.arrayContaining(['source', 'family', ...some]));
    for (const each of some) {
      expect(beside('family: llama')).not.toContain(each);
      expect(beside('family: gemma2')).toContain(each);
    }
    expect(beside('family: mistral').filter((each) => some.includes(each))).toEqual(['window']);
    expect(beside('source: "./m"')).toEqual(['weights', 'context']);
    expect(beside('source: random(1)')).toContain('layers');
  });

  it('is no matter of what an override cannot hold', () => {
    expect(labels(inStage('override layers[0].mlp { ‸ }'))).toEqual(['shard', 'replicate']);
  });
});

describe('what is put in', () => {
  /** The text once an offer is taken. */
  function taken(marked: string, label: string): string {
    const { workspace, offset } = atCursor(marked, { 'sub/near.plan': '' });
    const document = workspace.document(MAIN)!;
    const { textEdit } = completionsAt(workspace, MAIN, offset).find((each) => each.label === label)!;
    return applyChanges(document.text, [{ range: (textEdit as TextEdit).range, text: textEdit!.newText }]);
  }

  it.each([
    ['import { a } from "std/a‸"', 'std/aws', 'import { a } from "std/aws"'],
    ['import { a } from "./su‸', './sub/near.plan', 'import { a } from "./sub/near.plan'],
    ['device d { memory: 2‸ }', '24 GB', 'device d { memory: 24 GB }'],
    ['device d { memory: 2 G‸ }', 'GiB', 'device d { memory: 2 GiB }'],
    [
      'plan p for m on t { stage s on gpu { mesh (tp: 1‸) } }',
      '16',
      'plan p for m on t { stage s on gpu { mesh (tp: 16) } }',
    ],
    ['model m { layers: 4, ‸ }', 'source', 'model m { layers: 4, source: random(${1:1}) }'],
    [
      'model m { context: 4 tokens, ‸ }',
      'source',
      'model m { context: 4 tokens, source: ${1:"hf:org/name"} }',
    ],
    ['device d { memo‸: 24 GB }', 'memory', 'device d { memory: 24 GB }'],
    ['device d { ‸: 24 GB }', 'memory', 'device d { memory: 24 GB }'],
    ['plan p for m on t { st‸ prefill on gpu {} }', 'stage', 'plan p for m on t { stage prefill on gpu {} }'],
    [
      'plan p for m on t { stage s on gpu { mesh (t‸: 4) } }',
      'tp',
      'plan p for m on t { stage s on gpu { mesh (tp: 4) } }',
    ],
    [
      'topology t { tier h { capacity‸\n path: "/x" } }',
      'capacity',
      'topology t { tier h { capacity: ${1:640 GiB}\n path: "/x" } }',
    ],
    ['device d { compute: { f1‸ } }', 'f16', 'device d { compute: { f16:  } }'],
  ])('takes the place of what is typed in %s', (marked, label, wanted) => {
    expect(taken(marked, label)).toBe(wanted);
  });
});

describe('imports', () => {
  it('go on with the file behind the names', () => {
    expect(labels('import { l4 } ‸')).toEqual(['from']);
    expect(labels('import { l4 } fr‸\nparam n: int = 2')).toEqual(['from']);
    expect(labels('import { l4 } from "std/devices"\n‸')).toContain('device');
  });

  it('name nothing twice', () => {
    const found = labels('import { l4, ‸ } from "std/devices"');
    expect(found).not.toContain('l4');
    expect(found).toContain('h100');
  });
});

describe('only what can stand there', () => {
  const pods = `device c { memory: 1 GB }
topology t {
  node[2] {
    gpu[8]: c
    tier host { capacity: 1 GB }
    tier nvme { capacity: 9 GB }
  }
}
`;
  const inPods = (body: string): string => `${pods}plan p for m on t { ${body} }`;
  const inTopology = (body: string): string => pods.replace(/\}\n$/, `${body}\n}\n`);
  const inGroup = (body: string): string => pods.replace('  }\n}', `    ${body}\n  }\n}`);
  const rule = (body: string): string => two(`flow requests -> prefill -> decode -> results { ${body} }`);
  it.each([
    ['the beginning of a flow', two('flow ‸'), ['requests']],
    ['the rest of a flow', two('flow requests -> prefill -> ‸'), ['decode', 'results']],
    ['a stage that is not there', inPlan('stage prefill on gpu {}\nstage ‸'), ['decode']],
    ['the stage that is typed', inPlan('stage pre‸ on gpu {}'), ['prefill', 'decode']],
    ['another phase', inPlan('stage serve: prefill + ‸'), ['decode']],
    ['a clause of a stage', inPlan('stage serve on gpu ‸'), ['like']],
    ['clauses of a plan', `${WORLD}plan p for small ‸`, ['on', 'from']],
    ['a condition', rule('to decode ‸'), ['when']],
    ['more conditions', rule('to decode when host.full ‸'), ['and', 'or']],
    ['a fraction', rule('to prefill when host.used < 20‸'), []],
    ['what a fraction can be held to', rule('to prefill when host.used ‸'), ['<', '<=', '>', '>=']],
    ['conditions behind a fraction', rule('to prefill when host.used < 20% ‸'), ['and', 'or']],
    ['nothing behind a tier alone', rule('to prefill when host ‸'), []],
    ['conditions in brackets', rule('to prefill when host.full or (‸)'), ['requests', 'gpu', 'host', 'not']],
    ['the unit of a fraction', rule('to prefill when host.used < 20 ‸'), ['%']],
    ['tiers not there', inPlan('kv { tiers: gpu -> ‸ }'), ['host']],
    [
      'tiers below those of one kind of device',
      `device c { memory: 1 GB }\ntopology t { node[2] { big[2]: c, small[2]: c\n tier host { capacity: 1 GB } } }
       plan p for m on t { kv { tiers: node.big -> ‸ } }`,
      ['host'],
    ],
    ['the devices of a chain', inPlan('kv { tiers: ‸ }'), ['gpu']],
    ['no cap of the devices', inPlan('kv { tiers: gpu ‸ }'), []],
    ['tiers in a group', inPods('kv { tiers: node.gpu -> node.‸ }'), ['host', 'nvme']],
    ['tiers in a group that is not there', inPods('kv { tiers: node.gpu -> rack.‸ }'), []],
    ['other tiers in a group', inPods('kv { tiers: node.gpu -> node.host -> node.‸ }'), ['nvme']],
    ['devices of a chain in a group', inPods('kv { tiers: node.‸ }'), ['gpu']],
    ['places of a stage in a group', inPods('stage decode on node[0].‸'), ['gpu']],
    ['places of a stage', inPods('stage decode on ‸'), ['node', 'node.gpu']],
    ['ends of a link of a topology', inTopology('link node <-> ‸'), ['node']],
    ['an end of a link in a group from outside', inTopology('link node.‸'), ['gpu', 'host', 'nvme']],
    ['ends of a link of a group', inGroup('link gpu <-> ‸'), ['gpu', 'host', 'nvme']],
    ['the second word of a cap', inPlan('kv { tiers: gpu -> host up ‸ }'), ['to']],
    ['lengths', 'workload w { prompt: uniform(16 ‸', ['tokens']],
    [
      'devices to measure',
      `${pods}plan p for m on t { stage decode on node.gpu { }\nexpect { peak(decode, ‸`,
      ['gpu'],
    ],
    ['a stage to measure', two('expect { peak(‸, gpu) }'), ['prefill', 'decode']],
    ['the end of an edge', two('expect { bytes(prefill -> ‸) }'), ['decode']],
    ['what bytes are for', two('expect { bytes(prefill -> decode, per: ‸) }'), ['token', 'transition']],
    ['what collectives are for', two('expect { collectives(decode, ‸) }'), ['per']],
    ['the workload of a run', two('expect { transitions <= 4 ‸ }'), ['for']],
    ['nothing of a run where there is none', two('expect { peak(decode, gpu) <= 2 GB ‸ }'), []],
  ])('%s', (_, marked, wanted) => {
    expect(labels(marked)).toEqual(wanted);
  });

  it('a plan that another is derived from, but not the same', () => {
    expect(labels(`${two('')}plan q from ‸ { }`)).toEqual(['p']);
  });

  it('params of a type that the property takes', () => {
    const all = 'param n: int = 2\nparam w: name = f16\nparam t: bool = true\nparam s: string = "a"\n';
    const offered = (property: string): string[] =>
      labels(`${all}model m { ${property}: ‸ }`).filter((label) => 'nwts'.includes(label));
    expect(['weights', 'tied', 'layers', 'source'].map(offered)).toEqual([['w'], ['t'], ['n'], ['s']]);
  });

  it.each([
    ['a rate', 'param bw: rate = 4 ‸', 'GB/s'],
    ['a time in a list', 'param t: time = 4 us in [2 ‸]', 'ms'],
    ['a fraction', 'param f: fraction = 4 ‸', '%'],
  ])('units of a param that is %s', (_, marked, wanted) => {
    const found = labels(marked);
    expect(found).toContain(wanted);
    expect(found.filter((label) => ['GB/s', 'ms', '%', 'GiB'].includes(label))).toEqual([wanted]);
  });

  it('params where an operand may begin', () => {
    const params = 'param room: bytes = 1 GB\nparam n: int = 2\nparam bw: rate = 1 GB/s\n';
    expect(labels(`${params}device d { memory: 3 GB - ‸ }`)).toEqual(['room']);
    expect(labels(`${params}device d { memory: 2 * ‸ }`)).toEqual(['room', 'n']);
  });

  it('the values of a param behind its own, once', () => {
    expect(labels('param bw: rate = 4 GB/s ‸')).toEqual(['in']);
    expect(labels('param bw: rate = 4 GB/s in [4 GB/s] ‸')).toEqual([]);
    expect(labels('param t: bool = ‸')).toEqual(['true', 'false']);
    expect(labels('param t: bool = true in [‸')).toEqual(['true', 'false']);
  });

  it.each([
    ['a cap', inPlan('kv { tiers: gpu -> host up to 3 ‸ }')],
    ['a peak', two('expect { peak(decode, gpu) <= 22 ‸ }')],
  ])('units of %s', (_, marked) => {
    expect(labels(marked)).toEqual(expect.arrayContaining(['GiB', 'GB']));
    expect(labels(marked)).not.toContain('for');
  });
});

describe('names in scope', () => {
  it.each([
    ['models after for', `${WORLD}plan p for ‸`, ['small']],
    ['topologies after on', `${WORLD}plan p for small on ‸`, ['box']],
    ['plans after from', `${two('')}plan q from ‸`, ['p']],
    ['devices of a topology', `${WORLD}topology t { gpu[2]: ‸ }`, ['card']],
    ['places of a stage', inPlan('stage decode on ‸'), ['gpu']],
    ['stages after like', two('stage more on gpu like ‸'), ['prefill', 'decode', 'more']],
    ['stages of a flow', two('flow requests -> ‸'), ['results', 'prefill', 'decode']],
    [
      'stages of a rule',
      two('flow requests -> prefill -> decode -> results { to ‸ }'),
      ['prefill', 'decode'],
    ],
    [
      'what a rule can watch',
      two('flow requests -> prefill -> decode -> results { to decode when ‸ }'),
      ['requests', 'gpu', 'host', 'not'],
    ],
    [
      'what a tier has',
      two('flow requests -> prefill -> decode -> results { to decode when host.‸ }'),
      ['full', 'empty', 'used'],
    ],
    ['workloads', two('expect { transitions <= 4 for ‸ }'), ['some']],
    [
      'ends of a link',
      'topology t { gpu[2]: card\n tier host { capacity: 1 GB }\n link gpu <-> ‸ }',
      ['gpu', 'host'],
    ],
  ])('%s', (_, marked, wanted) => {
    expect(labels(marked)).toEqual(expect.arrayContaining(wanted));
    expect(labels(marked)).not.toContain('language');
  });

  it('come through imports, under their aliases, of the kind that is needed', () => {
    const other = 'device d { }\nmodel hidden_one { }\nmodel kept { }';
    const found = labels('import { kept as mine, d } from "./other.plan"\nplan p for ‸', {
      'other.plan': other,
    });
    expect(found).toContain('mine');
    expect(found).not.toContain('kept');
    expect(found).not.toContain('d');
    expect(found).not.toContain('hidden_one');
  });

  it('are those of the file that an import names', () => {
    expect(labels('import { ‸ } from "std/aws"')).toEqual(expect.arrayContaining(['g6_48xlarge', 'l4']));
    expect(labels('import { a } from "‸"', { 'near.plan': '' })).toEqual(
      expect.arrayContaining(['std/aws', 'std/devices', './near.plan']),
    );
  });
});

describe('values', () => {
  it.each([
    ['words', inPlan('weights: ‸'), ['f32', 'f16', 'int8']],
    ['units of bytes', 'device d { memory: 24 ‸ }', ['GiB', 'GB']],
    ['units of a half-typed unit', 'device d { memory: 24 G‸ }', ['GiB']],
    ['units of a rate', 'device d { bandwidth: 300 ‸ }', ['GB/s']],
    ['keys of a record', 'device d { compute: { ‸ } }', ['f16', 'f32']],
    ['units of times in a record', 'topology t { overhead { submit: { 1: 20 ‸ } } }', ['us', 'ms']],
    ['units in a record', 'device d { compute: { f16: 121 ‸ } }', ['TFLOPS']],
    ['types of params', 'param a: ‸', ['int', 'bytes']],
    ['axes', inStage('mesh (‸)'), ['dp', 'pp', 'tp']],
    ['axes after shard', inStage('mesh (tp: 8)\nshard heads on ‸'), ['tp']],
    ['dimensions', inStage('mesh (tp: 8)\nreplicate ‸'), ['heads', 'kv_heads', 'ffn', 'vocab']],
    ['params', `param n: int = 2\n${inStage('mesh (tp: ‸)')}`, ['n', 'fill']],
    ['distributions', 'workload w { prompt: ‸ }', ['uniform', 'lognormal']],
    ['arguments of a measure', two('expect { collectives(‸) }'), ['prefill', 'decode']],
  ])('are %s', (_, marked, wanted) => {
    expect(labels(marked)).toEqual(expect.arrayContaining(wanted));
  });

  it('behind a comma are further dimensions, and the next members where there may be no more', () => {
    expect(labels(inStage('shard heads, ‸'))).toEqual(['kv_heads', 'ffn', 'vocab']);
    expect(labels(inStage('shard heads, f‸ on tp'))).toEqual(['kv_heads', 'ffn', 'vocab']);
    expect(labels(inStage('shard heads, ffn on ‸'))).toEqual(['dp', 'pp', 'tp']);
    expect(labels(inStage('shard heads, ffn ‸'))).toEqual(['on']);
    expect(labels(inStage('shard heads o‸'))).toEqual(['on']);
    expect(labels(inStage('shard heads on tp ‸'))).toEqual([]);
    expect(labels(inStage('split layers ‸'))).toEqual(['on']);
    expect(labels(inStage('split layers on pp ‸'))).toEqual([]);
    expect(labels(inStage('replicate kv_heads ‸'))).toEqual(['by']);
    expect(labels(inStage('replicate kv_heads by 2 ‸'))).toEqual([]);
    const next = ['heads', 'ffn', 'mesh', 'split', 'batch'];
    expect(labels(inStage('replicate kv_heads, ‸'))).toEqual(expect.arrayContaining(next));
    expect(labels(inStage('override layers[0] { replicate ffn, ‸ }'))).toEqual(
      expect.arrayContaining(['heads', 'shard']),
    );
    for (const rest of ['shard heads on tp, ‸', 'replicate kv_heads by 2, ‸', 'replicate ffn, batch: 4, ‸'])
      expect(labels(inStage(rest))).toEqual(expect.not.arrayContaining(['heads']));
    expect(labels('import { replicate, ‸ } from "std/devices"')).toContain('l4');
  });

  it('of a mesh are the sizes that fit the devices, the other axes and the model', () => {
    const sizes = (body: string): string[] => labels(inStage(body)).filter((label) => /^\d+$/.test(label));
    expect(sizes('mesh (tp: ‸)')).toEqual(['1', '2', '4']);
    expect(sizes('mesh (dp: ‸)')).toEqual(['1', '2', '4', '8']);
    expect(sizes('mesh (dp: 4, tp: ‸)')).toEqual(['1', '2']);
    expect(sizes('mesh (pp: ‸, tp: 4)')).toEqual(['1', '2']);
    expect(sizes('mesh (dp: 2, pp: ‸, tp: 4)')).toEqual(['1']);
    const some = inPlan('stage decode on gpu[2..5] { mesh (pp: ‸) }');
    expect(labels(some).filter((label) => /^\d+$/.test(label))).toEqual(['1', '2', '4']);
    const two = inPlan('stage decode on gpu[0], gpu[4..6] { mesh (pp: ‸) }');
    expect(labels(two).filter((label) => /^\d+$/.test(label))).toEqual(['1', '2', '4']);
  });
});

describe('behind', () => {
  it.each([
    ['a name that is imported', 'import { l4 ‸ } from "std/aws"', ['as']],
    ['what it is imported as', 'import { l4 as ‸ } from "std/aws"', []],
    ['`override`', inStage('override ‸'), ['layers']],
    ['the layers of an override', inStage('override layers[0..1].‸'), ['attention', 'mlp']],
    ['the brackets of a distribution', 'workload w { prompt: lognormal(‸) }', ['mean', 'deviation']],
    ['an argument', 'workload w { prompt: lognormal(mean: 9 tokens, ‸) }', ['deviation']],
    ['the name of an argument', 'param t: tokens = 9\nworkload w { prompt: uniform(least: ‸) }', ['t']],
  ])('%s comes what goes on there', (_, marked, wanted) => {
    expect(labels(marked)).toEqual(wanted);
  });

  it('comes what the checker takes', () => {
    for (const name of Object.keys(WORDS.distributions)) {
      const [first, second] = labels(`workload w { prompt: ${name}(‸) }`);
      const text = `workload w { requests: 1, output: 1 tokens, prompt: ${name}(${second!}: 9 tokens, ${first!}: 9 tokens) }`;
      expect(checkFile(memoryHost({ [MAIN]: text }), MAIN).diagnostics).toEqual([]);
    }
  });
});
