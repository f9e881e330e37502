/** Prefill in order of arrival: steps through a pipeline. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StepSize } from '../../../compiler/cost/kernel-work.js';
import type { Stage } from '../../../compiler/plan/plan.js';
import type { CourseSetting } from '../../../compiler/planner/course-setting.js';
import type { SequencesInOrder } from '../../../compiler/planner/decode-rounds.js';
import * as planner from '../../../compiler/planner/prompt-course.js';
import { goesWith, type PrefillingStage } from '../../../compiler/planner/prompt-course.js';

interface Options {
  readonly mesh?: Partial<Stage['mesh']>;
  readonly maxTokens?: number;
  readonly maxSequences?: number;
  readonly stepSeconds?: (size: StepSize) => readonly number[];
  /** Seconds for a page that goes out, by pipeline stage. */
  readonly out?: readonly number[];
}

/** A stage on which a token takes a second on every group by default. */
function load({ mesh, maxTokens = 4, maxSequences = 100, stepSeconds, out }: Options): PrefillingStage {
  const places = Array.from({ length: mesh?.pp ?? 1 }, () => 0);
  return {
    stage: { mesh: { dp: 1, pp: 1, tp: 1, ...mesh } },
    sizes: { maxTokens, maxSequences },
    stepSeconds: stepSeconds ?? (({ tokens }) => places.map(() => tokens)),
    out: out ?? places,
  };
}

const inOrder = (prompts: readonly number[], computed = prompts.map(() => 0)): SequencesInOrder => ({
  computed,
  begun: prompts.map(() => false),
  prompts,
  rows: prompts.map(() => 1),
});

const FREE = { step: 0, request: 0 };

/** With lists that compare; by default with as much room as there may be, and hosts that take no time. */
function promptCourse(
  stage: PrefillingStage,
  sequences: SequencesInOrder,
  given: Partial<CourseSetting> = {},
) {
  const free = { room: Infinity, kv: { pageTokens: 4 }, overhead: FREE, copyEngines: false };
  const course = planner.promptCourse(stage, { ...free, sequences, ...given });
  return { ...course, ends: Array.from(course.ends), sent: Array.from(course.sent) };
}

function seconds(sequences: SequencesInOrder, options: Options, given: Partial<CourseSetting> = {}): number {
  return promptCourse(load(options), sequences, given).seconds;
}

