/** Rounds of decode in order of arrival, and what sequences have beside them in these. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { disaggregatedConcurrency, fusedConcurrency } from '../../../compiler/planner/decode-concurrency.js';
import {
  decodeRounds,
  decodeSteps,
  roundsInPlace,
  roundsWithPrompts,
  type SequencesInOrder,
} from '../../../compiler/planner/decode-rounds.js';

interface Sequence {
  /** Rounds that its prompt takes. */
  prompt: number;
  rows: number;
}

interface Counted {
  readonly slots: number;
  /** Whether a prompt waits for the place of its sequence. */
  readonly inPlace: boolean;
}

/**
 * Round by round: one prompt is prefilled at a time; who is under way and has none left has a row; who waits begins in
 * order of arrival as soon as there is room.
 */
function countRounds(sequences: readonly Sequence[], { slots, inPlace }: Counted): number {
  const waiting = sequences.filter(({ prompt, rows }) => prompt + rows > 0).map((each) => ({ ...each }));
  let underWay: Sequence[] = [];
  for (let rounds = 0; ; rounds++) {
    underWay = underWay.filter(({ prompt, rows }) => prompt + rows > 0);
    while (underWay.length < slots && waiting.length > 0) {
      underWay.push(waiting.shift()!);
      // One that needs nothing more than its prompt, which was prefilled while it waited, has its place for no time.
      underWay = underWay.filter(({ prompt, rows }) => prompt + rows > 0);
    }
    if (underWay.length === 0) return rounds;
    for (const each of underWay) if (each.prompt === 0) each.rows--;
    const prefilling = [...underWay, ...(inPlace ? [] : waiting)].find(({ prompt }) => prompt > 0);
    if (prefilling !== undefined) prefilling.prompt--;
  }
}

const sequences = fc.array(
  fc.record({ prompt: fc.integer({ min: 0, max: 6 }), rows: fc.integer({ min: 0, max: 12 }) }),
  { maxLength: 40 },
);
const slots = fc.integer({ min: 1, max: 45 });
const inOrder = (all: readonly Sequence[], tokensOfRound: number): SequencesInOrder => ({
  computed: all.map(() => 0),
  begun: all.map(() => false),
  prompts: all.map(({ prompt }) => prompt * tokensOfRound),
  rows: all.map(({ rows }) => rows),
});

describe('decodeRounds', () => {
  it('counts what goes round by round', () => {
    fc.assert(
      fc.property(sequences, slots, (all, most) => {
        const alone = all.map(({ rows }) => ({ prompt: 0, rows }));
        const rounds = countRounds(alone, { slots: most, inPlace: true });
        expect(decodeRounds(inOrder(all, 7), most)).toBe(rounds);
        expect(roundsWithPrompts(inOrder(alone, 7), most, 7)).toBe(rounds);
      }),
    );
  });
});

describe('decodeSteps', () => {
  it('counts in every round no more steps than there are sequences under way', () => {
    fc.assert(
      fc.property(sequences, slots, fc.integer({ min: 1, max: 8 }), (all, most, inFlight) => {
        const waiting = all.map(({ rows }) => rows).filter((rows) => rows > 0);
        let underWay: number[] = [];
        let steps = 0;
        do {
          underWay = underWay.filter((rows) => rows > 0);
          underWay.push(...waiting.splice(0, most - underWay.length));
          steps += Math.min(inFlight, underWay.length);
          underWay = underWay.map((rows) => rows - 1);
        } while (underWay.length > 0);
        expect(decodeSteps(inOrder(all, 7), most, { dp: 1, pp: inFlight })).toBe(steps);
        // Replicas may have more than their part of those that end last.
        expect(decodeSteps(inOrder(all, 7), most, { dp: inFlight, pp: 1 })).toBeLessThanOrEqual(
          steps + Math.max(0, inFlight - most) * decodeRounds(inOrder(all, 7), most),
        );
      }),
    );
  });
});

describe('roundsWithPrompts', () => {
  it('counts what goes round by round, with prompts before the slots of their sequences', () => {
    fc.assert(
      fc.property(sequences, slots, (all, most) => {
        const rounds = countRounds(all, { slots: most, inPlace: false });
        expect(roundsWithPrompts(inOrder(all, 8), most, 8)).toBeCloseTo(rounds, 9);
      }),
    );
  });
});

describe('roundsInPlace', () => {
  it('counts what goes round by round, with prompts in the slots of their sequences', () => {
    fc.assert(
      fc.property(sequences, slots, (all, most) => {
        expect(roundsInPlace(inOrder(all, 8), most, 8).rounds).toBeCloseTo(
          countRounds(all, { slots: most, inPlace: true }),
          9,
        );
      }),
    );
  });

  it('tells what there is while some prompts are to come', () => {
    const all = [
      { prompt: 1, rows: 4 },
      { prompt: 2, rows: 1 },
      { prompt: 0, rows: 9 },
    ];
    // The first has its place for rounds 0 to 5, the second for 0 to 4 with its prompt in 1 to 3, the third from 4 on.
    const told: number[][] = [];
    const found = roundsInPlace(inOrder(all, 6), 2, 6, (from, tokens) => told.push([from, tokens]));
    expect(found).toMatchObject({ rounds: 13, prompting: 3, rowsMeanwhile: 2 });
    expect(told).toEqual([
      [0, 6],
      [1, 12],
    ]);
  });
});

