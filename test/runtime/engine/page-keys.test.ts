import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pageKeys } from '../../../runtime/engine/page-keys.js';

describe('keys of prompt pages', () => {
  it('are equal exactly where all tokens up to the end of a page are', () => {
    const prompt = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 24 });
    fc.assert(
      fc.property(prompt, prompt, fc.integer({ min: 1, max: 5 }), (one, other, pageTokens) => {
        const [ones, others] = [pageKeys(one, pageTokens), pageKeys(other, pageTokens)];
        expect(ones).toHaveLength(Math.floor(one.length / pageTokens));
        const equal = ones.map((key, page) => others[page] === key);
        expect(equal).toEqual(
          ones.map((_, page) => {
            const end = (page + 1) * pageTokens;
            return end <= other.length && one.slice(0, end).join() === other.slice(0, end).join();
          }),
        );
        expect(new Set(ones).size).toBe(ones.length);
      }),
    );
  });

  it('tell apart tokens that agree in their low bytes', () => {
    const [first, second] = [1, 1 + 2 ** 16, 1 + 2 ** 24].map((token) => pageKeys([token], 1)[0]);
    expect(first).not.toBe(second);
  });
});
