/** Sequences that some pages hold at most: as many as fit when the shortest go first. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leastPages } from '../../../compiler/model/kv-window.js';
import { heldPrompts, mostHeld } from '../../../compiler/planner/held-prompts.js';

const prompts = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 });

describe('sequences in pages', () => {
  it('are those with the shortest prompts', () => {
    const views = fc.record({ pageTokens: fc.constantFrom(1, 4, 16), window: fc.constantFrom(7, 24, 1000) });
    fc.assert(
      fc.property(prompts, views, fc.nat(500), (tokens, view, room) => {
        let left = room;
        const held = tokens
          .map((each) => Math.max(1, leastPages(view, each)))
          .sort((a, b) => a - b)
          .filter((pages) => (left -= pages) >= 0);
        expect(mostHeld(heldPrompts(tokens, view), room)).toBe(held.length);
      }),
    );
  });
});
