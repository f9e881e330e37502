import { describe, expect, it } from 'vitest';
import { findCandidates } from '../../../compiler/planner/candidates.js';
import { unheldRequests } from '../../../compiler/planner/held-requests.js';
import { makePlan } from '../support/make-plan.js';

const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] });
const { context } = plan.model.shape;
const candidates = findCandidates(plan, ['static']);
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
        findCandidates(small(deviceMemory), ['static']),
        [10, 2 ** 20 - 1].map((promptTokens) => ({ promptTokens, outputTokens: 1 })),
      );
    expect(inMemory(2 ** 32)).toBeUndefined();
    expect(inMemory(2 ** 26)).toMatchObject({ requests: 1, place: 1 });
    // Where the weights fit nowhere no request is to blame.
    expect(inMemory(2 ** 10)).toBeUndefined();
  });

  it('are none where there is no plan', () => {
    expect(unheldRequests([], [{ promptTokens: 10, outputTokens: 1 }])).toBeUndefined();
  });
});
