/** Prompts dealt out to the steps of a stage for both phases. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mixedSteps, type MixedSteps, type StepsOfRound } from '../../../compiler/planner/mixed-steps.js';

interface Prompt {
  /** Round from which on it is there, and its tokens. */
  readonly from: number;
  readonly tokens: number;
}

function deal(prompts: readonly Prompt[], steps: StepsOfRound): MixedSteps {
  const dealt = mixedSteps(steps);
  for (const { from, tokens } of prompts) dealt.add(from, tokens);
  return dealt.all();
}

/** Step by step: tokens of each of a replica without others. */
function tokensOfSteps(prompts: readonly Prompt[], { pp, tokens }: StepsOfRound): readonly number[] {
  const steps: number[] = [];
  let at = 0;
  for (const prompt of prompts) {
    at = Math.max(at, Math.floor(prompt.from * pp));
    for (let left = prompt.tokens; left > 0; left--) {
      if (steps[at] === tokens) at++;
      steps[at] = (steps[at] ?? 0) + 1;
    }
  }
  return Array.from(steps, (each) => each ?? 0);
}

describe('mixedSteps', () => {
  it('finds steps with prompts, and runs of those that share a round', () => {
    const at = [0, 2, 9].map((step) => ({ from: step / 4, tokens: 5 + step }));
    expect(deal(at, { dp: 1, pp: 4, tokens: 20 })).toEqual({
      steps: 3,
      runs: 2,
      stepsOfRuns: 4,
      mostTokens: 7 + 14,
    });
  });

  it('fills steps in order, and goes on in the next with what a step has no room for', () => {
    const steps = { dp: 1, pp: 2, tokens: 10 };
    expect(
      deal(
        [4, 25, 5].map((tokens) => ({ from: 0, tokens })),
        steps,
      ),
    ).toMatchObject({ steps: 4, runs: 1 });
  });

  it('deals them out to replicas, the one that has a step first', () => {
    const steps = { dp: 3, pp: 1, tokens: 10 };
    const three = Array.from({ length: 3 }, () => ({ from: 0, tokens: 30 }));
    expect(deal(three, steps)).toEqual({ steps: 9, runs: 9, stepsOfRuns: 9, mostTokens: 90 });
    expect(deal([...three, { from: 0, tokens: 30 }], steps).steps).toBe(12);
  });

  it('is what it is step by step', () => {
    const prompt = fc.record({
      wait: fc.integer({ min: 0, max: 12 }),
      tokens: fc.integer({ min: 1, max: 20 }),
    });
    const sizes = fc.record({
      dp: fc.constant(1),
      pp: fc.integer({ min: 1, max: 5 }),
      tokens: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(prompt, { minLength: 1, maxLength: 20 }), sizes, (waits, steps) => {
        let from = 0;
        const prompts = waits.map(({ wait, tokens }) => ({ from: (from += wait / 3), tokens }));
        const all = tokensOfSteps(prompts, steps);
        const mixed = all.flatMap((tokens, at) => (tokens > 0 ? [at] : []));
        const gaps = mixed.map((at, place) => at - (mixed[place - 1] ?? -Infinity));
        const begins = gaps.flatMap((each, place) => (each < steps.pp ? [] : [place]));
        const runs = begins.map((begin, run) => mixed.slice(begin, begins[run + 1]));
        expect(deal(prompts, steps)).toEqual({
          steps: mixed.length,
          runs: runs.length,
          stepsOfRuns: runs.reduce((sum, run) => sum + run.at(-1)! - run[0]! + 1, 0),
          mostTokens: runs.reduce((sum, run) => sum + Math.max(...run.map((at) => all[at]!)), 0),
        });
      }),
    );
  });
});
