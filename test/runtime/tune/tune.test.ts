/** The tuner: what an exhaustive search finds, found with less. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPlanCompiler, type CompiledCandidate, type PlanCompiler } from '../../../compiler/compile.js';
import {
  candidatePlan,
  findCandidates,
  STRATEGIES,
  type Candidate,
} from '../../../compiler/planner/candidates.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { SimulatedRequest } from '../../../runtime/clock/simulation.js';
import { runThrough } from '../../../runtime/run-through.js';
import {
  decided,
  searchInParts,
  type Tuned,
  type TuneOptions,
  type TuneResult,
} from '../../../runtime/tune/search.js';
import { trialInParts, type Goal, type Trial, type TrialSetting } from '../../../runtime/tune/trial.js';
import { tune } from '../../../runtime/tune/tune.js';
import { machine, planOn, requests } from './machines.js';

const makespan = ({ simulation }: Tuned): number => simulation.makespan;
const betweenTokens = ({ simulation }: Tuned): number => simulation.latency.betweenTokens;

describe('tune', () => {
  it('knows at once that no plan serves a prompt that is longer than the context', () => {
    const plan = planOn({
      peerBandwidth: 1e9,
      deviceMemory: 1e9,
      pageTokens: 16,
      step: 0,
      layer: 0,
      request: 0,
    });
    const candidates = findCandidates(plan, STRATEGIES);
    const { context } = plan.model.shape;
    const search = (promptTokens: number) =>
      searchInParts(candidates, [{ promptTokens, outputTokens: 4 }], { byEstimate: true });
    const longer = search(context + 1).next([]);
    expect(longer.done).toBe(true);
    expect(longer.value).toMatchObject({ ranked: [], counts: { unfit: candidates.length } });
    expect(search(context).next([]).done).toBe(false);
  });

  it('finds the plans that an exhaustive search finds, whatever is wanted of them', () => {
    fc.assert(
      fc.property(machine, requests, fc.double({ min: 0.05, max: 0.99, noNaN: true }), (made, all, part) => {
        const sizes = { microbatchTokens: [16, 64], batchRequests: [2, 8], hostKvBytes: [1e9, 1e5] };
        const some = (_: unknown, i: number): boolean => i % 23 === (all.length * 5) % 23;
        const candidates = findCandidates(planOn(made), STRATEGIES, sizes).filter(some);
        const compile = compileOnce();
        const every = tune(candidates, all, { keep: 'all', compile });
        const { simulated, unfit, needless } = every.counts;
        expect(simulated + unfit + needless).toBe(candidates.length);
        expect(every.ranked).toHaveLength(every.counts.simulated);

        const best = Math.min(...candidates.map((each) => makespanOf(each, all, compile)));
        expect(Math.min(...every.ranked.map(makespan))).toBe(best);

        const quick = tune(candidates, all, { keep: 2, compile });
        expect(quick.ranked.slice(0, 2).map(makespan)).toEqual(every.ranked.slice(0, 2).map(makespan));
        expect(decided(quick.counts)).toBe(candidates.length);
        expect(quick.behind.size).toBe(quick.counts.givenUp);
        for (const [candidate, seconds] of quick.behind)
          expect(makespanOf(candidate, all, compile)).toBeGreaterThanOrEqual(seconds * (1 - 1e-8));

        const floor = all.length / Math.max(...every.ranked.map(makespan), 1e-6) / part;
        const goal: Goal = { kind: 'latency', floor };
        const reaching = every.ranked.filter((each) => all.length / makespan(each) >= floor);
        const soonest = Math.min(...reaching.map(betweenTokens));
        const found = tune(candidates, all, { goal, compile }).ranked;
        expect(found.length === 0 ? Infinity : betweenTokens(found[0]!)).toBe(soonest);
        for (const each of found)
          expect(all.length / makespan(each)).toBeGreaterThanOrEqual(floor * (1 - 1e-8));

        const front = tune(candidates, all, { goal: { kind: 'front' }, compile }).ranked;
        for (const each of every.ranked.filter((one) => !isBeaten(one, every.ranked)))
          expect(front.some((other) => sameFigures(each, other))).toBe(true);
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });

  it('leaves out no plan by bounds that is better by more than is tolerated', () => {
    const seen = { lessTried: 0 };
    const parts = fc.constantFrom(0.01, 0.1, 0.3);
    fc.assert(
      fc.property(machine, requests, parts, (made, all, tolerance) => {
        const sizes = { microbatchTokens: [16, 64], batchRequests: [2, 8], hostKvBytes: [1e9, 1e5] };
        const some = (_: unknown, i: number): boolean => i % 11 === (all.length * 5) % 11;
        const candidates = findCandidates(planOn(made), STRATEGIES, sizes).filter(some);
        const compile = compileOnce();
        const [every, quick] = [0, tolerance].map((part) =>
          tune(candidates, all, { compile, tolerance: part }),
        );
        expect(decided(quick!.counts)).toBe(candidates.length);
        const [best, found] = [every!.ranked[0], quick!.ranked[0]];
        expect(found === undefined).toBe(best === undefined);
        if (best === undefined || found === undefined) return;
        const least = makespan(best);
        expect(every!.leastLeftOut).toBe(Infinity);
        // What is said of those that were left out holds, and is no more than what was tolerated.
        expect(least).toBeGreaterThanOrEqual(Math.min(makespan(found), quick!.leastLeftOut) * (1 - 1e-9));
        expect(quick!.leastLeftOut).toBeGreaterThanOrEqual(makespan(found) * (1 - tolerance) * (1 - 1e-9));
        const triedOf = ({ counts }: TuneResult): number => counts.simulated + counts.givenUp;
        if (triedOf(quick!) < triedOf(every!)) seen.lessTried++;
      }),
      { numRuns: 20 },
    );
    expect(seen.lessTried).toBeGreaterThan(0);
  });

  it('finds the same plans with trials that end in any order, at any time', () => {
    const turns = fc.array(fc.nat(), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(machine, requests, turns, fc.integer({ min: 2, max: 4 }), (made, all, chosen, atOnce) => {
        const sizes = { microbatchTokens: [16, 64], batchRequests: [2, 8] };
        const some = (_: unknown, i: number): boolean => i % 17 === (all.length * 5) % 17;
        const candidates = findCandidates(planOn(made), STRATEGIES, sizes).filter(some);
        const compile = compileOnce();
        const alone = tune(candidates, all, { keep: 2, compile });
        const found = tuneInDisorder(candidates, all, { keep: 2, compile, atOnce }, chosen);
        expect(found.ranked.slice(0, 2).map(makespan)).toEqual(alone.ranked.slice(0, 2).map(makespan));
        expect(decided(found.counts)).toBe(candidates.length);
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });

  it('keeps to a time, a compiler and a way to change stage that it is given', () => {
    const all = Array.from({ length: 6 }, () => ({ promptTokens: 40, outputTokens: 20 }));
    const candidates = findCandidates(planOn({ ...PLAIN, deviceMemory: 3.2e6 }), ['re-sharded']);
    const compiled = new Set<string>();
    const compiler = createPlanCompiler();
    const compile: PlanCompiler = (plan) => {
      compiled.add(plan.name);
      return compiler(plan);
    };
    const best = tune(candidates, all, { compile, transitions: 'barrier' }).ranked[0]!;
    expect(compiled).toContain(best.plan.name);
    expect(best.simulation.transitions.count).toBeGreaterThan(0);
    const runtime = compiler(best.plan).runtime();
    expect(best.simulation).toEqual(simulate(runtime, best.plan, all, { transitions: 'barrier' }));
    const within = makespan(best);
    const none = tune(candidates, all, { transitions: 'barrier', within });
    expect(none.ranked).toEqual([]);
    expect(decided(none.counts)).toBe(candidates.length);
    const again = tune(candidates, all, { transitions: 'barrier', within: within * (1 + 1e-6) });
    expect(again.ranked.map(makespan)).toEqual([within]);
  });

  it('tries the least of the batches that memory has no room for', () => {
    const sizes = { microbatchTokens: [64], batchRequests: [2, 8, 1000, 1001, 5000] };
    const candidates = findCandidates(planOn({ ...PLAIN, deviceMemory: 3.2e6 }), ['re-sharded'], sizes);
    const { ranked, counts } = tune(candidates, [{ promptTokens: 40, outputTokens: 20 }], { keep: 'all' });
    expect(counts.needless).toBeGreaterThan(0);
    expect(ranked.map(({ plan }) => plan.stages.at(-1)!.batchRequests)).not.toContain(5000);
  });

  it('tries one decode stage for each of prefill where nothing decodes', () => {
    const all = Array.from({ length: 12 }, (_, i) => ({ promptTokens: 20 + i, outputTokens: 1 }));
    const found = findCandidates(planOn(PLAIN), ['re-sharded', 'disaggregated']);
    const { ranked, counts } = tune(found, all, { keep: 'all' });
    const prefills = ranked.map(({ candidate }) => candidate.stages[0]!);
    expect(new Set(prefills).size).toBe(prefills.length);
    expect(new Set(prefills)).toEqual(new Set(found.map(({ stages }) => stages[0]!)));
    expect(counts.needless + counts.simulated).toBe(found.length);
    for (const { candidate, simulation } of ranked) {
      const other = found.findLast(({ stages }) => stages[0] === candidate.stages[0])!;
      const plan = candidatePlan(other);
      const alone = simulate(createPlanCompiler()(plan).runtime(), plan, all);
      expect(alone.makespan / simulation.makespan).toBeCloseTo(1, 9);
    }
  });

  it('says so where no plan fits', () => {
    const candidates = findCandidates(planOn({ ...PLAIN, deviceMemory: 1e5 }));
    const result = tune(candidates, [{ promptTokens: 10, outputTokens: 5 }]);
    expect(result.ranked).toEqual([]);
    expect(result.counts).toMatchObject({ candidates: candidates.length, unfit: candidates.length });
  });

  it('counts a plan that would cut answers short as one that does not fit', () => {
    const candidates = findCandidates(planOn({ ...PLAIN, deviceMemory: 3.2e6 }));
    const long = [{ promptTokens: 60, outputTokens: 68 }];
    const { ranked, counts } = tune(candidates, long, { keep: 'all' });
    expect(counts.unfit).toBeGreaterThan(0);
    for (const { simulation } of ranked) expect(simulation.tokens.output).toBe(68);
  });
});

const PLAIN = { peerBandwidth: 1e8, deviceMemory: 1e9, step: 0, layer: 0, request: 0, pageTokens: 16 };

/** Seconds of a candidate that nothing has judged before; infinite where it does not fit. */
function makespanOf(candidate: Candidate, all: readonly SimulatedRequest[], compile: PlanCompiler): number {
  const plan = candidatePlan(candidate);
  const { diagnostics, runtime } = compile(plan);
  if (diagnostics.some(({ severity }) => severity === 'error')) return Infinity;
  const { makespan, tokens } = simulate(runtime(), plan, all);
  const wanted = all.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
  return tokens.output === wanted ? makespan : Infinity;
}

