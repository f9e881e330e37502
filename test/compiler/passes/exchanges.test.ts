/**
 * What ranks exchange, from one level to the next: the bytes of the collectives that sharding inserted, which are the
 * cheapest by the layout search, are those that the lowered programs and the cost model count.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { planReport } from '../../../cli/plan-report.js';
import { compilePlan } from '../../../compiler/compile.js';
import { COLLECTIVES } from '../../../compiler/ir/collective-table.js';
import { isCollective } from '../../../compiler/ir/print-sharded.js';
import { activationStride } from '../../../compiler/ir/device-layout.js';
import type { ShardedBlock, ShardedStage } from '../../../compiler/ir/sharded.js';
import { partsOf } from '../../../compiler/ir/sharding-algebra.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import { programCost } from '../../../compiler/cost/program-cost.js';
import { layerBlock } from '../../../compiler/passes/block-weights.js';
import { arbitraryCase, planOf } from '../support/arbitrary-plan.js';
import { makePlan } from '../support/make-plan.js';

type Exchange = 'all_reduce' | 'all_gather';

/** Elements of a value that a rank has of every token. */
function width(stage: ShardedStage, block: ShardedBlock, id: string): number {
  const { type, sharding } = block.values.find((value) => value.id === id)!;
  return type.dims.reduce(
    (product, { name, size }) =>
      size === undefined ? product : (product * size) / partsOf(stage.mesh, sharding.dims[name] ?? []),
    1,
  );
}

/** Every exchange of a step, with what each rank puts in and gets out, in elements per token. */
function exchanges(stage: ShardedStage, layers: number): { kind: Exchange; given: number; taken: number }[] {
  const blocks = [stage.embed, ...Array.from({ length: layers }, (_, i) => layerBlock(stage, i)), stage.head];
  return blocks.flatMap((block) =>
    block.ops.filter(isCollective).flatMap(({ kind, inputs: [input], output }) => {
      if (kind === 'slice') return [];
      if (kind === 'reduce_scatter') throw new Error('no plan scatters');
      return [{ kind, given: width(stage, block, input), taken: width(stage, block, output) }];
    }),
  );
}

it('the exchanges of the sharded graph are those of the programs, byte for byte', () => {
  const seen = new Set<Exchange>();
  fc.assert(
    fc.property(arbitraryCase, (drawn) => {
      const plan = makePlan(planOf(drawn));
      const { sharded, runtime, transitions, diagnostics } = compilePlan(plan);
      expect(diagnostics).toEqual([]);
      const stage = sharded.stages[0]!;
      const { tp } = stage.mesh;
      const found = exchanges(stage, drawn.shape.layers);
      found.forEach(({ kind }) => seen.add(kind));
      const ring = (wanted: Exchange): number =>
        found
          .filter(({ kind }) => kind === wanted)
          .reduce((sum, { kind, given, taken }) => {
            return sum + tp * COLLECTIVES[kind].bytesPerRank(tp, 4 * Math.max(given, taken));
          }, 0);
      const { perToken } = planReport(runtime, transitions, plan.topology).stages[0]!;
      expect(perToken.allReduce).toBeCloseTo(ring('all_reduce'), 6);
      expect(perToken.allGather).toBeCloseTo(ring('all_gather'), 6);

      const size = { tokens: 5, samples: 2, pairs: 9, keys: 9 };
      const hardware = {
        kinds: [plan.topology.devices[0]!.kind],
        ranks: 1,
        overhead: { layer: 0, kernel: 0 },
      };
      const traffic = runtime.stages[0]!.programs.map((program) =>
        programCost(program, hardware, FULCRUM_ENGINE).traffic(size),
      );
      const through = (wanted: Exchange): number =>
        found
          .filter(({ kind }) => kind === wanted)
          .reduce((sum, { given, taken }) => {
            return sum + size.tokens * 4 * (activationStride(given) + activationStride(taken));
          }, 0);
      const counted = (kind: 'allReduce' | 'allGather'): number =>
        traffic.reduce((sum, each) => sum + each[kind], 0);
      expect([counted('allReduce'), counted('allGather')]).toEqual([
        through('all_reduce'),
        through('all_gather'),
      ]);
    }),
    { numRuns: 60 },
  );
  expect([...seen].sort()).toEqual(['all_gather', 'all_reduce']);
});
