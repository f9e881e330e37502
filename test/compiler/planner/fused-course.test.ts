/** Prefill and decode in one stage, in order of arrival: what steps carry, and when they pass. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StepSize } from '../../../compiler/cost/kernel-work.js';
import type { Stage } from '../../../compiler/plan/plan.js';
import type { HostTimes } from '../../../compiler/planner/bounded-plan.js';
import { decodeRounds, type SequencesInOrder } from '../../../compiler/planner/decode-rounds.js';
import { fusedCourse, type FusedSetting, type FusedStage } from '../../../compiler/planner/fused-course.js';

interface Options {
  readonly mesh?: Partial<Stage['mesh']>;
  readonly batch?: number;
  readonly maxTokens?: number;
  readonly maxSequences?: number;
  readonly stepSeconds?: (size: StepSize) => readonly number[];
}

/** A stage on which every step takes a second on every group by default. */
function load({ mesh, batch = 100, maxTokens = 4, maxSequences = 100, stepSeconds }: Options): FusedStage {
  return {
    stage: { mesh: { dp: 1, pp: 1, tp: 1, ...mesh }, batchRequests: batch },
    sizes: { maxTokens, maxSequences },
    stepSeconds: stepSeconds ?? (() => Array.from({ length: mesh?.pp ?? 1 }, () => 1)),
  };
}

/** Prompt tokens and rows of decode of each. */
type Lengths = readonly (readonly [prompt: number, rows: number])[];

const inOrder = (all: Lengths): SequencesInOrder => ({
  computed: all.map(() => 0),
  begun: all.map(() => false),
  prompts: all.map(([prompt]) => prompt),
  rows: all.map(([, rows]) => rows),
});

const FREE: HostTimes = { step: 0, request: 0 };

function setting(sequences: SequencesInOrder, given: Partial<FusedSetting> = {}): FusedSetting {
  return { room: 1e6, sequences, kv: { pageTokens: 4 }, overhead: FREE, ...given };
}

function seconds(all: Lengths, options: Options, given: Partial<FusedSetting> = {}): number {
  return fusedCourse(load(options), setting(inOrder(all), given)).seconds;
}

/** As `load` does it, with the sizes of steps. */
function recorded(all: Lengths, options: Options, room = 1e6): readonly StepSize[] {
  const sizes: StepSize[] = [];
  const stepSeconds = (size: StepSize): readonly number[] => {
    // Lines through steps of rows alone ask for other keys.
    if (size.singleRows !== true) sizes.push(size);
    return Array.from({ length: options.mesh?.pp ?? 1 }, () => 1);
  };
  seconds(all, { ...options, stepSeconds }, { room });
  return sizes;
}

/** Sequences with prompts of one token, on one group, where pages and tokens of a step are no matter. */
function oneByOne(
  all: readonly number[],
  batch: number,
  overhead: typeof FREE,
  stepSeconds: (size: StepSize) => readonly number[],
): number {
  const waiting = all.map((rows) => ({ rows, tokens: 0 }));
  let under: { rows: number; tokens: number }[] = [];
  let total = 0;
  for (;;) {
    while (under.length < batch && waiting.length > 0) under.push(waiting.shift()!);
    const tokens = under.length;
    if (tokens === 0) return total;
    for (const each of under) each.tokens++;
    const keys = under.reduce((sum, each) => sum + each.tokens, 0);
    total += overhead.step + overhead.request * tokens;
    total += stepSeconds({ tokens, samples: tokens, pairs: keys, keys })[0]!;
    under = under.filter((each) => each.rows-- > 0);
  }
}

