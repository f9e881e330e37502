import { describe, expect, it } from 'vitest';
import { createOpenSequences } from '../../../runtime/engine/open-sequences.js';
import type { EngineRequest } from '../../../runtime/engine/types.js';
import { RuntimeFailure } from '../../../runtime/failure.js';
import { NO_TRACE } from '../../../runtime/trace/tracer.js';
import type { AfterToken } from '../../../runtime/sampling/constraint.js';
import { GREEDY } from '../../fixtures/greedy.js';

/** A request that writes down what becomes of it and of its constraint, which says `after` of every token. */
function request(heard: string[], after: AfterToken = 'open'): EngineRequest {
  return {
    promptIds: [7, 8, 9],
    maxNewTokens: 2,
    stopIds: [],
    sampling: GREEDY,
    constraint: {
      mask: () => new Uint32Array(1),
      accept: () => after,
      dispose: () => heard.push('disposed'),
    },
    onToken: ({ id }) => {
      heard.push(`token ${id}`);
      return false;
    },
    onFinish: (reason) => heard.push(reason),
    onError: (error) => heard.push(error instanceof RuntimeFailure ? error.code : error.message),
  };
}

describe('the sequences of an engine', () => {
  it('end with their last token, after which the constraint is disposed of', () => {
    const open = createOpenSequences(100, NO_TRACE, undefined);
    const heard: string[] = [];
    const { id } = open.admit(request(heard));
    expect(open.deliver(id, { id: 4 })).toBe(false);
    expect(open.size()).toBe(1);
    expect(open.deliver(id, { id: 5 })).toBe(true);
    expect(heard).toEqual(['token 4', 'token 5', 'disposed', 'length']);
    expect(open.size()).toBe(0);
  });

  it('end with an error where no token may come, or where they can never run', () => {
    const open = createOpenSequences(100, NO_TRACE, undefined);
    const [stuck, rejected]: [string[], string[]] = [[], []];
    const first = open.admit(request(stuck, 'stuck'));
    const second = open.admit(request(rejected));
    expect(open.deliver(first.id, { id: 4 })).toBe(true);
    open.reject(second.id, 'too long');
    expect(stuck).toEqual(['disposed', 'FC0936']);
    expect(rejected).toEqual(['disposed', 'FC0917']);
    expect(open.size()).toBe(0);
  });

  it('end with an error where the logits are not finite, without a token', () => {
    const open = createOpenSequences(100, NO_TRACE, undefined);
    const heard: string[] = [];
    const { id } = open.admit(request(heard));
    open.deliver(id, { id: 4 });
    expect(open.deliver(id, 'not_finite')).toBe(true);
    expect(heard).toEqual(['token 4', 'disposed', 'FC0937']);
    expect(open.size()).toBe(0);
  });

  it('hear nothing once given up, and their constraints are disposed of once', () => {
    const open = createOpenSequences(100, NO_TRACE, undefined);
    const heard: string[] = [];
    const { id } = open.admit(request(heard));
    open.giveUp();
    open.giveUp();
    expect(open.deliver(id, { id: 4 })).toBe(true);
    expect(heard).toEqual(['disposed']);
    expect(open.size()).toBe(0);
  });

  it('get no more tokens than the longest sequence leaves, and at least one', () => {
    const room = (longest: number): number =>
      createOpenSequences(longest, NO_TRACE, undefined).admit(request([])).sequence.maxNewTokens;
    expect([room(100), room(5), room(4), room(2)]).toEqual([2, 2, 1, 1]);
  });
});
