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
