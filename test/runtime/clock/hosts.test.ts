/** Replicas with host processes of their own on the clock. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { SimulatedRequest } from '../../../runtime/clock/simulation.js';
import { createTimeline } from '../../../runtime/clock/timeline.js';
import { makePlan, type PlanOptions } from '../../compiler/support/make-plan.js';
import { requestsOf, RESHARD } from './reshard-plan.js';

describe('a host for every replica', () => {
  const BESIDE = [
    { name: 'prefill', mesh: {}, microbatchTokens: 64, batchRequests: 8 },
    { name: 'decode', mesh: {}, devices: [1], microbatchTokens: 64, batchRequests: 8 },
  ];
  const ran = (
    options: PlanOptions,
    requests: readonly SimulatedRequest[],
    hostPerReplica: boolean,
    overhead: Partial<Plan['topology']['overhead']> = { step: 0.05 },
  ) => {
    const made = makePlan(options);
    const topology = { ...made.topology, overhead: { ...made.topology.overhead, ...overhead } };
    const plan = { ...made, topology };
    const { runtime, diagnostics } = compilePlan(plan);
    expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
    const timeline = createTimeline();
    const engine = { ...FULCRUM_ENGINE, smallGemmLoss: false, hostPerReplica };
    const { makespan, bytes } = simulate(runtime, plan, requests, { engine, timeline });
    return { makespan, bytes, slices: timeline.slices() };
  };
  const replicas = (dp: number): PlanOptions => ({
    stages: [{ name: 'serve', mesh: { dp }, batchRequests: 4 }],
  });

  it('prepares their steps side by side', () => {
    const one = ran(replicas(1), requestsOf(1, 4, 8), false).makespan;
    expect(one).toBeGreaterThan(8 * 0.05);
    expect(ran(replicas(1), requestsOf(1, 4, 8), true).makespan).toBe(one);
    expect(ran(replicas(4), requestsOf(4, 4, 8), true).makespan).toBeCloseTo(one, 9);
    const shared = ran(replicas(4), requestsOf(4, 4, 8), false).makespan;
    expect(shared).toBeGreaterThan(4 * 8 * 0.05);
    expect(shared / one).toBeCloseTo(4, 2);
  });

  it('records the kernels of a replica beside those of others', () => {
    const overhead = { kernel: 1e-6, submit: { 1: 1e-3 }, encode: 40e-6 };
    const one = ran(replicas(1), requestsOf(1, 4, 8), false, overhead).makespan;
    expect(ran(replicas(4), requestsOf(4, 4, 8), true, overhead).makespan).toBeCloseTo(one, 9);
    expect(ran(replicas(4), requestsOf(4, 4, 8), false, overhead).makespan).toBeGreaterThan(1.01 * one);
    // Groups of a pipeline have the host of their replica.
    const inPipeline = { stages: [{ name: 'serve', mesh: { pp: 4 }, batchRequests: 8 }] };
    const [apart, together] = [true, false].map(
      (own) => ran(inPipeline, requestsOf(8, 4, 8), own, overhead).makespan,
    );
    expect(apart).toBe(together);
  });

  it('has replicas of stages that take turns go as one does alone, page moves included', () => {
    const inTurns = (dp: number): PlanOptions => ({
      ...RESHARD,
      stages: [
        { name: 'prefill', mesh: { dp, pp: 2 }, microbatchTokens: 64 },
        { name: 'decode', mesh: { dp, tp: 2 }, batchRequests: 8 },
      ],
    });
    const one = ran(inTurns(1), requestsOf(1, 60, 10), true);
    const both = ran(inTurns(2), requestsOf(2, 60, 10), true);
    expect(one.bytes.kvOut).toBeGreaterThan(0);
    expect(both.bytes.kvOut).toBe(2 * one.bytes.kvOut);
    expect(both.makespan).toBeCloseTo(one.makespan, 9);
    expect(ran(inTurns(2), requestsOf(2, 60, 10), false).makespan).toBeGreaterThan(1.5 * one.makespan);
  });

  it('has hosts for stages on devices of their own, and one for a replica of those that take turns', () => {
    const beside = [true, false].map((own) => ran({ stages: BESIDE }, requestsOf(8, 60, 8), own).makespan);
    expect(beside[0]! / beside[1]!).toBeLessThan(0.9);
    const turns = [true, false].map((own) => ran(RESHARD, requestsOf(6, 20, 10), own));
    expect(turns[0]!.bytes.kvOut).toBeGreaterThan(0);
    expect(turns[0]!.makespan).toBe(turns[1]!.makespan);
    const [own, shared] = turns.map(({ slices }) =>
      slices.map(({ lane, name, start, end }) => ({ lane, name, start, end })),
    );
    expect(own).toEqual(shared);
  });
});
