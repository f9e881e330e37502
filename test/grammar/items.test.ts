import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/parse.js';
import { printSyntax } from '../../grammar/print-syntax.js';
import type { ModelDecl, Property } from '../../grammar/syntax.js';
import { keywords } from '../../grammar/tokens.js';
import { dump, stageMembers } from './support.js';

describe('items of a file', () => {
  it.each([
    ['language 1', '  language 1'],
    ['import { l4 } from "std/devices"', '  import l4 from "std/devices"'],
    ['import {\n  a\n  b as c,\n} from "./x.plan"', '  import a, b as c from "./x.plan"'],
    ['param n: int = 4 in [1, 2, 4]', '  param n: int = 4 in [1, 2, 4]'],
    ['param n: bytes = 2 * 4 GiB', '  param n: bytes = (2 * 4 GiB)'],
    ['workload w { requests: "file.jsonl" }', '  workload w\n    requests: "file.jsonl"'],
    ['plan b from a { }', '  plan b from a'],
    ['plan b on t for m { }', '  plan b for m on t'],
    ['device d {}', '  device d'],
  ])('%s', (text, printed) => {
    expect(dump(text)).toBe(printed);
  });
  it('may share a line', () => {
    expect(
      dump(
        'language 1 param a: int = 1 model m { weights: f16 } plan p from q { kv { } flow a -> b stage s { } }',
      ),
    ).toBe(
      [
        '  language 1',
        '  param a: int = 1',
        '  model m',
        '    weights: f16',
        '  plan p from q',
        '    kv',
        '    flow a -> b',
        '    stage s',
      ].join('\n'),
    );
  });
});

describe('topologies', () => {
  it('have devices, groups, tiers, links, overhead and properties', () => {
    const text = `topology t {
      node[2] { gpu[8]: h100, cpu: host_cpu }
      tier host { capacity: 1 TiB }
      link gpu <-> node.host { bandwidth: 1 GB/s, allreduce: { 2: 18 GB/s } }
      overhead { step: 5 ms }
      ambient: 20
    }`;
    expect(dump(text)).toMatchInlineSnapshot(`
      "  topology t
          group node[2]
            devices gpu[8]: h100
            devices cpu: host_cpu
          tier host
            capacity: 1 TiB
          link gpu <-> node.host
            bandwidth: 1 GB/s
            allreduce: { 2: 18 GB/s }
          overhead
            step: 5 ms
          ambient: 20"
    `);
  });
});

describe('stages', () => {
  it.each([
    ['mesh (pp: fill, tp: decode_tp)', ['mesh mesh(pp: fill, tp: decode_tp)']],
    ['mesh auto', ['mesh auto']],
    ['mesh (tp: 1), batch: 64 requests', ['mesh mesh(tp: 1)', 'batch: 64 requests']],
    ['shard heads, ffn on tp', ['shard heads, ffn on tp']],
    ['shard heads, ffn on tp, batch: 4', ['shard heads, ffn on tp', 'batch: 4']],
    ['replicate vocab', ['replicate vocab']],
    ['replicate a, b by 2', ['replicate a, b by 2']],
    ['replicate vocab, batch: 4', ['replicate vocab', 'batch: 4']],
    ['replicate vocab, shard ffn on tp', ['replicate vocab', 'shard ffn on tp']],
    ['split layers on pp [10, 10, 30, 30]', ['split layers on pp [10, 10, 30, 30]']],
    ['override layers[0..1].mlp { replicate ffn }', ['override layers[0..1].mlp', '  replicate ffn']],
  ])('%s', (text, printed) => {
    expect(stageMembers(text)).toEqual(printed);
  });
  it('name phases, devices and the stage they are like', () => {
    const text = 'plan p for m on t {\n stage s: prefill + decode on node[0..1].gpu like other { }\n}';
    expect(dump(text).split('\n')[1]).toBe('    stage s: prefill + decode on node[0..1].gpu like other');
  });
  it('stand on several ranges of devices, of which none is a property', () => {
    const heads = (text: string): readonly string[] =>
      dump(`plan p for m on t {\n ${text}\n}`).split('\n').slice(1);
    expect(heads('stage s on gpu[0..1],node[1].gpu, other like s { batch: 4 }')).toEqual([
      '    stage s on gpu[0..1], node[1].gpu, other like s',
      '      batch: 4',
    ]);
    const missing = (on: string): readonly string[] =>
      parse(`plan p for m on t {\n stage s on ${on} {\n}\n}`, 'a.plan').errors.map(({ message }) => message);
    const wanted = 'expected devices after `,`, such as `gpu` or `gpu[0..3]`';
    expect(missing('gpu,')).toEqual([wanted]);
    expect(missing('gpu,, other')).toEqual([wanted]);
    expect(missing(', gpu')).toEqual([wanted.replace('`,`', '`on`')]);
    const mistaken = parse('plan p for m on t {\n stage s on gpu, batch: 4\n}', 'a.plan');
    expect(printSyntax(mistaken.file)).toContain('    stage s on gpu\n');
  });
  it('are on one topology', () => {
    const { errors } = parse('plan p for m on t, u { }', 'a.plan');
    expect(errors.map(({ message }) => message)).toEqual(['a plan stands on one topology']);
  });
});

