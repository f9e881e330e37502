import { describe, expect, it } from 'vitest';
import { neutralPageBytes } from '../../../compiler/passes/kv-pools.js';
import { hostKvBytes } from '../../../compiler/planner/candidates.js';
import { sizeChoices } from '../../../compiler/planner/size-choices.js';
import { makePlan } from '../support/make-plan.js';

const CONTEXT = 4096;
const shape = { layers: 4, hidden: 64, heads: 4, kvHeads: 4, headDim: 16, ffn: 128, vocab: 64 };
const plan = makePlan({
  shape: { ...shape, context: CONTEXT },
  stages: [{ name: 'serve', mesh: { tp: 2 }, microbatchTokens: 3000, batchRequests: 48 }],
});

/** So many requests that each fill so many pages to the last token. */
function requests(count: number, pages: number): { promptTokens: number; outputTokens: number }[] {
  const tokens = pages * plan.kv.pageTokens;
  return Array.from({ length: count }, () => ({ promptTokens: tokens - 1, outputTokens: 1 }));
}

describe('sizeChoices', () => {
  it("tries the plan's own sizes among powers of two, up to all prompts and all requests at once", () => {
    const { microbatchTokens, batchRequests } = sizeChoices(plan, requests(100, 1));
    expect(microbatchTokens).toEqual([128, 256, 512, 1024, 2048, 3000]);
    expect(batchRequests).toEqual([16, 32, 48, 64, 128]);
  });

  it('tries steps of more tokens than the context has, as they take several prompts', () => {
    const short = makePlan({
      shape: { ...shape, context: 512 },
      stages: [{ name: 'serve', mesh: { tp: 2 }, microbatchTokens: 512, batchRequests: 48 }],
    });
    expect(sizeChoices(short, requests(100, 20)).microbatchTokens).toEqual([
      128, 256, 512, 1024, 2048, 4096, 8192,
    ]);
  });

  it('tries half of the KV in the host tier where the workload would fill that', () => {
    const own = hostKvBytes(plan)!;
    const pages = Math.floor(own / 2 / neutralPageBytes(plan));
    expect(sizeChoices(plan, requests(1, pages)).hostKvBytes).toEqual([own]);
    expect(sizeChoices(plan, requests(1, pages + 1)).hostKvBytes).toEqual([own, Math.floor(own / 2)]);
    const bare = makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }], kv: { hostCapacity: null } });
    expect(sizeChoices(bare, requests(9, 9)).hostKvBytes).toBeUndefined();
  });
});
