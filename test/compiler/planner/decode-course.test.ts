/** Decode in order of arrival: who is under way, and what rounds take. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StepSize } from '../../../compiler/cost/kernel-work.js';
import type { Stage } from '../../../compiler/plan/plan.js';
import {
  decodeCourse,
  type CourseFigures,
  type DecodingStage,
} from '../../../compiler/planner/decode-course.js';
import type { CourseSetting } from '../../../compiler/planner/course-setting.js';
import { decodeRounds, type SequencesInOrder } from '../../../compiler/planner/decode-rounds.js';
import { newHost, prepare } from '../../../compiler/cost/host-queue.js';

interface Options {
  readonly mesh?: Partial<Stage['mesh']>;
  readonly batch?: number;
  readonly stepSeconds?: (size: StepSize) => readonly number[];
  /** Seconds for a page that comes in. */
  readonly page?: number;
}

/** A stage on which every step takes a second by default. */
function load({ mesh, batch = 100, stepSeconds = () => [1], page = 0 }: Options): DecodingStage {
  return { stage: { mesh: { dp: 1, pp: 1, tp: 1, ...mesh }, batchRequests: batch }, stepSeconds, in: [page] };
}

interface Sequence {
  readonly computed?: number;
  readonly prompt?: number;
  readonly rows: number;
  readonly begun?: boolean;
}

const inOrder = (all: readonly Sequence[]): SequencesInOrder => ({
  computed: all.map(({ computed = 0 }) => computed),
  begun: all.map(({ begun = false }) => begun),
  prompts: all.map(({ prompt = 0 }) => prompt),
  rows: all.map(({ rows }) => rows),
});

const FREE = { step: 0, request: 0 };
const ROOM = 1e6;

/** What a course goes by: as much room as there may be, and hosts that take no time. */
function setting(sequences: SequencesInOrder, given: Partial<CourseSetting> = {}): CourseSetting {
  return { room: ROOM, sequences, kv: { pageTokens: 4 }, overhead: FREE, copyEngines: false, ...given };
}

interface Given {
  readonly room?: number;
  readonly overhead?: typeof FREE;
  readonly copyEngines?: boolean;
  readonly ready?: readonly number[];
}

function seconds(all: readonly Sequence[], options: Options, { ready, ...given }: Given = {}): number {
  const arrival = ready && { kind: 'beside' as const, first: ready, ready };
  return decodeCourse(load(options), setting(inOrder(all), given), arrival).seconds;
}

