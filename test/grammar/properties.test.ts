/** Laws of the parser over random and damaged texts. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lex } from '../../grammar/lex.js';
import { parse } from '../../grammar/parse.js';
import { planParser } from '../../grammar/parser.js';
import { printSyntax } from '../../grammar/print-syntax.js';
import type { Span } from '../../grammar/syntax.js';
import { syntaxCodes } from '../../grammar/syntax-problems.js';
import { keywords } from '../../grammar/tokens.js';

const sample = readFileSync(new URL('golden/everything.plan', import.meta.url), 'utf8');

interface Spanned {
  readonly span: Span;
  readonly text?: unknown;
}

/** Every node of a tree that has a span, parents before children. */
function spanned(tree: unknown): Spanned[] {
  if (Array.isArray(tree)) return tree.flatMap(spanned);
  if (typeof tree !== 'object' || tree === null) return [];
  const inner = Object.values(tree).flatMap(spanned);
  return 'span' in tree ? [tree as Spanned, ...inner] : inner;
}

/** The laws that hold for any text at all. */
function checkLaws(text: string): void {
  const { file, errors, comments } = parse(text, 'test.plan');
  expect(planParser().errors).toEqual([]);
  expect(printSyntax(file)).toMatch(/^file "test.plan"\n/);
  for (const { span } of [...spanned(file.items), ...errors, ...comments]) {
    expect(span.start).toBeGreaterThanOrEqual(0);
    expect(span.end).toBeGreaterThanOrEqual(span.start);
    expect(span.end).toBeLessThanOrEqual(text.length);
  }
  for (const { code, slug } of errors) expect(syntaxCodes[code]).toBe(slug);
  const starts = errors.map(({ span }) => span.start);
  expect(starts).toEqual([...starts].sort((a, b) => a - b));
}

const words = [
  ...Object.keys(keywords),
  'gpu',
  'x',
  '4',
  '0.5',
  '16 tokens',
  '"s"',
  '"',
  '// c\n',
  '/*',
  '///\n',
];
const signs = [...'{}()[],;:.+-*/<>=', '->', '<->', '..', '<=', '==', '\n', '\n  ', ' ', '?', 'é'];

describe('for any text', () => {
  it('a tree comes back (random characters)', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), checkLaws), { numRuns: 150 });
  });
  it('a tree comes back (random words and signs)', () => {
    const piece = fc.constantFrom(...words, ...signs);
    const text = fc.array(piece, { maxLength: 50 }).map((pieces) => pieces.join(' '));
    fc.assert(fc.property(text, checkLaws), { numRuns: 300 });
  });
  it('a tree comes back (a sound file with a piece replaced)', () => {
    const damage = fc.record({
      at: fc.nat(sample.length),
      cut: fc.nat(12),
      put: fc.constantFrom('', ...words, ...signs),
    });
    const text = damage.map(({ at, cut, put }) => sample.slice(0, at) + put + sample.slice(at + cut));
    fc.assert(fc.property(text, checkLaws), { numRuns: 80 });
  });
  it('a tree comes back (deep and long)', () => {
    const many = 4_000;
    for (const piece of ['(', '[', '{', '- ', 'not ', 'a.', 'a -> ', 'a + ', 'a { ', '}', ', ', '\n']) {
      checkLaws(`model m { v: ${piece.repeat(many)}`);
    }
  });
});

describe('for a sound file', () => {
  const { file } = parse(sample, 'sample.plan');
  it('names and strings have the spans of their text', () => {
    const named = spanned(file.items).filter(({ text }) => typeof text === 'string');
    expect(named.length).toBeGreaterThan(100);
    for (const { text, span } of named) expect(sample.slice(span.start, span.end)).toBe(text);
  });
  it('children lie inside their parents', () => {
    const check = (node: Spanned): void => {
      for (const inner of Object.values(node).flatMap(spanned)) {
        expect(inner.span.start).toBeGreaterThanOrEqual(node.span.start);
        expect(inner.span.end).toBeLessThanOrEqual(node.span.end);
      }
    };
    spanned(file.items).forEach(check);
  });
  it('an item parses alone to what it is in the file', () => {
    for (const item of file.items) {
      const alone = parse(sample.slice(item.span.start, item.span.end), 'sample.plan');
      expect(alone.errors).toEqual([]);
      const undocumented = (text: string): string => text.replace(/^\s*\/\/\/.*\n/gm, '');
      const inFile = printSyntax({ ...file, items: [item] });
      expect(undocumented(printSyntax(alone.file))).toBe(undocumented(inFile));
    }
  });
  it('dropping any one token never throws, and loses at most the items it touches', () => {
    const kindsOf = (text: string): number =>
      parse(text, 'x').file.items.filter((it) => it.kind !== 'unknown').length;
    const { tokens } = lex(sample);
    for (const [index, token] of tokens.entries()) {
      if (index % 7 !== 0 || token.image === '') continue;
      const text = sample.slice(0, token.startOffset) + sample.slice(token.endOffset! + 1);
      expect(kindsOf(text), `without \`${token.image}\` at ${token.startOffset}`).toBeGreaterThanOrEqual(
        file.items.length - 1,
      );
    }
  });
});
