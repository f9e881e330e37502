import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commonPrefixes } from '../../../runtime/clock/common-prefixes.js';
import { pageKeys } from '../../../runtime/engine/page-keys.js';
import { createPromptTree } from '../../../runtime/engine/prompt-tree.js';
import { common } from '../support/common.js';

const PAGE = 2;

describe('the made-up beginnings of prompts', () => {
  it('are alike as far as what they are named for says', () => {
    const [long, short, other, none] = [
      { prefix: { name: 'a', tokens: 5 } },
      { prefix: { name: 'a', tokens: 3 } },
      { prefix: { name: 'b', tokens: 5 } },
      {},
    ];
    const beginningOf = commonPrefixes([long, short, other, none], PAGE, 100);
    const [a, b, c] = [0, 1, 2].map((at) => beginningOf(at));
    expect(beginningOf(3)).toEqual({});
    expect([a, b].map((each) => each!.promptIds!.length)).toEqual([5, 3]);
    expect(common(a!.promptIds!, b!.promptIds!)).toBe(3);
    expect(common(a!.pageKeys!, b!.pageKeys!)).toBe(1);
    expect(common(a!.promptIds!, c!.promptIds!)).toBe(0);
    expect(beginningOf(0)).toBe(a);
  });

  it('go no further than a prompt that can run', () => {
    const requests = [
      { prefix: { name: '', tokens: 1e12 } },
      {},
      { like: { request: 1, tokens: 1e12 } },
      { prefix: { name: '', tokens: 7 } },
    ];
    const beginningOf = commonPrefixes(requests, PAGE, 8);
    expect(beginningOf(0).pageKeys).toHaveLength(4);
    for (const at of [0, 1, 2]) expect(beginningOf(at).promptIds).toHaveLength(8);
    expect(common(beginningOf(0).promptIds!, beginningOf(3).promptIds!)).toBe(7);
  });

  it('have in common what prompts have of which a tree says what each is like', () => {
    const prompt = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(fc.array(prompt, { minLength: 1, maxLength: 10 }), (prompts) => {
        const tree = createPromptTree();
        const requests = prompts.map((ids, id) => {
          const found = tree.add(id, ids);
          return found === undefined ? {} : { like: { request: found.like, tokens: found.prefixTokens } };
        });
        const beginningOf = commonPrefixes(requests, PAGE, 100);
        for (const [one, ids] of prompts.entries())
          for (const [other, others] of prompts.entries()) {
            if (one === other) continue;
            const [own, its] = [beginningOf(one), beginningOf(other)];
            expect(common(own.promptIds ?? [], its.promptIds ?? [])).toBe(common(ids, others));
            expect(common(own.pageKeys ?? [], its.pageKeys ?? [])).toBe(
              common(pageKeys(ids, PAGE), pageKeys(others, PAGE)),
            );
          }
      }),
    );
  });
});
