/** What candidates of a search share is what each of them has by itself. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { weightBytes } from '../../../compiler/check/plan/capacity.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import { kvView } from '../../../compiler/model/kv-window.js';
import { routesOf } from '../../../compiler/plan/routes.js';
import { createBoundContext } from '../../../compiler/planner/bounded-stage.js';
import {
  candidateLabel,
  findCandidates,
  hostKvBytes,
  STRATEGIES,
} from '../../../compiler/planner/candidates.js';
import { demandOf } from '../../../compiler/planner/demand.js';
import { createRoughBound, type RoughBound } from '../../../compiler/planner/rough-bound.js';
import { createOutliner } from '../../../compiler/planner/stage-outline.js';
import { machine, planOn, requests } from '../../runtime/tune/machines.js';
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
        const outline = createOutliner(routes);
        const stages = new Set(findCandidates(plan, STRATEGIES, SIZES).flatMap((each) => each.stages));
        for (const [index, stage] of [...stages].entries()) {
          const shared = outline(plan, stage);
          if (index % 7 === offset) expect(shared).toEqual(createOutliner(routes)(plan, stage));
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
        const context = createBoundContext(plan.topology, FULCRUM_ENGINE);
        const roughBound = createRoughBound(demand, context);
        for (const [index, candidate] of candidates.entries()) {
          const shared = roughBound(candidate);
          if (index % 17 !== offset) continue;
          const alone = createRoughBound(
            demand,
            createBoundContext(plan.topology, FULCRUM_ENGINE),
          )(candidate);
          expect(figuresOf(shared), candidateLabel(candidate)).toEqual(figuresOf(alone));
        }
      }),
      { numRuns: 10 },
    );
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
