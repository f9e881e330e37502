import { describe, expect, it } from 'vitest';
import { readSchema } from '../../../runtime/structured/schema.js';

const person = { type: 'object', properties: { name: { type: 'string' } } };

/** An object with a `next`. */
const node = (next: object, required: readonly string[] = []): object => ({
  type: 'object',
  properties: { next },
  required,
});

describe('schemas that answers cannot be held to', () => {
  it.each([
    [true, '', 'it must be an object'],
    [
      { type: 'any' },
      '/type',
      '"any" is no type; types are object, array, string, integer, number, boolean, null',
    ],
    [{ type: [] }, '/type', 'it must not be empty'],
    [{ properties: {} }, '', '`properties` needs a `type` beside it'],
    [{ type: 'string', pattern: 'a+' }, '', '`pattern` is not supported here'],
    [{ type: 'number', minimum: 0 }, '', '`minimum` is not supported here'],
    [{ type: ['integer', 'number'], maximum: 3 }, '', '`maximum` is not supported here'],
    [{ type: 'array', uniqueItems: true }, '', '`uniqueItems` is not supported here'],
    [{ type: 'array', items: { oneOf: [{}] } }, '/items', '`oneOf` is not supported here'],
    [{ type: 'array', items: false }, '/items', 'it must be an object'],
    [{ type: 'array', minItems: 3, maxItems: 2 }, '/minItems', 'it is above `maxItems`'],
    [{ type: 'string', maxLength: -1 }, '/maxLength', 'it must be a whole number from 0'],
    [{ type: 'integer', minimum: '3' }, '/minimum', 'it must be a number'],
    [{ type: 'integer', exclusiveMinimum: 3, maximum: 3 }, '', /leave no whole number/],
    [{ ...person, required: ['age'] }, '/required', '"age" is not among the `properties`'],
    [{ ...person, additionalProperties: {} }, '/additionalProperties', /only without `properties`/],
    [{ ...person, additionalProperties: 3 }, '/additionalProperties', 'it must be true, false or a schema'],
    [
      { type: 'object', properties: { 'a/b~': { not: {} } } },
      '/properties/a~1b~0',
      '`not` is not supported here',
    ],
    [{ enum: [] }, '/enum', 'it must not be empty'],
    [{ enum: 3 }, '/enum', 'it must be a list'],
    [{ enum: ['a', 1], type: 'string' }, '/enum', 'a value is not of the `type`'],
    [{ const: [Infinity] }, '/const', /beyond what an f64 can hold/],
    [{ allOf: [{}, {}] }, '/allOf', 'more than one schema is not supported'],
    [{ anyOf: [{}], type: 'string' }, '', '`type` is not supported here'],
    [{ $ref: '#/$defs/none' }, '/$ref', /an entry that is there/],
    [{ $ref: 'https://example.org/a.json' }, '/$ref', /an entry that is there/],
    [{ type: 'array', items: { $defs: {} } }, '/items', '`$defs` is not supported here'],
    [
      { $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#/$defs/b' }] }, b: { $ref: '#/$defs/a' } } },
      '/$defs/a',
      'it is nothing but itself',
    ],
    [
      { $ref: '#/$defs/a', $defs: { a: node({ $ref: '#/$defs/a' }, ['next']) } },
      '/$defs/a',
      'no text of it ends: it always needs another',
    ],
    [
      {
        type: ['array', 'object'],
        items: { anyOf: [{ type: 'object', additionalProperties: { $ref: '#/definitions/a' } }] },
        definitions: {
          leaf: { const: 1 },
          a: { type: 'array', items: { $ref: '#/definitions/b' }, minItems: 1 },
          b: { anyOf: [{ $ref: '#/definitions/a' }, node({ $ref: '#/definitions/b' }, ['next'])] },
        },
      },
      '/definitions/a',
      /no text of it ends/,
    ],
    [{ description: 'x'.repeat(50_000) }, '', /50018 characters, 50000 at most/],
  ])('%j', (schema, at, why) => {
    const answer = readSchema(schema);
    expect(answer).toMatchObject({ kind: 'refused', at });
    if (answer.kind === 'refused')
      expect(answer.why).toEqual(typeof why === 'string' ? why : expect.stringMatching(why));
  });

  it.each([
    ['may be left out', node({ $ref: '#/$defs/a' })],
    ['may be another value', node({ anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }] }, ['next'])],
    ['may be none of a list', node({ type: 'array', items: { $ref: '#/$defs/a' } }, ['next'])],
    ['may be none of a map', node({ type: 'object', additionalProperties: { $ref: '#/$defs/a' } }, ['next'])],
    ['ends in a later definition', node({ $ref: '#/$defs/b' }, ['next'])],
  ])('are none where what refers to itself %s', (_how, a) => {
    const b = { type: 'array', items: { $ref: '#/$defs/c' }, minItems: 2 };
    const schema = { $ref: '#/$defs/a', $defs: { a, b, c: { type: 'string' } } };
    expect(readSchema(schema)).toMatchObject({ kind: 'accepted' });
  });

  it('are none where no text of a definition ends that answers do not come to', () => {
    const $defs = {
      used: person,
      a: node({ $ref: '#/$defs/b' }, ['next']),
      b: node({ $ref: '#/$defs/a' }, ['next']),
    };
    for (const schema of [person, { type: 'array', items: { $ref: '#/$defs/used' } }])
      expect(readSchema({ ...schema, $defs })).toMatchObject({ kind: 'accepted' });
    expect(readSchema({ ...node({ $ref: '#/$defs/b' }), $defs })).toMatchObject({ kind: 'refused' });
  });

  it('are none for notes alone', () => {
    const notes = {
      title: 'a',
      description: 'b',
      default: 1,
      examples: [2],
      deprecated: true,
      $schema: 'c',
      $comment: 'd',
    };
    expect(readSchema({ ...notes, type: 'array', items: { ...notes, ...person } })).toMatchObject({
      kind: 'accepted',
      shape: {
        root: { kind: 'array', items: { kind: 'object', properties: [{ name: 'name', isRequired: false }] } },
      },
    });
  });
});
