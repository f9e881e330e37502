import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSchema } from '../../../runtime/structured/schema.js';
import { firstState, type TextState } from '../../../runtime/structured/text-states.js';
import { seededRandom, type Random } from '../../fixtures/random.js';
import { schemas, type Schema } from './support.js';

/** Objects with names of unequal lengths that begin alike, some of which may be left out. */
const objects = fc.letrec<{ value: Schema; object: Schema }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 1, depthSize: 'small' },
    fc.constantFrom<Schema>({ const: 0 }, { enum: ['a', 'ab', 1, 12] }, { type: 'integer', maximum: 12 }),
    tie('object'),
    fc.array(tie('value'), { minLength: 1, maxLength: 2 }).map((anyOf) => ({ anyOf })),
    tie('object').map((items) => ({ type: 'array', items, maxItems: 2 })),
  ),
  object: fc
    .uniqueArray(fc.tuple(fc.stringMatching(/^[ab]{1,5}$/), tie('value'), fc.nat({ max: 5 })), {
      minLength: 1,
      maxLength: 5,
      selector: ([name]) => name,
    })
    .map((members) => ({
      type: 'object',
      properties: Object.fromEntries(members.map(([name, value]) => [name, value])),
      required: members.filter(([, , isRequired]) => isRequired === 0).map(([name]) => name),
    })),
})).object;

const BYTES = Array.from({ length: 256 }, (_, byte) => byte);

/** A text that the states allow, bytes that close or part values more often than others; undefined if it grows long. */
function textFrom(first: TextState, random: Random): string | undefined {
  const bytes: number[] = [];
  for (let state = first; bytes.length < 300; state = state.next(bytes.at(-1)!)!) {
    const allowed = BYTES.filter((byte) => state.next(byte) !== undefined);
    if (state.mayEnd && (allowed.length === 0 || random.below(3) === 0)) return Buffer.from(bytes).toString();
    if (allowed.length === 0) throw new Error(`nothing may follow ${Buffer.from(bytes).toString()}`);
    const marks = allowed.filter((byte) => '"]},'.includes(String.fromCharCode(byte)));
    const choices = marks.length > 0 && random.below(2) === 0 ? marks : allowed;
    bytes.push(choices[random.below(choices.length)]!);
  }
  return undefined;
}

describe('states of texts', () => {
  it.each([
    ['objects with members left out', objects, 60],
    ['schemas of every kind', schemas, 20],
  ])('allow only what a validator accepts, whatever texts went before: %s', (_, of, numRuns) => {
    const ajv = new Ajv2020({ strict: false });
    fc.assert(
      fc.property(of, fc.nat(), (schema, seed) => {
        const validate = ajv.compile(schema);
        const answer = readSchema(schema);
        if (answer.kind === 'refused') throw new Error(`${answer.at}: ${answer.why}`);
        const first = firstState(answer.shape);
        const random = seededRandom(seed);
        for (let walk = 0; walk < 15; walk++) {
          const text = textFrom(first, random);
          if (text === undefined) continue;
          expect(validate(JSON.parse(text)), `${text} ${ajv.errorsText(validate.errors)}`).toBe(true);
        }
      }),
      { numRuns },
    );
  });
});
