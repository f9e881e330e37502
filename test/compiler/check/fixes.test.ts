/** Every fix does what it says: with its edits the diagnostic is gone, and the text is as well formed as before. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { removal } from '../../../compiler/check/fixes.js';
import type { Context } from '../../../compiler/check/scope.js';
import { CATALOGUE } from '../../../compiler/diagnostics/catalogue.js';
import type { Diagnostic, Fix } from '../../../compiler/diagnostics/diagnostic.js';
import { syntaxCodes } from '../../../grammar/syntax-problems.js';
import { filesBelow, ROOT } from '../../architecture/source-files.js';
import { compileAndSimulate } from '../../fixtures/check-everything.js';
import { CASES } from './cases.js';
import { unmark, WORLD } from './marked.js';
import { memoryHost } from './memory-host.js';

interface Example {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly models: Readonly<Record<string, unknown>>;
  readonly set?: Readonly<Record<string, string>>;
  readonly compiled: boolean;
}

type Edit = Fix['edits'][number];

const MAIN = 'main.plan';

function diagnosticsOf({ files, models, set, compiled }: Example): readonly Diagnostic[] {
  const checked = checkFile(memoryHost(files, models), MAIN, set ? { set } : {});
  return compiled ? compileAndSimulate(checked, MAIN).diagnostics : checked.diagnostics;
}

function withFix(files: Example['files'], { edits }: Fix): Example['files'] {
  const result = { ...files };
  for (const { origin, newText } of edits.toSorted((a, b) => b.origin.span.start - a.origin.span.start)) {
    const text = result[origin.file]!;
    result[origin.file] = text.slice(0, origin.span.start) + newText + text.slice(origin.span.end);
  }
  return result;
}

const isSyntax = ({ code }: Diagnostic): boolean => code.startsWith('FC01');

/** Problems of syntax that no page shows. */
const DAMAGED = [
  'device d { memory: 1 GB; bandwidth: 1 GB/s, compute: { f32: 1 TFLOPS } }',
  'topology t { gpu[2]: d, tier host { capacity: 1 GB }, link gpu -> host { bandwidth: 1 GB/s } }\ndevice d { memory: 1 GB, bandwidth: 1 GB/s, compute: { f32: 1 TFLOPS } }',
  'topology t { gpu[2]: d, link gpu gpu { bandwidth: 1 GB/s } }\ndevice d { memory: 1 GB, bandwidth: 1 GB/s, compute: { f32: 1 TFLOPS } }',
  'topology t { gpu[2]: d, link <-> <-> gpu { bandwidth: 1 GB/s } }',
  'topology t { gpu[2]: d, link gpu <-> gpu <-> gpu { bandwidth: 1 GB/s } }',
  'import { l4 } "std/devices"',
  "import { l4 } from 'std/devices'",
  'topology t { gpu[2]: d, overhead: { step: 5 ms } }\ndevice d { memory: 1 GB, bandwidth: 1 GB/s, compute { f32: 1 TFLOPS } }',
  'topology t { node[2]: { gpu[2]: d }, link node <-> node: { bandwidth: 1 GB/s, allreduce: { 2 ranks: 1 GB/s } } }\ndevice d { memory: 1 GB, bandwidth: 1 GB/s, compute: { f32: 1 TFLOPS } }',
  'plan p for m on t { stage s on gpu { mesh:auto }, kv: { page: 16 tokens } }',
  'device d { memory: 1 GB, bandwidth: 1 GB/s, compute: { "f32": 1 TFLOPS, f16 -> 2 TFLOPS } }',
  'plan p for m on t { stage s on gpu[0:3] { mesh (tp: 4) } }',
  'import { l4 } from “std/devices”\nmodel m { source: «clerk» }',
  'param n: int = 2 – 1',
  'model m { source: "clerk',
  'model m { source: "cl\\erk" }',
  'model m { source: "clerk" } /* why',
  'model m { source: "clerk" ',
  'param n: int = 2 in [1, 2',
  'param n: int = 2 in [1, 2 // two\nmodel m { source: "clerk" }',
  'plan p for m on t\nmodel m { source: "clerk" }',
];

