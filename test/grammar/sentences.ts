/** Random sentences of the published grammar. */
import { alternatives, partsOf, productions, type Production } from '../../grammar/productions.js';
import * as t from '../../grammar/tokens.js';
import { seededRandom } from '../fixtures/random.js';

/** The published grammar. */
export const rules = productions();

export interface Draw {
  readonly choose: (count: number) => number;
  /** Below this depth a sentence ends as soon as it can. */
  readonly depth: number;
  /** A part to leave out: sentences go where it is until it has been left out once. */
  readonly cut?: { readonly part: Production; readonly distance: Distance; isDone: boolean };
}

/** How many rules lie between a production and the part looked for; infinite where it is not in there. */
export type Distance = (production: Production) => number;

/** How far a part is from each production. */
export function distanceTo(goal: Production): Distance {
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
export function sentence(production: Production, draw: Draw, depth = 0): string {
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

/** Before anything but a name, a number, `-` or `(`, the word `not` is a name itself. */
export const isOtherwiseRead = (text: string): boolean => /\bnot\s+[[{"]/.test(text);

/** The text of a random file that has no problems of syntax; undefined where the draw reads otherwise. */
export function randomFile(seed: number, depth: number): string | undefined {
  const text = sentence(rules.get('file')!, { choose: seededRandom(seed).below, depth });
  return isOtherwiseRead(text) ? undefined : text;
}
