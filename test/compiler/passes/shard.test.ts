/** What sharding inserts and why, what it refuses, and the printed forms. */
import { describe, expect, it } from 'vitest';
import { printLogical } from '../../../compiler/ir/print-logical.js';
import { isCollective, printCollective, printSharded } from '../../../compiler/ir/print-sharded.js';
import type { ShardedStage } from '../../../compiler/ir/sharded.js';
import { buildLogical } from '../../../compiler/passes/build-logical.js';
import { shardPlan } from '../../../compiler/passes/shard.js';
import type { TpDim } from '../../../compiler/plan/plan.js';
import { GOLDEN_PLANS } from '../support/golden-plans.js';
import { makePlan, originAt, type PlanOptions } from '../support/make-plan.js';

function shard(options: PlanOptions): ReturnType<typeof shardPlan> {
  const plan = makePlan(options);
  return shardPlan(buildLogical(plan.model), plan);
}

function inserted(stage: ShardedStage): string[] {
  const blocks = [stage.embed, ...stage.layers.map((layer) => layer.block), stage.head];
  return blocks.flatMap((block) => block.ops.filter(isCollective).map(printCollective));
}

const ALL: readonly TpDim[] = ['heads', 'kv_heads', 'ffn', 'vocab'];

describe('what is inserted', () => {
  it.each<[string, PlanOptions['stages'][number], string[]]>([
    ['nothing without tp', { name: 'serve', mesh: { dp: 2, pp: 2 } }, []],
    [
      'three sums with tp',
      { name: 'serve', mesh: { tp: 2 } },
      ['all_reduce<tp>(embed)', 'all_reduce<tp>(o)', 'all_reduce<tp>(down)'],
    ],
    [
      'no embedding sum when vocab is replicated',
      { name: 'serve', mesh: { tp: 2 }, onTp: ['heads', 'kv_heads', 'ffn'] },
      ['all_reduce<tp>(o)', 'all_reduce<tp>(down)'],
    ],
    [
      'no mlp sum when ffn is replicated',
      { name: 'serve', mesh: { tp: 2 }, onTp: ['heads', 'kv_heads', 'vocab'] },
      ['all_reduce<tp>(embed)', 'all_reduce<tp>(o)'],
    ],
    ['nothing when all is replicated', { name: 'serve', mesh: { tp: 2 }, onTp: [] }, []],
    [
      'no slice of the pages when only heads are split',
      { name: 'serve', mesh: { tp: 2 }, onTp: ['heads'] },
      ['all_reduce<tp>(o)'],
    ],
    [
      'a slice of q and a gather when only kv heads are split',
      { name: 'serve', mesh: { tp: 2 }, onTp: ['kv_heads'] },
      ['slice<tp, heads>(q_rope)', 'all_gather<tp, heads>(attended)'],
    ],
  ])('%s', (_what, stage, expected) => {
    const { graph, diagnostics } = shard({ stages: [stage] });
    expect(diagnostics).toEqual([]);
    expect(inserted(graph.stages[0]!)).toEqual(expected);
  });

  it('no exchange among replicas, however fast the links between them', () => {
    const stages = [{ name: 'serve', mesh: { dp: 4, tp: 4 }, microbatchTokens: 1, batchRequests: 2 }];
    const plan = makePlan({ shape: { hidden: 2048 }, stages });
    const devices = plan.topology.devices.map((device, i) => {
      const group = `node[${i >> 2}]`;
      return { ...device, group, path: `${group}.gpu[${i % 4}]` };
    });
    const link = { ...plan.topology.links[0]!, latency: 0 };
    const links = [
      { ...link, scope: 'node[*]' },
      { ...link, from: 'node', to: 'node', bandwidth: 40 * link.bandwidth },
    ];
    const nodes = { ...plan, topology: { ...plan.topology, devices, links } };
    const { graph } = shardPlan(buildLogical(plan.model), nodes);
    expect(inserted(graph.stages[0]!)).toEqual([
      'all_reduce<tp>(embed)',
      'all_reduce<tp>(o)',
      'all_reduce<tp>(down)',
    ]);
  });

  it('points at the mesh, or at the override that caused it', () => {
    const { graph } = shard({
      stages: [
        {
          name: 'serve',
          mesh: { tp: 2 },
          onTp: ['heads', 'kv_heads', 'vocab'],
          overrides: [{ firstLayer: 1, lastLayer: 2, part: 'mlp', onTp: ALL }],
        },
      ],
    });
    const { layers } = graph.stages[0]!;
    expect(layers.map(({ firstLayer, lastLayer }) => [firstLayer, lastLayer])).toEqual([
      [0, 0],
      [1, 2],
      [3, 3],
    ]);
    expect(layers[0]!.block).toBe(layers[2]!.block);
    const causes = layers[1]!.block.ops.filter(isCollective).map((op) => [op.id, op.origin, op.reason]);
    expect(causes).toEqual([
      ['o_reduced', originAt(20), 'o sums over heads, which `tp` splits: every rank has a part of the sum'],
      [
        'down_reduced',
        originAt(40),
        'down sums over ffn, which `tp` splits: every rank has a part of the sum',
      ],
    ]);
  });

  it('gives the pages the element type of the plan', () => {
    const { graph } = shard({ stages: [{ name: 'serve', mesh: {} }], kv: { dtype: 'f16' } });
    const kv = graph.stages[0]!.layers[0]!.block.values.filter((value) => value.kind === 'kv');
    expect(kv.map((value) => [value.id, value.type.dtype])).toEqual([
      ['kv', 'f16'],
      ['kv_next', 'f16'],
    ]);
  });
});

