import { describe, expect, it } from 'vitest';
import { findCandidates } from '../../../compiler/planner/candidates.js';
import { unheldRequests } from '../../../compiler/planner/held-requests.js';
import { makePlan } from '../support/make-plan.js';

const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] });
const { context } = plan.model.shape;
const candidates = findCandidates(plan, ['fused']);
const unheld = (...prompts: readonly number[]) =>
  unheldRequests(
    candidates,
    prompts.map((promptTokens) => ({ promptTokens, outputTokens: 3 })),
  );

describe('unheldRequests', () => {
  it('are those longer than the context', () => {
    expect(unheld(10, context - 3)).toBeUndefined();
    // A sequence ends with the context.
    expect(unheld(context)).toBeUndefined();
    expect(unheld(context + 5, 10, context + 1)).toEqual({
      requests: 2,
      place: 0,
      longest: { promptTokens: context + 5, outputTokens: 3 },
    });
    expect(unheld(context + 1)).toMatchObject({ requests: 1 });
  });

  it('are those that have no room anywhere', () => {
    // A KiB of KV a token.
    const small = (deviceMemory: number) =>
      makePlan({
        stages: [{ name: 'serve', mesh: { tp: 4 } }],
        shape: { context: 2 ** 20 },
        deviceMemory,
      });
    const inMemory = (deviceMemory: number) =>
      unheldRequests(
        findCandidates(small(deviceMemory), ['fused']),
        [10, 2 ** 20 - 1].map((promptTokens) => ({ promptTokens, outputTokens: 1 })),
      );
    expect(inMemory(2 ** 32)).toBeUndefined();
    expect(inMemory(2 ** 26)).toMatchObject({ requests: 1, place: 1 });
    // Where the weights fit nowhere no request is to blame.
    expect(inMemory(2 ** 10)).toBeUndefined();
  });

  it('are those that the host tier has no room for, with whatever cap, where stages hand them over through it', () => {
    const requests = [20, 60, 100].map((promptTokens) => ({ promptTokens, outputTokens: 3 }));
    // A KiB of KV a token, in pages of 16 tokens.
    const capped = (...tokens: readonly number[]) => {
      const hostKvBytes = tokens.map((each) => each * 1024);
      const tiers = plan.kv.tiers.map((tier) =>
        tier.medium === 'host' ? { ...tier, cap: Math.max(...hostKvBytes) } : tier,
      );
      const sizes = { microbatchTokens: [64], batchRequests: [8], hostKvBytes };
      const found = findCandidates(
        { ...plan, kv: { ...plan.kv, tiers } },
        ['re-sharded', 'disaggregated'],
        sizes,
      );
      expect(new Set(found.map(({ base }) => base)).size).toBe(tokens.length);
      return found;
    };
    expect(unheldRequests(capped(112, 48), requests)).toBeUndefined();
    expect(unheldRequests(capped(48, 96), requests)).toMatchObject({ requests: 1, place: 2 });
    expect(unheldRequests(capped(48), requests)).toMatchObject({ requests: 2, place: 2 });
    // What prefill answers by itself goes nowhere.
    const answered = requests.map((each) => ({ ...each, outputTokens: 1 }));
    expect(unheldRequests(capped(48), answered)).toBeUndefined();
    // Nothing is handed over where one stage does both.
    const [fused] = findCandidates({ ...plan, kv: capped(48)[0]!.base.kv }, ['fused']);
    expect(unheldRequests([fused!], requests)).toBeUndefined();
  });

  it('are none where there is no plan', () => {
    expect(unheldRequests([], [{ promptTokens: 10, outputTokens: 1 }])).toBeUndefined();
  });
});