describe('promptCourse', () => {
  it('packs prompts into steps of so many tokens and ends of prompts', () => {
    const sizes: StepSize[] = [];
    const stepSeconds = (size: StepSize): readonly number[] => {
      sizes.push(size);
      return [1];
    };
    expect(seconds(inOrder([3, 0, 6], [0, 7, 8]), { stepSeconds })).toBe(3);
    // Behind three tokens of the first the second prompt begins at position 8.
    expect(sizes).toEqual([
      { tokens: 4, samples: 1, pairs: 1 + 2 + 3 + 9, keys: 3 + 9 },
      { tokens: 4, samples: 0, pairs: 10 + 11 + 12 + 13, keys: 13 },
      { tokens: 1, samples: 1, pairs: 14, keys: 14 },
    ]);
    expect(seconds(inOrder([1, 1, 1]), { stepSeconds, maxSequences: 2 })).toBe(2);
  });

  it('lets steps follow each other through a pipeline', () => {
    // Steps of 4, 4 and 2 tokens on three groups: the longest go 4 + 4 + 4, the others behind them.
    expect(seconds(inOrder([10]), { mesh: { pp: 3 } })).toBe(4 + 4 + 4 + 4 + 2);
    const stepSeconds = ({ tokens }: StepSize): readonly number[] => [tokens, 2 * tokens];
    expect(seconds(inOrder([10]), { mesh: { pp: 2 }, stepSeconds })).toBe(4 + 8 + 8 + 4);
  });

  it('tells when each prompt is done', () => {
    const course = promptCourse(load({ mesh: { pp: 2 } }), inOrder([3, 0, 6]));
    // Of steps of 4, 4 and 1 tokens the first ends the first prompt, which the second keeps from being sent out, and the last the other.
    expect(course).toMatchObject({ seconds: 13, ends: [8, 0, 13], sent: [12, 0, 13], filling: 4 });
  });

  it('deals prompts over replicas, to the one with the fewest tokens', () => {
    expect(seconds(inOrder([6, 2, 2, 3]), { mesh: { dp: 2 } })).toBe(7);
  });

  it('has pages sent out between steps, three quarters of them beside exchanges', () => {
    // Steps of one prompt each, of one page.
    const all = inOrder([4, 4, 4]);
    expect(seconds(all, { out: [2] })).toBe(3 * 4 + 3 * 2);
    expect(seconds(all, { out: [2], mesh: { tp: 2 } })).toBe(3 * 4 + 3 * 1.5);
    expect(seconds(all, { out: [2] }, { copyEngines: true })).toBe(3 * 4);
  });

  it('waits for the host, which prepares a step while others that sample nothing are computed', () => {
    const overhead = { step: 1, request: 2 };
    // A prompt of two steps, the first of which samples nothing: the host has prepared the second by its end.
    expect(seconds(inOrder([8]), {}, { overhead })).toBe(1 + 4 + 4);
    expect(seconds(inOrder([4, 4]), {}, { overhead })).toBe(3 + 4 + 3 + 4);
  });

  it('has one host prepare the steps of all replicas, but where each has its own', () => {
    const course = (hostPerReplica: boolean): readonly number[] => {
      const overhead = { step: 5, request: 0, hostPerReplica };
      const stage = load({ mesh: { dp: 2 } });
      return promptCourse(stage, inOrder([4, 4, 4]), { overhead, copyEngines: true }).ends;
    };
    expect(course(false)).toEqual([5 + 4, 10 + 4, 15 + 4]);
    expect(course(true)).toEqual([5 + 4, 5 + 4, 14 + 4]);
  });

  it('takes no less than any group computes, and no more than step by step', () => {
    const prompts = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 30 });
    fc.assert(
      fc.property(prompts, fc.integer({ min: 1, max: 5 }), (all, pp) => {
        const total = all.reduce((sum, each) => sum + each, 0);
        const found = seconds(inOrder(all), { mesh: { pp } });
        expect(found).toBeGreaterThanOrEqual(total);
        expect(found).toBeLessThanOrEqual(total * pp);
      }),
    );
  });

  it('tells when the pages of each prompt are sent out, one behind the other', () => {
    const sent = (mesh: Partial<Stage['mesh']>): readonly number[] => {
      const places = Array.from({ length: mesh.pp ?? 1 });
      const stage = load({ mesh, stepSeconds: () => places.map(() => 1), out: places.map(() => 5) });
      return promptCourse(stage, inOrder([4, 4, 4]), { copyEngines: true }).sent;
    };
    expect(sent({ tp: 2 })).toEqual([6, 11, 16]);
    // The host prepares the next step when it has read the first token: pages come before it.
    expect(sent({})).toEqual([6, 11, 16]);
    // Steps of a pipeline end at 2, 3 and 4 seconds. Without exchanges pages come behind the one that is given out before them.
    expect(sent({ pp: 2 })).toEqual([8, 13, 18]);
    // What does not decode is sent nowhere.
    const some = { ...inOrder([4, 4]), rows: [0, 1] };
    const stage = load({ mesh: { tp: 2 }, stepSeconds: () => [1], out: [5] });
    expect(promptCourse(stage, some, { copyEngines: true }).sent).toEqual([1, 7]);
  });

  it('lets prompts in as there is room for their pages', () => {
    const stage = load({ mesh: { tp: 2 }, stepSeconds: () => [1], out: [5] });
    const course = (room: number) => promptCourse(stage, inOrder([4, 4, 4]), { room, copyEngines: true });
    // With room for one each waits until the one before is sent out.
    expect(course(1)).toMatchObject({ ends: [1, 7, 13], sent: [6, 12, 18], mostPages: 1, waited: true });
    expect(course(2)).toMatchObject({ ends: [1, 2, 7], sent: [6, 11, 16], waited: true });
    expect(course(3)).toMatchObject({ ends: [1, 2, 3], mostPages: 3, waited: false });
    // One that is longer than that is let in alone.
    expect(promptCourse(stage, inOrder([8]), { room: 1, copyEngines: true }).seconds).toBe(2);
    // Steps have what is let in: two of these prompts at most.
    const sizes: number[] = [];
    const short = load({
      maxTokens: 8,
      stepSeconds: ({ tokens }) => [sizes.push(tokens)],
      mesh: { tp: 2 },
    });
    promptCourse(short, inOrder([3, 3, 3, 3, 3]), { room: 2 });
    expect(sizes).toEqual([6, 6, 3]);
  });

  it('is the same with as much room as was ever held, where no prompt waited', () => {
    const prompts = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 30 });
    const room = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(prompts, room, room, fc.integer({ min: 1, max: 3 }), (all, first, second, pp) => {
        const stage = load({ mesh: { pp }, out: Array.from({ length: pp }, () => 3) });
        const [one, other] = [first, second].map((pages) =>
          promptCourse(stage, inOrder(all), { room: pages }),
        );
        if (!goesWith(one!, second)) return;
        expect({ ...other, room: 0 }).toEqual({ ...one, room: 0 });
      }),
    );
  });
});
