/** Definition, references and rename over the files of a workspace; `‸` is the cursor. */
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { definitionAt, referencesAt, rename, renameable } from '../../../editor/lsp/navigation.js';
import { PROPERTIES, type PropertyDoc } from '../../../grammar/reference.js';
import { keywordOf } from '../../../grammar/tokens.js';
import { TRUTH_WORDS } from '../../../grammar/truth-words.js';
import { memoryHost } from '../../compiler/check/memory-host.js';
import { atCursor, MAIN, WORLD, type AtCursor } from './support.js';

/** `file:line: text of the line`, trimmed. */
function show({ workspace }: AtCursor, { path, span }: { path: string; span: { start: number } }): string {
  const { lines } = workspace.document(path)!;
  const { line } = lines.position(span.start);
  return `${path.split('/').at(-1)}:${line}: ${lines.lineText(line).trim()}`;
}

function definition(marked: string, others: Readonly<Record<string, string>> = {}): string | undefined {
  const at = atCursor(marked, others);
  const found = definitionAt(at.workspace, MAIN, at.offset);
  return found && show(at, found);
}

const PLAN = `${WORLD}plan base for small on box {
  stage prefill on gpu { mesh (pp: 8) }
  stage decode on gpu { mesh (tp: 4, dp: 2) }
  kv { tiers: gpu -> host }
  flow requests -> prefill -> decode -> results { to decode when host.full }
  expect { peak(decode, gpu) <= 16 GB, transitions <= 4 for some, never send in prefill }
}
plan derived from base { stage decode on gpu like prefill { } }
`;

/** The plan with the cursor in the n-th occurrence of a word. */
function cursorIn(word: string, n: number, text = PLAN): string {
  let at = -1;
  for (let i = 0; i < n; i++) at = text.indexOf(word, at + 1);
  return `${text.slice(0, at + 1)}‸${text.slice(at + 1)}`;
}