describe('decodeCourse', () => {
  it('has as many rounds as sequences in order of arrival have', () => {
    const rows = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 40 });
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 45 }), (all, batch) => {
        const sequences = all.map((each) => ({ rows: each }));
        expect(seconds(sequences, { batch })).toBeCloseTo(decodeRounds(inOrder(sequences), batch), 9);
      }),
    );
  });

  it('costs every row with its keys', () => {
    const options = { batch: 2, stepSeconds: ({ tokens, keys }: StepSize) => [10 * tokens + keys] };
    // Rounds: keys 6 and 3; then 7 alone.
    expect(
      seconds(
        [
          { computed: 2, prompt: 3, rows: 2 },
          { computed: 2, rows: 1 },
        ],
        options,
      ),
    ).toBeCloseTo(20 + 9 + 10 + 7, 9);
  });

  it('adds what the host prepares, and pages that come in unless that goes beside kernels', () => {
    const overhead = { step: 0.5, request: 0.25 };
    const all = [{ computed: 5, rows: 3 }, { rows: 1 }];
    expect(seconds(all, {}, { overhead })).toBeCloseTo(3 * 1.5 + 4 * 0.25, 9);
    // Two pages of the first, of which three quarters show.
    expect(seconds(all, { page: 2 })).toBeCloseTo(3 + 3, 9);
    expect(seconds(all, { page: 2 }, { copyEngines: true })).toBeCloseTo(3, 9);
    expect(seconds([{ ...all[0]!, begun: true }], { page: 2 })).toBeCloseTo(3, 9);
  });

  it('deals rows over the steps of a pipeline, which a round has to pass or to fill', () => {
    const stepSeconds = ({ tokens }: StepSize): readonly number[] => [tokens, 3 * tokens];
    const all = Array.from({ length: 64 }, () => ({ rows: 1 }));
    // Two steps of 16 rows for each of two replicas: 16 + 48 to pass, or 96 on the second group.
    expect(seconds(all, { mesh: { dp: 2, pp: 2 }, stepSeconds })).toBeCloseTo(96, 9);
    // The host prepares four steps.
    const overhead = { step: 40, request: 0.5 };
    expect(seconds(all, { mesh: { dp: 2, pp: 2 }, stepSeconds }, { overhead })).toBeCloseTo(192, 9);
    // One row: no group has more than a step of it.
    expect(seconds([{ rows: 1 }], { mesh: { pp: 2 }, stepSeconds })).toBeCloseTo(4, 9);
  });

  it('has no steps for replicas that none is left for', () => {
    const overhead = { step: 5, request: 0 };
    const stepSeconds = (): readonly number[] => [0];
    const took = (count: number, dp: number): number =>
      seconds(
        Array.from({ length: count }, () => ({ rows: 1 })),
        { mesh: { dp }, stepSeconds },
        { overhead },
      );
    for (let dp = 1; dp <= 128; dp++) expect(took(1, dp), `${dp} replicas`).toBe(5);
    // Two have replicas of their own, or have one together as often.
    expect(took(2, 2)).toBeCloseTo(7.5, 9);
    expect(took(2, 4)).toBeCloseTo(5 * 1.75, 9);
    // Any number of rows without a pipeline is one step.
    expect(took(3, 1)).toBe(5);
  });

  it('begins no more than there are pages for', () => {
    // Each takes up to three pages of four tokens: together they would take six.
    const all = [
      { computed: 8, rows: 3 },
      { computed: 8, rows: 3 },
    ];
    expect(seconds(all, {}, { room: 7 })).toBeCloseTo(3, 9);
    expect(seconds(all, {}, { room: 5 })).toBeCloseTo(6, 9);
  });

  it('has the host prepare steps of prefill in between, whoever asks first', () => {
    const all = inOrder([{ rows: 3 }, { prompt: 4, rows: 1 }]);
    const host = newHost();
    // Prefill asks a second after the begin: behind the first step of decode, before the second.
    const ready = [0, Infinity];
    let asks = 1;
    const steps = {
      asks: () => asks,
      goOn: () => {
        asks = Infinity;
        ready[1] = prepare(host, 1, 5) + 4;
        return [1];
      },
    };
    const arrival = { kind: 'beside' as const, first: ready, ready, steps };
    const overhead = { step: 2, request: 0 };
    const course = decodeCourse(load({}), setting(all, { overhead }), arrival, host);
    // The first row is there at 3; the second waits for the host until 7, as does nothing behind it.
    expect(ready[1]).toBe(2 + 5 + 4);
    expect(course.seconds).toBeCloseTo(3 + 4 + 3 + 3 + 3, 9);
  });

  it('tells the time between tokens, from the first on', () => {
    const all = inOrder([{ rows: 2 }, { rows: 4 }]);
    const course = (batch: number, first: readonly number[]): CourseFigures => {
      const arrival = { kind: 'beside' as const, first, ready: first.map(() => 0) };
      return decodeCourse(load({ batch }), setting(all), arrival);
    };
    expect(course(2, [0, 0])).toEqual({ seconds: 4, betweenTokens: 1 });
    // The second begins after two seconds: 2 + 3 over two rows, and 6 + 1 over four.
    expect(course(1, [-3, -1])).toEqual({ seconds: 6, betweenTokens: (5 / 2 + 7 / 4) / 2 });
  });

  it('takes turns with prefill, for which sequences in the midst of decode wait', () => {
    // A page and a second for each prompt, and room for two in the tier: the third is prefilled once both have begun.
    const all = inOrder([
      { prompt: 4, rows: 3 },
      { prompt: 4, rows: 3 },
      { prompt: 4, rows: 2 },
    ]);
    const turns = (room: number, batch: number): CourseFigures =>
      decodeCourse(load({ batch }), setting(all), {
        kind: 'alternating',
        shown: 1,
        toPrefill: 0,
        toDecode: 0,
        ends: [1, 2, 3],
        seconds: 3,
        filling: 0,
        room,
        few: room / 5,
      });
    // In one turn: 3 + 3 rounds, from first tokens after 1, 2 and 3 seconds.
    expect(turns(Infinity, 3)).toEqual({ seconds: 6, betweenTokens: (5 / 3 + 4 / 3 + 2 / 2) / 3 });
    // In two: a round of the first two comes before the third prompt, for which they wait.
    expect(turns(2, 3)).toEqual({ seconds: 6, betweenTokens: (5 / 3 + 4 / 3 + 2 / 2) / 3 });
    // One at a time: the second waits in the tier until the first has ended, and then for the third prompt.
    expect(turns(2, 1)).toEqual({ seconds: 11, betweenTokens: (4 / 3 + 7 / 3 + 5 / 2) / 3 });
  });

  it('begins a turn with pages that come in beside the last steps of prefill, and goes on with others', () => {
    const room = Infinity;
    const all = inOrder([
      { prompt: 4, rows: 2 },
      { prompt: 4, rows: 1 },
    ]);
    const turn = { ends: [1, 2], sent: [1, 2], seconds: 2, filling: 0, toPrefill: 0, toDecode: 8 };
    const course = (shown: number, batch: number, copyEngines: boolean): number =>
      decodeCourse(load({ batch, page: 4 }), setting(all, { copyEngines }), {
        kind: 'alternating',
        ...turn,
        shown,
        room,
        few: 0,
      }).seconds;
    expect(course(0.5, 2, false)).toBe(2 + 8 + 2 * 2 + 2);
    // The second comes in between rounds of decode.
    expect(course(0.5, 1, false)).toBe(2 + 8 + 2 + 2 + 3 + 1);
    expect(course(0, 2, true)).toBe(2 + 8 + 2);
  });

  it('begins none before it is ready', () => {
    const all = [{ rows: 3 }, { rows: 4 }];
    // In the second round, and long after the first has ended.
    expect(seconds(all, {}, { ready: [0, 1] })).toBeCloseTo(5, 9);
    expect(seconds(all, {}, { ready: [0, 0.5] })).toBeCloseTo(5, 9);
    expect(seconds(all, {}, { ready: [2, 10] })).toBeCloseTo(14, 9);
    // None is kept waiting by one that arrived before it and is not ready.
    expect(seconds(all, {}, { ready: [10, 0] })).toBeCloseTo(13, 9);
    expect(seconds([{ rows: 3 }, { rows: 4 }, { rows: 9 }], {}, { ready: [8, 0, 2] })).toBeCloseTo(11, 9);
    expect(seconds(all, { batch: 1 }, { ready: [0, 1] })).toBeCloseTo(7, 9);
  });

  it('sends back the one that came last where pages run out', () => {
    // From 4 and 4 tokens on both grow, until five pages are full: the second goes back with what it has still to do.
    const all = [
      { computed: 4, rows: 12 },
      { computed: 4, rows: 12 },
    ];
    const together = seconds(all, {}, { room: 5 });
    expect(together).toBeGreaterThan(12);
    expect(together).toBeLessThan(24);
  });

  it('ends with any room, each alone at the worst', () => {
    const sequences = fc.array(
      fc.record({ computed: fc.integer({ min: 0, max: 40 }), rows: fc.integer({ min: 0, max: 40 }) }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(
        sequences,
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: 1, max: 8 }),
        (all, room, batch) => {
          const found = seconds(all, { batch }, { room });
          expect(found).toBeGreaterThanOrEqual(decodeRounds(inOrder(all), batch) - 1e-9);
          expect(found).toBeLessThanOrEqual(all.reduce((sum, { rows }) => sum + rows, 0) + 1e-9);
        },
      ),
    );
  });
});
