/** A batch that a run never reached could be larger, and the run would be the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPlanCompiler } from '../../../compiler/compile.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { candidateLabel, candidatePlan, findCandidates } from '../../../compiler/planner/candidates.js';
import { demandOf } from '../../../compiler/planner/demand.js';
import { kvView } from '../../../compiler/model/kv-window.js';
import { candidateBound } from '../../../compiler/planner/bound.js';
import { NO_ESTIMATE } from '../../../compiler/planner/plan-estimate.js';
import { createBoundContext } from '../../../compiler/planner/bounded-stage.js';
import { simulate, simulateWhile } from '../../../runtime/clock/simulate.js';
import type { SimulatedRequest, SimulateOptions, Simulation } from '../../../runtime/clock/simulation.js';
import { tune } from '../../../runtime/tune/tune.js';
import { unreachedBatches } from '../../../runtime/tune/unreached-batches.js';
import { machine, planOn, requests, type Machine } from './machines.js';

/** The graph with a larger batch in every stage that decodes, and steps as large as that; all else as it is. */
function withLargerBatch(graph: RuntimeGraph): RuntimeGraph {
  const stages = graph.stages.map((stage) => {
    if (!stage.phases.includes('decode')) return stage;
    const [batchRequests, maxSequences] = [5 * stage.batchRequests, 5 * stage.maxSequences];
    const maxTokens = stage.phases.length === 1 ? 5 * stage.maxTokens : stage.maxTokens;
    return { ...stage, batchRequests, maxSequences, maxTokens };
  });
  return { ...graph, stages };
}

const ROOMY: Machine = {
  peerBandwidth: 1e11,
  deviceMemory: 1e9,
  step: 0,
  layer: 0,
  request: 0,
  pageTokens: 16,
};

/** The run of a workload, and whether it reached the batch of a stage. */
function runOf(
  runtime: RuntimeGraph,
  plan: Plan,
  all: readonly SimulatedRequest[],
  options: SimulateOptions = {},
): { readonly run: Simulation | undefined; readonly reachedBatch: boolean } {
  let reachedBatch = false;
  const run = simulateWhile(runtime, plan, all, options, (step) => {
    reachedBatch = step.reachedBatch();
    return true;
  });
  return { run, reachedBatch };
}

/** So many requests of one length. */
function alike(count: number): SimulatedRequest[] {
  return Array.from({ length: count }, () => ({ promptTokens: 20, outputTokens: 20 }));
}

describe('a batch that is never reached', () => {
  it('could be larger without any change', () => {
    const seen = { reached: 0, unreached: 0 };
    fc.assert(
      fc.property(machine, requests, fc.boolean(), (made, all, virtualEngines) => {
        const sizes = { microbatchTokens: [16, 64], batchRequests: [3, 8] };
        const candidates = findCandidates(planOn(made), undefined, sizes);
        const compile = createPlanCompiler();
        const options = { engine: { ...FULCRUM_ENGINE, virtualEngines } };
        for (const candidate of candidates.filter((_, i) => i % 11 === all.length % 11)) {
          const plan = candidatePlan(candidate);
          const compiled = compile(plan);
          if (compiled.diagnostics.some(({ severity }) => severity === 'error')) continue;
          const runtime = compiled.runtime();
          const { run, reachedBatch } = runOf(runtime, plan, all, options);
          seen[reachedBatch ? 'reached' : 'unreached']++;
          if (reachedBatch) continue;
          const larger = simulate(withLargerBatch(runtime), plan, all, options);
          expect(larger, candidateLabel(candidate)).toEqual(run);
        }
      }),
      { numRuns: 6, examples: [1, 3, 8, 10].map((count) => [ROOMY, alike(count), false]) },
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  });

  it('is one that as many requests as it takes do not reach', () => {
    const sizes = { microbatchTokens: [64], batchRequests: [8] };
    for (const candidate of findCandidates(planOn(ROOMY), undefined, sizes)) {
      const plan = candidatePlan(candidate);
      const runtime = createPlanCompiler()(plan).runtime();
      const reached = [8, 9].map((count) => runOf(runtime, plan, alike(count)).reachedBatch);
      // In replicas of their own, or one after the other, nine requests may never be in a batch together either.
      expect(reached[0], candidateLabel(candidate)).toBe(false);
      if (candidate.strategy === 're-sharded') expect(reached[1], candidateLabel(candidate)).toBe(true);
    }
  });

  it('spares larger ones a trial', () => {
    const made = { peerBandwidth: 1e8, deviceMemory: 3.2e6, step: 0, layer: 0, request: 0, pageTokens: 16 };
    const sizes = { microbatchTokens: [64], batchRequests: [2, 50, 55, 60] };
    const candidates = findCandidates(planOn(made), ['fused'], sizes);
    const all = [4, 40, 40, 40, 40].map((promptTokens) => ({ promptTokens, outputTokens: 20 }));
    const { ranked, counts } = tune(candidates, all, { keep: 'all' });
    expect(counts.needless).toBe(counts.simulated);
    const batches = ranked.map(({ plan }) => plan.stages[0]!.batchRequests);
    expect([...new Set(batches)].sort((a, b) => a - b)).toEqual([2, 50]);
  });

  it('says nothing of a larger one that might still be in time where the run was given up', () => {
    const made = { peerBandwidth: 1e8, deviceMemory: 3.2e6, step: 0, layer: 0, request: 0, pageTokens: 16 };
    const plan = planOn(made);
    const sizes = { microbatchTokens: [64], batchRequests: [50, 55] };
    const [small, large] = findCandidates(plan, ['fused'], sizes);
    const demand = demandOf([{ promptTokens: 4, outputTokens: 20 }], kvView(plan.model.shape, 16));
    const laidOut = createPlanCompiler()(candidatePlan(small!));
    const runtime = laidOut.runtime();
    const bound = candidateBound(small!, createBoundContext(plan, FULCRUM_ENGINE))!;
    const trial = { candidate: small!, plan: candidatePlan(small!), runtime, laidOut, bound, by: 7 };
    const larger = { candidate: large!, bound: { ...bound, least: () => 3 }, compiled: runtime };
    const batches = unreachedBatches(false);
    batches.started(trial);
    expect([batches.mayCover(larger), batches.cover(larger, 7)]).toEqual([true, false]);
    batches.ended(trial, { reachedBatch: false, left: { now: 5, demand } });
    expect(batches.mayCover(larger)).toBe(false);
    expect([batches.cover(larger, 7), batches.cover(larger, 8.5)]).toEqual(['midway', false]);

    const estimated = unreachedBatches(true);
    estimated.started(trial);
    estimated.ended(trial, { reachedBatch: false, left: { now: 5, demand } });
    const likely = {
      ...larger,
      bound: {
        ...bound,
        estimate: { ...NO_ESTIMATE, closely: () => ({ seconds: 3.5, betweenTokens: 0, waiting: 0 }) },
      },
    };
    // Estimates may be a bit too long: of four replicas more than of one.
    expect(small!.stages[0]!.mesh.dp).toBe(4);
    expect([estimated.cover(likely, 8.25), estimated.cover(likely, 8.26)]).toEqual(['midway', false]);
  });
});
