/** Random plans of one stage whose sharding is legal: shapes, meshes, replicas, placements and overrides. */
import fc from 'fast-check';
import type { TpDim } from '../../../compiler/plan/plan.js';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { FAMILY_PARTS } from './family-shapes.js';
import type { PlanOptions, StageOptions } from './make-plan.js';

export interface ShardingCase {
  readonly shape: ModelShape;
  readonly stage: StageOptions;
}

/** Shapes small enough to execute; every optional part of a model comes and goes. */
export const arbitraryCase: fc.Arbitrary<ShardingCase> = fc
  .record({
    dp: fc.integer({ min: 1, max: 2 }),
    pp: fc.integer({ min: 1, max: 3 }),
    tp: fc.constantFrom(1, 2, 3, 4, 6),
    layers: fc.integer({ min: 3, max: 4 }),
    kvSplit: fc.constantFrom('even', 'replicas', 'whole', 'alone'),
    kvPerRank: fc.integer({ min: 1, max: 2 }),
    kvWhole: fc.integer({ min: 1, max: 4 }),
    groups: fc.integer({ min: 1, max: 3 }),
    headDim: fc.constantFrom(2, 4, 6),
    hidden: fc.integer({ min: 3, max: 9 }),
    ffnPerRank: fc.integer({ min: 1, max: 4 }),
    vocab: fc.integer({ min: 5, max: 17 }),
    ffnOnTp: fc.boolean(),
    vocabOnTp: fc.boolean(),
    flags: fc.record({
      tied: fc.boolean(),
      qkvBias: fc.boolean(),
      outputBias: fc.boolean(),
      mlpBias: fc.boolean(),
      qkNorm: fc.boolean(),
    }),
    family: fc.constantFrom(...Object.keys(FAMILY_PARTS)),
    overrideLayer: fc.option(fc.integer({ min: 0, max: 2 })),
    overrideHeads: fc.boolean(),
  })
  .map((drawn) => {
    const { tp, dp, pp, layers } = drawn;
    const divisors = [1, 2, 3, 4, 6].filter((size) => tp % size === 0 && size < tp);
    const replicated = drawn.kvSplit === 'replicas' && divisors.length > 0;
    const whole = drawn.kvSplit === 'whole';
    const kvHeads = replicated
      ? divisors[drawn.kvPerRank % divisors.length]!
      : whole
        ? drawn.kvWhole
        : tp * drawn.kvPerRank;
    const kvReplicas = replicated ? tp / kvHeads : 1;
    const shape: ModelShape = {
      family: 'llama',
      layers,
      hidden: drawn.hidden,
      kvHeads,
      heads: (whole ? leastCommonMultiple(kvHeads, tp) : kvHeads * kvReplicas) * drawn.groups,
      headDim: drawn.headDim,
      ffn: tp * drawn.ffnPerRank,
      vocab: drawn.vocab,
      context: 64,
      normEps: 1e-5,
      ropeTheta: 100,
      ...drawn.flags,
      ...FAMILY_PARTS[drawn.family],
    };
    const attention: readonly TpDim[] = whole
      ? ['heads']
      : drawn.kvSplit === 'alone'
        ? ['kv_heads']
        : ['heads', 'kv_heads'];
    const onTp: readonly TpDim[] = [
      ...attention,
      ...(drawn.ffnOnTp ? (['ffn'] as const) : []),
      ...(drawn.vocabOnTp ? (['vocab'] as const) : []),
    ];
    // Pages lie alike in all layers, but query heads may be split in some and whole in others.
    const kvOnTp: readonly TpDim[] = whole ? [] : ['kv_heads'];
    const otherHeads: readonly TpDim[] = attention.includes('heads') ? kvOnTp : ['heads', ...kvOnTp];
    const flipped: readonly TpDim[] = drawn.ffnOnTp ? attention : [...attention, 'ffn'];
    const layer = drawn.overrideLayer;
    const overrides: StageOptions['overrides'] =
      layer === null
        ? []
        : [
            { firstLayer: layer, lastLayer: layers - 1, part: 'mlp', onTp: flipped, kvReplicas },
            ...(drawn.overrideHeads
              ? [
                  {
                    firstLayer: layer,
                    lastLayer: layer,
                    part: 'attention',
                    onTp: otherHeads,
                    kvReplicas,
                  } as const,
                ]
              : []),
          ];
    return { shape, stage: { name: 'serve', mesh: { dp, pp, tp }, onTp, kvReplicas, overrides } };
  });

function leastCommonMultiple(a: number, b: number): number {
  let multiple = a;
  while (multiple % b !== 0) multiple += a;
  return multiple;
}

export function planOf({ shape, stage }: ShardingCase): PlanOptions {
  return { shape, stages: [stage] };
}
