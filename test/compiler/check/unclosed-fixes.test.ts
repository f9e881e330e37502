/** The fix of a bracket that is never closed closes it where it was closed. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { syntaxFixes } from '../../../compiler/diagnostics/syntax-fixes.js';
import { formatPlan } from '../../../grammar/format.js';
import { parse } from '../../../grammar/parse.js';
import { printSyntax } from '../../../grammar/print-syntax.js';

const FILE = 'test.plan';

const sources = [
  ...['plans/clerk.plan', 'plans/pod.plan', 'plans/std/aws.plan', 'plans/seesaw/l4.plan'],
  'test/grammar/golden/everything.plan',
].map((path) => {
  const formatted = formatPlan(readFileSync(path, 'utf8'), FILE);
  if (formatted.kind === 'broken') throw new Error(path);
  return { path, text: formatted.text };
});

const syntaxOf = (text: string): string => printSyntax(parse(text, FILE).file);

/** The text with the fix of its first problem, which is a bracket that is never closed. */
function closed(text: string): string {
  const [problem] = parse(text, FILE).errors;
  expect(problem?.code, text).toBe('FC0107');
  const [{ edits }] = syntaxFixes(problem!, FILE, text) as [ReturnType<typeof syntaxFixes>[number]];
  const [{ origin, newText }] = edits as [(typeof edits)[number]];
  return text.slice(0, origin.span.start) + newText + text.slice(origin.span.end);
}

/** Places of all closing curly brackets of a sound text. */
function closersOf(text: string): readonly number[] {
  const { comments } = parse(text, FILE);
  return [...text.matchAll(/\}/g)]
    .map(({ index }) => index)
    .filter((at) => !comments.some(({ span }) => span.start <= at && at < span.end));
}

describe.each(sources)('a `}` that is left out of $path', ({ text }) => {
  const places = closersOf(text);

  it('is put back where it was, but for more that stands behind it on its line', () => {
    expect(places.length).toBeGreaterThan(10);
    for (const at of places) {
      const fixed = closed(text.slice(0, at).trimEnd() + text.slice(at + 1));
      expect(parse(fixed, FILE).errors, fixed).toEqual([]);
      const isLast = /^[ }]*(?:\n|$)/.test(text.slice(at));
      if (isLast) expect(syntaxOf(fixed)).toBe(syntaxOf(text));
    }
  });

  it('is put where the file is sound again where no line is indented', () => {
    const flush = text.replaceAll(/^[ \t]+/gm, '');
    for (const at of closersOf(flush)) {
      const fixed = closed(flush.slice(0, at) + flush.slice(at + 1));
      expect(parse(fixed, FILE).errors, fixed).toEqual([]);
    }
  });
});

describe('the fix of a bracket that is never closed', () => {
  it.each([
    ['device d {\n  gemm: { 2: 1 // rows\n}', 'device d {\n  gemm: { 2: 1 } // rows\n}'],
    ['device d {\n  gemm: { // rows\n    2: 1\n}', 'device d {\n  gemm: { // rows\n    2: 1\n  }\n}'],
    [
      'device d {\n  a: 1 // one\n/// Next.\nmodel m { }',
      'device d {\n  a: 1 // one\n}\n/// Next.\nmodel m { }',
    ],
    ['model m { source: "x', 'model m { source: "x\n}'],
    ['import { a, b from "x"', 'import { a, b } from "x"'],
    [
      'plan p from q {\n  stage s { mesh (tp: 2,\n  batch: 4 }\n}',
      'plan p from q {\n  stage s { mesh (tp: 2,)\n  batch: 4 }\n}',
    ],
    [
      'plan p from q {\n  stage s { mesh (tp: 2,\n    pp: 4 }\n}',
      'plan p from q {\n  stage s { mesh (tp: 2,\n    pp: 4) }\n}',
    ],
  ])('%j', (text, fixed) => {
    const problems = parse(text, FILE).errors.filter(({ code }) => code === 'FC0107');
    expect(problems).toHaveLength(1);
    const [edit] = syntaxFixes(problems[0]!, FILE, text)[0]!.edits;
    const { span } = edit!.origin;
    expect(text.slice(0, span.start) + edit!.newText + text.slice(span.end)).toBe(fixed);
  });
});