describe('flow and expect', () => {
  it('reads rules', () => {
    const text = `plan p for m on t {
      flow requests -> prefill
        -> results {
        to decode when host.full or requests.empty
        to prefill when host.used < 20% and not requests.empty
      }
    }`;
    expect(dump(text)).toMatchInlineSnapshot(`
      "  plan p for m on t
          flow requests -> prefill -> results
            to decode when (host.full or requests.empty)
            to prefill when ((host.used < 20 %) and (not requests.empty))"
    `);
  });
  it('reads bounds and bans', () => {
    const text = `plan p for m on t {
      expect {
        peak(decode, gpu) <= 22 GB
        transitions <= 4 for arxiv
        (peak(a, gpu) + 1 GB) <= 22 GB, never all_gather of kv in decode
        never all_gather
        never send in decode
        never >= 3
      }
    }`;
    expect(dump(text)).toMatchInlineSnapshot(`
      "  plan p for m on t
          expect
            bound (peak(decode, gpu) <= 22 GB)
            bound (transitions <= 4) for arxiv
            bound ((peak(a, gpu) + 1 GB) <= 22 GB)
            never all_gather of kv in decode
            never all_gather
            never send in decode
            bound (never >= 3)"
    `);
  });
});

describe('keywords are contextual', () => {
  /** Words that begin an item of a plan or a stage: no property of these is called so. */
  const ITEMS = ['stage', 'kv', 'flow', 'expect', 'mesh', 'shard', 'replicate', 'split', 'override'];

  it.each(Object.keys(keywords))("`%s` may be a user's name", (word) => {
    const property = ITEMS.includes(word) ? 'property' : word;
    const text = `device ${word} { ${word}: 1 }
      topology ${word} {
        ${word}[8]: ${word}
        tier ${word} { capacity: 1 GB }
        link ${word} <-> ${word}[0].${word} { ${word}: ${word} }
      }
      plan ${word} for ${word} on ${word} {
        ${property}: ${word}
        stage ${word} on ${word} { ${property}: 1, mesh (${word}: ${word}), shard ${word}, ${word} on ${word} }
        flow ${word} -> ${word} { to ${word} when ${word} }
        expect { f(${word}, ${word}: ${word}) <= ${word} for ${word} }
      }`;
    const printed = dump(text);
    expect(printed).toContain(`devices ${word}[8]: ${word}`);
    expect(printed).toContain(`stage ${word} on ${word}`);
    expect(printed).toContain(`shard ${word}, ${word} on ${word}`);
    expect(printed).toContain(`to ${word} when ${word}`);
    expect(printed).toContain(`(f(${word}, ${word}: ${word}) <= ${word}) for ${word}`);
  });
});

describe('doc comments', () => {
  it('belong to the declaration or property right below', () => {
    const text = [
      '/// not this one',
      '',
      '/// One machine,',
      '///   eight devices.',
      'topology t {',
      '  /// The fast ones.',
      '  gpu[8]: l4',
      '  tier host { capacity: 1 GB } /// trailing',
      '  link gpu <-> host { bandwidth: 1 GB/s }',
      '}',
    ].join('\n');
    expect(dump(text)).toMatchInlineSnapshot(`
      "  /// One machine,
        ///   eight devices.
        topology t
          /// The fast ones.
          devices gpu[8]: l4
          tier host
            capacity: 1 GB
          link gpu <-> host
            bandwidth: 1 GB/s"
    `);
  });

  it('belong to what begins the line below, not to what is further along', () => {
    const { file } = parse('/// A model.\nmodel m { weights: f16\n/// here\n, vocab: 8 }', 'x.plan');
    const [model] = file.items as readonly ModelDecl[];
    expect(model!.doc).toBe('A model.');
    expect(model!.members.map((member) => (member as Property).doc)).toEqual([undefined, 'here']);
  });
});

describe('a flow without rules', () => {
  it('may be followed by an item indented in any way', () => {
    expect(
      parse('plan p from q {\n  flow a -> b\n      expect { peak(a) < 1 GB }\n}', 'x.plan').errors,
    ).toEqual([]);
  });
});
