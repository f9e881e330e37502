/** The compiler of searches: what it does not work out again is what it would work out. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan, createPlanCompiler } from '../../compiler/compile.js';
import type { CheckedExpectation } from '../../compiler/plan/plan.js';
import { candidateLabel, candidatePlan, findCandidates } from '../../compiler/planner/candidates.js';
import { machine, planOn } from '../runtime/tune/machines.js';
import { makePlan } from './support/make-plan.js';

describe('createPlanCompiler', () => {
  it('makes the same graphs as compiling each plan by itself', () => {
    fc.assert(
      fc.property(machine, fc.integer({ min: 0, max: 6 }), (made, rest) => {
        const plan = planOn(made);
        const sizes = { microbatchTokens: [16, 64], batchRequests: [2, 8], hostKvBytes: [1e5, 1e9] };
        const candidates = findCandidates(plan, ['static', 're-sharded', 'disaggregated'], sizes);
        const compile = createPlanCompiler();
        for (const candidate of candidates.filter((_, i) => i % 7 === rest)) {
          const each = candidatePlan(candidate);
          const [shared, alone] = [compile(each), compilePlan(each)];
          expect(shared.runtime, candidateLabel(candidate)).toEqual(alone.runtime);
          expect(shared.diagnostics).toEqual(alone.diagnostics);
        }
      }),
      { numRuns: 3 },
    );
  });

  it('judges what a plan expects of transitions by the bytes that they move', () => {
    const plan = makePlan({
      shape: { layers: 4 },
      stages: [
        { name: 'prefill', mesh: { pp: 2, tp: 1 } },
        { name: 'decode', mesh: { tp: 2 } },
      ],
    });
    const moving = { ...plan, residence: 'switch' as const };
    const { bytes } = compilePlan(moving).transitions.weights.find(({ to }) => to === 'decode')!;
    const expected = (limit: number): CheckedExpectation => ({
      kind: 'bound',
      measure: 'bytes',
      edge: { from: 'prefill', to: 'decode' },
      per: 'transition',
      op: '==',
      limit,
      origin: plan.origin,
    });
    const compile = createPlanCompiler();
    const found = (limit: number): number =>
      compile({ ...moving, expectations: [expected(limit)] }).diagnostics.length;
    // Also after the same moves were lowered for a plan that expects nothing.
    expect(compile(moving).diagnostics).toEqual([]);
    expect(bytes.upload + bytes.peer).toBeGreaterThan(0);
    expect(found(bytes.upload + bytes.peer)).toBe(0);
    expect(found(bytes.upload + bytes.peer + 1)).toBe(1);
  });
});
