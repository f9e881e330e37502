import { describe, expect, it } from 'vitest';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import { kvView } from '../../../compiler/model/kv-window.js';
import { createBoundContext } from '../../../compiler/planner/bounded-stage.js';
import { findCandidates, hostKvBytes } from '../../../compiler/planner/candidates.js';
import { demandOf } from '../../../compiler/planner/demand.js';
import { createRoughBound } from '../../../compiler/planner/rough-bound.js';
import { makePlan } from '../support/make-plan.js';

describe('rough bounds', () => {
  it.each(['re-sharded', 'disaggregated'] as const)('tell by its cap which %s plan fits', (strategy) => {
    const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] });
    const request = { promptTokens: 60, outputTokens: 5 };
    const demand = demandOf([request], kvView(plan.model.shape, plan.kv.pageTokens));
    // A KiB of KV a token: 4 pages, and 3 of them.
    const caps = [64 * 1024, 48 * 1024];
    const sizes = { microbatchTokens: [64], batchRequests: [8], hostKvBytes: caps };
    const candidates = findCandidates(plan, [strategy], sizes);
    const roughBound = createRoughBound(demand, createBoundContext(plan, FULCRUM_ENGINE));
    const [large, small] = caps.map((bytes) => candidates.filter(({ base }) => hostKvBytes(base) === bytes));
    expect(large!.length).toBeGreaterThan(3);
    expect(small).toHaveLength(large!.length);
    // Whichever is asked for first.
    for (const each of [...candidates, ...candidates.toReversed()])
      expect(roughBound(each) !== undefined).toBe(large!.includes(each));
  });

  it('say nothing of the time between tokens where no request has more than one', () => {
    const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] });
    const figuresOf = (outputTokens: number): readonly number[] => {
      const demand = demandOf(
        [{ promptTokens: 60, outputTokens }],
        kvView(plan.model.shape, plan.kv.pageTokens),
      );
      const roughBound = createRoughBound(demand, createBoundContext(plan, FULCRUM_ENGINE));
      return findCandidates(plan).flatMap((each) => roughBound(each)?.figures().betweenTokens ?? []);
    };
    expect(new Set(figuresOf(1))).toEqual(new Set([0]));
    expect(Math.min(...figuresOf(2))).toBeGreaterThan(0);
  });
});
