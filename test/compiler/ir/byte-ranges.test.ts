/** Ranges of bytes against sets of single bytes. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { union, without } from '../../../compiler/ir/byte-ranges.js';
import type { ByteRange } from '../../../compiler/ir/runtime-graph.js';

const some = fc.array(fc.record({ at: fc.nat(40), bytes: fc.integer({ min: 1, max: 12 }) }), {
  maxLength: 8,
});

const bytesOf = (ranges: readonly ByteRange[]): readonly number[] =>
  ranges.flatMap(({ at, bytes }) => Array.from({ length: bytes }, (_, i) => at + i));
const inOrder = (bytes: Iterable<number>): readonly number[] => [...new Set(bytes)].sort((a, b) => a - b);

it('joins ranges to what they cover, in order and apart from each other', () => {
  fc.assert(
    fc.property(some, (ranges) => {
      const joined = union(ranges);
      expect(bytesOf(joined)).toEqual(inOrder(bytesOf(ranges)));
      joined.slice(1).forEach(({ at }, i) => expect(at).toBeGreaterThan(joined[i]!.at + joined[i]!.bytes));
    }),
  );
});

it('takes from ranges what others cover', () => {
  fc.assert(
    fc.property(some, some, (ranges, others) => {
      const covered = new Set(bytesOf(others));
      const left = bytesOf(union(ranges)).filter((byte) => !covered.has(byte));
      const parts = without(union(ranges), others);
      expect(bytesOf(parts)).toEqual(left);
      expect(parts.every(({ bytes }) => bytes > 0)).toBe(true);
    }),
  );
});
