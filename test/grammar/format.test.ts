/** The formatter: what it makes of examples, and its laws over a corpus and random white space and comments. */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPlan } from '../../grammar/format.js';
import { LINE_WIDTH } from '../../grammar/format/render.js';
import { lex } from '../../grammar/lex.js';
import { parse } from '../../grammar/parse.js';
import { printSyntax } from '../../grammar/print-syntax.js';
import { Comma, NewLine } from '../../grammar/tokens.js';
import { randomFile } from './sentences.js';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const corpus = [
  'test/grammar/golden/everything.plan',
  ...['plans/', 'plans/std/', 'plans/seesaw/'].flatMap((folder) =>
    readdirSync(new URL(folder, root))
      .filter((name) => name.endsWith('.plan'))
      .map((name) => folder + name),
  ),
];

function format(text: string): string {
  const formatted = formatPlan(text, 'x.plan');
  if (formatted.kind === 'broken')
    throw new Error(
      formatted.errors
        .map(
          ({ message, span }) =>
            `${message} at ${JSON.stringify(text.slice(span.start - 40, span.end + 40))}`,
        )
        .join(),
    );
  return formatted.text;
}

/** The tree without spans. */
function treeOf(text: string): string {
  return printSyntax(parse(text, 'x.plan').file);
}

/** Tokens without the separators of members, and comments, in order. */
function substance(text: string): string[] {
  const { tokens, comments } = lex(text);
  const words = tokens
    .filter(({ tokenType }) => tokenType !== NewLine && tokenType !== Comma)
    .map(({ startOffset, image }) => ({ at: startOffset, image }));
  const said = comments.map(({ span, text: image }) => ({ at: span.start, image }));
  return [...words, ...said].sort((a, b) => a.at - b.at).map(({ image }) => image);
}

/**
 * The text with other white space wherever that means the same: line ends that separate members stay line ends, and so
 * does what a comment stands on.
 */
function respaced(text: string, choose: (count: number) => number): string {
  const { tokens } = lex(text);
  const blanks = [' ', '  ', '\t', ' \n  '];
  let result = '';
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token.tokenType === NewLine) {
      result += ['\n', '\n\n\n   ', ' \n\t'][choose(3)]!;
      return;
    }
    result += token.image;
    if (next === undefined || next.tokenType === NewLine) return;
    const between = text.slice(token.endOffset! + 1, next.startOffset);
    const wasBroken = between.includes('\n');
    // A number and its unit stand on one line, and a line end may part members where there was none.
    result += wasBroken ? blanks[3] : between === '' ? '' : blanks[choose(3)]!;
  });
  return result;
}

