/** Estimates beside what is planned: the same bytes, and the seconds that no plan can beat. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { buildLogical } from '../../../compiler/passes/build-logical.js';
import { shardPlan } from '../../../compiler/passes/shard.js';
import {
  buildTransitions,
  onShared,
  stageChanges,
  weightPlanning,
} from '../../../compiler/passes/transitions.js';
import { estimateWeights } from '../../../compiler/reshard/estimate-moves.js';
import { planWeights } from '../../../compiler/reshard/plan-weights.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { arbitraryReshard } from '../support/arbitrary-reshard.js';
import { makePlan } from '../support/make-plan.js';
import { movesOf } from '../support/reshard-moves.js';

describe('an estimate of moves', () => {
  it('counts what is planned where nothing lasts, and has its bound for time', () => {
    fc.assert(
      fc.property(arbitraryReshard, fc.constantFrom(1e9, 50e9), (options, peerBandwidth) => {
        const plan = makePlan({ ...options, peerBandwidth });
        const { graph: sharded } = shardPlan(buildLogical(plan.model), plan);
        const roads = roadsOf(plan.topology);
        const { bytesOf, memo } = weightPlanning(sharded, roads);
        const { holdings } = buildTransitions(sharded, plan, roads);
        for (const { from, to } of stageChanges(plan, holdings)) {
          const [before, after] = onShared(holdings, from, to);
          const planned = planWeights(before, after, bytesOf, roads, new Set(), memo);
          const estimate = estimateWeights(before, after, bytesOf, roads, memo, () => 0);
          expect(estimate.seconds).toBeCloseTo(planned.cost.boundSeconds, 12);
          const moved = new Map<string, number>();
          for (const { piece, kind, bytes } of movesOf(planned))
            if (kind !== 'keep') moved.set(piece.tensor, (moved.get(piece.tensor) ?? 0) + bytes);
          expect(new Map([...estimate.bytes].sort())).toEqual(new Map([...moved].sort()));
          const half = Math.min(...estimate.bytes.values()) / 2;
          const lasting = estimateWeights(before, after, bytesOf, roads, memo, () => half);
          expect(lasting.seconds).toBeLessThanOrEqual(estimate.seconds);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('comes close to what a stage of larger shards takes, of which the end lasts', () => {
    const plan = makePlan({
      shape: { layers: 16, hidden: 128, heads: 16, kvHeads: 8, ffn: 256, vocab: 512 },
      stages: [
        { name: 'prefill', mesh: { dp: 2, tp: 2 } },
        { name: 'decode', mesh: { tp: 4 } },
      ],
    });
    const { sharded, transitions } = compilePlan({ ...plan, residence: 'switch' });
    const roads = roadsOf(plan.topology);
    const planning = weightPlanning(sharded, roads);
    const { holdings } = buildTransitions(sharded, plan, roads);
    const bytesOn = (stage: string, device: number): number =>
      holdings[stage]!.find((rank) => rank.device === device)!.weights.reduce(
        (sum, piece) => sum + planning.bytesOf(piece),
        0,
      );
    for (const { from, to, cost } of transitions.weights) {
      const lasting = (device: number): number => Math.max(0, bytesOn(to, device) - bytesOn(from, device));
      const [before, after] = onShared(holdings, from, to);
      const { bytesOf, memo } = planning;
      const { seconds } = estimateWeights(before, after, bytesOf, roads, memo, lasting);
      expect(seconds / cost.seconds, `${from} -> ${to}`).toBeGreaterThan(0.9);
      expect(seconds / cost.seconds, `${from} -> ${to}`).toBeLessThan(1.1);
    }
  });
});
