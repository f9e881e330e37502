/** The verifiers accept what the passes make and name the fault in graphs broken on purpose. */
import { describe, expect, it } from 'vitest';
import { MODEL_FAMILIES } from '../../../compiler/model/families.js';
import type { LogicalGraph } from '../../../compiler/ir/logical.js';
import type { ShardedBlock, ShardedGraph, ShardedStage, ShardedValue } from '../../../compiler/ir/sharded.js';
import { verifyLogical } from '../../../compiler/ir/verify-logical.js';
import { verifySharded } from '../../../compiler/ir/verify-sharded.js';
import { buildLogical } from '../../../compiler/passes/build-logical.js';
import { shardPlan } from '../../../compiler/passes/shard.js';
import { makePlan } from '../support/make-plan.js';

const plan = makePlan({
  shape: { outputBias: true, qkNorm: true },
  stages: [{ name: 'serve', mesh: { dp: 2, pp: 2, tp: 2 } }],
});
const logical = buildLogical(plan.model);
const { graph } = shardPlan(logical, plan);

type Blocks = LogicalGraph['blocks'];

function withLayer(change: (layer: Blocks[number]) => Blocks[number]): LogicalGraph {
  return { ...logical, blocks: logical.blocks.map((b) => (b.name === 'layer' ? change(b) : b)) };
}

function withStage(change: (stage: ShardedStage) => Partial<ShardedStage>): ShardedGraph {
  return { ...graph, stages: graph.stages.map((stage) => ({ ...stage, ...change(stage) })) };
}

function withShardedLayer(change: (block: ShardedBlock) => Partial<ShardedBlock>): ShardedGraph {
  return withStage((stage) => ({
    layers: stage.layers.map((layer) => ({ ...layer, block: { ...layer.block, ...change(layer.block) } })),
  }));
}

function relaid(id: string, sharding: ShardedValue['sharding']): ShardedGraph {
  return withShardedLayer((block) => ({
    values: block.values.map((value) => (value.id === id ? { ...value, sharding } : value)),
  }));
}

describe('verifyLogical', () => {
  it('accepts every family', () => {
    for (const { name, parts } of MODEL_FAMILIES) {
      const model = { ...plan.model, shape: { ...plan.model.shape, ...parts, family: name } };
      expect(verifyLogical(buildLogical(model))).toEqual([]);
    }
  });

  it.each<[string, LogicalGraph, string]>([
    [
      'an op twice',
      withLayer((b) => ({ ...b, ops: [...b.ops, b.ops[0]!] })),
      'layer: a value is assigned twice',
    ],
    [
      'ops out of order',
      withLayer((b) => ({ ...b, ops: [...b.ops].reverse() })),
      'layer: q reads attn_norm before it is defined',
    ],
    [
      'a value that nothing makes',
      withLayer((b) => ({ ...b, ops: b.ops.filter((op) => op.id !== 'gate') })),
      'layer: gate is an activation that no op produces',
    ],
    [
      'operands swapped',
      withLayer((b) => ({
        ...b,
        ops: b.ops.map((op) => (op.id === 'down' ? { ...op, inputs: [...op.inputs].reverse() } : op)),
      })),
      'layer: down: operand x is the weight down_weight',
    ],
    [
      'a wrong size',
      withLayer((b) => ({
        ...b,
        values: b.values.map((v) =>
          v.id === 'up_weight'
            ? { ...v, type: { ...v.type, dims: [{ name: 'ffn', size: 47 }, v.type.dims[1]!] } }
            : v,
        ),
      })),
      'layer: ffn of up_weight is 47, not 48',
    ],
    ['a layer too few', withLayer((b) => ({ ...b, repeat: 3 })), 'layer runs 3 times, not 4'],
    [
      'a tensor for all layers',
      withLayer((b) => ({
        ...b,
        values: b.values.map((v) => (v.id === 'o_weight' ? { ...v, tensor: 'o.weight' } : v)),
      })),
      'layer: tensor o.weight of o_weight does not suit the block',
    ],
  ])('names %s', (_what, broken, problem) => {
    expect(verifyLogical(broken)).toContain(problem);
  });
});

describe('verifySharded', () => {
  it('accepts what shardPlan makes', () => {
    expect(graph.stages).toHaveLength(1);
    expect(verifySharded(graph, logical)).toEqual([]);
  });

  const skip = (id: string): ShardedGraph =>
    withShardedLayer((block) => ({
      values: block.values.filter((value) => value.id !== `${id}_reduced`),
      ops: block.ops
        .filter((op) => op.id !== `${id}_reduced`)
        .map((op) =>
          'axis' in op
            ? op
            : { ...op, inputs: op.inputs.map((input) => (input === `${id}_reduced` ? id : input)) },
        ),
    }));

  it.each<[string, ShardedGraph, string]>([
    ['a missing all-reduce', skip('o'), 'layer: attn_residual may not read the partial o'],
    [
      'a bias added on every rank',
      relaid('o_bias', { dims: {}, partial: [] }),
      'layer: o may not read the partial o_bias',
    ],
    [
      'a split norm',
      relaid('x', { dims: { tokens: ['dp'], hidden: ['tp'] }, partial: [] }),
      'layer: attn_norm needs all of hidden',
    ],
    [
      'heads that disagree with their kv heads',
      relaid('q_rope', { dims: { tokens: ['dp'] }, partial: [] }),
      'layer: attended: operands disagree on kv_heads',
    ],
    [
      'a dimension split over pp',
      relaid('gate', { dims: { tokens: ['dp'], ffn: ['pp'] }, partial: [] }),
      'layer: gate is laid over an axis that splits no value',
    ],
    [
      'an axis used twice',
      relaid('gate', { dims: { tokens: ['tp'], ffn: ['tp'] }, partial: [] }),
      'layer: gate uses an axis twice',
    ],
    [
      'a sum over replicas',
      withShardedLayer((block) => ({
        ops: block.ops.map((op) => ('axis' in op && op.id === 'o_reduced' ? { ...op, axis: 'dp' } : op)),
      })),
      'layer: o_reduced: ranks along dp do not take this step together',
    ],
    [
      'a dropped op',
      withShardedLayer((block) => ({ ops: block.ops.filter((op) => op.id !== 'mlp_norm') })),
      'layer: its ops are not those of the logical block',
    ],
    [
      'a gap between segments',
      withStage((stage) => ({ segments: stage.segments.map((s) => ({ ...s, lastLayer: s.lastLayer - 1 })) })),
      'the pipeline segments do not cover every layer once',
    ],
    [
      'a head on the wrong stage',
      withStage((stage) => ({ segments: stage.segments.map((s) => ({ ...s, head: !s.head })) })),
      'segment 0 holds what another should',
    ],
    [
      'layers without a class',
      withStage(() => ({ layers: [] })),
      'the layer classes do not cover every layer once',
    ],
    [
      'a send to nobody',
      withStage((stage) => ({ segments: stage.segments.map((s) => ({ ...s, sendsTo: 5 })) })),
      'segment 1 sends to 5',
    ],
    ['a device too few', withStage((stage) => ({ devices: stage.devices.slice(1) })), '8 ranks on 7 devices'],
    ['a device twice', withStage((s) => ({ devices: s.devices.map(() => 3) })), 'a device has two ranks'],
  ])('names %s', (_what, broken, problem) => {
    expect(verifySharded(broken, logical)).toContain(`stage serve: ${problem}`);
  });
});
