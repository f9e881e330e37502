/** Plans with less time between tokens than the best, by estimates. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { requestsOf } from '../../../cli/workloads.js';
import { checkFile } from '../../../compiler/check/check-file.js';
import { createPlanCompiler } from '../../../compiler/compile.js';
import { candidateBound } from '../../../compiler/planner/bound.js';
import { candidatePlan, findCandidates, type Candidate } from '../../../compiler/planner/candidates.js';
import { sizeChoices } from '../../../compiler/planner/size-choices.js';
import { fileHost } from '../../../runtime/file-host.js';
import { runThrough } from '../../../runtime/run-through.js';
import type { SimulatedRequest } from '../../../runtime/clock/simulation.js';
import type { Tuned } from '../../../runtime/tune/search.js';
import { createSurvey } from '../../../runtime/tune/survey.js';
import { tradeOffsInParts, type TradeOff } from '../../../runtime/tune/trade-offs.js';
import { tune } from '../../../runtime/tune/tune.js';
import { machine, planOn, requests } from './machines.js';

const sizes = { microbatchTokens: [64], batchRequests: [2, 8], hostKvBytes: [1e9, 1e5] };

/** With pages that are large enough to be copied where they lie: nothing beside them takes room. */
const SLOW_LINKS = { peerBandwidth: 1e8, deviceMemory: 3.2e6, step: 0, layer: 0, request: 0, pageTokens: 64 };
const MANY: readonly SimulatedRequest[] = Array.from({ length: 80 }, (_, id) => ({
  promptTokens: 8 + ((id * 37) % 50),
  outputTokens: 4 + ((id * 23) % 40),
}));

/** One that a later one beats, in seconds as in time between tokens, is none. */
function expectQuickestFirst(found: readonly TradeOff[]): void {
  for (const [place, { seconds, betweenTokens }] of found.slice(1).entries()) {
    expect(seconds).toBeGreaterThan(found[place]!.seconds);
    expect(betweenTokens).toBeLessThan(found[place]!.betweenTokens);
  }
}