const examples: readonly Example[] = [
  ...DAMAGED.map((text): Example => ({ name: text, files: { [MAIN]: text }, models: {}, compiled: false })),
  ...CASES.map((c, i): Example => ({
    name: `${c.slug} (${i})`,
    files: { ...c.files, [MAIN]: unmark(c.source).text },
    models: c.models ?? {},
    ...(c.set && { set: c.set }),
    compiled: c.compiled === true,
  })),
  ...filesBelow('docs/diagnostics', ['.md']).flatMap(({ path }): Example[] => {
    const section = /^## Fails\n([^]*?)^## /m.exec(readFileSync(`${ROOT}/${path}`, 'utf8'))?.[1] ?? '';
    const [first, ...beside] = [...section.matchAll(/^```(\w+) ?(.*)\n([^]*?)^```$/gm)];
    if (first?.[1] !== 'plan') return [];
    const files = Object.fromEntries(beside.map(([, , name, text]) => [name!, text!]));
    const models = Object.entries(files)
      .filter(([name]) => name.endsWith('/config.json'))
      .map(([name, json]) => [`./${dirname(name)}`, JSON.parse(json) as unknown]);
    const [param, value] = first[2]!.replace('--set ', '').split('=');
    return [
      {
        name: path,
        files: { ...files, [MAIN]: first[3]! },
        models: Object.fromEntries(models) as Record<string, unknown>,
        ...(value !== undefined && { set: { [param!]: value } }),
        compiled: true,
      },
    ];
  }),
];

/** What to write is for the author to know, or the cure lies outside of the file. */
const AUTHORS_CHOICE: readonly string[] = [
  ...['FC0104', 'FC0115'], // a name is missing; nesting
  ...['FC0205', 'FC0207', 'FC0209', 'FC0210'], // circles, and what the command line names
  ...['FC0310', 'FC0311', 'FC0312', 'FC0313', 'FC0314', 'FC0315'], // the command line, and files of models
  ...['FC0318', 'FC0320', 'FC0321', 'FC0322'], // arithmetic, two lengths of which one is wrong, and a file of them
  ...['FC0403', 'FC0404', 'FC0409', 'FC0412', 'FC0414', 'FC0419'], // devices, links and memory there are not
  ...['FC0509', 'FC0510', 'FC0511', 'FC0513'], // several lines of sharding disagree
  ...['FC0601', 'FC0602', 'FC0607', 'FC0609', 'FC0610', 'FC0611'], // memory and tiers there are not
  'FC0701', // a phase without a stage
  ...['FC0803', 'FC0804', 'FC0805', 'FC0806'], // the contract, or what breaks it
];

/** Codes that come with a fix in some example. */
const fixable = new Set<string>();

