import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPromptTree } from '../../../runtime/engine/prompt-tree.js';
import { common } from '../support/common.js';

describe('a tree of prompts', () => {
  it('says which prompt before it begins the most like each', () => {
    const tree = createPromptTree();
    expect(tree.add(0, [1, 2, 3, 4])).toBeUndefined();
    expect(tree.add(1, [5])).toBeUndefined();
    expect(tree.add(2, [1, 2, 6])).toEqual({ like: 0, prefixTokens: 2 });
    expect(tree.add(3, [1, 2, 6, 7])).toEqual({ like: 2, prefixTokens: 3 });
    expect(tree.add(4, [1])).toEqual({ like: 0, prefixTokens: 1 });
    expect(tree.add(5, [1, 2, 3, 4])).toEqual({ like: 0, prefixTokens: 4 });
    expect(tree.add(6, [1, 8])).toMatchObject({ prefixTokens: 1 });
    expect(tree.add(7, [])).toBeUndefined();
  });

  it('forgets all prompts once they are too many tokens, and goes on', () => {
    const tree = createPromptTree(200);
    const [long, short] = [Array.from({ length: 100 }, (_, at) => at), [0, 1, 9]];
    expect(tree.add(0, long)).toBeUndefined();
    // What the tree has already takes no more of it.
    for (let id = 1; id < 9; id++) expect(tree.add(id, long)).toEqual({ like: 0, prefixTokens: 100 });
    expect(tree.add(9, short)).toEqual({ like: 0, prefixTokens: 2 });
    expect(tree.add(10, short)).toBeUndefined();
    expect(tree.add(11, [0, 1])).toEqual({ like: 10, prefixTokens: 2 });
  });

  it('finds as much as comparing with all of them does', () => {
    const prompt = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 7 });
    fc.assert(
      fc.property(fc.array(prompt, { maxLength: 12 }), (prompts) => {
        const tree = createPromptTree();
        for (const [id, own] of prompts.entries()) {
          const most = Math.max(0, ...prompts.slice(0, id).map((other) => common(own, other)));
          const found = tree.add(id, own);
          expect(found?.prefixTokens ?? 0).toBe(most);
          if (found !== undefined) expect(common(own, prompts[found.like]!)).toBe(most);
        }
      }),
    );
  });
});