describe('definition', () => {
  it.each([
    ['a model of a plan', cursorIn('small', 3), /model small/],
    ['a topology of a plan', cursorIn('box', 2), /topology box/],
    ['a device kind', cursorIn('card', 2), /device card/],
    ['the base of a plan', cursorIn('base', 2), /plan base/],
    ['a stage in a flow', PLAN.replace('-> decode', '-> dec‸ode'), /stage decode on gpu \{ mesh/],
    ['a stage in a rule', PLAN.replace('to decode', 'to dec‸ode'), /stage decode/],
    ['a stage of the base', PLAN.replace('like prefill', 'like pre‸fill'), /stage prefill on gpu/],
    ['a place of a stage', PLAN.replace('prefill on gpu', 'prefill on g‸pu'), /gpu\[8\]: card/],
    ['a tier of a chain', PLAN.replace('gpu -> host', 'gpu -> ho‸st'), /tier host/],
    ['a tier of a rule', PLAN.replace('when host', 'when ho‸st'), /tier host/],
    ['a stage of a measure', PLAN.replace('peak(decode', 'peak(dec‸ode'), /stage decode/],
    ['a place of a measure', PLAN.replace('decode, gpu', 'decode, g‸pu'), /gpu\[8\]: card/],
    ['a workload', PLAN.replace('for some', 'for so‸me'), /workload some/],
    ['an end of a link', PLAN.replace('<-> host', '<-> ho‸st'), /tier host/],
  ])('of %s', (_, marked, line) => {
    expect(definition(marked)).toMatch(line);
  });

  it('of a param in a mesh', () => {
    const text = `param n: int = 4\n${PLAN.replace('tp: 4', 'tp: ‸n')}`;
    expect(definition(text)).toBe('main.plan:1: param n: int = 4');
  });

  it('leads through imports and aliases, and to the file of an import', () => {
    const files = { 'a.plan': 'import { card as c } from "./b.plan"\n', 'b.plan': '\ndevice card { }\n' };
    const text = 'import { c as mine } from "./a.plan"\ntopology t { gpu: mi‸ne }';
    expect(definition(text, files)).toBe('b.plan:2: device card { }');
    expect(definition(text.replace('‸', '').replace('a.plan', 'a‸.plan'), files)).toMatch(/^a\.plan:1/);
    expect(definition('import { l‸4 } from "std/aws"')).toMatch(/^devices:\d+: device l4 \{/);
  });

  it('of a group and of what stands in it', () => {
    const pod = `topology pod { node[2] { gpu[4]: card\n tier host { capacity: 1 GB }\n link gpu <-> host { bandwidth: 1 GB/s } } }
      plan p for small on pod { stage serve: prefill + decode on node[0..1].gpu { mesh (tp: 8) }\n kv { tiers: gpu -> host } }`;
    expect(definition(pod.replace('].gpu {', '].g‸pu {'))).toMatch(/gpu\[4\]: card/);
    expect(definition(pod.replace('on node', 'on no‸de'))).toMatch(/node\[2\]/);
    expect(definition(pod.replace('-> host }', '-> ho‸st }'))).toMatch(/tier host/);
    expect(definition(pod.replace('<-> host', '<-> ho‸st'))).toMatch(/tier host/);
  });

  it('of nothing is nothing, in files that import each other too', () => {
    expect(definition('plan p for now‸here on t { }')).toBeUndefined();
    const files = { 'a.plan': 'import { x } from "./main.plan"' };
    expect(definition('import { x } from "./a.plan"\nplan p for ‸x on t { }', files)).toBeUndefined();
    expect(definition('plan a from ‸b { stage s like x { } }\nplan b from a { }')).toMatch(/plan b from a/);
  });
});

describe('references', () => {
  const found = (marked: string, others: Readonly<Record<string, string>> = {}): string[] => {
    const at = atCursor(marked, others);
    return referencesAt(at.workspace, MAIN, at.offset, true).map((each) =>
      show(at, each).split(':').slice(0, 2).join(':'),
    );
  };

  it('of a stage are those of its plan', () => {
    const text = PLAN.replace('-> decode', '-> dec‸ode');
    // The declaration, the flow, the rule, the measure; `decode` of the derived plan is a stage of its own.
    expect(found(text)).toEqual(['main.plan:16', 'main.plan:18', 'main.plan:18', 'main.plan:19']);
  });

  it('of a declaration are in all files, under every alias', () => {
    const files = {
      'a.plan': 'import { card as c } from "./main.plan"\ntopology t { gpu: c }',
      'b.plan': 'device card { }\ntopology t { gpu: card }',
    };
    expect(found('device ca‸rd { }\ntopology u { gpu: card }', files).sort()).toEqual([
      'a.plan:1',
      'a.plan:1',
      'a.plan:2',
      'main.plan:1',
      'main.plan:2',
    ]);
  });
});

describe('rename', () => {
  /** The texts of all files after a rename. */
  function renamed(marked: string, to: string, others: Readonly<Record<string, string>> = {}) {
    const at = atCursor(marked, others);
    const edits = rename(at.workspace, MAIN, at.offset, to);
    if (typeof edits === 'string') return edits;
    const texts: Record<string, string> = {};
    for (const path of [MAIN, ...Object.keys(others).map((name) => resolve('/project', name))]) {
      let { text } = at.workspace.document(path)!;
      for (const { span } of edits
        .filter((edit) => edit.path === path)
        .sort((a, b) => b.span.start - a.span.start))
        text = text.slice(0, span.start) + to + text.slice(span.end);
      texts[path.split('/').at(-1)!] = text;
    }
    return texts;
  }

  it('reaches every file and leaves aliases alone', () => {
    const others = {
      'a.plan': 'import { card } from "./main.plan"\ntopology t { gpu: card }',
      'b.plan': 'import { card as c } from "./main.plan"\ntopology t { gpu: c }',
    };
    expect(renamed('device ca‸rd { }\ntopology u { gpu: card }', 'l40', others)).toEqual({
      'main.plan': 'device l40 { }\ntopology u { gpu: l40 }',
      'a.plan': 'import { l40 } from "./main.plan"\ntopology t { gpu: l40 }',
      'b.plan': 'import { l40 as c } from "./main.plan"\ntopology t { gpu: c }',
    });
  });

  it('of an alias changes it where it is given and wherever it is spoken of, and nothing else', () => {
    const others = {
      'base.plan': 'model shape { }\nplan q for shape on t { }',
      'next.plan': 'import { s2 } from "./main.plan"\nplan r for s2 on t { }',
      'last.plan': 'import { s2 as shape } from "./main.plan"\nplan s for shape on t { }',
    };
    const text = 'import { shape as s2 } from "./base.plan"\nplan p for s2 on t { }';
    const expected = {
      'main.plan': text.replaceAll('s2', 'zed'),
      'base.plan': others['base.plan'],
      'next.plan': others['next.plan'].replaceAll('s2', 'zed'),
      'last.plan': others['last.plan'].replaceAll('s2', 'zed'),
    };
    for (const at of ['as s‸2', 'for s‸2'])
      expect(renamed(text.replace(at.replace('‸', ''), at), 'zed', others)).toEqual(expected);
    expect(renamed(text.replace('{ shape', '{ sh‸ape'), 'zed', others)).toEqual({
      ...others,
      'main.plan': text.replace('shape', 'zed'),
      'base.plan': others['base.plan'].replaceAll('shape', 'zed'),
    });
    expect(renamed('import { l4 as mi‸ne } from "std/aws"', 'l')).toEqual({
      'main.plan': 'import { l4 as l } from "std/aws"',
    });
  });

  it('of a param to a word that a property takes is refused', () => {
    const words = Object.values<Readonly<Record<string, PropertyDoc>>>(PROPERTIES).flatMap((table) =>
      Object.values(table).flatMap(({ value }) => (value.kind === 'words' ? value.words : [])),
    );
    expect(words).toContain('llama');
    for (const word of words)
      expect(renamed('param wi‸dth: int = 2', word)).toBe(`\`${word}\` has another meaning here`);
  });

  it('of a tier changes chains and rules', () => {
    const text = renamed(PLAN.replace('tier host', 'tier ho‸st'), 'ram') as Record<string, string>;
    expect(text['main.plan']).not.toMatch(/\bhost\b/);
    expect(text['main.plan']).toMatch(/tiers: gpu -> ram/);
    expect(text['main.plan']).toMatch(/when ram\.full/);
  });

  it.each(['host', 'gpu'])(
    'of %s changes all groups that declare it where a chain means them all',
    (name) => {
      const group = 'gpu[4]: card, tier host { capacity: 1 GB }, link gpu <-> host { bandwidth: 1 GB/s }';
      const other = `topology other { ${group} }\nplan o for small on other { kv { tiers: gpu -> host } }`;
      const text = `topology two { a { ${group} }\n b { ${group} } }
plan p for small on two {
  stage prefill on a.gpu { }
  kv { tiers: gpu -> host }
  flow requests -> prefill -> results { to prefill when host.empty }
}
`;
      const expected = `${text.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), 'ram')}${other}`;
      const count = text.split(new RegExp(`\\b${name}\\b`)).length - 1;
      for (let n = 1; n <= count; n++)
        expect(renamed(cursorIn(name, n, text + other), 'ram')).toEqual({ 'main.plan': expected });
      const { workspace, offset } = atCursor(cursorIn(name, count, text + other));
      expect(referencesAt(workspace, MAIN, offset, true).length).toBeGreaterThan(2);
    },
  );

  it('of a tier that no chain names leaves those of other groups alone', () => {
    const text = 'topology t { a { tier hos‸t { } }\n b { tier host { } } }';
    expect(renamed(text, 'ram')).toEqual({
      'main.plan': 'topology t { a { tier ram { } }\n b { tier host { } } }',
    });
  });

  it.each([
    ['a tier', 'tier host', 'tier ho‸st'],
    ['devices', 'gpu[8]', 'g‸pu[8]'],
    ['a stage', 'stage finish', 'stage fin‸ish'],
    ['a model', 'model small', 'model sm‸all'],
    ['a topology', 'topology box', 'topology b‸ox'],
    ['a device', 'device card', 'device ca‸rd'],
    ['a workload', 'workload some', 'workload so‸me'],
    ['a plan', 'plan base', 'plan ba‸se'],
    ['a param', 'param n', 'param ‸n'],
    ['a param of a rule', 'param part', 'param pa‸rt'],
    ['a param of an expectation', 'param most', 'param mo‸st'],
    ['a param of a difference', 'param room', 'param ro‸om'],
  ])('of %s to a word of the language leaves the file sound, or is refused', (_, text, at) => {
    const sound = `param n: int = 4 in [2, 4]
param part: fraction = 20%
param most: bytes = 16 GB
param room: bytes = 17 GB
${WORLD.replace('memory: 16 GB', 'memory: room - 1 GB')}plan base for small on box {
  stage prefill on gpu { mesh (pp: 8) }
  stage finish: decode on gpu { mesh (tp: n, dp: fill) }
  kv { tiers: gpu -> host up to 4 GiB }
  flow requests -> prefill -> finish -> results { to finish when host.full or not gpu.empty, to prefill when host.used < part }
  expect { peak(finish, gpu) <= most, bytes(prefill -> finish, per: token) <= 1 GB, transitions <= 4 for some
    never send in finish
    transitions <= 5 for some
  }
  residence: switch
}
plan derived from base { memory_use: 80% }
`;
    const name = text.split(/[ [(]/).findLast((word) => /^[a-z]+$/.test(word))!;
    /** What is wrong, and what plans and expectations say but for places and the name. */
    const found = (main: string, to: string): string[] => {
      const { diagnostics, plans } = checkFile(memoryHost({ [MAIN]: main }), MAIN);
      const said = JSON.stringify(plans, (key, value: unknown) => (key === 'span' ? undefined : value));
      return [
        ...diagnostics.map(({ code, message }) => `${code} ${message}`),
        said.replaceAll(new RegExp(`\\b(?:${to}|${name})\\b`, 'g'), '@'),
      ];
    };
    expect(found(sound, name)).toHaveLength(1);
    const words = [...keywordOf.keys(), ...TRUTH_WORDS.keys(), 'requests', 'results', 'fill', 'full'];
    const broken = words.flatMap((word) => {
      const texts = renamed(sound.replace(text, at), word);
      if (typeof texts === 'string') return [];
      const [now, before] = [found(texts['main.plan']!, word), found(sound, word)];
      return now.join() === before.join() ? [] : [`${word}: ${now.join('; ')}`];
    });
    expect(broken).toEqual([]);
  });

  it('is refused with a reason', () => {
    expect(renamed(PLAN.replace('model small', 'model sm‸all'), 'no-name')).toMatch('is not a name');
    expect(renamed(PLAN.replace('model small', 'model sm‸all'), 'card')).toMatch('there is a `card` already');
    expect(renamed(PLAN.replace('stage decode', 'stage dec‸ode'), 'other')).toMatch('says what it does');
    expect(renamed('import { l‸4 } from "std/aws"', 'mine')).toMatch('ships with Fulcrum');
    expect(renamed('device d { }\ntopology t { no‸de { gpu: d } }', 'tier')).toMatch('another meaning');
    const others = { 'a.plan': 'import { card } from "./main.plan"\ndevice l4 { }' };
    expect(renamed('device ca‸rd { }', 'l4', others)).toMatch(/there is a `l4` already in .*a\.plan/);
    const taken = 'import { l4 } from "std/aws"\ndevice ca‸rd { }';
    expect(renamed(taken, 'l4')).toMatch('there is a `l4` already');
    const like = 'plan p for m on t { stage a: prefill on gpu { }\nstage dec‸ode on gpu like a { } }';
    expect(renamed(like, 'other')).toMatch('says what it does');
    const derived =
      'plan p for m on t { stage se‸rve: decode on gpu { } }\nplan q from p { stage serve: decode on gpu { } }';
    expect(renamed(derived, 'other')).toMatch('`q` takes over stage `serve` of another plan');
    const beside = derived.replace('q from p { stage serve', 'q from p { stage other');
    expect(renamed(beside, 'other')).toMatch('there is a `other` already in plan `q`');
    const back = beside.replace('se‸rve', 'serve').replace('stage other', 'stage oth‸er');
    expect(renamed(back, 'serve')).toMatch('there is a `serve` already in plan `p`');
    const apart = `${beside.replace('‸', '')}\nplan r from p { stage mi‸ne: decode on gpu { } }`;
    expect(renamed(apart, 'other')).toHaveProperty(['main.plan']);
    const at = atCursor('// ‸');
    expect(renameable(at.workspace, MAIN, at.offset)).toMatch('no name');
  });
});
