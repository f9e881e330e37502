import { describe, expect, it } from 'vitest';
import { stuckAnswer, takeToken, type Sequence } from '../../../runtime/engine/sequence.js';
import type { EngineRequest } from '../../../runtime/engine/types.js';
import { createLogitAdjuster } from '../../../runtime/sampling/adjust.js';
import { allowIds, type AfterToken } from '../../../runtime/sampling/constraint.js';
import { GREEDY } from '../../fixtures/greedy.js';

function sequence(request: Partial<EngineRequest>): Sequence {
  const nothing = (): void => undefined;
  return {
    request: {
      promptIds: [7, 8],
      maxNewTokens: 3,
      stopIds: [1],
      sampling: GREEDY,
      onToken: () => false,
      onFinish: nothing,
      onError: nothing,
      ...request,
    },
    tokens: [7, 8],
    promptTokens: 2,
    maxNewTokens: 3,
    begun: 0,
    prefilled: 0,
  };
}

const NO_CHANGE = {
  frequencyPenalty: 0,
  presencePenalty: 0,
  repetitionPenalty: 1,
  logitBias: new Map<number, number>(),
};

const saying = (...said: readonly AfterToken[]) => {
  const left = [...said];
  return { mask: () => new Uint32Array(1), accept: () => left.shift()!, dispose: () => undefined };
};

describe('a token of a sequence', () => {
  it('ends it as a stop id, a stop string, or the last that it may have', () => {
    const plain = sequence({});
    expect([4, 5, 6].map((id) => takeToken(plain, { id }))).toEqual(['open', 'open', 'length']);
    expect(takeToken(sequence({}), { id: 1 })).toBe('stop');
    expect(takeToken(sequence({ onToken: () => true }), { id: 4 })).toBe('stop');
  });

  it('ends it where its constraint is complete', () => {
    const constrained = sequence({ constraint: saying('open', 'complete') });
    expect([4, 5].map((id) => takeToken(constrained, { id }))).toEqual(['open', 'stop']);
    expect(constrained.tokens).toEqual([7, 8, 4, 5]);
  });

  it('is none of the answer where none may come, which is FC0936', () => {
    const seen: number[] = [];
    const onToken = ({ id }: { readonly id: number }): boolean => seen.push(id) < 0;
    const constrained = sequence({ constraint: saying('open', 'stuck'), onToken });
    expect([4, 5].map((id) => takeToken(constrained, { id }))).toEqual(['open', 'stuck']);
    expect(seen).toEqual([4]);
    expect(stuckAnswer(constrained)).toMatchObject({
      code: 'FC0936',
      message: expect.stringContaining('after 1 of'),
    });
  });

  it('is none of the answer where all that may come may not come yet', () => {
    const minTokens = { count: 2, ids: [0, 1] };
    const adjuster = createLogitAdjuster({ ...NO_CHANGE, minTokens }, [7, 8]);
    const bound = { ...sequence({ constraint: allowIds([0, 1, 4], 32) }), adjuster };
    expect([4, 0].map((id) => takeToken(bound, { id }))).toEqual(['open', 'stuck']);
    expect(bound.tokens).toEqual([7, 8, 4]);
    const free = { ...sequence({}), adjuster: createLogitAdjuster({ ...NO_CHANGE, minTokens }, [7, 8]) };
    expect([4, 5, 1].map((id) => takeToken(free, { id }))).toEqual(['open', 'open', 'stop']);
  });
});
