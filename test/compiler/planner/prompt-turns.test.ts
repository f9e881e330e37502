/** Turns of prefill, and what sequences wait for them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPromptTurns, partsWaited, type PromptTurns } from '../../../compiler/planner/prompt-turns.js';
import type { SequencesInOrder } from '../../../compiler/planner/decode-rounds.js';

/** Prompts of four tokens, a page each, that take a second each; and their pages are sent out half a second later. */
function turnsOf(
  rows: readonly number[],
  room: number,
  few: number,
  begun: readonly boolean[] = [],
  changing = { toPrefill: 0, toDecode: 0 },
): PromptTurns {
  const sequences: SequencesInOrder = {
    computed: rows.map(() => 0),
    begun: rows.map((_, i) => begun[i] ?? false),
    prompts: rows.map(() => 4),
    rows,
  };
  const ends = rows.map((_, i) => i + 1);
  return createPromptTurns(sequences, 4, {
    ends,
    seconds: rows.length + 0.5,
    filling: 0,
    room,
    few,
    ...changing,
  });
}

describe('createPromptTurns', () => {
  it('prefills all at once where there is room', () => {
    const turns = turnsOf([1, 1, 1], Infinity, Infinity);
    expect(turns.isDue()).toBe(true);
    expect(turns.prefill(10)).toBe(13.5);
    expect([turns.done(), turns.isDue()]).toEqual([3, false]);
    expect([0, 1, 2].map(turns.firstToken)).toEqual([11, 12, 13]);
  });

  it('prefills as many as there is room for, and goes on when few are left', () => {
    const turns = turnsOf([1, 1, 1, 1], 2, 1);
    expect(turns.prefill(0)).toBe(2);
    expect([turns.done(), turns.isDue()]).toEqual([2, false]);
    turns.add(-1);
    expect(turns.isDue()).toBe(false);
    turns.add(-1);
    expect(turns.isDue()).toBe(true);
    // After seven seconds of something else.
    expect(turns.prefill(9)).toBe(11.5);
    expect([2, 3].map(turns.firstToken)).toEqual([10, 11]);
    expect(turns.isDue()).toBe(false);
  });

  it('waits for weights at the end of every turn, and at the beginning of all but the first', () => {
    const turns = turnsOf([1, 1, 1, 1], 2, 1, [], { toPrefill: 0.25, toDecode: 4 });
    expect(turns.prefill(0)).toBe(2 + 4);
    turns.add(-2);
    expect(turns.prefill(9)).toBe(9 + 0.25 + 2.5 + 4);
    expect([0, 1, 2, 3].map(turns.firstToken)).toEqual([1, 2, 10.25, 11.25]);
  });

  it('waits for no weights where no prompts are left', () => {
    const sequences = { computed: [4], begun: [true], prompts: [0], rows: [3] };
    const setting = { ends: [0], seconds: 0, filling: 0, room: Infinity, few: 0, toPrefill: 1, toDecode: 4 };
    expect(createPromptTurns(sequences, 4, setting).prefill(7)).toBe(7);
  });

  it('keeps no pages of what does not decode, or decodes already', () => {
    const turns = turnsOf([0, 1, 1, 1], 1, 1, [false, true]);
    turns.prefill(0);
    expect(turns.done()).toBe(3);
  });

  it('prefills one at least, however large', () => {
    const turns = turnsOf([1, 1], 0, 1);
    expect(turns.prefill(0)).toBe(1);
    turns.add(-1);
    expect(turns.prefill(5)).toBe(6.5);
  });

  it('takes prompts one by one where there is no room at all', () => {
    const turns = turnsOf([1, 1], 0, 0);
    expect(turns.isDue()).toBe(true);
    expect(turns.prefill(0)).toBe(1);
    expect(turns.isDue()).toBe(false);
    turns.add(-1);
    expect(turns.isDue()).toBe(true);
  });

  it('comes to an end with any room, and with no less time than prefill takes', () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(lengths, fc.integer({ min: 0, max: 40 }), (rows, room) => {
        const turns = turnsOf(rows, room, room / 5);
        let [at, taken] = [0, 0];
        while (turns.isDue()) {
          at = turns.prefill(at);
          for (; taken < turns.done(); taken++) if (rows[taken]! > 0) turns.add(-1);
        }
        expect(turns.done()).toBe(rows.length);
        expect(at).toBeCloseTo(rows.length + 0.5, 9);
      }),
    );
  });
});

describe('partsWaited', () => {
  const sequences = (prompts: readonly number[], rows: readonly number[]): SequencesInOrder => ({
    computed: rows.map(() => 0),
    begun: rows.map(() => false),
    prompts,
    rows,
  });

  it('is nothing for the last where all begin at once', () => {
    expect(partsWaited(sequences([5], [3]), 1)).toEqual({ behindPrompts: 0, aheadOfRows: 0 });
    expect(partsWaited(sequences([5], [0]), 1)).toEqual({ behindPrompts: 0, aheadOfRows: 0 });
  });

  it('tells what part of prefill is behind a prompt, and of decode ahead of its rows, for every row', () => {
    const { behindPrompts, aheadOfRows } = partsWaited(sequences([2, 2, 4], [1, 2, 1]), 1);
    expect(behindPrompts).toBeCloseTo((6 / 8 / 1 + 4 / 8 / 2 + 0) / 3, 9);
    // A sequence has 4/3 rows in the mean: so many are as good as begun.
    expect(aheadOfRows).toBeCloseTo((0 + 0 + (3 - 4 / 3) / 4) / 3, 9);
  });
});
