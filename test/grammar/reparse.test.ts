/** Parsing again after an edit gives what parsing the whole text gives. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, type Parsed } from '../../grammar/parse.js';
import { reparse } from '../../grammar/reparse.js';

const SOURCES = [
  'plans/clerk.plan',
  'plans/pod.plan',
  'plans/std/aws.plan',
  'test/grammar/golden/everything.plan',
].map((path) => readFileSync(path, 'utf8'));

const PIECES = [
  ...['x', '8', ' ', '\n', ',', ':', '{', '}', '(', ')', '[', ']', '"', '/*', '*/', '// note\n', '/// doc\n'],
  ...[
    'mesh (tp: 2)',
    'stage more on gpu { mesh auto }',
    '\nplan more for m on t { }\n',
    'when',
    '->',
    '.',
    '%',
    'ä',
  ],
];

interface Edit {
  readonly at: number;
  readonly cut: number;
  readonly piece: string;
}

const edits = fc.array(
  fc.record({
    at: fc.nat(),
    cut: fc.constantFrom(0, 0, 0, 1, 1, 4, 20),
    piece: fc.constantFrom('', ...PIECES),
  }),
  { minLength: 1, maxLength: 6 },
);

/** One declaration of each kind. */
const DECLARATIONS = [
  'language 1',
  'import { l4 } from "std/devices"',
  'param n: int = 4 in [2, 4]',
  'device d { memory: 24 GB }',
  'topology box { gpu[2]: l4, link gpu <-> gpu { bandwidth: 1 GB/s } }',
  'model m { layers: 4 }',
  'workload w { requests: 4 }',
  'plan a for m on box { stage decode on gpu { mesh (tp: 2) } }',
  'plan b from a { memory_use: 80% }',
];

function apply(text: string, { at, cut, piece }: Edit): string {
  const start = at % (text.length + 1);
  return text.slice(0, start) + piece + text.slice(start + cut);
}

describe('reparse', () => {
  it('equals parse after every one of several edits', () => {
    fc.assert(
      fc.property(fc.constantFrom(...SOURCES), edits, (source, all) => {
        let text = source;
        let parsed: Parsed = parse(text, 'a.plan');
        for (const edit of all) {
          text = apply(text, edit);
          parsed = reparse(parsed, text);
          expect(parsed).toEqual(parse(text, 'a.plan'));
        }
      }),
      { numRuns: 60 },
    );
  });

  it.each(DECLARATIONS)('equals parse beside `%s`, wherever that is cut short', (declaration) => {
    for (let length = 1; length <= declaration.length; length++)
      for (const gap of ['\n', '\n\n', ' // note\n'])
        for (const ends of ['', '\nplan']) {
          const before = `${declaration.slice(0, length)}${gap}topology near { gpu[2]: l4 }${ends}`;
          const after = before.replace('near { gpu[2]', 'near { gpu[3]');
          expect(reparse(parse(before, 'a.plan'), after)).toEqual(parse(after, 'a.plan'));
        }
  });

  it.each([
    'import { l4 }',
    'import { l4 } from ',
    'import { l4 } "std/devices"',
    'plan a from b',
    'device d',
    '}',
  ])('keeps the problems of what stands before the edited declaration: %s', (head) => {
    const before = `${head}\n\ntopology box { gpu[2]: l4 }\n`;
    const after = before.replace('gpu[2]', 'gpu[3]');
    const whole = parse(after, 'a.plan');
    expect(whole.errors).not.toEqual([]);
    expect(reparse(parse(before, 'a.plan'), after)).toEqual(whole);
  });

  it('keeps the declarations before the edit, and parses only the one around it', () => {
    const text = SOURCES[0]!;
    const before = parse(text, 'a.plan');
    const at = text.indexOf('mesh (pp: 4)');
    const after = reparse(before, `${text.slice(0, at)}/* here */ ${text.slice(at)}`);
    const index = before.file.items.findIndex(({ span }) => span.start < at && at < span.end);
    expect(index).toBeGreaterThan(1);
    after.file.items.slice(0, index).forEach((item, i) => expect(item).toBe(before.file.items[i]));
    expect(after.file.items[index]).not.toBe(before.file.items[index]);
  });
});
