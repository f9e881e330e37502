import { describe, expect, it } from 'vitest';
import { blockWeights } from '../../../compiler/passes/block-weights.js';
import { compilePlan } from '../../../compiler/compile.js';
import { makePlan } from '../support/make-plan.js';

const block = compilePlan(makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }] })).sharded.stages[0]!
  .layers[0]!.block;

describe('the weights of a block', () => {
  it('are all that its ops read', () => {
    const weights = block.values.filter(({ kind }) => kind === 'weight');
    expect([...blockWeights(block).keys()].sort()).toEqual(weights.map(({ id }) => id).sort());
  });

  it('are not passed over where an op is not known to have any', () => {
    const ops = block.ops.map((op) => (op.output === 'mlp_norm' ? { ...op, kind: 'soft_cap' as const } : op));
    expect(() => blockWeights({ ...block, ops } as typeof block)).toThrow('mlp_norm_weight of soft_cap');
  });
});
