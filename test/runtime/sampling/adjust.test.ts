import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLogitAdjuster, type LogitAdjustments } from '../../../runtime/sampling/adjust.js';
import { allowIds, bothAllow } from '../../../runtime/sampling/constraint.js';
import { packAdjustments } from '../../../runtime/sampling/step-adjustments.js';
import { ADJUST_WORDS } from '../../../runtime/kernels/kernel.js';

const NONE: LogitAdjustments = {
  frequencyPenalty: 0,
  presencePenalty: 0,
  repetitionPenalty: 1,
  logitBias: new Map(),
  minTokens: { count: 0, ids: [] },
};

/** What the `adjust` kernel does. */
function apply(logit: number, change: { bias: number; repetition: number; penalty: number }): number {
  const biased = logit + change.bias;
  return (biased > 0 ? biased / change.repetition : biased * change.repetition) - change.penalty;
}

describe('logit adjuster', () => {
  it('counts what the answer has, not the prompt, for frequency and presence', () => {
    const adjuster = createLogitAdjuster({ ...NONE, frequencyPenalty: 0.5, presencePenalty: 1 }, [7, 7, 8]);
    expect(adjuster.adjustments()).toEqual([]);
    for (const id of [3, 7, 3]) adjuster.push(id);
    const penalties = new Map(adjuster.adjustments().map(({ id, penalty }) => [id, penalty]));
    expect(penalties).toEqual(
      new Map([
        [3, 2],
        [7, 1.5],
      ]),
    );
  });

  it('repeats the repetition penalty for no token, prompt and answer together', () => {
    const adjuster = createLogitAdjuster({ ...NONE, repetitionPenalty: 2 }, [7, 7, 8]);
    adjuster.push(7);
    adjuster.push(9);
    expect(adjuster.adjustments()).toEqual(
      [7, 8, 9].map((id) => ({ id, bias: 0, repetition: 2, penalty: 0 })),
    );
  });

  it('bans the end tokens until min_tokens are there', () => {
    const adjuster = createLogitAdjuster({ ...NONE, minTokens: { count: 2, ids: [1, 4] } }, [5]);
    for (const _ of [1, 2]) {
      expect(adjuster.adjustments().map(({ id }) => id)).toEqual([1, 4]);
      expect(adjuster.adjustments()[0]!.penalty).toBeGreaterThan(1e29);
      adjuster.push(6);
    }
    expect(adjuster.adjustments()).toEqual([]);
  });

  it('finds its way back to the original logit', () => {
    const number = (bound: number) => fc.double({ min: -bound, max: bound, noNaN: true });
    fc.assert(
      fc.property(
        ...[number(2), number(2), fc.double({ min: 0.1, max: 4, noNaN: true }), number(100), number(30)],
        (frequencyPenalty, presencePenalty, repetitionPenalty, bias, logit) => {
          const wanted = { ...NONE, frequencyPenalty, presencePenalty, repetitionPenalty };
          const adjuster = createLogitAdjuster({ ...wanted, logitBias: new Map([[2, bias]]) }, [1, 2]);
          for (const id of [2, 3, 2]) adjuster.push(id);
          const changes = new Map(adjuster.adjustments().map((change) => [change.id, change]));
          for (const id of [1, 2, 3, 4]) {
            const change = changes.get(id) ?? { bias: 0, repetition: 1, penalty: 0 };
            expect(adjuster.original(id, apply(logit, change))).toBeCloseTo(logit, 8);
          }
        },
      ),
    );
  });
});

describe('token constraints', () => {
  it('allow a set of ids, and what two sets share', () => {
    const bits = (words: Uint32Array): number[] =>
      Array.from({ length: 70 }, (_, id) => id).filter((id) => (words[id >>> 5]! >>> (id & 31)) & 1);
    const a = allowIds([0, 31, 32, 69], 70);
    expect(bits(a.mask())).toEqual([0, 31, 32, 69]);
    const both = bothAllow(a, allowIds([31, 33, 69], 70));
    expect(bits(both.mask())).toEqual([31, 69]);
    expect([both.accept(31), both.accept(33), both.accept(0)]).toEqual(['open', 'stuck', 'stuck']);
  });
});

describe('packed adjustments', () => {
  it('fill turns up to the capacity, masks last', () => {
    const change = { bias: 1, repetition: 2, penalty: 3 };
    const rows = [0, 2].map((row) => ({
      row,
      adjustments: [4, 5, 6].map((id) => ({ id, ...change })),
      mask: Uint32Array.of(row + 10, row + 20),
    }));
    const turns = packAdjustments(rows, 64, 4 * 4 * ADJUST_WORDS);
    expect(turns.map(({ kernel, count }) => [kernel, count])).toEqual([
      ['adjust', 4],
      ['adjust', 2],
      ['mask', 2],
    ]);
    const first = turns[0]!.bytes;
    expect([...new Uint32Array(first.buffer, 3 * 4 * ADJUST_WORDS, 2)]).toEqual([2, 4]);
    expect([...new Float32Array(first.buffer, 8, 3)]).toEqual([1, 2, 3]);
    expect([...new Uint32Array(turns[2]!.bytes.buffer)]).toEqual([0, 10, 20, 2, 12, 22]);
  });
});
