/** Random JSON schemas that answers can be held to, and walks through their grammars. */
import fc from 'fast-check';
import type { TokenConstraint } from '../../../runtime/sampling/constraint.js';
import type { TextTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import type { Random } from '../../fixtures/random.js';

export type Schema = Readonly<Record<string, unknown>>;

const name = fc.oneof(
  fc.stringMatching(/^[a-z]{1,5}$/),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }).filter((text) => isPlain(text)),
);

/** Without characters that JSON escapes; `__proto__` is no name to a validator written in JavaScript. */
function isPlain(text: string): boolean {
  return JSON.stringify(text) === `"${text}"` && text !== '__proto__';
}

const whole = fc.oneof(fc.integer({ min: -30, max: 30 }), fc.maxSafeInteger());

const BOUNDS = ['minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum'] as const;

/** At most one bound of each side; where there are both, three numbers are left at least. */
const integer = fc
  .record({ ends: fc.tuple(whole, whole), low: fc.nat({ max: 2 }), high: fc.nat({ max: 2 }) })
  .map(({ ends, low, high }) => {
    const [from, to] = [Math.min(...ends), Math.min(Math.max(...ends) + 3, Number.MAX_SAFE_INTEGER)];
    return {
      type: 'integer',
      ...(low === 2 ? {} : { [BOUNDS[low]!]: from }),
      ...(high === 2 ? {} : { [BOUNDS[2 + high]!]: to }),
    };
  });

const string = fc.record(
  {
    type: fc.constant('string'),
    minLength: fc.integer({ min: 0, max: 1 }),
    maxLength: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(200)),
  },
  { requiredKeys: ['type'] },
);

const value = fc
  .jsonValue({ maxDepth: 1, stringUnit: 'binary' })
  .filter((json) => !JSON.stringify(json).includes('__proto__'));

const leaf: fc.Arbitrary<Schema> = fc.oneof(
  integer,
  string,
  fc.constantFrom(
    { type: 'number' },
    { type: 'boolean' },
    { type: 'null' },
    { type: ['string', 'null'], maxLength: 3 },
  ),
  fc.array(value, { minLength: 1, maxLength: 3 }).map((values) => ({ enum: values })),
  value.map((only) => ({ const: only })),
  fc.constantFrom({ $ref: '#/$defs/leaf' }, { $ref: '#/$defs/list' }),
);

/** Schemas whose references are to `$defs` of `withDefinitions`. */
const inner = fc.letrec<{ schema: Schema; object: Schema; array: Schema }>((tie) => ({
  schema: fc.oneof({ maxDepth: 3, depthSize: 'small' }, leaf, tie('object'), tie('array'), {
    arbitrary: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf): Schema => ({ anyOf })),
    weight: 1,
  }),
  object: fc.oneof(
    fc
      .record({
        properties: fc.dictionary(name, tie('schema'), { maxKeys: 4 }),
        optional: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        additional: fc.constantFrom(undefined, false),
      })
      .map(({ properties, optional, additional }) => ({
        type: 'object',
        properties,
        required: Object.keys(properties).filter((_, i) => !optional[i]),
        ...(additional === undefined ? {} : { additionalProperties: additional }),
      })),
    tie('schema').map((additionalProperties) => ({ type: 'object', additionalProperties })),
    fc.constantFrom({ type: 'object' }, { type: 'object', additionalProperties: true }),
  ),
  array: fc
    .record({
      items: fc.option(tie('schema'), { nil: undefined }),
      counts: fc.tuple(fc.option(fc.integer({ min: 0, max: 3 })), fc.option(fc.integer({ min: 0, max: 3 }))),
    })
    .map(({ items, counts: [a, b] }) => {
      const [least, most] = a !== null && b !== null && a > b ? [b, a] : [a, b];
      return {
        type: 'array',
        ...(items === undefined ? {} : { items }),
        ...(least === null ? {} : { minItems: least }),
        ...(most === null ? {} : { maxItems: most }),
      };
    }),
})).schema;

/** Any schema of the kind that is accepted; references of it end in themselves. */
export const schemas: fc.Arbitrary<Schema> = inner.map((schema) => ({
  ...schema,
  $defs: {
    leaf: { type: 'string', maxLength: 2, title: 'A leaf' },
    list: {
      type: 'object',
      properties: {
        head: { $ref: '#/$defs/leaf' },
        tail: { anyOf: [{ $ref: '#/$defs/list' }, { type: 'null' }] },
      },
      required: ['head', 'tail'],
    },
  },
}));

/** Texts of tokens that bring a JSON text to its end soonest, the best first. */
const CLOSERS = ['"', '}', ']', 'null', 'n', 't', '0', '1'];

/**
 * Goes on with tokens that the constraint allows, at random for so many and then towards the end. Gives the ids of a
 * complete answer, its end token left out; undefined when there is none after a thousand.
 */