describe('the fixes', () => {
  it.each(examples)('of $name mend what they belong to', (example) => {
    const before = diagnosticsOf(example);
    const count = (all: readonly Diagnostic[], { code, message }: Diagnostic): number =>
      all.filter((other) => other.code === code && other.message === message).length;
    for (const diagnostic of before)
      for (const fix of diagnostic.fixes) {
        fixable.add(diagnostic.code);
        const files = withFix(example.files, fix);
        const after = diagnosticsOf({ ...example, files });
        const what = `${diagnostic.code} ${diagnostic.message}\n${fix.title}\n${files[MAIN]}`;
        expect(count(after, diagnostic), what).toBeLessThan(count(before, diagnostic));
        expect(after.filter(isSyntax).length, what).toBeLessThanOrEqual(
          before.filter(isSyntax).length - (isSyntax(diagnostic) ? 1 : 0),
        );
        const errors = (all: readonly Diagnostic[]): number =>
          all.filter(({ severity }) => severity === 'error').length;
        expect(errors(after) - errors(before), what).toBeLessThan(1);
      }
  });

  it('of a group in place of its devices keep the groups that were chosen', () => {
    const text = `topology u { node[4] { gpu[2]: d } }\nplan q for m on u { stage serve: prefill + decode on node[1..2] { mesh (dp: 4) } }`;
    const example = { name: '', files: { [MAIN]: WORLD + text }, models: {}, compiled: false };
    const [found] = diagnosticsOf(example);
    expect(found!.fixes.map(({ title }) => title)).toEqual(['Change to `node[1..2].gpu`']);
  });

  it.each([
    ['node[1].smal', 'node[1].small'],
    ['nod[0..1].big', 'node[0..1].big'],
    ['big[1]', 'node.big[1]'],
  ])('of devices %s replace what is wrong and keep the indexes', (written, meant) => {
    const text = `topology u { node[2] { big[2]: d, small[2]: d } }\nplan q for m on u { stage serve: prefill + decode on ${written} { mesh auto } }`;
    const example = { name: '', files: { [MAIN]: WORLD + text }, models: {}, compiled: false };
    const { fixes } = diagnosticsOf(example)[0]!;
    expect(fixes.map(({ title }) => title)).toEqual([`Change to \`${meant}\``]);
    expect(withFix(example.files, fixes[0]!)[MAIN]).toContain(`on ${meant} {`);
  });

  it.each([
    ['sustained: { compute: 50 }', '50%'],
    ['sustained: { compute: 150% }', '100%'],
  ])('of a fraction, %s, take a number for one in percent', (property, meant) => {
    const text = WORLD.replace('compute: {', `${property}, compute: {`);
    const found = diagnosticsOf({ name: '', files: { [MAIN]: text }, models: {}, compiled: false });
    expect(found.map(({ fixes }) => fixes.map(({ title }) => title))).toEqual([[`Change to \`${meant}\``]]);
  });

  it.each([
    ['a, b', 'a'],
    ['a,\n b', 'a'],
    ['b, c', 'c'],
    ['a // and more,\n b }', 'a // and more,\n  }'],
  ])('that take something out of %j take its comma with it, and no comment', (text, left) => {
    const cx = { scope: { path: MAIN, file: { text } } } as Context;
    const start = text.search(/\bb\b/);
    const [{ origin, newText }] = removal(cx, { start, end: start + 1 }, '`b`').edits as [Edit];
    expect(text.slice(0, origin.span.start) + newText + text.slice(origin.span.end)).toBe(left);
  });

  it('of quotes that are bent straighten both', () => {
    const text = 'import { a } from “std/devices”, { b } from „x“ and ”';
    const found = diagnosticsOf({ name: '', files: { [MAIN]: text }, models: {}, compiled: false });
    const quotes = found.filter(({ code }) => code === 'FC0112');
    expect(quotes.map(({ fixes }) => fixes[0]!.title)).toEqual([
      ...['Change to `"std/devices"`', 'Change to `"std/devices"`'],
      ...['Change to `"x"`', 'Change to `"x"`', 'Remove `”`'],
    ]);
  });

  it('of a stage without a name offer nothing that has none', () => {
    const text = `plan q for m on t { stage on gpu { mesh (dp: 8) }\nexpect { peak(a, gpu) <= 1 GB } }`;
    const found = diagnosticsOf({ name: '', files: { [MAIN]: WORLD + text }, models: {}, compiled: false });
    expect(found.flatMap(({ fixes }) => fixes.map(({ title }) => title))).not.toContain('Change to ``');
    expect(found.filter(({ slug }) => slug === 'unknown-phase')).toEqual([]);
  });

  it('are there for all codes but those that leave the author a choice or nothing to write', () => {
    const codes = [...Object.values(CATALOGUE).map(({ code }) => code), ...Object.keys(syntaxCodes)];
    const without = codes.filter((code) => !fixable.has(code)).sort();
    expect(without).toEqual(AUTHORS_CHOICE);
  });
});
