/** The published grammar against the parser: it says no more and no less than what a file may hold. */
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/parse.js';
import { alternatives, partsOf, productions, tokenText, type Production } from '../../grammar/productions.js';
import { seededRandom } from '../fixtures/random.js';
import * as t from '../../grammar/tokens.js';

const rules = productions();

interface Draw {
  readonly choose: (count: number) => number;
  /** Below this depth a sentence ends as soon as it can. */
  readonly depth: number;
  /** A part to leave out: sentences go where it is until it has been left out once. */
  readonly cut?: { readonly part: Production; readonly distance: Distance; isDone: boolean };
}

/** How many rules lie between a production and the part looked for; infinite where it is not in there. */
type Distance = (production: Production) => number;

function distanceTo(goal: Production): Distance {
  return leastRules((production, distance) => {
    if (production === goal) return 0;
    if (production.kind === 'token') return Infinity;
    return Math.min(...partsOf(production).map(distance));
  });
}

/** Fewest rules that a sentence of a production needs. */
const height = leastRules((production, heightOf) => {
  if (production.kind === 'sequence') return Math.max(0, ...production.parts.map(heightOf));
  if (production.kind === 'choice') return Math.min(...production.parts.map(heightOf));
  return production.kind === 'rule' ? Infinity : 0;
});

/** Counts rules from a production inwards; `measure` says how what is not a rule follows from its parts. */
function leastRules(measure: (production: Production, inner: Distance) => number): Distance {
  const byRule = new Map<string, number>();
  const count: Distance = (production) => {
    const whole = measure(production, count);
    return production.kind === 'rule'
      ? Math.min(whole, 1 + (byRule.get(production.name) ?? Infinity))
      : whole;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const [name, production] of rules) {
      const found = count(production);
      if (found < (byRule.get(name) ?? Infinity)) {
        byRule.set(name, found);
        changed = true;
      }
    }
  }
  return count;
}

/** A random sentence of a production as text. */
function sentence(production: Production, draw: Draw, depth = 0): string {
  const { choose, cut } = draw;
  if (production === cut?.part) {
    cut.isDone = true;
    return '';
  }
  const inner = (part: Production): string => sentence(part, draw, depth + 1);
  const deep = depth > draw.depth;
  const leads = (part: Production): boolean => cut?.isDone === false && cut.distance(part) < Infinity;
  const times = (part: Production, least: number): number =>
    Math.max(leads(part) ? 1 : 0, deep ? least : least + choose(3));
  switch (production.kind) {
    case 'token':
      return production.literal ?? word(production.type, draw);
    case 'rule':
      return inner(rules.get(production.name)!);
    case 'sequence':
      return sequenceText(production.parts, draw, depth);
    case 'choice': {
      const { parts } = production;
      if (leads(production)) return inner(nearest(parts, cut!.distance));
      return inner(deep ? nearest(parts, height) : parts[choose(parts.length)]!);
    }
    case 'optional':
      return leads(production.part) || (!deep && choose(2) === 0) ? inner(production.part) : '';
    case 'repeat':
      return Array.from({ length: times(production.part, production.least) }, () =>
        inner(production.part),
      ).join(' ');
    case 'list': {
      const separators = production.by === 'comma' ? [', '] : [', ', '\n'];
      const items = Array.from({ length: times(production.item, production.least) }, () =>
        inner(production.item),
      );
      if (items.length === 0) return '';
      return items.reduce((text, item) => text + separators[choose(separators.length)]! + item);
    }
  }
}

/** Only the part nearest to the one looked for is searched: others may lead there in circles. */
function sequenceText(parts: readonly Production[], draw: Draw, depth: number): string {
  const { cut, ...aimless } = draw;
  const way = cut?.isDone === false ? nearest(parts, cut.distance) : undefined;
  return parts.map((part) => sentence(part, part === way ? draw : aimless, depth + 1)).join(' ');
}

function nearest(parts: readonly Production[], measure: Distance): Production {
  return parts.reduce((best, part) => (measure(part) <= measure(best) ? part : best));
}

function word(type: (typeof t.allTokens)[number], draw: Draw): string {
  const names = ['alpha', 'beta', 'gamma_2', 'Delta'];
  if (type === t.Name || type === t.Identifier) return names[draw.choose(names.length)]!;
  if (type === t.NumberToken) return ['4', '0.8', '1_000', '2e3'][draw.choose(4)]!;
  if (type === t.StringToken) return ['"a"', '"b \\"c\\""'][draw.choose(2)]!;
  if (type === t.Unit) return ['GiB', 'GB/s', 'tokens'][draw.choose(3)]!;
  const texts = alternatives(type);
  return texts[draw.choose(texts.length)]!;
}

/** Parts that no sentence of a rule may lack. */
function requiredParts(production: Production): readonly Production[] {
  const parts = partsOf(production);
  const required =
    production.kind === 'sequence'
      ? parts.filter(({ kind }) => kind === 'token' || kind === 'rule' || kind === 'choice')
      : [];
  return [...required, ...parts.flatMap(requiredParts)];
}

/** Before anything but a name, a number, `-` or `(`, the word `not` is a name itself. */
const isOtherwiseRead = (text: string): boolean => /\bnot\s+[[{"]/.test(text);

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
        const text = sentence(rules.get('file')!, { choose: seededRandom(seed).below, depth: 12 });
        fc.pre(!isOtherwiseRead(text));
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
