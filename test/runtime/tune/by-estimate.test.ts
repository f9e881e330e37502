/** Searches that estimates decide, beside those that bounds alone do. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { neutralPageBytes } from '../../../compiler/passes/kv-pools.js';
import {
  candidateLabel,
  candidatePlan,
  findCandidates,
  hostKvBytes,
  STRATEGIES,
} from '../../../compiler/planner/candidates.js';
import { candidateBound } from '../../../compiler/planner/bound.js';
import { fileHost } from '../../../runtime/file-host.js';
import { runThrough } from '../../../runtime/run-through.js';
import { decided, searchInParts, type TuneResult } from '../../../runtime/tune/search.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../../../runtime/clock/simulation.js';
import { TOLERANCE, worthEstimating } from '../../../runtime/tune/search-effort.js';
import {
  leastByEstimate,
  trialInParts,
  type EndedTrial,
  type Goal,
  type Trial,
  type TrialSetting,
} from '../../../runtime/tune/trial.js';
import { createSurvey } from '../../../runtime/tune/survey.js';
import { tune, tuneInParts } from '../../../runtime/tune/tune.js';
import { machine, planOn } from './machines.js';

const sizes = { microbatchTokens: [16, 32, 64], batchRequests: [2, 4, 8], hostKvBytes: [1e9, 1e5] };
const PLAIN = { peerBandwidth: 1e10, deviceMemory: 3.2e6, pageTokens: 16, step: 0, layer: 0, request: 0 };

describe('worthEstimating', () => {
  const candidates = findCandidates(planOn(PLAIN), ['re-sharded'], sizes);

  it('is not worth it where there is little to try', () => {
    const workload = (count: number, outputTokens: number): SimulatedRequest[] =>
      Array.from({ length: count }, () => ({ promptTokens: 1, outputTokens }));
    const most = Math.ceil(20_000 / candidates.length);
    expect(worthEstimating(candidates, workload(most, 1))).toBe(true);
    expect(worthEstimating(candidates, workload(most - 1, 1))).toBe(false);
    // Few requests with long answers take many steps.
    expect(worthEstimating(candidates, workload(1, 20 * most))).toBe(true);
    expect(worthEstimating(candidates, workload(1, 20 * (most - 2)))).toBe(false);
  });
});

describe('tune by estimates', () => {
  it('leaves out nothing that is better by more than is tolerated, as long as estimates are not too long', () => {
    const tolerances = fc.constantFrom(0, TOLERANCE, 0.1);
    const length = fc.record({
      promptTokens: fc.integer({ min: 4, max: 60 }),
      outputTokens: fc.integer({ min: 1, max: 60 }),
    });
    const workload = fc.array(length, { minLength: 40, maxLength: 60 });
    fc.assert(
      fc.property(machine, workload, tolerances, (made, all, tolerance) => {
        // Behind a window pages do not count by tokens, and nothing is estimated closely.
        const candidates = findCandidates(planOn({ ...made, window: undefined }), STRATEGIES, sizes).filter(
          ({ stages }, i) =>
            (stages.length < 2 ? i % 2 : i % 11) === all.length % (stages.length < 2 ? 2 : 11),
        );
        const survey = createSurvey(candidates[0]!.base, all);
        const quick = tune(candidates, all, { byEstimate: true, tolerance, survey });
        const every = tune(candidates, all, { survey });
        expect(decided(quick.counts)).toBe(candidates.length);
        expect(quick.counts.simulated + quick.counts.givenUp).toBeLessThanOrEqual(
          every.counts.simulated + every.counts.givenUp,
        );
        const [best, found] = [every.ranked[0], quick.ranked[0]];
        expect(found === undefined).toBe(best === undefined);
        if (best === undefined || found === undefined) return;
        const { makespan } = best.simulation;
        // Whatever estimates say: nothing that they left out takes less than that.
        expect(makespan).toBeGreaterThanOrEqual(
          Math.min(found.simulation.makespan, quick.leastLeftOut) * (1 - 1e-9),
        );
        expect(every.leastLeftOut).toBe(Infinity);
        const bound = survey.exactBounds.get(best.candidate)!;
        const page = neutralPageBytes(best.candidate.base);
        const estimates = [
          bound.estimate.closely(survey.demand, false, hostKvBytes(best.candidate.base)! / page)!.seconds,
          bound.estimate.roughly(survey.demand),
        ];
        const tooLong = Math.max(0, ...estimates.map((each) => each / makespan - 1));
        // Midway as well the estimate of what is left may be too long, and of plans as small as these that shows.
        expect(found.simulation.makespan / makespan).toBeLessThan((1 + tooLong + 0.05) / (1 - tolerance));
        // Of what is estimated closely hardly any is.
        expect(estimates[0]! / makespan).toBeLessThan(1.15);
      }),
      // To look for a smaller case takes thousands of searches, and no time limit ends it.
      { numRuns: 12, endOnFailure: true },
    );
  }, 120_000);

  it('finds the same with less where estimates decide', () => {
    const all = Array.from({ length: 40 }, (_, i) => ({
      promptTokens: 16 + ((11 * i) % 40),
      outputTokens: 5 + ((7 * i) % 50),
    }));
    const candidates = findCandidates(planOn(PLAIN), STRATEGIES, sizes);
    const search = (byEstimate: boolean): { result: TuneResult; steps: number } => {
      const parts = tuneInParts(candidates, all, { byEstimate, tolerance: byEstimate ? TOLERANCE : 0 });
      let steps = 0;
      let part = parts.next();
      for (; !part.done; part = parts.next()) steps++;
      return { result: part.value, steps };
    };
    const [safe, quick] = [search(false), search(true)];
    const [least, found] = [safe, quick].map(({ result }) => result.ranked[0]!.simulation.makespan);
    expect(found! / least!).toBeLessThan(1 + TOLERANCE);
    expect(safe.result.counts.outestimated).toBe(0);
    expect(quick.result.counts.outestimated).toBeGreaterThan(0);
    expect(safe.result.leastLeftOut).toBe(Infinity);
    expect(quick.result.leastLeftOut / found!).toBeGreaterThan(0.5);
    expect(quick.result.leastLeftOut).toBeLessThan(found!);
    expect(decided(quick.result.counts)).toBe(candidates.length);
    expect(quick.steps).toBeLessThan(safe.steps);
  });

  it('comes close to the least time between tokens, and to the front, with less where estimates decide', () => {
    const all = Array.from({ length: 60 }, (_, i) => ({
      promptTokens: 16 + ((11 * i) % 40),
      outputTokens: 5 + ((7 * i) % 50),
    }));
    const candidates = findCandidates(planOn({ ...PLAIN, deviceMemory: 1e9 }), STRATEGIES, sizes);
    const search = (goal: Goal, byEstimate: boolean): TuneResult =>
      tune(candidates, all, { goal, byEstimate });
    const most = tune(candidates, all, { byEstimate: true }).ranked[0]!.simulation.makespan;
    for (const part of [0.3, 0.8]) {
      const goal: Goal = { kind: 'latency', floor: (part * all.length) / most };
      const [safe, quick] = [search(goal, false), search(goal, true)];
      const [least, found] = [safe, quick].map(({ ranked }) => ranked[0]!.simulation.latency.betweenTokens);
      expect(found! / least!).toBeLessThan(1.01);
      expect(quick.counts.simulated).toBeLessThan(safe.counts.simulated / 2);
      expect(decided(quick.counts)).toBe(candidates.length);
    }
    const [safe, quick] = [search({ kind: 'front' }, false), search({ kind: 'front' }, true)];
    expect(quick.counts.simulated).toBeLessThan(safe.counts.simulated / 2);
    // It has steps of a hundredth and a twentieth.
    for (const { simulation } of safe.ranked) {
      const near = quick.ranked.some(
        ({ simulation: other }) =>
          other.makespan <= simulation.makespan * 1.02 &&
          other.latency.betweenTokens <= simulation.latency.betweenTokens * 1.07,
      );
      expect(near).toBe(true);
    }
  });

  it('tries what promises more than is tolerated, to the end if it is any better', () => {
    const all = Array.from({ length: 40 }, (_, i) => ({ promptTokens: 30, outputTokens: 5 + (i % 9) }));
    const plan = planOn({ ...PLAIN, deviceMemory: 1e9 });
    const candidates = findCandidates(plan, ['fused'], {
      microbatchTokens: [64],
      batchRequests: [16],
    }).filter(({ stages }) => stages[0]!.mesh.tp > 1);
    const { demand, context } = createSurvey(plan, all);
    const promised = candidates.map((each) => {
      const { seconds } = candidateBound(each, context)!.estimate.closely(demand)!;
      return leastByEstimate({ candidate: each, estimate: seconds, estimated: 'closely' });
    });
    const [, second] = [...promised].sort((a, b) => a - b);
    /** Trials, where the first shows that the best takes so many seconds. */
    const trials = (best: number): readonly Trial[] => {
      const search = searchInParts(candidates, all, { byEstimate: true, tolerance: TOLERANCE });
      const tried: Trial[] = [];
      for (let part = search.next([]); !part.done;) {
        const said = part.value;
        const ended: EndedTrial[] = [];
        if (said.kind === 'start') {
          const { trial, setting } = said;
          tried.push(trial);
          const { outcome, ...end } = runThrough(trialInParts({ ...trial, by: Infinity }, setting));
          const shown = { ...(outcome as Simulation), makespan: best };
          ended.push({ trial, ...end, outcome: tried.length === 1 ? shown : 'givenUp' });
        }
        part = search.next(ended);
      }
      return tried;
    };
    expect(trials(second! / (1 - TOLERANCE / 2))).toHaveLength(1);
    const best = second! / (1 - TOLERANCE * 1.5);
    expect(trials(best).map(({ by }) => by)).toEqual([Infinity, best]);
    const least = promised.indexOf(Math.min(...promised));
    expect(trials(best)[0]!.candidate).toBe(candidates[least]);
  });

  it('tries no other batch of the best that promises nothing where estimates decide', () => {
    // The last of them is short: one place more for it brings the end no nearer.
    const all = Array.from({ length: 40 }, (_, i) => ({ promptTokens: 30, outputTokens: i === 39 ? 2 : 40 }));
    const candidates = findCandidates(planOn({ ...PLAIN, deviceMemory: 1e9 }), ['fused'], {
      microbatchTokens: [64],
      batchRequests: [39, 40],
    }).filter(({ stages }) => stages[0]!.mesh.tp === 4);
    expect(candidates).toHaveLength(2);
    const tried = (byEstimate: boolean): number => {
      const { counts } = tune(candidates, all, { byEstimate, tolerance: byEstimate ? TOLERANCE : 0 });
      return counts.simulated + counts.givenUp;
    };
    expect([tried(false), tried(true)]).toEqual([2, 1]);
  });

  it('tries no other prefill steps of the best that promise nothing where estimates decide', () => {
    const all = Array.from({ length: 100 }, (_, i) => ({ promptTokens: 50 - (i % 7), outputTokens: 60 }));
    const machine = { ...PLAIN, peerBandwidth: 1e8, deviceMemory: 1e9 };
    const candidates = findCandidates(planOn(machine), ['re-sharded'], {
      microbatchTokens: [64, 128],
      batchRequests: [64],
    }).filter(({ stages: [prefill, decode] }) => prefill!.mesh.pp === 4 && decode!.mesh.tp === 4);
    expect(candidates).toHaveLength(2);
    const search = (byEstimate: boolean): TuneResult =>
      tune(candidates, all, { byEstimate, tolerance: byEstimate ? TOLERANCE : 0 });
    const tried = ({ counts }: TuneResult): number => counts.simulated + counts.givenUp;
    const [safe, quick] = [search(false), search(true)];
    expect([tried(safe), tried(quick)]).toEqual([2, 1]);
    expect(quick.ranked[0]!.candidate).toBe(safe.ranked[0]!.candidate);
  });

  it('carries a trial through however little is left when it looks', () => {
    const plan = planOn({ ...PLAIN, deviceMemory: 1e9 });
    const candidates = findCandidates(plan, ['fused'], { microbatchTokens: [64], batchRequests: [8] });
    let steps = 0;
    // One step for each prompt: the fiftieth, at which it looks, is among the last of some.
    for (const count of [48, 49, 50, 51, 52]) {
      const all = Array.from({ length: count }, () => ({ promptTokens: 64, outputTokens: 1 }));
      for (const candidate of candidates) {
        const { ranked, counts } = tune([candidate], all, { byEstimate: true });
        expect(counts, String(count)).toMatchObject({ givenUp: 0, simulated: 1 });
        steps = Math.max(steps, ranked[0]!.simulation.steps);
      }
    }
    expect(steps).toBeGreaterThanOrEqual(50);
  });

  it('gives up no trial that would be done in time, in whatever turn it is', () => {
    const plan = planOn({ ...PLAIN, deviceMemory: 3.2e6 });
    const all = Array.from({ length: 60 }, (_, i) => ({
      promptTokens: 30 + ((7 * i) % 30),
      outputTokens: 20 + ((31 * i) % 40),
    }));
    const survey = createSurvey(plan, all);
    const { engine, demand } = survey;
    const setting: TrialSetting = {
      engine,
      demand,
      requests: survey.requests,
      within: Infinity,
      byEstimate: true,
      transitions: 'dataflow',
      goal: { kind: 'throughput' },
    };
    let inTurns = 0;
    for (const candidate of findCandidates(plan, ['re-sharded'], sizes)) {
      const bound = candidateBound(candidate, survey.context);
      const plan = candidatePlan(candidate);
      const laidOut = survey.compile(plan);
      if (bound === undefined || laidOut.diagnostics.length > 0) continue;
      const exact = bound.compiled(laidOut);
      const trial = { candidate, plan, runtime: laidOut.runtime(), laidOut, bound: exact };
      const { outcome } = runThrough(trialInParts({ ...trial, by: Infinity }, setting));
      if (typeof outcome === 'string' || outcome.transitions.count === 0) continue;
      inTurns++;
      const { outcome: again } = runThrough(trialInParts({ ...trial, by: outcome.makespan * 1.03 }, setting));
      expect(typeof again === 'string' ? again : again.makespan, candidateLabel(candidate)).toBe(
        outcome.makespan,
      );
    }
    expect(inTurns).toBeGreaterThan(10);
  });

  it('estimates no more than the quickest replicas take where fewer sequences decode than there are', () => {
    const all = Array.from({ length: 45 }, (_, i) => ({
      promptTokens: 10 + ((11 * i) % 50),
      outputTokens: 1 + ((7 * i) % 50),
    }));
    const unlike = { compute: 8, bandwidth: 0.125 };
    const plan = planOn({ ...PLAIN, peerBandwidth: 1e8, deviceMemory: 1e9, pageTokens: 4, unlike });
    const { context, demand, compile } = createSurvey(plan, all);
    const found = findCandidates(plan, ['disaggregated'], { microbatchTokens: [64], batchRequests: [1, 2] });
    const parts = found
      .filter(({ stages }) => stages[1]!.mesh.dp === 3)
      .map((candidate) => {
        const each = candidatePlan(candidate);
        const { makespan } = simulate(compile(each).runtime(), each, all);
        const bound = candidateBound(candidate, context)!;
        return [bound.estimate.closely(demand)!.seconds, bound.estimate.roughly(demand)].map(
          (seconds) => seconds / makespan,
        );
      });
    expect(parts).toHaveLength(4);
    for (const part of parts.flat()) expect(part).toBeLessThan(1.05);
    // Whichever they are on: one that decodes alone may be on the slowest.
    expect(Math.max(...parts.flat())).toBeGreaterThan(0.95);
  });

  it('looks closely at whatever short answers make of prompts in a pipeline', () => {
    const { plans } = checkFile(fileHost(), 'plans/seesaw/a10.plan');
    const plan = plans.find(({ name }) => name === 'm15b')!;
    for (const outputTokens of [2, 8]) {
      const all = Array.from({ length: 60 }, () => ({ promptTokens: 2048, outputTokens }));
      const { context, demand } = createSurvey(plan, all);
      const some = { microbatchTokens: [1024, 4096], batchRequests: [16, 128] };
      for (const candidate of findCandidates(plan, ['fused'], some)) {
        const bound = candidateBound(candidate, context);
        if (!bound?.fits(demand)) continue;
        const rough = leastByEstimate({
          candidate,
          estimate: bound.estimate.roughly(demand),
          estimated: 'roughly',
        });
        expect(rough, candidateLabel(candidate)).toBeLessThan(
          bound.estimate.closely(demand)!.seconds * 1.001,
        );
      }
    }
  });

  it('knows roughly what steps in one stage take, with what they wait for', () => {
    for (const [file, name] of [
      ['a10', 'm34b'],
      ['a100', 'm15b'],
    ] as const) {
      const { plans } = checkFile(fileHost(), `plans/seesaw/${file}.plan`);
      const plan = plans.find((each) => each.name === name)!;
      const all = Array.from({ length: 200 }, (_, id) => ({
        promptTokens: 100 + ((id * 367) % 1400),
        outputTokens: 20 + ((id * 131) % 500),
      }));
      const { context, demand } = createSurvey(plan, all);
      const some = { microbatchTokens: [128, 512, 2048], batchRequests: [16, 64, 256] };
      const parts = findCandidates(plan, ['fused'], some).flatMap((candidate) => {
        const bound = candidateBound(candidate, context);
        return bound?.fits(demand)
          ? [bound.estimate.roughly(demand) / bound.estimate.closely(demand)!.seconds]
          : [];
      });
      expect(parts.length).toBeGreaterThan(30);
      for (const part of parts) {
        expect(part).toBeGreaterThan(0.6);
        expect(part).toBeLessThan(1.006);
      }
    }
  });
});
