/** Estimates of plans whose stages have devices of their own, and of how batches change them. */
import { describe, expect, it } from 'vitest';
import { createPlanCompiler } from '../../../compiler/compile.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import { kvView } from '../../../compiler/model/kv-window.js';
import { candidateBound } from '../../../compiler/planner/bound.js';
import { createBoundContext } from '../../../compiler/planner/bounded-stage.js';
import { candidateLabel, candidatePlan, findCandidates } from '../../../compiler/planner/candidates.js';
import { demandOf } from '../../../compiler/planner/demand.js';
import { createSurvey } from '../../../runtime/tune/survey.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import { planOnNodes } from '../clock/nodes.js';
import { planOn, ROOMY } from './machines.js';

describe('estimates of planBound', () => {
  it('estimates prompts and decode side by side about as they turn out', () => {
    const plan = planOn({
      peerBandwidth: 1e9,
      deviceMemory: 6e6,
      pageTokens: 16,
      step: 0,
      layer: 0,
      request: 0,
    });
    const all = Array.from({ length: 100 }, (_, i) => ({
      promptTokens: 30 + ((11 * i) % 60),
      outputTokens: 2 + ((7 * i) % 35),
    }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const sizes = { microbatchTokens: [64], batchRequests: [4, 16] };
    const figures = findCandidates(plan, ['fused', 'disaggregated'], sizes).flatMap((candidate) => {
      const compiled = createPlanCompiler()(candidatePlan(candidate));
      if (compiled.diagnostics.some(({ severity }) => severity === 'error')) return [];
      const { makespan } = simulate(compiled.runtime(), candidatePlan(candidate), all);
      const estimate = candidateBound(candidate, context)!.compiled(compiled).estimate.roughly(demand);
      return [{ label: candidateLabel(candidate), ratio: estimate / makespan }];
    });
    expect(figures.length).toBeGreaterThan(30);
    for (const { label, ratio } of figures) {
      expect(ratio, label).toBeLessThan(1.02);
      // What steps of a pipeline wait for those around them is left out.
      expect(ratio, label).toBeGreaterThan(0.7);
    }
  });

  it('estimates what sequences wait for between prefill and decode on devices of their own', () => {
    const figures = [40, 100].flatMap((promptTokens) => {
      const plan = planOn({
        peerBandwidth: 1e9,
        deviceMemory: 1e9,
        pageTokens: 16,
        step: 1e-6,
        layer: 0,
        request: 0,
      });
      const all = Array.from({ length: 40 }, (_, i) => ({ promptTokens, outputTokens: 2 + (i % 5) }));
      const { context, demand, compile } = createSurvey(plan, all);
      const sizes = { microbatchTokens: [64], batchRequests: [8] };
      return findCandidates(plan, ['disaggregated'], sizes)
        .filter(({ stages: [prefill] }) => prefill!.mesh.pp === 1)
        .map((candidate) => {
          const each = candidatePlan(candidate);
          const compiled = compile(each);
          const { latency } = simulate(compiled.runtime(), each, all);
          const close = candidateBound(candidate, context)!.compiled(compiled).estimate.closely(demand)!;
          return { label: candidateLabel(candidate), ratio: close.betweenTokens / latency.betweenTokens };
        });
    });
    expect(figures).toHaveLength(18);
    for (const { label, ratio } of figures) {
      expect(ratio, label).toBeLessThan(1.2);
      expect(ratio, label).toBeGreaterThan(0.6);
    }
  });

  it('estimates roughly what sequences wait for there, where nothing tells it closely', () => {
    const plan = planOn({ ...ROOMY, window: 24 });
    const all = Array.from({ length: 60 }, (_, i) => ({ promptTokens: 30, outputTokens: 10 + (i % 20) }));
    const { context, demand, compile } = createSurvey(plan, all);
    const sizes = { microbatchTokens: [64], batchRequests: [4, 8] };
    const candidates = findCandidates(plan, ['disaggregated'], sizes);
    expect(candidates.length).toBeGreaterThan(15);
    for (const candidate of candidates) {
      const label = candidateLabel(candidate);
      const compiled = compile(candidatePlan(candidate));
      const { latency } = simulate(compiled.runtime(), candidatePlan(candidate), all);
      const bound = candidateBound(candidate, context)!.compiled(compiled);
      expect(bound.estimate.closely(demand), label).toBeUndefined();
      const part = bound.estimate.betweenTokens(demand) / latency.betweenTokens;
      expect(part, label).toBeGreaterThan(0.5);
      expect(part, label).toBeLessThan(1);
      // What has no room behind the devices waits before it is prefilled.
      expect(bound.estimate.betweenTokens(demand, 0)).toBeLessThan(
        bound.estimate.betweenTokens(demand) * 0.9,
      );
    }
  });

  it('estimates what KV waits for on its way from node to node', () => {
    const stages = `
  stage prefill on node[0].gpu { mesh (tp: 2) }
  stage decode on node[1].gpu { mesh (tp: 2) }`;
    const plan = planOnNodes({ nodes: 2, stages, between: 0.1 });
    const all = Array.from({ length: 60 }, (_, i) => ({
      promptTokens: 100 + ((97 * i) % 400),
      outputTokens: 4 + ((7 * i) % 30),
    }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const sizes = { microbatchTokens: [512], batchRequests: [16] };
    const figures = findCandidates(plan, ['disaggregated'], sizes).map((candidate) => {
      const compiled = createPlanCompiler()(candidatePlan(candidate));
      const { makespan } = simulate(compiled.runtime(), candidatePlan(candidate), all);
      const bound = candidateBound(candidate, context)!.compiled(compiled);
      const ratios = [
        bound.estimate.roughly(demand) / makespan,
        bound.estimate.closely(demand)!.seconds / makespan,
      ];
      return { label: candidateLabel(candidate), ratios };
    });
    expect(figures.length).toBeGreaterThan(5);
    for (const { label, ratios } of figures)
      for (const each of ratios) expect(each, label).toBeLessThan(1.02);
    // All prompts cross where stages are on a node each.
    const whole = figures.filter(({ label }) => label.startsWith('2 '));
    expect(whole.length).toBeGreaterThan(1);
    for (const { label, ratios } of whole)
      for (const each of ratios) expect(each, label).toBeGreaterThan(0.85);
  });

  it('estimates that a larger batch ends sooner where it does', () => {
    const plan = planOn({
      peerBandwidth: 1e11,
      deviceMemory: 1e9,
      pageTokens: 16,
      step: 0,
      layer: 0,
      request: 0,
    });
    const all = Array.from({ length: 40 }, (_, i) => ({
      promptTokens: 16,
      outputTokens: 5 + ((7 * i) % 50),
    }));
    const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
    const context = createBoundContext(plan, FULCRUM_ENGINE);
    const sizes = { microbatchTokens: [64], batchRequests: [8, 16, 32] };
    const candidates = findCandidates(plan, ['fused'], sizes).filter(
      ({ stages }) => stages[0]!.mesh.dp === 2 && stages[0]!.mesh.tp === 2,
    );
    expect(candidates).toHaveLength(3);
    const figures = candidates.map((candidate) => {
      const each = candidatePlan(candidate);
      return {
        simulated: simulate(createPlanCompiler()(each).runtime(), each, all).makespan,
        estimated: candidateBound(candidate, context)!.estimate.roughly(demand),
      };
    });
    for (const [i, larger] of figures.slice(1).entries()) {
      expect(larger.simulated).toBeLessThan(figures[i]!.simulated);
      expect(larger.estimated).toBeLessThan(figures[i]!.estimated);
    }
    for (const { simulated, estimated } of figures)
      expect(Math.abs(estimated / simulated - 1)).toBeLessThan(0.1);
  });
});
