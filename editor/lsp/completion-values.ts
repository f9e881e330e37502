/** Completions of values: units behind numbers, words, and params of a type that the place takes. */
import { CompletionItemKind } from 'vscode-languageserver/node.js';
import { PARAM_TYPES, type ParamType } from '../../compiler/check/param-types.js';
import { DIMENSION_WORDS, UNITS, type Dimension } from '../../compiler/check/units.js';
import { WORDS } from '../../grammar/reference-words.js';
import { BYTES, FLOPS, RATES, TIMES } from '../../grammar/reference.js';
import { devices, lowerTiers, named, type Asked } from './completion-names.js';
import { keywords, notGiven, propertyTable, units, words, type Items } from './completion-words.js';

/** Units by what they measure, the usual ones first. */
const UNITS_OF: Readonly<Record<Dimension, readonly string[]>> = {
  number: [],
  bytes: BYTES,
  seconds: TIMES,
  'bytes/s': RATES,
  'flop/s': FLOPS,
  tokens: ['tokens'],
  requests: ['requests'],
  fraction: ['%'],
};

/** Dimensions that a bare number can be of: a param without a unit is as good. */
const BARE: ReadonlySet<Dimension> = new Set<Dimension>(['tokens', 'requests', 'fraction']);

export function isNumber(word: string | undefined): boolean {
  return word !== undefined && /^\d/.test(word);
}

/** Params that are of a type that `fits`. */
function params(asked: Asked, fits: (type: ParamType) => boolean): Items {
  return named(asked, 'param', ({ node }) => {
    const type = node.kind === 'param' ? PARAM_TYPES.get(node.type.text) : undefined;
    return type === undefined || fits(type);
  });
}

/** Params that can be a quantity. */
export function quantityParams(asked: Asked, dimension: Dimension): Items {
  return params(
    asked,
    (type) =>
      type.kind === 'number' &&
      (type.dimension === dimension || (type.dimension === 'number' && BARE.has(dimension))),
  );
}

/** What an operand may follow. */
const BEFORE_OPERAND = new Set<string | undefined>([undefined, '+', '-', '*', '/', '(', ',', ':']);

/** A quantity: params where an operand may begin, units behind a number. */
export function quantity(asked: Asked, last: string | undefined, dimension: Dimension): Items {
  if (last === '*' || last === '/')
    return params(
      asked,
      (type) => type.kind === 'number' && (type.dimension === dimension || type.dimension === 'number'),
    );
  if (BEFORE_OPERAND.has(last)) return quantityParams(asked, dimension);
  return isNumber(last) ? units(UNITS_OF[dimension]) : [];
}

/** What units measure; without any, plain numbers. */
function dimensionOf([unit]: readonly string[]): Dimension {
  return (unit === undefined ? undefined : UNITS.get(unit)?.dimension) ?? 'number';
}

function enumMembers(labels: readonly string[]): Items {
  return labels.map((label) => ({ label, kind: CompletionItemKind.EnumMember }));
}

const TRUTHS = enumMembers(['true', 'false']);

/** The value of a property, `written` of it being there. */
export function completeValue(
  asked: Asked,
  place: string,
  property: string,
  written: readonly string[],
): Items {
  const value = propertyTable(place)[property]?.value;
  const last = written.at(-1);
  if (value === undefined) return [];
  if (value.kind === 'tiers') return completeTiers(asked, written);
  if (last !== undefined)
    return value.kind === 'quantity'
      ? quantity(asked, last, dimensionOf(value.units))
      : value.kind === 'length'
        ? quantity(asked, last, 'tokens')
        : [];
  const example: Items =
    'example' in value
      ? [{ label: value.example, kind: CompletionItemKind.Value, detail: 'for example' }]
      : [];
  switch (value.kind) {
    case 'words':
      return [...enumMembers(value.words), ...params(asked, ({ kind }) => kind === 'name')];
    case 'truth':
      return [...TRUTHS, ...params(asked, ({ kind }) => kind === 'bool')];
    case 'text':
      return [...params(asked, ({ kind }) => kind === 'string'), ...example];
    case 'length':
      return [...words(WORDS.distributions), ...quantityParams(asked, 'tokens'), ...example];
    case 'requests':
      return [...quantityParams(asked, 'requests'), ...example];
    case 'number':
      return [...quantityParams(asked, 'number'), ...example];
    case 'quantity':
      return [...quantityParams(asked, dimensionOf(value.units)), ...example];
    case 'record':
      return example;
  }
}

/** The chain of tiers: devices first, then what lies below them, which can be capped. */
function completeTiers(asked: Asked, written: readonly string[]): Items {
  const last = written.at(-1);
  const isFirst = !written.includes('->');
  if (last === undefined || last === '->' || last === '.')
    return isFirst ? devices(asked) : lowerTiers(asked).filter(({ label }) => !written.includes(label));
  if (last === 'up') return keywords({ to: 'Caps the tier: `up to 400 GiB`.' });
  const cap = written.slice(written.lastIndexOf('->') + 1).indexOf('up');
  if (cap >= 0) return quantity(asked, last === 'to' ? undefined : last, 'bytes');
  return isFirst ? [] : keywords({ up: 'Caps the tier: `up to 400 GiB`.' });
}

/** A key or a value of the record that a property of a block of this kind is. */
export function completeRecord(asked: Asked, place: string, property: string): Items {
  const value = propertyTable(place)[property]?.value;
  if (value?.kind !== 'record') return [];
  const { before, beside } = asked.position;
  if (before.length === 0)
    return notGiven(
      value.keys.map((label) => ({
        label,
        kind: CompletionItemKind.Property,
        insertText: `${label}: `,
      })),
      beside,
    );
  const last = before.at(-1);
  return quantity(asked, last === ':' ? undefined : last, dimensionOf(value.units));
}

const TYPE_TEXTS = {
  string: 'A text in quotes.',
  bool: '`true` or `false`.',
  name: 'A word that a property takes.',
} as const;

/** What a param of a type holds. */
function typeText(type: ParamType): string {
  if (type.kind !== 'number') return TYPE_TEXTS[type.kind];
  if (type.dimension === 'number') return type.whole ? 'A whole number.' : 'A number without a unit.';
  const words = DIMENSION_WORDS[type.dimension];
  return `${words[0]!.toUpperCase()}${words.slice(1)}.`;
}

/** A param behind its name: its type, then a value of that, then the word before the values that it may take. */
export function completeParam({ position: { before } }: Asked): Items {
  const last = before.at(-1);
  if (last === ':')
    return [...PARAM_TYPES].map(([label, type]) => ({
      label,
      kind: CompletionItemKind.TypeParameter,
      documentation: typeText(type),
    }));
  const equals = before.indexOf('=');
  if (equals < 0) return [];
  const type = PARAM_TYPES.get(before[equals - 1]!);
  if (last === '=') return type?.kind === 'bool' ? TRUTHS : [];
  const domain = before.includes('in') ? [] : keywords({ in: 'The values that it may take.' });
  return [...unitsOf(type, last), ...domain];
}

/** A value that a param may take, in the list of those. */
export function completeDomain({ position: { before } }: Asked, head: readonly string[]): Items {
  const type = PARAM_TYPES.get(head[head.indexOf('=') - 1] ?? '');
  return before.length === 0 && type?.kind === 'bool' ? TRUTHS : unitsOf(type, before.at(-1));
}

/** Units of a number of the type. */
function unitsOf(type: ParamType | undefined, last: string | undefined): Items {
  return type?.kind === 'number' && isNumber(last) ? units(UNITS_OF[type.dimension]) : [];
}
