/** Plans that a bound was once above: it is below what each of them takes, and a search keeps those that are best. */
import { describe, expect, it } from 'vitest';
import { createPlanCompiler } from '../../../compiler/compile.js';
import { engineOf } from '../../../compiler/cost/engine-model.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { createBoundContext } from '../../../compiler/planner/bounded-stage.js';
import { planBound } from '../../../compiler/planner/bound.js';
import { candidateLabel, findCandidates } from '../../../compiler/planner/candidates.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { SimulatedRequest } from '../../../runtime/clock/simulation.js';
import { workloadOf } from '../../../runtime/tune/trial.js';
import { tune } from '../../../runtime/tune/tune.js';
import { checkText } from '../../compiler/check/memory-host.js';

function planOf(text: string): Plan {
  const { plans, diagnostics } = checkText(text);
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  return plans[0]!;
}

/** The bound of a plan, as part of what it takes. */
function boundOf(plan: Plan, all: readonly SimulatedRequest[]): number {
  const { requests, demand } = workloadOf(plan, all);
  const engine = engineOf(plan.topology);
  const compiled = createPlanCompiler()(plan);
  const bound = planBound(plan, createBoundContext(plan, engine))!.compiled(compiled);
  const { makespan } = simulate(compiled.runtime(), plan, requests, { engine });
  return bound.least(demand) / makespan;
}

/** The best on all devices by a search that prunes by bounds alone, and by one that prunes nothing. */
function bestOf(plan: Plan, all: readonly SimulatedRequest[], batches: readonly number[]) {
  const { microbatchTokens, devices } = plan.stages[0]!;
  const sizes = { microbatchTokens: [microbatchTokens], batchRequests: batches };
  const candidates = findCandidates(plan, ['fused'], sizes).filter(
    ({ stages }) => stages[0]!.devices.length === devices.length,
  );
  return [1, 'all' as const].map((keep) => {
    const { candidate } = tune(candidates, all, { keep, engine: engineOf(plan.topology) }).ranked[0]!;
    return `${candidateLabel(candidate)} ${candidate.stages[0]!.batchRequests}`;
  });
}

describe('a bound', () => {
  it('holds for replicas of which one computes quickly and one reads quickly', () => {
    const plan = planOf(`
device a { memory: 80 GB, bandwidth: 10 TB/s, compute: { f16: 1 TFLOPS }, gemm: { 1: 50% } }
device b { memory: 80 GB, bandwidth: 10 GB/s, compute: { f16: 1 TFLOPS }, gemm: { 1: 58% } }
topology t {
  fast[1]: a
  slow[1]: b
  tier host { capacity: 16 GB }
  link fast <-> slow { bandwidth: 10 GB/s }
  link fast <-> host { bandwidth: 10 GB/s }
  link slow <-> host { bandwidth: 10 GB/s }
}
model m { family: llama, layers: 1, hidden: 4096, heads: 8, kv_heads: 2, head_dim: 64, ffn: 16384, vocab: 100, context: 2048, weights: f16 }
plan p for m on t {
  stage serve: prefill + decode on fast, slow { mesh (dp: 2), microbatch: 1024 tokens, batch: 64 requests }
  flow requests -> serve -> results
}`);
    const all = Array.from({ length: 64 }, (_, i) => ({ promptTokens: 8, outputTokens: i % 2 ? 138 : 270 }));
    expect(boundOf(plan, all)).toBeLessThanOrEqual(1);
    expect(bestOf(plan, all, [64])).toEqual(['(dp: 2) 64', '(dp: 2) 64']);
  });

  it('holds for a virtual engine that has all of the short prompts', () => {
    const plan = planOf(`
device a { memory: 53 MB, bandwidth: 1 GB/s, compute: { f16: 1000 TFLOPS } }
device b { memory: 1 GB, bandwidth: 1000 GB/s, compute: { f16: 1000 TFLOPS } }
topology t {
  first[1]: a
  second[1]: b
  tier host { capacity: 16 GB }
  link first <-> second { bandwidth: 100 GB/s }
  link first <-> host { bandwidth: 100 GB/s }
  link second <-> host { bandwidth: 100 GB/s }
  overhead { virtual_engines: true }
}
model m { family: llama, layers: 2, hidden: 1024, heads: 8, kv_heads: 1, head_dim: 64, ffn: 4096, vocab: 100, context: 8192, weights: f16 }
plan p for m on t {
  memory_use: 100%
  stage serve: prefill + decode on first, second { mesh (pp: 2), microbatch: 256 tokens, batch: 64 requests }
  kv { page: 1024 tokens }
  flow requests -> serve -> results
}`);
    const all = Array.from({ length: 40 }, (_, i) =>
      i % 2 ? { promptTokens: 2049, outputTokens: 1 } : { promptTokens: 20, outputTokens: 200 },
    );
    expect(boundOf(plan, all)).toBeLessThanOrEqual(1);
    expect(bestOf(plan, all, [36, 64])).toEqual(['(pp: 2) 64', '(pp: 2) 64']);
  });

  it('holds for prompts that share all of their pages', () => {
    const plan = planOf(`
device c { memory: 1 GB, bandwidth: 100 GB/s, compute: { f16: 10 TFLOPS } }
topology t {
  gpu[2]: c
  tier host { capacity: 16 GB }
  link gpu <-> host { bandwidth: 1 MB/s }
  link gpu <-> gpu { bandwidth: 1 GB/s }
  overhead { layer: 500 us }
}
model m { family: llama, layers: 2, hidden: 256, heads: 8, kv_heads: 8, head_dim: 64, ffn: 512, vocab: 100, context: 512, weights: f16 }
plan p for m on t {
  stage prefill on gpu[0] { mesh (tp: 1), microbatch: 1 tokens, batch: 64 requests }
  stage decode on gpu[1] { mesh (tp: 1), microbatch: 64 tokens, batch: 64 requests }
  flow requests -> prefill -> decode -> results
}`);
    const prefix = { name: 'a', tokens: 16 };
    const all = Array.from({ length: 100 }, () => ({ promptTokens: 16, outputTokens: 2, prefix }));
    expect(boundOf(plan, all)).toBeLessThanOrEqual(1);
  });
});
