import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ANY, ANY_DEFINITION, ANY_VALUE } from '../../../runtime/structured/shape.js';
import { firstState } from '../../../runtime/structured/text-states.js';
import { sortTokens, stateAfter, tokenMask } from '../../../runtime/structured/token-masks.js';

const ANYTHING = { root: ANY_VALUE, definitions: new Map([[ANY, ANY_DEFINITION]]) };

describe('masks of tokens', () => {
  it('are what every token by itself says, wherever a text stands', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '',
        '"',
        '{',
        '}',
        '[',
        ']',
        ', ',
        ':',
        '":',
        '"a": ',
        'nu',
        'll',
        'true',
        '[[',
        '-1',
        '0.',
        'e',
      ),
      fc.string({ unit: 'binary', maxLength: 4 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 70 }),
        fc.array(fc.nat({ max: 69 }), { maxLength: 12 }),
        (tokens, walk) => {
          const vocabulary = { kind: 'byte_fallback', tokens } as const;
          const sorted = sortTokens(vocabulary);
          let state = firstState(ANYTHING);
          for (const id of walk) state = (tokens[id] && stateAfter(state, vocabulary, id)) || state;
          const mask = tokenMask(state, sorted);
          tokens.forEach((token, id) => {
            const isSet = ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1;
            expect(isSet, token).toBe(token !== '' && stateAfter(state, vocabulary, id) !== undefined);
          });
        },
      ),
      { numRuns: 50 },
    );
  });
});
