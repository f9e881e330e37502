/** A KV pool smaller than the model's context bounds what one sequence may generate; nothing is refused for it. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import { makePlan } from '../compiler/support/make-plan.js';
import { CLERK } from './support/clerk.js';
import { generate } from './support/generate.js';
import { shapeOf } from './support/shape.js';

describe('a small KV pool', () => {
  it('ends a sequence where the pool ends, with as many sequences waiting as it takes', async () => {
    const shape = shapeOf(CLERK);
    const stages = [{ name: 'serve', mesh: { tp: 1 }, microbatchTokens: 64, batchRequests: 4 }];
    const { runtime } = compilePlan(makePlan({ shape, stages, kv: { hostCapacity: null } }));
    const pools = runtime.pools.map((pool) => ({ ...pool, pages: 5 }));
    const prompts = [10, 79, 3, 40, 64].map((length) => Array.from({ length }, (_, i) => 2 + i));
    const { outputs, stats } = await generate({ ...runtime, pools }, CLERK, prompts, {
      maxNewTokens: 400,
      stopIds: [],
    });
    // Five pages of 16 tokens; the last generated token needs no KV.
    expect(outputs.map(({ ids }, i) => prompts[i]!.length + ids.length)).toEqual([81, 81, 81, 81, 81]);
    // Sequences that had to give up their pages went through prefill again: their prompts count once all the same.
    expect(stats.promptTokens).toBe(10 + 79 + 3 + 40 + 64);
  });
});
