/** The compiler of searches: what it does not work out again is what it would work out. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan, createPlanCompiler } from '../../compiler/compile.js';
import { candidateLabel, candidatePlan, findCandidates } from '../../compiler/planner/candidates.js';
import { machine, planOn } from '../runtime/tune/machines.js';

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
});
