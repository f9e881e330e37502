/** What candidates of a search share is what each of them has by itself. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { weightBytes } from '../../../compiler/check/plan/capacity.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import { kvView } from '../../../compiler/model/kv-window.js';
import { routesOf } from '../../../compiler/plan/routes.js';
import { candidateBound } from '../../../compiler/planner/bound.js';
import { createBoundContext, type BoundContext } from '../../../compiler/planner/bounded-stage.js';
import {
  candidateLabel,
  findCandidates,
  hostKvBytes,
  STRATEGIES,
  type Candidate,
} from '../../../compiler/planner/candidates.js';
import { demandOf } from '../../../compiler/planner/demand.js';
import { createRoughBound, type RoughBound } from '../../../compiler/planner/rough-bound.js';
import { createOutliner } from '../../../compiler/planner/stage-outline.js';
import { machine, planOn, requests, ROOMY } from '../../runtime/tune/machines.js';
import { makePlan } from '../support/make-plan.js';

/** All that a rough bound says in numbers. */
function figuresOf(rough: RoughBound | undefined): readonly number[] | undefined {
  if (rough === undefined) return undefined;
  const { least, estimate, betweenTokens } = rough.figures();
  return [rough.sequences, least, estimate, betweenTokens];
}

const SIZES = { microbatchTokens: [8, 64], batchRequests: [4, 32] };

describe('of candidates that share stages, sizes and layouts', () => {
  it('each has the programs and the workspace that its stages have alone', () => {
    fc.assert(
      fc.property(machine, fc.nat(6), (made, offset) => {
        const plan = planOn(made);
        const routes = routesOf(plan.topology);
        const outline = createOutliner(plan.model, routes);
        const stages = new Set(findCandidates(plan, STRATEGIES, SIZES).flatMap((each) => each.stages));
        for (const [index, stage] of [...stages].entries()) {
          const shared = outline(plan, stage);
          if (index % 7 === offset) expect(shared).toEqual(createOutliner(plan.model, routes)(plan, stage));
        }
      }),
      { numRuns: 10 },
    );
  });

  it('each has the bound that it has alone, whatever its cap of KV', () => {
    fc.assert(
      fc.property(machine, requests, fc.nat(16), (made, all, offset) => {
        const plan = planOn(made);
        const demand = demandOf(all, kvView(plan.model.shape, plan.kv.pageTokens));
        const own = hostKvBytes(plan)!;
        const candidates = findCandidates(plan, STRATEGIES, { ...SIZES, hostKvBytes: [own, own / 2] });
        const context = createBoundContext(plan, FULCRUM_ENGINE);
        const roughBound = createRoughBound(demand, context);
        for (const [index, candidate] of candidates.entries()) {
          const shared = roughBound(candidate);
          if (index % 17 !== offset) continue;
          const alone = createRoughBound(demand, createBoundContext(plan, FULCRUM_ENGINE))(candidate);
          expect(figuresOf(shared), candidateLabel(candidate)).toEqual(figuresOf(alone));
        }
      }),
      { numRuns: 10 },
    );
  });

  it('each of those for both phases has the closer estimate that it has alone, in whichever order they come', () => {
    const plan = planOn({ ...ROOMY, deviceMemory: 4e6, pageTokens: 4 });
    const kv = kvView(plan.model.shape, plan.kv.pageTokens);
    // More than some meshes have room for, and batches that leave nearly the same room.
    const all = Array.from({ length: 240 }, (_, i) => ({
      promptTokens: 20 + (i % 7),
      outputTokens: 30 + (i % 11),
    }));
    const demand = demandOf(all, kv);
    const sizes = { microbatchTokens: [256], batchRequests: [240, 244, 248, 252] };
    const candidates = findCandidates(plan, ['fused'], sizes);
    const contextOf = (): BoundContext => createBoundContext(plan, FULCRUM_ENGINE);
    const closely = (candidate: Candidate, context: BoundContext): number | undefined =>
      candidateBound(candidate, context)?.estimate.closely(demand)?.seconds;
    const [one, other] = [contextOf(), contextOf()];
    const forwards = candidates.map((each) => closely(each, one));
    const backwards = candidates.toReversed().map((each) => closely(each, other));
    expect(forwards).toEqual(backwards.toReversed());
    const some = candidates.map((_, i) => i).filter((i) => i % 3 === 0);
    expect(some.map((i) => forwards[i])).toEqual(some.map((i) => closely(candidates[i]!, contextOf())));
  });
});

it('overrides that say what the stage says change no bytes of weights', () => {
  const onTp = ['heads', 'kv_heads', 'ffn', 'vocab'] as const;
  const overrides = [{ firstLayer: 1, lastLayer: 2, part: 'mlp' as const, onTp }];
  const [plain, same] = [{}, { overrides }].map((more) => {
    const plan = makePlan({
      stages: [{ name: 'serve', mesh: { pp: 2, tp: 2 }, layerSplit: [3, 1], ...more }],
    });
    return weightBytes(plan.model.shape, 'f16', plan.stages[0]!);
  });
  expect(same).toEqual(plain);
});
