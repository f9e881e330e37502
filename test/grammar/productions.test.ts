/** The published grammar against the parser: it says no more and no less than what a file may hold. */
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/parse.js';
import { partsOf, tokenText, type Production } from '../../grammar/productions.js';
import { seededRandom } from '../fixtures/random.js';
import { distanceTo, randomFile, rules, sentence } from './sentences.js';

/** Parts that no sentence of a rule may lack. */
function requiredParts(production: Production): readonly Production[] {
  const parts = partsOf(production);
  const required =
    production.kind === 'sequence'
      ? parts.filter(({ kind }) => kind === 'token' || kind === 'rule' || kind === 'choice')
      : [];
  return [...required, ...parts.flatMap(requiredParts)];
}

/** Parts without which the rest is another sentence: an empty list, the name `not`, a plain name, a group, a bound. */
const SOUND_WITHOUT = new Set([
  ...[
    'importName name',
    'value link',
    'parens a choice',
    'boundItem expression',
    'dims name',
    'meshMember meshEntries',
  ],
  ...['term atom', 'reference name', 'reference args', 'tierDecl "tier"', 'neverItem "never"'],
]);

const partName = (part: Production): string => {
  if (part.kind === 'rule') return part.name;
  return part.kind === 'token' ? tokenText(part) : 'a choice';
};

const required = [...rules].flatMap(([name, production]) =>
  requiredParts(production)
    .filter((part) => !SOUND_WITHOUT.has(`${name} ${partName(part)}`))
    .map((part) => ({ name, part, called: partName(part) })),
);

describe('the published grammar', () => {
  it('generates only files without syntax problems', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const text = randomFile(seed, 12);
        fc.pre(text !== undefined);
        const { errors } = parse(text, 'test.plan');
        expect(errors.map((error) => `${error.code} ${error.message} in ${text}`)).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it.each(required)('misses $called in $name when it is left out', ({ part }) => {
    const distance = distanceTo(part);
    const texts: string[] = [];
    const missed = [1, 2, 3, 4, 5].filter((seed) => {
      const cut = { part, distance, isDone: false };
      const text = sentence(rules.get('file')!, { choose: seededRandom(seed).below, depth: 2, cut });
      expect(cut.isDone).toBe(true);
      texts.push(text);
      return parse(text, 'test.plan').errors.length > 0;
    });
    expect(missed, texts.join('\n')).not.toEqual([]);
  });
});

describe('docs/grammar.md', () => {
  it('shows these rules', () => {
    const checked = spawnSync(process.execPath, ['scripts/generate-grammar.mjs', '--check'], {
      encoding: 'utf8',
    });
    expect(checked).toMatchObject({ status: 0, stderr: '' });
  });
});
