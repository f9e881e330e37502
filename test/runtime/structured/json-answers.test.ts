import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TokenConstraint } from '../../../runtime/sampling/constraint.js';
import { jsonAnswers } from '../../../runtime/structured/json-answers.js';
import { readSchema } from '../../../runtime/structured/schema.js';
import type { AnswerShape } from '../../../runtime/structured/shape.js';
import { loadTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { seededRandom } from '../../fixtures/random.js';
import { schemas, textOf, walk } from './support.js';

const tokenizer = loadTokenizer('plans/models/clerk');
const vocabulary = tokenizer.vocabulary()!;
const END = 1;
const answers = jsonAnswers(vocabulary);

function shapeOf(schema: unknown): AnswerShape {
  const answer = readSchema(schema);
  if (answer.kind === 'refused') throw new Error(`${answer.at}: ${answer.why}`);
  return answer.shape;
}

function mayCome(constraint: TokenConstraint, id: number): boolean {
  return ((constraint.mask()[id >>> 5]! >>> (id & 31)) & 1) === 1;
}

/** Whether a text may be the whole of an answer. */
function allows(schema: unknown, text: string): boolean {
  const constraint = answers.follow(shapeOf(schema), [END]);
  const ids = tokenizer.encode(text, false);
  for (const [i, id] of ids.entries()) {
    if (!mayCome(constraint, id)) return false;
    // Complete answers end with their last token.
    if (constraint.accept(id) === 'complete') return i === ids.length - 1;
  }
  return mayCome(constraint, END);
}

describe('answers held to a schema', () => {
  it('are JSON that an independent validator accepts, whatever tokens were drawn', () => {
    const ajv = new Ajv2020({ strict: false });
    fc.assert(
      fc.property(schemas, fc.nat(), fc.nat({ max: 120 }), (schema, seed, wandering) => {
        const validate = ajv.compile(schema);
        const random = seededRandom(seed);
        for (const limit of [0, wandering]) {
          const ids = walk(answers.follow(shapeOf(schema), [END]), tokenizer, END, random, limit);
          if (ids === undefined) throw new Error('the answer has no end');
          const text = tokenizer.decode(ids);
          expect(validate(JSON.parse(text)), `${text} ${ajv.errorsText(validate.errors)}`).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('may be any text of the schema, in the tokens that the tokenizer makes of it', () => {
    fc.assert(
      fc.property(schemas, fc.nat(), (schema, seed) => {
        const text = textOf(schema, seededRandom(seed));
        expect(allows(schema, text), text).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    [
      { type: 'integer', minimum: 12, maximum: 9999 },
      ['12', '99', '100', '9999'],
      ['11', '1', '10000', '012', '-12'],
    ],
    [{ type: 'integer', minimum: -5, exclusiveMaximum: 0.5 }, ['-5', '-1', '0'], ['-6', '1', '-0', '-10']],
    [{ type: 'integer', exclusiveMinimum: 7, maximum: 8.9 }, ['8'], ['7', '9', '80']],
    [{ type: 'integer' }, ['9007199254740991', '-9007199254740991', '0'], ['9007199254740992', '1.0', '1e3']],
    [{ type: 'number' }, ['0.5', '-12e10', '1E-07'], ['.5', '1.', '01', '1e', '1e999', '+1', 'NaN']],
    [
      { type: 'string', minLength: 2, maxLength: 2 },
      ['"😀é"', '"\\n\\u00e9"', '"ab"'],
      ['"a"', '"abc"', '"\\ud83d"'],
    ],
    [
      { enum: ['a', 'ab', 1, 12, null, { x: [1] }] },
      ['"a"', '"ab"', '1', '12', 'null', '{"x":[1]}'],
      ['2', '"b"', '121'],
    ],
    [
      { type: 'array', items: {}, minItems: 1, maxItems: 2 },
      ['[1]', '[[], {}]', '[1,2]'],
      ['[]', '[1,2,3]', '[1,]'],
    ],
    [
      { type: 'object', properties: { a: {}, 'b"\u00e9': {}, c: {} }, required: ['b"\u00e9'] },
      ['{"b\\"é":1}', '{"a":1, "b\\"é": 2,"c":3}'],
      ['{}', '{"a":1}', '{"b\\"é":1,"a":2}', '{"b\\"é":1,"d":2}', '{"b\\"é":1,}', '{"b\\"é":1,"c":1,}'],
    ],
    [
      { type: 'object', properties: { a: {}, b: {}, ccccc: {} } },
      ['{"b":1}', '{"a":1,"ccccc":1}'],
      ['{"a":1,"ccc1}', '{"b":1,"b":1}'],
    ],
    [
      {
        anyOf: [{ type: 'array', items: { $ref: '#/$defs/n' } }, { $ref: '#/$defs/n|1]0' }],
        $defs: { n: { const: 1 }, 'n|1]0': { const: 2 } },
      },
      ['2', '[1]'],
      ['[2', '1'],
    ],
    [{ type: ['string', 'null'], maxLength: 1 }, ['null', '"a"'], ['"ab"', 'true']],
    [{ allOf: [{ const: 1 }], title: 'one' }, ['1'], ['2']],
    [{ type: 'object' }, ['{}', '{"a":[{"b":null}]}'], ['[]', '{"a"}', ' {}', '{ }', '{}{}']],
    [{ type: 'object', additionalProperties: false }, ['{}'], ['{"a":1}']],
  ])('%j allows %j and not %j', (schema, good, bad) => {
    for (const text of good) expect(allows(schema, text), text).toBe(true);
    for (const text of bad) expect(allows(schema, text), text).toBe(false);
  });

  it('end where nothing may follow, with or without an end token', () => {
    const [open, close] = ['{', '}'].map((text) => tokenizer.encode(text, false)[0]!) as [number, number];
    const empty = shapeOf({ type: 'object', additionalProperties: false });
    for (const endIds of [[END], []]) {
      const constraint = answers.follow(empty, endIds);
      expect(mayCome(constraint, END)).toBe(false);
      expect(constraint.accept(open)).toBe('open');
      expect(constraint.accept(close)).toBe('complete');
    }
    const [one] = tokenizer.encode('1', false) as [number];
    const whole = answers.follow(shapeOf({ type: 'integer' }), [END]);
    expect(whole.accept(one)).toBe('open');
    expect(mayCome(whole, END) && mayCome(whole, one)).toBe(true);
    expect(whole.accept(END)).toBe('complete');
    const endless = answers.follow(shapeOf({ type: 'integer' }), []);
    expect([endless.accept(one), mayCome(endless, END)]).toEqual(['open', false]);
  });

  it('are stuck where the vocabulary has no token that may come', () => {
    const close = tokenizer.encode('}', false)[0]!;
    const withoutClose = vocabulary.tokens.map((token) => (token.includes('}') ? '' : token));
    const { follow } = jsonAnswers({ ...vocabulary, tokens: withoutClose });
    const shape = shapeOf({ type: 'object', additionalProperties: false });
    expect(follow(shape, [END]).accept(tokenizer.encode('{', false)[0]!)).toBe('stuck');
    expect(answers.follow(shape, [END]).accept(close)).toBe('stuck');
    expect(answers.follow(shape, [END]).accept(END)).toBe('stuck');
  });

  it('bound what ambiguous and repeated references cost', () => {
    const levels = Array.from({ length: 60 }, (_, i) => [
      `d${i}`,
      { anyOf: [1, 2].map(() => ({ $ref: `#/$defs/d${i + 1}` })) },
    ]);
    const $defs = { ...Object.fromEntries(levels), d60: { type: 'null' } };
    expect(allows({ $ref: '#/$defs/d0', $defs }, 'null')).toBe(true);
    const list = (title: string) => ({ type: 'array', items: { $ref: '#/$defs/node' }, title });
    const nested = { $ref: '#/$defs/node', $defs: { node: { anyOf: [list('a'), list('b')] } } };
    const brackets = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(allows(nested, brackets(8))).toBe(true);
    expect(allows(nested, brackets(30))).toBe(false);
  });
});