describe('fusedCourse', () => {
  it('fills what rows of decode leave of a step with prompt tokens', () => {
    const all: Lengths = [
      [3, 2],
      [6, 1],
      [1, 0],
    ];
    // The first decodes from the second step on, and the second behind four of them.
    expect(recorded(all, {})).toEqual([
      { tokens: 4, samples: 1, pairs: 1 + 2 + 3 + 1, keys: 3 + 1 },
      { tokens: 4, samples: 1, pairs: 4 + 2 + 3 + 4, keys: 4 + 4 },
      { tokens: 4, samples: 3, pairs: 5 + 5 + 6 + 1, keys: 5 + 6 + 1 },
    ]);
    expect(seconds(all, {})).toBe(4);
  });

  it('has the rounds of sequences in order where prompts take no steps of their own', () => {
    const rows = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 25 }), (all, batch) => {
        const lengths = all.map((each) => [1, each] as const);
        const stages = { batch, maxTokens: 1000 };
        // A prompt of one token is as a row more.
        const rounds = decodeRounds(inOrder(all.map((each) => [0, each + 1])), batch);
        expect(seconds(lengths, stages)).toBe(rounds);
      }),
    );
  });

  it('costs rows of decode with their keys, and what the host prepares', () => {
    const stepSeconds = ({ tokens, keys }: StepSize): readonly number[] => [10 * tokens + keys];
    const overhead = { step: 0.5, request: 0.25 };
    // A step of the prompt, and rows that see 4 and 5 keys.
    expect(seconds([[3, 2]], { stepSeconds })).toBeCloseTo(33 + 14 + 15, 9);
    expect(seconds([[3, 2]], { stepSeconds }, { overhead })).toBeCloseTo(62 + 3 * 0.75, 9);
    // A part of a prompt is to be prepared as well.
    expect(seconds([[9, 0]], {}, { overhead })).toBeCloseTo(3 + 0.75, 9);
    expect(seconds([[9, 0]], {}, { overhead: { step: 0, request: 3 } })).toBeCloseTo(3 * 3 + 1, 9);
  });

  it('tells the time between tokens, prompts of others included', () => {
    const all: Lengths = [
      [3, 2],
      [6, 1],
      [1, 0],
    ];
    const stepSeconds = ({ tokens }: StepSize): readonly number[] => [tokens];
    const { betweenTokens } = fusedCourse(load({ stepSeconds }), setting(inOrder(all)));
    // Steps of 4, 4, 4 and a row: the first decodes in the second and third, the second in the last.
    expect(betweenTokens).toBe((8 / 2 + 1) / 2);
  });

  it('has a step for each group of a pipeline in flight', () => {
    // Two steps of a row each, one behind the other: 3 seconds for the prompts, and 2 for every row but the first.
    const all: Lengths = [
      [4, 5],
      [4, 5],
    ];
    expect(seconds(all, { mesh: { pp: 2 } })).toBe(3 + 2 * 5);
    // One has to pass both groups each time, whatever else is there.
    expect(seconds([[4, 5]], { mesh: { pp: 2 } })).toBe(2 + 2 * 5);
    // A step that ends no prompt makes way when it begins with the last group.
    expect(seconds([[12, 0]], { mesh: { pp: 2 } })).toBe(4);
  });

  it('has the steps of replicas prepared one after the other, or by a host for each', () => {
    const all: Lengths = Array.from({ length: 4 }, () => [4, 50]);
    const options = { mesh: { dp: 4 } };
    const overhead = { step: 3, request: 0 };
    const one = seconds(all.slice(0, 1), {}, { overhead });
    expect(one).toBe(51 * (3 + 1));
    expect(seconds(all, options, { overhead: { ...overhead, hostPerReplica: true } })).toBeCloseTo(one, 9);
    expect(seconds(all, options, { overhead })).toBeCloseTo(4 * 3 * 51 + 1, 9);
  });

  it('deals sequences over replicas, which share the batch', () => {
    const all: Lengths = Array.from({ length: 4 }, () => [4, 3]);
    expect(seconds(all, { mesh: { dp: 4 } })).toBe(4);
    // Prompts take a step each, beside which there is no row, or a smaller part of the next.
    expect(seconds(all, { mesh: { dp: 2 }, maxTokens: 5 })).toBe(5);
    expect(seconds(all, { mesh: { dp: 2 }, batch: 2 })).toBe(8);
    // The host prepares for all of them.
    expect(seconds(all, { mesh: { dp: 4 } }, { overhead: { step: 2, request: 0 } })).toBeCloseTo(33, 9);
  });

  it('lets in as many as there are pages for', () => {
    const all: Lengths = [
      [4, 3],
      [4, 3],
    ];
    const side = { maxTokens: 8 };
    expect(seconds(all, side, { room: 4 })).toBe(4);
    // A page for each prompt, and a quarter of one for the first, which takes another.
    expect(recorded(all, { maxTokens: 4 }, 2)).toHaveLength(2);
    expect(seconds(all, { maxTokens: 4 }, { room: 2 })).toBe(8);
    // With another it comes in at once, and waits for its own second page until the first has ended.
    expect(seconds(all, { maxTokens: 4 }, { room: 3 })).toBe(7);
  });

  it('takes pages from the sequence that came last, which goes on later', () => {
    const all: Lengths = [
      [4, 8],
      [4, 8],
    ];
    // Together they take six pages: of five the first has all that it wants.
    expect(seconds(all, { maxTokens: 8 }, { room: 6 })).toBe(9);
    const short = seconds(all, { maxTokens: 8 }, { room: 5 });
    expect(short).toBeGreaterThan(9);
    expect(short).toBeLessThan(2 * 9);
  });

  it('comes to an end with any room, and takes no less than its longest sequence and its share of tokens', () => {
    const length = fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 20 }));
    const all = fc.array(length, { minLength: 1, maxLength: 15 });
    const mesh = fc.record({ dp: fc.integer({ min: 1, max: 3 }), pp: fc.integer({ min: 1, max: 3 }) });
    fc.assert(
      fc.property(all, mesh, fc.integer({ min: 13, max: 40 }), (lengths, dealt, room) => {
        const tokens = lengths.reduce((sum, [prompt, rows]) => sum + prompt + rows, 0);
        const longest = Math.max(...lengths.map(([, rows]) => rows));
        const stepSeconds = (size: StepSize): readonly number[] =>
          Array.from({ length: dealt.pp }, () => size.tokens);
        const options = { mesh: dealt, maxTokens: 16, stepSeconds };
        const found = seconds(lengths, options, { room });
        // No group does all alone, and none has to wait for ever.
        expect(found).toBeGreaterThanOrEqual(Math.max(tokens / dealt.dp, longest * dealt.pp) * (1 - 1e-9));
        expect(found).toBeLessThanOrEqual(tokens * dealt.pp * (1 + 1e-9));
      }),
    );
  });

  it('costs rounds in which nothing changes as one by one', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 8 }), (all, batch) => {
        const stepSeconds = ({ tokens, keys }: StepSize): readonly number[] => [3 + tokens + keys / 7];
        const overhead = { step: 0.5, request: 0.25 };
        const found = seconds(
          all.map((rows) => [1, rows]),
          { batch, stepSeconds, maxTokens: 1000 },
          { overhead },
        );
        expect(found).toBeCloseTo(oneByOne(all, batch, overhead, stepSeconds), 6);
      }),
    );
  });
});