describe('tradeOffsInParts', () => {
  it('finds plans that fit, each with a quarter less time between tokens than the one before', () => {
    fc.assert(
      fc.property(machine, requests, (on, all) => {
        const plan = planOn(on);
        const candidates = findCandidates(plan, undefined, sizes);
        const survey = createSurvey(plan, all);
        const [best] = tune(candidates, all, { survey }).ranked;
        if (best === undefined) return;
        const found = runThrough(tradeOffsInParts(candidates, [best], survey));
        expectQuickestFirst(found);
        let most = best.simulation.latency.betweenTokens;
        for (const { candidate, seconds, betweenTokens } of found) {
          expect(candidates).toContain(candidate);
          expect(betweenTokens).toBeLessThanOrEqual(most * 0.75);
          most = betweenTokens;
          expect(seconds).toBeGreaterThanOrEqual(best.simulation.makespan);
          const bound = candidateBound(candidate, survey.context)!;
          expect(seconds).toBeGreaterThanOrEqual(bound.least(survey.demand) * (1 - 1e-9));
          const { diagnostics } = createPlanCompiler()(candidatePlan(candidate));
          expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
        }
      }),
      { numRuns: 8, endOnFailure: true },
    );
  }, 120_000);

  it('shows none by rough estimates, which are all that there is where prompts begin alike', () => {
    const plan = planOn({ ...SLOW_LINKS, pageTokens: 16 });
    const candidates = findCandidates(plan, undefined, { ...sizes, batchRequests: [4, 16, 64] });
    const linesOf = (all: readonly SimulatedRequest[]): number => {
      const survey = createSurvey(plan, all);
      const [best] = tune(candidates, all, { survey }).ranked;
      return runThrough(tradeOffsInParts(candidates, [best!], survey)).length;
    };
    const long = MANY.map((each) => ({ ...each, promptTokens: each.promptTokens + 16 }));
    expect(linesOf(long)).toBeGreaterThan(0);
    expect(linesOf(long.map((each) => ({ ...each, prefix: { name: 'a', tokens: 16 } })))).toBe(0);
  });

  it('shows none where no answer has two tokens', () => {
    const plan = planOn(SLOW_LINKS);
    const candidates = findCandidates(plan, undefined, sizes);
    const all = MANY.map((each) => ({ ...each, outputTokens: 1 }));
    const survey = createSurvey(plan, all);
    const [best] = tune(candidates, all, { survey }).ranked;
    expect(runThrough(tradeOffsInParts(candidates, [best!], survey))).toEqual([]);
  });

  it('leaves out none that is a good deal quicker, and says what they take', () => {
    const plan = planOn(SLOW_LINKS);
    const candidates = findCandidates(plan, undefined, { ...sizes, batchRequests: [4, 16, 64] });
    const survey = createSurvey(plan, MANY);
    const every = tune(candidates, MANY, { survey, keep: 'all' }).ranked;
    const best = every[0]!;
    const found = runThrough(tradeOffsInParts(candidates, [best], survey));
    expect(found.length).toBeGreaterThanOrEqual(2);
    let most = best.simulation.latency.betweenTokens * 0.75;
    for (const { candidate, seconds, betweenTokens } of found) {
      const { makespan, latency } = every.find((each) => each.candidate === candidate)!.simulation;
      expect(Math.abs(seconds / makespan - 1)).toBeLessThan(0.02);
      expect(Math.abs(betweenTokens / latency.betweenTokens - 1)).toBeLessThan(0.02);
      const others = every.filter(({ simulation }) => simulation.latency.betweenTokens <= most);
      const quickest = Math.min(...others.map(({ simulation }) => simulation.makespan));
      expect(makespan / quickest).toBeLessThan(1.05);
      most = betweenTokens * 0.75;
    }
    expect(every.filter(({ simulation }) => simulation.latency.betweenTokens <= most * 0.98)).toEqual([]);
  });

  it('shows none that one found later beats, which its rough estimate had hidden', () => {
    const { plans, importedWorkloads } = checkFile(fileHost(), 'plans/seesaw/a10.plan');
    const plan = plans.find(({ name }) => name === 'm34b')!;
    const arxiv = importedWorkloads.find(({ name }) => name === 'arxiv')!;
    const chosen = requestsOf(arxiv, plan.model.shape.context);
    if (chosen.kind !== 'requests') throw new Error(chosen.message);
    const all = chosen.requests;
    const candidates = findCandidates(plan, undefined, sizeChoices(plan, all));
    const survey = createSurvey(plan, all);
    const [best] = tune(candidates, all, { survey, byEstimate: true, tolerance: 0.01 }).ranked;
    const found = runThrough(tradeOffsInParts(candidates, [best!], survey));
    expect(found).not.toEqual([]);
    expectQuickestFirst(found);
  });

  it('has plans that were simulated by what they took, and none like them by an estimate', () => {
    const plan = planOn(SLOW_LINKS);
    const candidates = findCandidates(plan, undefined, { ...sizes, batchRequests: [4, 16, 64] });
    const survey = createSurvey(plan, MANY);
    const [best, ...others] = tune(candidates, MANY, { survey, keep: 'all' }).ranked;
    const byEstimate = runThrough(tradeOffsInParts(candidates, [best!], survey));
    expect(byEstimate.map(({ isSimulated }) => isSimulated)).toEqual(byEstimate.map(() => false));
    const [first] = byEstimate;
    const simulated = others.find(({ candidate }) => candidate === first!.candidate)!;
    const [known, ...rest] = runThrough(tradeOffsInParts(candidates, [best!, simulated], survey));
    const { makespan, latency } = simulated.simulation;
    expect(known).toEqual({
      candidate: simulated.candidate,
      seconds: makespan,
      betweenTokens: latency.betweenTokens,
      isSimulated: true,
    });
    // The next has so much less than that one took.
    expect(rest[0]!.betweenTokens).toBeLessThanOrEqual(latency.betweenTokens * 0.75);
    expect(rest.map(({ isSimulated }) => isSimulated)).toEqual(rest.map(() => false));
    const all = runThrough(tradeOffsInParts(candidates, [best!, ...others], survey));
    expect(all.length).toBeGreaterThanOrEqual(2);
    expectQuickestFirst(all);
    expect(all.map(({ isSimulated }) => isSimulated)).toEqual(all.map(() => true));
  });

  it('says of a plan whose simulation was given up no less than it was found to take', () => {
    const plan = planOn(SLOW_LINKS);
    const candidates = findCandidates(plan, undefined, { ...sizes, batchRequests: [4, 16, 64] });
    const survey = createSurvey(plan, MANY);
    const { ranked } = tune(candidates, MANY, { survey });
    const offers = (behind?: ReadonlyMap<Candidate, number>): readonly TradeOff[] =>
      runThrough(tradeOffsInParts(candidates, [ranked[0]!], survey, behind));
    const [first] = offers();
    const seconds = first!.seconds * 1.01;
    const still = offers(new Map([[first!.candidate, seconds]]));
    expect(still.find(({ candidate }) => candidate === first!.candidate)?.seconds).toBe(seconds);
    // One that takes far longer is no offer any more.
    const gone = offers(new Map([[first!.candidate, first!.seconds * 3]]));
    expect(gone.map(({ candidate }) => candidate)).not.toContain(first!.candidate);
    expect(gone.length).toBeGreaterThan(0);
  });

  it('finds none beside the plan with the least time between tokens', () => {
    const plan = planOn(SLOW_LINKS);
    const candidates = findCandidates(plan, ['fused'], sizes);
    const survey = createSurvey(plan, MANY);
    const every = tune(candidates, MANY, { survey, keep: 'all' }).ranked;
    const between = ({ simulation }: Tuned): number => simulation.latency.betweenTokens;
    const [least] = [...every].sort((a, b) => between(a) - between(b));
    expect(runThrough(tradeOffsInParts(candidates, [least!], survey))).toEqual([]);
  });
});
