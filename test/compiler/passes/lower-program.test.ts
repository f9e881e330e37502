/** Layers that differ in their number alone are lowered once, and come out as if each was. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ShardedBlock, ShardedStage } from '../../../compiler/ir/sharded.js';
import { buildLogical } from '../../../compiler/passes/build-logical.js';
import { blockFacts } from '../../../compiler/passes/lower-block.js';
import { lowerProgram } from '../../../compiler/passes/lower-program.js';
import type { DraftProgram } from '../../../compiler/passes/program-builder.js';
import { shardPlan } from '../../../compiler/passes/shard.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { arbitraryCase, planOf } from '../support/arbitrary-plan.js';
import { makePlan } from '../support/make-plan.js';

/** Programs of the only stage, lowered with what is known of blocks, and with every block looked at anew. */
function programsOf(plan: Plan): readonly (readonly [DraftProgram, DraftProgram])[] {
  const { graph } = shardPlan(buildLogical(plan.model), plan);
  const stage: ShardedStage = graph.stages[0]!;
  const context = { shape: plan.model.shape, pageTokens: plan.kv.pageTokens, kvDtype: plan.kv.dtype };
  const layout = { tp: stage.mesh.tp, kvReplicas: stage.kvReplicas };
  const anew = (block: ShardedBlock): ReturnType<typeof blockFacts> => blockFacts(block, layout);
  return stage.segments.map(({ pp }) => [
    lowerProgram(stage, pp, context),
    lowerProgram(stage, pp, context, anew),
  ]);
}

describe('a layer like one before it', () => {
  it('has the ops, values and weights that it has by itself', () => {
    fc.assert(
      fc.property(arbitraryCase, (drawn) => {
        for (const [repeated, alone] of programsOf(makePlan(planOf(drawn)))) expect(repeated).toEqual(alone);
      }),
      { numRuns: 60 },
    );
  });

  it('is none where a weight is stored in a type of its own', () => {
    const stored = { 'model.layers.2.mlp.down_proj.weight': 'f16' } as const;
    const plan = makePlan({ stored, stages: [{ name: 'serve', mesh: { tp: 2 } }] });
    const [[repeated, alone]] = programsOf(plan) as [readonly [DraftProgram, DraftProgram]];
    expect(repeated).toEqual(alone);
    const typeOf = (id: string): string | undefined =>
      repeated.recipes.find((recipe) => recipe.id === id)?.dtype;
    expect(typeOf('layers.2.down')).toBe('f16');
    expect(typeOf('layers.1.down')).not.toBe('f16');
  });
});