describe('formatPlan', () => {
  it.each(['\r\n', '\r', '\n'])(
    'ends lines with a line feed where they end with %j, also in comments',
    (end) => {
      const lines = [
        '// said to the end \t',
        '/* over',
        '   lines  */',
        'param a: int = 1 // and here  ',
        '',
      ];
      expect(format(lines.join(end))).toBe(
        '// said to the end\n/* over\n   lines  */\nparam a: int = 1 // and here\n',
      );
    },
  );

  it('lays out every construct as before', async () => {
    await expect(format(read('test/grammar/golden/everything.plan'))).toMatchFileSnapshot(
      './golden/everything.formatted.plan',
    );
  });

  it.each([
    ['model   m{source :"a",weights:f32}', 'model m { source: "a", weights: f32 }\n'],
    ['model m {\n  source: "a"\n}', 'model m { source: "a" }\n'],
    [
      'model m {\n  source: "a", // where\n  weights: f32\n}',
      'model m {\n  source: "a" // where\n  weights: f32\n}\n',
    ],
    ['param n:int=-2 in[-2,1*(3+4)]', 'param n: int = -2 in [-2, 1 * (3 + 4)]\n'],
    ['device d { }', 'device d {}\n'],
    ['device d { // nothing yet\n}', 'device d { // nothing yet\n}\n'],
    ['device d {\n\n  // nothing\n\n  // yet\n}', 'device d {\n  // nothing\n\n  // yet\n}\n'],
    [
      '// head\n\n\n/// doc\nmodel m { source: "a" } // tail',
      '// head\n\n/// doc\nmodel m { source: "a" } // tail\n',
    ],
    [
      'language 1\n\nimport { a } from "std/x"\nmodel m { source: "a" }',
      'language 1\nimport { a } from "std/x"\n\nmodel m { source: "a" }\n',
    ],
    [
      'plan p from q { stage s on gpu [ 0 .. 1 ] { mesh ( tp : 2 ) } }',
      'plan p from q { stage s on gpu[0..1] { mesh (tp: 2) } }\n',
    ],
    // Comments on both sides of a comma that begins a line: the first has ended the line of the member.
    [
      'device d { c: { f16: 1 // a\n, // b\nf32: 1 } }',
      'device d {\n  c: {\n    f16: 1 // a\n    // b\n    f32: 1\n  }\n}\n',
    ],
    ['device d { b: 1 // a\n, /* b */ }', 'device d {\n  b: 1 // a\n  /* b */\n}\n'],
    ['device d { b: 1 /* a */, // b\n }', 'device d {\n  b: 1 /* a */ // b\n}\n'],
    // A word alone on its line is a value, also before a property.
    ['device d { g: // why\nx, b: 1 }', 'device d {\n  g: // why\n    x\n  b: 1\n}\n'],
    // A flow without rules, with a property behind it that stands deeper than the line it began on.
    [
      'plan p from q { flow a -> b\n      memory_use: 80% }',
      'plan p from q {\n  flow a -> b\n  memory_use: 80%\n}\n',
    ],
    ['', ''],
    ['// alone', '// alone\n'],
    // Line ends of every kind.
    ['// a\r//b\r\rlanguage 1\r', '// a\n//b\n\nlanguage 1\n'],
    ['// a\r\n//b\r\n\r\nlanguage 1\r\n', '// a\n//b\n\nlanguage 1\n'],
  ])('%j', (text, expected) => {
    expect(format(text)).toBe(expected);
  });

  it('breaks a block that is too long for a line', () => {
    const value = 'x'.repeat(LINE_WIDTH - 'model m { source: "", weights: f32 }'.length);
    expect(format(`model m { source: "${value}", weights: f32 }`).split('\n')).toHaveLength(2);
    expect(format(`model m { source: "${value}x", weights: f32 }`).split('\n')).toHaveLength(5);
  });

  it('leaves a file with errors alone', () => {
    const formatted = formatPlan('model m { source: "a', 'x.plan');
    expect(formatted.kind).toBe('broken');
  });

  it.each(corpus.filter((path) => path.startsWith('plans/')))('has been over %s', (path) => {
    expect(format(read(path))).toBe(read(path));
  });

  describe.each(corpus)('%s', (path) => {
    const text = read(path);
    const once = format(text);

    it('is the same file afterwards, and formatted again the same text', () => {
      expect(substance(once)).toEqual(substance(text));
      expect(treeOf(once)).toBe(treeOf(text));
      expect(format(once)).toBe(once);
      for (const line of once.split('\n')) expect(line).toBe(line.trimEnd());
    });

    it('does not hang on white space', () => {
      const bare = text
        .replace(/^\s*\/\/.*\n/gm, '')
        .replace(/\s*\/\/.*$/gm, '')
        .replace(/\/\*.*?\*\//gs, '');
      const expected = format(bare);
      fc.assert(
        fc.property(fc.infiniteStream(fc.nat(1000)), (stream) => {
          const choices = stream[Symbol.iterator]();
          const choose = (count: number): number => (choices.next().value as number) % count;
          expect(format(respaced(bare, choose))).toBe(expected);
        }),
        { numRuns: 5 },
      );
    });

    it('loses no comment, wherever one stands', () => {
      const { tokens } = lex(text);
      const offsets = tokens.filter(({ image }) => image !== '').map(({ startOffset }) => startOffset);
      let kept = 0;
      // Of long files every so many boundaries only.
      const stride = 2 * Math.floor(offsets.length / 300) + 1;
      const boundaries = [...offsets, text.length].filter((_, index) => index % stride === 0);
      for (const [index, offset] of boundaries.entries()) {
        const comment = [' /* here */ ', ' // here\n', '\n/// here\n', '\n/* two\n lines */\n'][index % 4]!;
        const commented = text.slice(0, offset) + comment + text.slice(offset);
        const formatted = formatPlan(commented, 'x.plan');
        // A line end where none may be, or a comment between a number and its unit, makes another file.
        if (formatted.kind === 'broken') continue;
        kept++;
        expect(substance(formatted.text)).toEqual(substance(commented));
        expect(treeOf(formatted.text)).toBe(treeOf(commented));
        expect(format(formatted.text)).toBe(formatted.text);
      }
      expect(kept).toBeGreaterThan(boundaries.length / 2);
    });
  });
});

describe('any file of the grammar', () => {
  /** Random files, the longer ones left out. */
  const files = fc
    .nat()
    .map((seed) => randomFile(seed, 8))
    .filter((text): text is string => text !== undefined && text.length < 3000);

  it('is the same file once it is formatted, and formatted again the same text', () => {
    fc.assert(
      fc.property(files, (text) => {
        const once = format(text);
        expect(substance(once)).toEqual(substance(text));
        expect(treeOf(once)).toBe(treeOf(text));
        expect(format(once)).toBe(once);
      }),
      { numRuns: 200 },
    );
  });

  it('does not hang on white space', () => {
    fc.assert(
      fc.property(files, fc.infiniteStream(fc.nat(1000)), (text, stream) => {
        const choices = stream[Symbol.iterator]();
        const choose = (count: number): number => (choices.next().value as number) % count;
        expect(format(respaced(text, choose))).toBe(format(text));
      }),
      { numRuns: 100 },
    );
  });

  it('loses no comment, wherever one stands', () => {
    const COMMENTS = [' /* here */ ', ' // here\n', '\n/// here\n', '\n/* two\n lines */\n'];
    fc.assert(
      fc.property(files, fc.constantFrom(...COMMENTS), (text, comment) => {
        fc.pre(text.length < 400);
        const { tokens } = lex(text);
        for (const offset of [...tokens.map(({ startOffset }) => startOffset), text.length]) {
          const commented = text.slice(0, offset) + comment + text.slice(offset);
          const formatted = formatPlan(commented, 'x.plan');
          // A line end where none may be makes another file.
          if (formatted.kind === 'broken') continue;
          expect(substance(formatted.text)).toEqual(substance(commented));
          expect(treeOf(formatted.text)).toBe(treeOf(commented));
          expect(format(formatted.text)).toBe(formatted.text);
        }
      }),
      { numRuns: 60 },
    );
  });
});