describe('rounds with prompts that take long', () => {
  const slow = fc.array(
    fc.record({ prompt: fc.integer({ min: 1, max: 60 }), rows: fc.integer({ min: 0, max: 4 }) }),
    { maxLength: 40 },
  );

  it('counts what goes round by round, though slots are free long before the next prompt is done', () => {
    fc.assert(
      fc.property(slow, slots, (all, most) => {
        const sequences = inOrder(all, 8);
        const rounds = (inPlace: boolean): number => countRounds(all, { slots: most, inPlace });
        expect(roundsWithPrompts(sequences, most, 8)).toBeCloseTo(rounds(false), 9);
        expect(roundsInPlace(sequences, most, 8).rounds).toBeCloseTo(rounds(true), 9);
      }),
    );
  });
});

describe('rounds that prompts share', () => {
  const short = fc.array(
    fc.record({ prompt: fc.integer({ min: 1, max: 90 }), rows: fc.integer({ min: 0, max: 4 }) }),
    { maxLength: 60 },
  );

  it('begin where the place is that is free first, however little before others', () => {
    fc.assert(
      fc.property(short, fc.integer({ min: 1, max: 20 }), (all, most) => {
        const [tokensOfRound, free] = [37, Array.from({ length: most }, () => 0)];
        let [prefilled, rounds] = [0, 0];
        for (const { prompt, rows } of all) {
          const first = Math.min(...free);
          prefilled = Math.max(prefilled, first) + prompt / tokensOfRound;
          free[free.indexOf(first)] = prefilled + rows;
          rounds = Math.max(rounds, prefilled + rows);
        }
        const sequences = {
          ...inOrder(all, 1),
          prompts: all.map(({ prompt }) => prompt),
        };
        expect(roundsInPlace(sequences, most, tokensOfRound).rounds).toBeCloseTo(rounds, 9);
      }),
    );
  });
});

describe('fusedConcurrency', () => {
  it('tells what sequences decode beside', () => {
    // Prompts of 2, 2 and 4 tokens at two in a round: rows in rounds 1 to 3, 2 to 5 and, in the place of the first, 5 to 6.
    const all = { computed: [0, 0, 0], begun: [false, false, false], prompts: [2, 2, 4], rows: [3, 4, 1] };
    const { rows, promptTokens } = fusedConcurrency(all, 2, 2);
    // The first ends after round 4, and the prompt of the third is prefilled in two more rounds.
    expect(rows).toBeCloseTo(((1 + 2 + 2) / 3 + (2 + 2 + 1 + 1) / 4 + 1) / 3, 9);
    expect(promptTokens).toBeCloseTo((2 / 3 + 4 / 4 + 0) / 3, 9);
  });

  it('counts what is done of prompts that end later', () => {
    // The first decodes from round 1 to 4, in which 6 of 10 tokens of the second are prefilled.
    const all = { computed: [0, 0], begun: [false, false], prompts: [2, 10], rows: [3, 1] };
    expect(fusedConcurrency(all, 2, 2).promptTokens).toBeCloseTo((6 / 3 + 0) / 2, 9);
  });

  it('is what there is round by round, where prompts take none', () => {
    fc.assert(
      fc.property(sequences, slots, (all, most) => {
        const lengths = all.map(({ rows }) => rows);
        const lives: { begin: number; end: number }[] = [];
        let ends: number[] = [];
        for (const rows of lengths.filter((each) => each > 0)) {
          ends.sort((a, b) => a - b);
          const begin = ends.length < most ? 0 : ends.shift()!;
          ends = [...ends, begin + rows];
          lives.push({ begin, end: begin + rows });
        }
        const inRound = (round: number): number =>
          lives.filter(({ begin, end }) => begin <= round && round < end).length;
        const means = lives.map(({ begin, end }) => {
          const rounds = Array.from({ length: end - begin }, (_, i) => inRound(begin + i));
          return rounds.reduce((sum, each) => sum + each, 0) / rounds.length;
        });
        const expected = means.reduce((sum, each) => sum + each, 0) / Math.max(1, means.length);
        const alone = all.map(({ rows }) => ({ prompt: 0, rows }));
        const found = fusedConcurrency(inOrder(alone, 1), most, 1);
        expect(found.rows).toBeCloseTo(expected, 9);
        expect(found.promptTokens).toBe(0);
      }),
    );
  });
});

describe('disaggregatedConcurrency', () => {
  it('tells what sequences wait for their place, and for their KV', () => {
    const all = { computed: [0, 0, 0], begun: [false, false, false], prompts: [2, 2, 4], rows: [3, 4, 1] };
    // Prompts are done at 1, 2 and 4, and sequences begin at 1, 4 and 8.
    const found = disaggregatedConcurrency(all, 1, 2, Infinity);
    expect(found.rows).toBeCloseTo(1, 9);
    expect(found.waited).toBeCloseTo((0 + 2 / 4 + 4 / 1) / 3, 9);
    expect(found.waiting).toBeCloseTo((2 + 4) / 9, 9);
    // Handed over at 2, 4 and 8 they begin at 2, 5 and 9, with room for all as they come.
    expect(disaggregatedConcurrency(all, 1, 2, 1).waited).toBeCloseTo((1 / 3 + 3 / 4 + 5 / 1) / 3, 9);
    expect(disaggregatedConcurrency(all, 3, 2, 1).waited).toBeCloseTo((1 / 3 + 2 / 4 + 4 / 1) / 3, 9);
  });
});
