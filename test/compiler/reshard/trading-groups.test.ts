/** Groups of devices that trade among themselves: what is planned once for all that are alike is what each would get. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { area } from '../../../compiler/ir/rectangles.js';
import type { RankHolding, TensorPiece } from '../../../compiler/ir/transitions.js';
import { chooseMoves, costOf, planMoves } from '../../../compiler/reshard/plan-moves.js';
import { planWeights } from '../../../compiler/reshard/plan-weights.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { tradingGroups } from '../../../compiler/reshard/trading-groups.js';
import { weightSources } from '../../../compiler/reshard/weight-source.js';
import {
  arbitraryMachine,
  arbitraryModel,
  placeModel,
  type TinyModel,
} from '../support/arbitrary-placement.js';
import { meshesOf } from '../support/arbitrary-reshard.js';
import { evenSplit } from '../support/make-plan.js';
import { evictionsOf, movesOf } from '../support/reshard-moves.js';

const bytesOf = (piece: TensorPiece): number => area(piece) * 4;

/** Replicas have one list of pieces for each place, as compiled holdings do. */
function shareLists(ranks: readonly RankHolding[]): readonly RankHolding[] {
  const lists = new Map<string, RankHolding['weights']>();
  return ranks.map((rank) => {
    const key = `${rank.pp} ${rank.tp}`;
    lists.set(key, lists.get(key) ?? rank.weights);
    return { ...rank, weights: lists.get(key)! };
  });
}

/** Two meshes on the same devices in the same order, with any number of replicas each. */
const arbitraryReplicas = arbitraryModel.chain((model: TinyModel) => {
  const fits = meshesOf(8).filter(
    ({ pp, tp }) => pp <= model.layers && (model.kvHeads % tp === 0 || tp % model.kvHeads === 0),
  );
  const place = fc
    .constantFrom(...fits)
    .map((mesh) =>
      shareLists(placeModel(model, mesh, [0, 1, 2, 3, 4, 5, 6, 7], evenSplit(model.layers, mesh.pp))),
    );
  return fc.tuple(place, place);
});

describe('trading groups', () => {
  it('share plans that are those of each group by itself', () => {
    let shared = 0;
    fc.assert(
      fc.property(arbitraryReplicas, arbitraryMachine, ([from, to], machine) => {
        const plan = planWeights(from, to, bytesOf, roadsOf(machine));
        const groups = tradingGroups(from, to);
        expect(plan.groups.map(({ devices }) => devices)).toEqual(groups.map(({ devices }) => devices));
        shared += groups.length - new Set(plan.groups.map((group) => group.plan)).size;

        const roads = roadsOf(machine);
        const model = from.filter(({ dp }) => dp === 0).flatMap(({ weights }) => weights);
        const tensors = new Map(model.map((piece) => [piece.tensor, 0]));
        for (const { tensor, rows, cols } of model)
          tensors.set(tensor, Math.max(tensors.get(tensor)!, rows[1] * cols[1] * 4));
        const modelBytes = [...tensors.values()].reduce((sum, bytes) => sum + bytes, 0);
        const origin = weightSources(roads, { modelBytes, kvBytes: 0 });
        const alone = groups.map((group) => planMoves({ ...group, bytesOf, origin }, roads));
        expect(movesOf(plan)).toEqual(alone.flatMap(({ moves }) => moves));
        expect(evictionsOf(plan)).toEqual(alone.flatMap(({ evict }) => evict));
        const total = (pick: (one: (typeof alone)[number]) => number): number =>
          alone.reduce((sum, one) => sum + pick(one), 0);
        expect(plan.lowerBound).toBe(total((one) => one.lowerBound));
        expect(plan.bytes.peer).toBe(total((one) => one.bytes.peer));
        expect(plan.cost.linkBytes).toBe(total((one) => one.cost.linkBytes));
        // Groups that are alike are added up by one of them: that comes to what all of them make travel.
        const travels = groups.flatMap((group) => chooseMoves({ ...group, bytesOf, origin }, roads).travels);
        const { boundSeconds, ...cost } = costOf(travels, origin, roads);
        expect(plan.cost).toMatchObject(cost);
        expect(plan.cost.boundSeconds).toBeCloseTo(boundSeconds, 12);
      }),
      { numRuns: 200 },
    );
    expect(shared).toBeGreaterThan(50);
  }, 60_000);

  it('are all devices together where a replica begins on devices that held nothing', () => {
    const model = { layers: 2, kvHeads: 2, vocab: 4 };
    const from = placeModel(model, { dp: 1, pp: 1, tp: 2 }, [0, 1], [2]);
    const to = placeModel(model, { dp: 2, pp: 1, tp: 1 }, [0, 2], [2]);
    expect(tradingGroups(from, to).map(({ devices }) => devices)).toEqual([[0, 1, 2]]);
    const both = placeModel(model, { dp: 2, pp: 1, tp: 1 }, [0, 1], [2]);
    expect(tradingGroups(both, both).map(({ devices }) => devices)).toEqual([[0], [1]]);
  });
});