/** Compiles a plan when it is first met: most of the time of a search on small machines goes into that. */
function compileOnce(): PlanCompiler {
  const compile = createPlanCompiler();
  const known = new Map<string, CompiledCandidate>();
  return (plan) => {
    const key = JSON.stringify([plan.stages, plan.flow, plan.kv, plan.residence]);
    const result = known.get(key) ?? compile(plan);
    known.set(key, result);
    return result;
  };
}

/** A search with several trials under way, which end one by one at pauses that are chosen, and where it awaits some. */
function tuneInDisorder(
  candidates: readonly Candidate[],
  all: readonly SimulatedRequest[],
  options: TuneOptions,
  chosen: readonly number[],
): TuneResult {
  const search = searchInParts(candidates, all, options);
  const underWay: { readonly trial: Trial; readonly setting: TrialSetting }[] = [];
  let part = search.next([]);
  for (let turn = 0; !part.done; turn++) {
    const said = part.value;
    if (said.kind === 'start') {
      underWay.push(said);
      expect(underWay.length).toBeLessThanOrEqual(options.atOnce!);
    }
    const choice = chosen[turn % chosen.length]!;
    const ends =
      said.kind === 'await' || choice % 3 === 0 ? underWay.splice(choice % underWay.length, 1) : [];
    part = search.next(
      ends.map(({ trial, setting }) => ({ trial, ...runThrough(trialInParts(trial, setting)) })),
    );
  }
  expect(underWay).toEqual([]);
  return part.value;
}

/** Both figures of another are better. */
function isBeaten(each: Tuned, all: readonly Tuned[]): boolean {
  return all.some(
    (other) =>
      (makespan(other) < makespan(each) && betweenTokens(other) <= betweenTokens(each)) ||
      (makespan(other) <= makespan(each) && betweenTokens(other) < betweenTokens(each)),
  );
}

function sameFigures(a: Tuned, b: Tuned): boolean {
  return makespan(a) === makespan(b) && betweenTokens(a) === betweenTokens(b);
}
