/** The tuner: bounds that no simulation goes below, and the winner of an exhaustive search. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import { demandOf, leastSeconds } from '../../../compiler/planner/bound.js';
import { candidatePlans } from '../../../compiler/planner/candidates.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { simulateCandidate, tune } from '../../../runtime/tune/tune.js';
import { makePlan } from '../../compiler/support/make-plan.js';

const request = fc.record({
  promptTokens: fc.integer({ min: 4, max: 60 }),
  outputTokens: fc.integer({ min: 1, max: 30 }),
});

interface Machine {
  readonly peerBandwidth: number;
  readonly deviceMemory: number;
  readonly step: number;
  readonly layer: number;
}

/** Machines on which now this strategy wins and now another: slow or fast links, little or much memory. */
const machine: fc.Arbitrary<Machine> = fc.record({
  peerBandwidth: fc.constantFrom(1e6, 1e8, 1e11),
  deviceMemory: fc.constantFrom(3.2e6, 6e6, 1e9),
  step: fc.constantFrom(0, 1e-4),
  layer: fc.constantFrom(0, 1e-5),
});

function planOn({ peerBandwidth, deviceMemory, step, layer }: Machine): Plan {
  const plan = makePlan({
    shape: { layers: 4, hidden: 128, heads: 8, kvHeads: 4, headDim: 16, ffn: 256, vocab: 128, context: 128 },
    stages: [{ name: 'serve', mesh: { tp: 4 }, microbatchTokens: 64, batchRequests: 8 }],
    peerBandwidth,
    deviceMemory,
  });
  return { ...plan, topology: { ...plan.topology, overhead: { step, layer, request: 0, kernel: 0 } } };
}

describe('tune', () => {
  it('never prunes a plan that could win', () => {
    fc.assert(
      fc.property(machine, fc.array(request, { minLength: 1, maxLength: 10 }), (made, requests) => {
        const candidates = candidatePlans(planOn(made));
        const all = tune(candidates, requests, { keep: 'all' });
        const quick = tune(candidates, requests, { keep: 2 });
        expect(all.pruned).toBe(0);
        expect(quick.ranked.slice(0, 2).map(({ simulation }) => simulation.makespan)).toEqual(
          all.ranked.slice(0, 2).map(({ simulation }) => simulation.makespan),
        );
      }),
      { numRuns: 4 },
    );
  });

  it('bounds the time of every candidate from below', () => {
    let tight = 0;
    fc.assert(
      fc.property(machine, fc.array(request, { minLength: 1, maxLength: 10 }), (made, requests) => {
        const candidates = candidatePlans(planOn(made));
        for (const candidate of candidates.filter((_, i) => i % 5 === requests.length % 5)) {
          const simulation = simulateCandidate(candidate, requests, FULCRUM_ENGINE);
          if (simulation === undefined) continue;
          const least = leastSeconds(candidate.plan, demandOf(requests), FULCRUM_ENGINE);
          expect(least).toBeLessThanOrEqual(simulation.makespan * (1 + 1e-9));
          expect(least).toBeGreaterThan(0);
          tight = Math.max(tight, least / simulation.makespan);
        }
      }),
      { numRuns: 8 },
    );
    // A bound of almost nothing would be right and of no use.
    expect(tight).toBeGreaterThan(0.4);
  });
});
