/**
 * Plans whose tp splits some dimensions and leaves others whole: query heads without kv heads and the reverse, layers
 * that differ. They give the reference's answers, and devices exchange the bytes that the cost model counts.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import { simulate } from '../../runtime/clock/simulate.js';
import { makePlan } from '../compiler/support/make-plan.js';
import type { StageOptions } from '../compiler/support/make-plan.js';
import { CLERK, clerkExpectations, expectReferenceAnswers } from './support/clerk.js';
import type { Expected } from './support/clerk.js';
import { generate } from './support/generate.js';
import { shapeOf } from './support/shape.js';

const small = { microbatchTokens: 200, batchRequests: 16 };

const PLANS: Readonly<Record<string, readonly StageOptions[]>> = {
  'query heads over whole kv heads, then kv heads under whole query heads': [
    { name: 'prefill', mesh: { tp: 4 }, onTp: ['heads', 'ffn'], ...small },
    { name: 'decode', mesh: { pp: 2, tp: 2 }, onTp: ['kv_heads', 'vocab'], ...small },
  ],
  'query heads on more ranks than there are kv heads': [
    { name: 'serve', mesh: { tp: 8 }, onTp: ['heads', 'vocab'], ...small },
  ],
  'kv heads in copies, query heads split in some layers, the mlp in others': [
    {
      name: 'serve',
      mesh: { tp: 8 },
      onTp: ['kv_heads'],
      kvReplicas: 2,
      overrides: [
        { firstLayer: 2, lastLayer: 4, part: 'attention', onTp: ['heads', 'kv_heads'], kvReplicas: 2 },
        { firstLayer: 4, lastLayer: 6, part: 'mlp', onTp: ['ffn'] },
      ],
      ...small,
    },
  ],
};

const planOf = (stages: readonly StageOptions[]): ReturnType<typeof makePlan> =>
  makePlan({ shape: shapeOf(CLERK), stages, kv: { pageTokens: 8 } });

describe('mixed shardings', () => {
  let expected: readonly Expected[];

  beforeAll(() => {
    expected = clerkExpectations(8);
  });

  it.each(Object.entries(PLANS))('%s', async (_name, stages) => {
    const { runtime, diagnostics } = compilePlan(planOf(stages));
    expect(diagnostics).toEqual([]);
    await expectReferenceAnswers(runtime, CLERK, expected);
  });

  it('exchange the bytes that the cost model counts', async () => {
    const plan = planOf(Object.values(PLANS)[0]!);
    const { runtime } = compilePlan(plan);
    const prompts = expected.slice(0, 6).map(({ prompt }) => prompt);
    // A simulation knows lengths only, so it cannot know what prompts have in common.
    const engine = { reusesPrefixes: false };
    const { stats } = await generate(runtime, CLERK, prompts, { maxNewTokens: 5, stopIds: [], engine });
    const { bytes } = simulate(
      runtime,
      plan,
      prompts.map(({ length }) => ({ promptTokens: length, outputTokens: 5 })),
    );
    const { allReduce, allGather, send } = stats.bytes;
    expect({ allReduce, allGather, send }).toEqual({
      allReduce: bytes.allReduce,
      allGather: bytes.allGather,
      send: bytes.send,
    });
    expect(allGather).toBeGreaterThan(0);
  });
});
