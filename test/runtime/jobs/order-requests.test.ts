import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { orderToHelp, type OrderedRequest } from '../../../runtime/jobs/order-requests.js';

const UNIT = 16;

/** Prompts made of few different units and a rest, so that many share prefixes. */
const request = fc
  .record({
    units: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 5 }),
    rest: fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: UNIT - 1 }),
    maxNewTokens: fc.integer({ min: 1, max: 50 }),
  })
  .map(({ units, rest, maxNewTokens }) => ({
    promptIds: [...units.flatMap((unit) => Array<number>(UNIT).fill(unit)), ...rest],
    maxNewTokens,
  }));
const requests = fc.array(request, { maxLength: 40 });

const lengthOf = (one: OrderedRequest): number => one.promptIds.length + one.maxNewTokens;

/** Every prefix of whole units, as text. */
function prefixes(one: OrderedRequest): string[] {
  const units = Math.floor(one.promptIds.length / UNIT);
  return Array.from({ length: units }, (_, i) => one.promptIds.slice(0, (i + 1) * UNIT).join());
}

describe('the order that helps', () => {
  it('is a permutation, and the same every time', () => {
    fc.assert(
      fc.property(requests, (list) => {
        const ordered = orderToHelp(list);
        expect(ordered).toHaveLength(list.length);
        expect(new Set(ordered)).toEqual(new Set(list));
        expect(orderToHelp(list)).toEqual(ordered);
      }),
    );
  });

  it('puts requests that share a prefix next to each other, at every depth', () => {
    fc.assert(
      fc.property(requests, (list) => {
        const ordered = orderToHelp(list).map(prefixes);
        for (const prefix of new Set(ordered.flat())) {
          const places = ordered.flatMap((own, place) => (own.includes(prefix) ? [place] : []));
          expect(places.at(-1)! - places[0]!).toBe(places.length - 1);
        }
      }),
    );
  });

  it('puts longer ones first where no prefix is shared, and equal ones as they came', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(15), fc.integer({ min: 1, max: 5 })), { maxLength: 30 }),
        (sizes) => {
          const list = sizes.map(([prompt, maxNewTokens]) => ({
            promptIds: Array<number>(prompt).fill(1),
            maxNewTokens,
          }));
          const expected = [...list].sort((a, b) => lengthOf(b) - lengthOf(a));
          orderToHelp(list).forEach((one, place) => expect(one).toBe(expected[place]));
        },
      ),
    );
  });

  it('orders families by their longest member', () => {
    const shared = (unit: number, more: number, name: string) => ({
      name,
      promptIds: [...Array<number>(UNIT).fill(unit), ...Array<number>(more).fill(9)],
      maxNewTokens: 1,
    });
    const list = [
      shared(1, 2, 'a short'),
      shared(2, 3, 'single'),
      shared(1, 9, 'a long'),
      { name: 'tiny', promptIds: [1], maxNewTokens: 1 },
    ];
    expect(orderToHelp(list).map(({ name }) => name)).toEqual(['a long', 'a short', 'single', 'tiny']);
  });

  it('takes many equal long prompts', () => {
    const promptIds = Array.from({ length: 20_000 }, (_, i) => i % 7);
    const list = Array.from({ length: 200 }, () => ({ promptIds, maxNewTokens: 3 }));
    orderToHelp(list).forEach((one, place) => expect(one).toBe(list[place]));
  });
});
