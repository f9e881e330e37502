/** Bounds on the time of a plan: no simulation goes below, from its beginning and from every step on. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPlanCompiler } from '../../../compiler/compile.js';
import { FULCRUM_ENGINE, type EngineModel } from '../../../compiler/cost/engine-model.js';
import { kvView } from '../../../compiler/model/kv-window.js';
import { neutralPageBytes } from '../../../compiler/passes/kv-pools.js';
import { candidateBound, candidateHostPages } from '../../../compiler/planner/bound.js';
import { createBoundContext } from '../../../compiler/planner/bounded-stage.js';
import {
  candidateLabel,
  candidatePlan,
  findCandidates,
  hostKvBytes,
  STRATEGIES,
  type Candidate,
} from '../../../compiler/planner/candidates.js';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import { demandOf, type Demand, type RequestLengths } from '../../../compiler/planner/demand.js';
import { createRoughBound } from '../../../compiler/planner/rough-bound.js';
import { simulate, simulateWhile } from '../../../runtime/clock/simulate.js';
import type { TransitionMode } from '../../../runtime/scheduler/types.js';
import { createWorkLeft } from '../../../runtime/tune/work-left.js';
import { machine, planOn, requests, ROOMY } from './machines.js';

const engines: fc.Arbitrary<EngineModel> = fc
  .record({
    hostOverhead: fc.boolean(),
    smallGemmLoss: fc.boolean(),
    copyEngines: fc.boolean(),
    virtualEngines: fc.boolean(),
    fullReload: fc.boolean(),
    hostPerReplica: fc.boolean(),
  })
  .map((switches) => ({ ...FULCRUM_ENGINE, ...switches }));
const modes = fc.constantFrom<TransitionMode>('dataflow', 'barrier');

const pages = fc.constantFrom(1, 4);

/** How long a candidate takes, and when it would end by what is said at every step of what is left. */
function endsMidway(
  candidate: Candidate,
  runtime: RuntimeGraph,
  all: readonly RequestLengths[],
  demand: Demand,
  engine: EngineModel,
  secondsOf: (left: Demand) => number,
): { readonly makespan: number; readonly ends: readonly number[] } {
  const left = createWorkLeft(all, demand);
  const ends: number[] = [];
  const { makespan } = simulateWhile(
    runtime,
    candidatePlan(candidate),
    all,
    { engine },
    ({ items, now, dropped }) => {
      left.count(items);
      ends.push(now + secondsOf(left.demand(dropped())));
      return true;
    },
  )!;
  return { makespan, ends };
}