describe('what is refused', () => {
  it.each<[string, PlanOptions, string[]]>([
    [
      'heads',
      { shape: { heads: 6, kvHeads: 2 }, stages: [{ name: 's', mesh: { tp: 4 } }] },
      ['dim-not-divisible', 'dim-not-divisible'],
    ],
    ['ffn', { shape: { ffn: 50 }, stages: [{ name: 's', mesh: { tp: 4 } }] }, ['dim-not-divisible']],
    ['kv replicas', { stages: [{ name: 's', mesh: { tp: 4 }, kvReplicas: 2 }] }, ['kv-replicas']],
    [
      'copies of kv heads whose query heads have no equal parts',
      {
        shape: { heads: 6, kvHeads: 2 },
        stages: [{ name: 's', mesh: { tp: 4 }, onTp: ['kv_heads'], kvReplicas: 2 }],
      },
      ['heads-disagree'],
    ],
    [
      'an override that moves KV pages',
      {
        stages: [
          {
            name: 's',
            mesh: { tp: 2 },
            overrides: [{ firstLayer: 0, lastLayer: 0, part: 'attention', onTp: [] }],
          },
        ],
      },
      ['bad-override'],
    ],
  ])('%s', (_what, options, slugs) => {
    const { graph, diagnostics } = shard(options);
    expect(diagnostics.map((diagnostic) => diagnostic.slug)).toEqual(slugs);
    expect(graph.stages).toEqual([]);
  });

  it('says which sizes would do', () => {
    const [diagnostic] = shard({ shape: { ffn: 50 }, stages: [{ name: 's', mesh: { tp: 4 } }] }).diagnostics;
    expect(diagnostic!.helps).toEqual(['tp = 1, 2, 5, 10, 25, 50 divides it']);
  });

  it('one bad stage does not hide the others', () => {
    const { graph, diagnostics } = shard({
      stages: [
        { name: 'prefill', mesh: { tp: 8 } },
        { name: 'decode', mesh: { tp: 4 } },
      ],
    });
    expect(diagnostics).toHaveLength(1);
    expect(graph.stages.map((stage) => stage.name)).toEqual(['decode']);
  });
});

describe('printed forms', () => {
  it.each(Object.entries(GOLDEN_PLANS))('%s', async (name, options) => {
    const plan = makePlan(options);
    const logical = buildLogical(plan.model);
    await expect(printLogical(logical)).toMatchFileSnapshot(`../../golden/${name}/logical.txt`);
    const { graph } = shardPlan(logical, plan);
    const text = printSharded(graph, { origin: ({ file, span }) => `${file}:${span.start}` });
    await expect(text).toMatchFileSnapshot(`../../golden/${name}/sharded.txt`);
  });

  it('prints the same text for the same plan, and origins only when asked', () => {
    const options = GOLDEN_PLANS['reshard']!;
    expect(printSharded(shard(options).graph)).toBe(printSharded(shard(options).graph));
    expect(printSharded(shard(options).graph)).not.toContain('test.plan');
  });
});
