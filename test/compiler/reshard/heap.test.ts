/** The heap, against a sorted list. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHeap } from '../../../compiler/reshard/heap.js';

const pop = 'pop' as const;

describe('createHeap', () => {
  it('gives the least of what it holds, whatever came and went before', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.integer({ min: 0, max: 50 }), fc.constant(pop))), (actions) => {
        const heap = createHeap<number>((a, b) => a - b);
        const held: number[] = [];
        for (const action of actions) {
          if (action === pop) expect(heap.pop()).toBe(held.shift());
          else {
            heap.push(action);
            held.push(action);
            held.sort((a, b) => a - b);
          }
          expect(heap.peek()).toBe(held[0]);
        }
      }),
    );
  });
});