describe('planBound', () => {
  it.each([
    // A replica that is done with a request is given another.
    { batch: 4, atLeast: 0.7 },
    // All are dealt out at once, to slow ones as many as to quick ones.
    { batch: 64, atLeast: 0.3 },
  ])('estimates unlike replicas by what they get done in batches of $batch', ({ batch, atLeast }) => {
    const alike = planOn(ROOMY);
    const { kind } = alike.topology.devices[0]!;
    const compute = Object.fromEntries(Object.entries(kind.compute).map(([type, rate]) => [type, rate / 10]));
    const slow = { ...kind, name: 'slow', compute, bandwidth: kind.bandwidth / 10 };
    const devices = alike.topology.devices.map((each, i) => (i < 2 ? each : { ...each, kind: slow }));
    const plan = { ...alike, topology: { ...alike.topology, devices } };
    const all = Array.from({ length: 64 }, () => ({ promptTokens: 40, outputTokens: 20 }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const sizes = { microbatchTokens: [64], batchRequests: [batch] };
    const candidate = findCandidates(plan, ['fused'], sizes).find(({ stages }) => stages[0]!.mesh.dp === 4)!;
    const bound = candidateBound(candidate, createBoundContext(plan, FULCRUM_ENGINE))!;
    const each = candidatePlan(candidate);
    const { makespan } = simulate(createPlanCompiler()(each).runtime(), each, all);
    expect(bound.least(demand)).toBeLessThan(makespan / 2);
    for (const seconds of [bound.estimate.roughly(demand), bound.estimate.closely(demand)!.seconds]) {
      expect(seconds / makespan).toBeGreaterThan(atLeast);
      expect(seconds / makespan).toBeLessThan(1.05);
    }
  });

  it('bounds time, tokens and room of every candidate, at the beginning and at every step', () => {
    fc.assert(
      fc.property(machine, requests, engines, modes, pages, (made, all, engine, transitions, every) => {
        const plan = planOn(made);
        const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
        const context = createBoundContext(plan, engine);
        const compile = createPlanCompiler();
        const roughBound = createRoughBound(demand, context);
        // Of small steps of prompts most end none, and the host need not wait for them.
        const sizes = { microbatchTokens: [16, 64], batchRequests: [8] };
        const chosen = findCandidates(plan, STRATEGIES, sizes).filter(
          (_, i) => i % 10 === (all.length * every) % 10,
        );
        for (const candidate of chosen) hold(candidate);

        function hold(candidate: Candidate): void {
          const [each, label] = [candidatePlan(candidate), candidateLabel(candidate)];
          const bound = candidateBound(candidate, context);
          const rough = roughBound(candidate);
          if (bound?.fits(demand, candidateHostPages(candidate))) {
            const { least, betweenTokens } = rough!.figures();
            expect(least, label).toBeLessThanOrEqual(bound.least(demand) * (1 + 1e-9));
            expect(betweenTokens, label).toBeLessThanOrEqual(bound.betweenTokens(demand) * (1 + 1e-9));
          } else expect(rough, label).toBeUndefined();
          const compiled = compile(each);
          const fits = !compiled.diagnostics.some(({ severity }) => severity === 'error');
          if (bound === undefined) {
            expect(fits, label).toBe(false);
            return;
          }
          if (!fits) return;
          const exact = bound.compiled(compiled);
          const least = [bound.least(demand), exact.least(demand)] as const;
          expect(least[1], label).toBeGreaterThanOrEqual(least[0] * (1 - 1e-9));
          const exactFits = exact.fits(demand, compiled.hostPages);
          if (exactFits) expect(bound.fits(demand, candidateHostPages(candidate)), label).toBe(true);
          const left = createWorkLeft(all, demand);
          const ends: number[] = [];
          const simulation = simulateWhile(
            compiled.runtime(),
            each,
            all,
            { engine, transitions },
            ({ items, now, dropped }) => {
              left.count(items);
              ends.push(now + exact.least(left.demand(dropped()), true));
              return true;
            },
          )!;
          const whole =
            simulation.tokens.output === all.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
          const ran = whole && simulation.requests.rejected === 0;
          // Each of several engines has a part of the pages alone.
          if (!engine.virtualEngines || ran) expect(exactFits, label).toBe(ran);
          if (!ran) return;
          const latest = simulation.makespan * (1 + 1e-9);
          for (const end of [...least, ...ends]) expect(end, label).toBeLessThanOrEqual(latest);
          const between = bound.betweenTokens(demand);
          expect(between, label).toBeLessThanOrEqual(simulation.latency.betweenTokens * (1 + 1e-9));
          if (demand.decodeRows > 0) expect(between).toBeGreaterThan(0);
        }
      }),
      { numRuns: 8, endOnFailure: true },
    );
  });

  it('is not far below what a plan takes', () => {
    const free = { step: 0, layer: 0, request: 0 };
    const plan = planOn({ peerBandwidth: 1e11, deviceMemory: 1e9, pageTokens: 16, ...free });
    const all = Array.from({ length: 32 }, () => ({ promptTokens: 16, outputTokens: 60 }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const parts = findCandidates(plan, ['fused']).map((candidate) => {
      const each = candidatePlan(candidate);
      const { makespan } = simulate(createPlanCompiler()(each).runtime(), each, all);
      return candidateBound(candidate, context)!.least(demand) / makespan;
    });
    // A bound of almost nothing would be right and of no use.
    expect(Math.max(...parts)).toBeGreaterThan(0.8);
  });

  it('counts what decode in turns waits for: the host, and pages that rows of other steps hold', () => {
    const costly = { step: 1e-4, layer: 0, request: 0 };
    const plan = planOn({ peerBandwidth: 1e11, deviceMemory: 2.8e6, pageTokens: 16, ...costly });
    const all = Array.from({ length: 64 }, () => ({ promptTokens: 16, outputTokens: 60 }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const labels = ['(tp: 4) -> (pp: 4)', '(tp: 4) -> (pp: 2, tp: 2)'];
    const chosen = findCandidates(plan, ['re-sharded']).filter((each) =>
      labels.includes(candidateLabel(each)),
    );
    expect(chosen.map(candidateLabel)).toEqual(labels);
    for (const candidate of chosen) {
      const each = candidatePlan(candidate);
      const { makespan, transitions } = simulate(createPlanCompiler()(each).runtime(), each, all);
      expect(transitions.count).toBeGreaterThan(0);
      expect(candidateBound(candidate, context)!.least(demand)).toBeGreaterThan(0.85 * makespan);
    }
  });

  it('counts every row of the longest answer, whatever has to be done beside it', () => {
    const plan = planOn(ROOMY);
    const all = Array.from({ length: 12 }, (_, i) => ({ promptTokens: 60, outputTokens: i === 5 ? 60 : 3 }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const sizes = { microbatchTokens: [64], batchRequests: [16] };
    const parts = findCandidates(plan, STRATEGIES, sizes).map((candidate) => {
      const each = candidatePlan(candidate);
      const { makespan } = simulate(createPlanCompiler()(each).runtime(), each, all);
      const { strategy } = candidate;
      return { strategy, part: candidateBound(candidate, context)!.least(demand) / makespan };
    });
    for (const strategy of STRATEGIES) {
      const own = parts.flatMap((each) => (each.strategy === strategy ? [each.part] : []));
      expect(own.length, strategy).toBeGreaterThan(2);
      expect(Math.min(...own), strategy).toBeGreaterThan(0.6);
      expect(Math.max(...own), strategy).toBeLessThanOrEqual(1 + 1e-9);
    }
  });

  it('counts the host time of a replica where each has a host of its own', () => {
    const plan = planOn({ ...ROOMY, step: 1e-2, request: 1e-4 });
    const all = Array.from({ length: 64 }, () => ({ promptTokens: 16, outputTokens: 20 }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const sizes = { microbatchTokens: [64], batchRequests: [32] };
    const candidates = findCandidates(plan, STRATEGIES, sizes).filter(({ stages }) =>
      stages.some(({ mesh }) => mesh.dp > 1),
    );
    const contextOf = (hostPerReplica: boolean) =>
      createBoundContext(plan, { ...FULCRUM_ENGINE, hostPerReplica });
    const [own, one] = [contextOf(true), contextOf(false)];
    const figures = candidates.map((candidate) => {
      const compiled = createPlanCompiler()(candidatePlan(candidate));
      const { makespan } = simulate(compiled.runtime(), candidatePlan(candidate), all, {
        engine: own.engine,
      });
      const bound = candidateBound(candidate, own)!.compiled(compiled);
      return {
        candidate,
        least: bound.least(demand) / makespan,
        estimate: bound.estimate.roughly(demand) / makespan,
        close: bound.estimate.closely(demand)!.seconds / makespan,
        ofOne: candidateBound(candidate, one)!.compiled(compiled).least(demand) / makespan,
      };
    });
    // That the one host of all prepares them no quicker says nothing here.
    expect(figures.filter(({ ofOne }) => ofOne > 1).length).toBeGreaterThan(5);
    for (const { candidate, least, estimate, close } of figures) {
      const label = candidateLabel(candidate);
      expect(least, label).toBeLessThanOrEqual(1 + 1e-9);
      expect(least, label).toBeGreaterThan(0.4);
      expect(estimate, label).toBeLessThan(1.05);
      expect(close, label).toBeLessThan(1.03);
      expect(close, label).toBeGreaterThan(0.9);
    }
  });

  it('counts no host time that goes beside a prompt in parts', () => {
    const plan = planOn({
      peerBandwidth: 1e11,
      deviceMemory: 1e9,
      pageTokens: 16,
      step: 1e-3,
      layer: 2e-3,
      request: 1e-3,
    });
    const all = Array.from({ length: 4 }, () => ({ promptTokens: 64, outputTokens: 1 }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const sizes = { microbatchTokens: [4], batchRequests: [8] };
    for (const candidate of findCandidates(plan, ['fused'], sizes)) {
      const each = candidatePlan(candidate);
      const { makespan } = simulate(createPlanCompiler()(each).runtime(), each, all);
      const least = candidateBound(candidate, context)!.least(demand);
      expect(least, candidateLabel(candidate)).toBeLessThanOrEqual(makespan * (1 + 1e-9));
    }
  });

  it('estimates what is left about as it turns out', () => {
    const plan = planOn({
      peerBandwidth: 1e9,
      deviceMemory: 1e9,
      pageTokens: 16,
      step: 0,
      layer: 0,
      request: 0,
    });
    const all = Array.from({ length: 40 }, (_, i) => ({
      promptTokens: 16 + ((11 * i) % 40),
      outputTokens: 5 + ((7 * i) % 50),
    }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const sizes = { microbatchTokens: [64], batchRequests: [8, 32] };
    const candidates = findCandidates(plan, STRATEGIES, sizes);
    expect(candidates.length).toBeGreaterThan(40);
    for (const candidate of candidates) {
      const compiled = createPlanCompiler()(candidatePlan(candidate));
      const bound = candidateBound(candidate, context)!.compiled(compiled);
      const { makespan, ends } = endsMidway(
        candidate,
        compiled.runtime(),
        all,
        demand,
        FULCRUM_ENGINE,
        (left) => bound.estimate.roughly(left, true),
      );
      expect(Math.max(...ends) / makespan, candidateLabel(candidate)).toBeLessThan(1.05);
      expect(Math.min(...ends) / makespan, candidateLabel(candidate)).toBeGreaterThan(0.8);
    }
  });

  it.each(['re-sharded', 'disaggregated', 'fused'] as const)(
    'costs the steps of %s stages closely, whether memory, links or the host hold them up',
    (strategy) => {
      const free = { step: 0, layer: 0, request: 0 };
      const costly = { step: 1e-4, layer: 1e-6, request: 1e-6 };
      const all = Array.from({ length: 100 }, (_, i) => ({
        promptTokens: 16 + ((11 * i) % 40),
        outputTokens: 5 + ((7 * i) % 50),
      }));
      for (const { hostPerReplica, ...made } of [
        { deviceMemory: 1e9, ...free, hostPerReplica: false },
        { deviceMemory: 1e9, ...costly, hostPerReplica: false },
        { deviceMemory: 1e9, ...costly, hostPerReplica: true },
        { deviceMemory: 3.6e6, ...free, hostPerReplica: false },
      ]) {
        const engine = { ...FULCRUM_ENGINE, hostPerReplica };
        const plan = planOn({ peerBandwidth: 1e9, pageTokens: 16, ...made });
        const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
        const context = createBoundContext(plan, engine);
        const sizes = { microbatchTokens: [64], batchRequests: [16] };
        const ratios = findCandidates(plan, [strategy], sizes).flatMap((candidate) => {
          const compiled = createPlanCompiler()(candidatePlan(candidate));
          if (compiled.diagnostics.some(({ severity }) => severity === 'error')) return [];
          const bound = candidateBound(candidate, context)!.compiled(compiled);
          const whole = bound.estimate.closely(demand)!.seconds;
          const { makespan, ends } = endsMidway(
            candidate,
            compiled.runtime(),
            all,
            demand,
            engine,
            (left) => bound.estimate.closely(left, true)?.seconds ?? bound.estimate.roughly(left, true),
          );
          const label = candidateLabel(candidate);
          // Midway a stage for both phases is not looked at closely.
          const close = strategy === 'fused' ? [whole] : [whole, ...ends];
          expect(Math.max(...close) / makespan, label).toBeLessThan(1.03);
          expect(Math.min(...close) / makespan, label).toBeGreaterThan(0.9);
          return [whole / makespan];
        });
        expect(ratios.length).toBeGreaterThan(3);
        expect(ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)]).toBeGreaterThan(0.96);
      }
    },
  );

  it('has one host prepare the steps of both stages, and of all replicas, one after the other', () => {
    const plan = planOn({ ...ROOMY, step: 1e-3, request: 1e-5 });
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const all = Array.from({ length: 60 }, (_, i) => ({
      promptTokens: 30 + ((7 * i) % 60),
      outputTokens: 5 + ((31 * i) % 20),
    }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const sizes = { microbatchTokens: [64], batchRequests: [8, 64] };
    const candidates = findCandidates(plan, ['re-sharded', 'disaggregated'], sizes);
    expect(candidates.length).toBeGreaterThan(40);
    for (const candidate of candidates) {
      const label = candidateLabel(candidate);
      const compiled = createPlanCompiler()(candidatePlan(candidate));
      const { makespan, latency } = simulate(compiled.runtime(), candidatePlan(candidate), all);
      const bound = candidateBound(candidate, context)!.compiled(compiled);
      const { seconds, betweenTokens } = bound.estimate.closely(demand)!;
      expect(seconds, label).toBeGreaterThanOrEqual(bound.least(demand) * (1 - 1e-9));
      expect(seconds / makespan, label).toBeGreaterThan(0.87);
      expect(seconds / makespan, label).toBeLessThan(1.02);
      expect(betweenTokens / latency.betweenTokens, label).toBeGreaterThan(0.8);
      expect(betweenTokens / latency.betweenTokens, label).toBeLessThan(1.05);
    }
  });

  it('deals sequences over replicas of a stage for both phases as the scheduler does', () => {
    const plan = planOn(ROOMY);
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const sizes = { microbatchTokens: [16, 64], batchRequests: [8, 64] };
    for (const outputTokens of [1, 10]) {
      const all = Array.from({ length: 30 }, (_, i) => ({
        promptTokens: 1 + ((37 * i) % 100),
        outputTokens,
      }));
      const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
      for (const candidate of findCandidates(plan, ['fused'], sizes)) {
        if (candidate.stages[0]!.mesh.dp === 1) continue;
        const compiled = createPlanCompiler()(candidatePlan(candidate));
        const { makespan } = simulate(compiled.runtime(), candidatePlan(candidate), all);
        const closely = candidateBound(candidate, context)!
          .compiled(compiled)
          .estimate.closely(demand)!.seconds;
        expect(closely / makespan, candidateLabel(candidate)).toBeLessThan(1.01);
        expect(closely / makespan, candidateLabel(candidate)).toBeGreaterThan(0.97);
      }
    }
  });

  it('estimates long rounds of decode closely, in pipelines and over replicas', () => {
    const plan = planOn(ROOMY);
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const all = Array.from({ length: 40 }, (_, i) => ({
      promptTokens: 4 + ((7 * i) % 20),
      outputTokens: 20 + ((31 * i) % 80),
    }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const candidates = findCandidates(plan, ['fused'], { microbatchTokens: [64], batchRequests: [4, 16] });
    const ratios = candidates.map((candidate) => {
      const compiled = createPlanCompiler()(candidatePlan(candidate));
      const { makespan, latency } = simulate(compiled.runtime(), candidatePlan(candidate), all);
      const close = candidateBound(candidate, context)!.estimate.closely(demand)!;
      return [close.seconds / makespan, close.betweenTokens / latency.betweenTokens] as const;
    });
    expect(new Set(candidates.map(({ stages: [stage] }) => stage!.mesh.dp * 10 + stage!.mesh.pp)).size).toBe(
      6,
    );
    for (const [seconds, between] of ratios) {
      expect(seconds).toBeGreaterThan(0.95);
      expect(seconds).toBeLessThan(1.02);
      expect(between).toBeGreaterThan(0.95);
      expect(between).toBeLessThan(1.02);
    }
  });

  it('estimates the time between tokens beside prompts roughly, however small the steps that carry these', () => {
    const plan = planOn(ROOMY);
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const all = Array.from({ length: 60 }, (_, i) => ({
      promptTokens: 80 + ((7 * i) % 60),
      outputTokens: 10 + ((31 * i) % 40),
    }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const sizes = { microbatchTokens: [16, 32, 64, 128], batchRequests: [8] };
    for (const candidate of findCandidates(plan, ['fused'], sizes)) {
      const bound = candidateBound(candidate, context)!;
      const part = bound.estimate.betweenTokens(demand) / bound.estimate.closely(demand)!.betweenTokens;
      expect(part, candidateLabel(candidate)).toBeGreaterThan(0.6);
      expect(part, candidateLabel(candidate)).toBeLessThan(1.2);
    }
  });

  it('estimates it roughly where prompts take more rounds than answers have tokens, and where places are plenty', () => {
    const plan = planOn(ROOMY);
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const all = Array.from({ length: 60 }, (_, i) => ({
      promptTokens: 100 + ((7 * i) % 20),
      outputTokens: 5,
    }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const sizes = { microbatchTokens: [16, 32], batchRequests: [16, 64] };
    for (const candidate of findCandidates(plan, ['fused'], sizes)) {
      const bound = candidateBound(candidate, context)!;
      const part = bound.estimate.betweenTokens(demand) / bound.estimate.closely(demand)!.betweenTokens;
      expect(part, candidateLabel(candidate)).toBeGreaterThan(0.87);
      expect(part, candidateLabel(candidate)).toBeLessThan(1.05);
    }
  });

  it('estimates closely what sequences wait for turns of prefill', () => {
    const plan = planOn({ ...ROOMY, deviceMemory: 3.2e6 });
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const all = Array.from({ length: 60 }, (_, i) => ({
      promptTokens: 30 + ((7 * i) % 30),
      outputTokens: 20 + ((31 * i) % 40),
    }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const page = neutralPageBytes(plan);
    const half = Math.ceil(demand.decodingPages / 2);
    const candidates = findCandidates(plan, ['re-sharded'], {
      microbatchTokens: [32, 64],
      batchRequests: [8, 16],
      hostKvBytes: [1e9, half * page],
    });
    let inTurns = 0;
    for (const candidate of candidates) {
      const compiled = createPlanCompiler()(candidatePlan(candidate));
      if (compiled.diagnostics.length > 0) continue;
      const { transitions, latency } = simulate(compiled.runtime(), candidatePlan(candidate), all);
      if (transitions.count < 1) continue;
      if (transitions.count > 1) inTurns++;
      const pages = hostKvBytes(candidate.base)! / page;
      const bound = candidateBound(candidate, context)!.compiled(compiled);
      const { seconds, betweenTokens } = bound.estimate.closely(demand, false, pages)!;
      // Each turn ends with a transition to decode, and all but the first begin with one to prefill.
      const free = {
        ...compiled,
        transitions: compiled.transitions.map((each) => ({ ...each, seconds: 0 })),
      };
      const waits =
        seconds -
        candidateBound(candidate, context)!.compiled(free).estimate.closely(demand, false, pages)!.seconds;
      const moving = compiled.transitions.reduce((sum, each) => sum + each.seconds, 0);
      expect(compiled.transitions.map((each) => each.seconds > 0)).toEqual([true, true]);
      expect(waits).toBeGreaterThan(0);
      if (transitions.count === 1) expect(waits).toBeLessThanOrEqual(moving);
      expect(betweenTokens / latency.betweenTokens, candidateLabel(candidate)).toBeGreaterThan(0.8);
      expect(betweenTokens / latency.betweenTokens, candidateLabel(candidate)).toBeLessThan(1.02);
      // A rough estimate is not far off either.
      expect(bound.estimate.betweenTokens(demand, pages) / betweenTokens).toBeGreaterThan(0.4);
      expect(bound.estimate.betweenTokens(demand, pages) / betweenTokens).toBeLessThan(1.2);
    }
    expect(inTurns).toBeGreaterThan(3);
    const without = candidateBound(candidates[0]!, context)!;
    expect(without.estimate.betweenTokens(demand, 0)).toBeGreaterThan(0);
    expect(without.estimate.closely(demand, false, 0)!.seconds).toBeGreaterThan(0);
  });

  it('estimates no more closely where sequences share pages', () => {
    const plan = planOn({
      peerBandwidth: 1e9,
      deviceMemory: 2.6e6,
      pageTokens: 16,
      step: 0,
      layer: 0,
      request: 0,
    });
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const candidate = findCandidates(plan, ['re-sharded'])[0]!;
    const bound = candidateBound(candidate, context)!;
    const [whole, some, copied, shared] = [0, 3, 15, 16].map((tokens) => {
      const request = { promptTokens: 40, outputTokens: 20, prefix: { name: '', tokens } };
      const all = Array.from({ length: 50 }, () => request);
      const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
      return bound.estimate.closely(demand)?.seconds;
    });
    expect(whole).toBeGreaterThan(0);
    // Less than a quarter of a page is computed again, more copied: pages are each sequence's own.
    expect(some).toBe(whole);
    expect(copied).toBeGreaterThan(0);
    expect(copied).toBeLessThan(whole!);
    expect(shared).toBeUndefined();
  });
});
