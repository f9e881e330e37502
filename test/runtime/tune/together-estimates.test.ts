/** Estimates of stages whose weights are on the devices at once, so that neither waits for the other's turn. */
import { describe, expect, it } from 'vitest';
import { randomSearch } from '../../../bench/support/random-searches.js';
import { createPlanCompiler } from '../../../compiler/compile.js';
import { candidateBound, pagesBehindDevices } from '../../../compiler/planner/bound.js';
import { candidateLabel, candidatePlan, findCandidates } from '../../../compiler/planner/candidates.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import { createSurvey } from '../../../runtime/tune/survey.js';

describe('close estimates of stages that stay together', () => {
  it('count no turns where the tier between them has room for some of the prompts', () => {
    // A tier for a third of the prompts, and memory for both stages.
    const { plan, requests } = randomSearch(5045);
    const sizes = { microbatchTokens: [512, 1024], batchRequests: [128] };
    const { context, demand } = createSurvey(plan, requests);
    const labels = ['(pp: 8) -> (pp: 2, tp: 4)', '(dp: 2, pp: 4) -> (dp: 2, tp: 4)'];
    const candidates = findCandidates(plan, ['re-sharded'], sizes).filter((each) =>
      labels.includes(candidateLabel(each)),
    );
    expect(candidates).toHaveLength(4);
    for (const candidate of candidates) {
      const pages = pagesBehindDevices(candidate);
      expect(pages / demand.decodingPages).toBeLessThan(0.4);
      const each = candidatePlan(candidate);
      const compiled = createPlanCompiler()(each);
      const { makespan, transitions } = simulate(compiled.runtime(), each, requests);
      expect(transitions.count, candidateLabel(candidate)).toBe(0);
      const { estimate } = candidateBound(candidate, context)!.compiled(compiled);
      const part = estimate.closely(demand, false, pages)!.seconds / makespan;
      expect(part, candidateLabel(candidate)).toBeGreaterThan(0.97);
      expect(part, candidateLabel(candidate)).toBeLessThan(1.01);
    }
  });
});
