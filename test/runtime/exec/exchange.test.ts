import { describe, expect, it } from 'vitest';
import { sideBySide, sumInRankOrder } from '../../../runtime/exec/exchange.js';

const bytes = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const floats = (data: Uint8Array): number[] => [...new Float32Array(data.buffer)];

describe('what collectives make of the parts of all ranks', () => {
  it('sums them in rank order', () => {
    // In another order the small terms would not be lost.
    const parts = [bytes(1, 2 ** 24), bytes(2, 1), bytes(3, 1)];
    expect(floats(sumInRankOrder(parts))).toEqual([6, 2 ** 24]);
  });

  it('lays their columns side by side, padding after the last', () => {
    const rowOf = (first: number): number[] => [first, first + 1, first + 2, 0];
    const parts = [bytes(...rowOf(10), ...rowOf(20)), bytes(...rowOf(30), ...rowOf(40))];
    expect(floats(sideBySide(parts, 3, 6))).toEqual([
      ...[10, 11, 12, 30, 31, 32, 0, 0],
      ...[20, 21, 22, 40, 41, 42, 0, 0],
    ]);
  });

  it('reads parts that lie somewhere in a larger buffer', () => {
    const larger = bytes(9, 9, 9, 9, 1, 0, 0, 0);
    expect(floats(sideBySide([larger.subarray(16), bytes(2, 0, 0, 0)], 1, 2))).toEqual([1, 2, 0, 0]);
  });
});