export function walk(
  constraint: TokenConstraint,
  tokenizer: TextTokenizer,
  endId: number,
  random: Random,
  wandering: number,
): readonly number[] | undefined {
  const ids: number[] = [];
  const closers = CLOSERS.flatMap((text) => tokenizer.encode(text, false).slice(0, 1));
  while (ids.length < 1000) {
    const mask = constraint.mask();
    const allowed = (id: number): boolean => ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1;
    const choices = Array.from({ length: mask.length * 32 }, (_, id) => id).filter(allowed);
    if (choices.length === 0) throw new Error('no token may come');
    const soonest = [endId, ...closers].find(allowed);
    const hurries = ids.length >= wandering && soonest !== undefined;
    const id = hurries ? soonest : choices[random.below(choices.length)]!;
    const after = constraint.accept(id);
    if (after === 'stuck') throw new Error(`token ${id} was allowed and may not come`);
    if (id !== endId) ids.push(id);
    if (after === 'complete') return ids;
  }
  return undefined;
}

/** A text that a schema of `schemas` allows, written as a model might: properties in order, spaces or none. */
export function textOf(schema: Schema, random: Random, depth = 0): string {
  const coin = (): boolean => random.below(2) === 0;
  const pick = <T>(options: readonly T[]): T => options[random.below(options.length)]!;
  const inside = (inner: unknown): string => textOf(inner as Schema, random, depth + 1);
  const joined = (parts: readonly string[]): string => parts.join(coin() ? ', ' : ',');
  const pair = (key: string, value: unknown): string =>
    `${JSON.stringify(key)}${coin() ? ': ' : ':'}${inside(value)}`;
  if (schema['$ref'] === '#/$defs/leaf') return pick(['""', '"é"', '"\\n\u{1f600}"']);
  if (schema['$ref'] === '#/$defs/list') {
    const tail = depth < 6 && coin() ? inside({ $ref: '#/$defs/list' }) : 'null';
    return `{"head":${inside({ $ref: '#/$defs/leaf' })}, "tail": ${tail}}`;
  }
  if ('anyOf' in schema) return inside(pick(schema['anyOf'] as readonly Schema[]));
  if ('enum' in schema) return JSON.stringify(pick(schema['enum'] as readonly unknown[]));
  if ('const' in schema) return JSON.stringify(schema['const']);
  const type = Array.isArray(schema['type']) ? pick(schema['type'] as readonly unknown[]) : schema['type'];
  switch (type) {
    case undefined:
      return depth > 6 ? '{}' : pick(['[true,{"a": null}]', '{"":[]}', '-1.5e+3', '"\\u00e9"', 'false']);
    case 'integer':
      return String(wholeOf(schema as Readonly<Record<string, number>>, random));
    case 'number':
      return pick(['0', '-0', '12.050', '1e-9', '-3.25E+7', '123456789012345']);
    case 'string': {
      const [least, most] = [Number(schema['minLength'] ?? 0), Number(schema['maxLength'] ?? 9)];
      const length = least + random.below(Math.min(most, 30) - least + 1);
      return JSON.stringify(
        Array.from({ length }, () => pick(['a', '"', '\\', '\u0007', 'ß', '漢', '🎈'])).join(''),
      );
    }
    case 'array': {
      const [least, most] = [Number(schema['minItems'] ?? 0), Number(schema['maxItems'] ?? 4)];
      const length = least + random.below(Math.max(least, most) - least + 1);
      return `[${joined(Array.from({ length }, () => inside(schema['items'] ?? {})))}]`;
    }
    case 'object': {
      const properties = Object.entries((schema['properties'] ?? {}) as Readonly<Record<string, Schema>>);
      const required = (schema['required'] ?? []) as readonly string[];
      const more = schema['additionalProperties'];
      const free = properties.length === 0 && more !== false;
      const members = free
        ? Array.from({ length: random.below(3) }, (_, i) =>
            pair(`k"${i}`, typeof more === 'object' ? more : {}),
          )
        : properties
            .filter(([key]) => required.includes(key) || coin())
            .map(([key, value]) => pair(key, value));
      return `{${joined(members)}}`;
    }
    default:
      return type === 'boolean' ? pick(['true', 'false']) : 'null';
  }
}

/** A whole number within the bounds of a schema, often one of them. */
function wholeOf(schema: Readonly<Partial<Record<string, number>>>, random: Random): number {
  const least = schema['minimum'] ?? (schema['exclusiveMinimum'] ?? Number.MIN_SAFE_INTEGER - 1) + 1;
  const most = schema['maximum'] ?? (schema['exclusiveMaximum'] ?? Number.MAX_SAFE_INTEGER + 1) - 1;
  const near = [least, most, 0, least + random.below(1000), most - random.below(1000)];
  const within = near.filter((value) => value >= least && value <= most);
  return within[random.below(within.length)]!;
}
