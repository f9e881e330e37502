import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blockOf,
  coordsOf,
  rankBlock,
  sameSharding,
  withAxes,
} from '../../../compiler/ir/sharding-algebra.js';

describe('blocks of a dimension', () => {
  it('are equal, in order, and cover every element once; the last may be short', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 16 }), (size, parts) => {
        const blocks = Array.from({ length: parts }, (_, index) => blockOf(size, parts, index));
        const elements = blocks.flatMap(([start, end]) =>
          Array.from({ length: end - start }, (_, i) => start + i),
        );
        expect(elements).toEqual(Array.from({ length: size }, (_, i) => i));
        const width = Math.ceil(size / parts);
        expect(blocks.every(([start, end]) => end - start === width || end === size)).toBe(true);
      }),
    );
  });

  it('10 over 4 is 3, 3, 3, 1', () => {
    expect([0, 1, 2, 3].map((index) => blockOf(10, 4, index))).toEqual([
      [0, 3],
      [3, 6],
      [6, 9],
      [9, 10],
    ]);
  });

  it('replicated kv heads lie with neighbouring ranks', () => {
    const mesh = { dp: 1, pp: 1, tp: 4 };
    const heads = [0, 1, 2, 3].map((rank) => rankBlock('kv_heads', 2, ['tp'], mesh, coordsOf(mesh, rank), 2));
    expect(heads).toEqual([
      [0, 1],
      [0, 1],
      [1, 2],
      [1, 2],
    ]);
  });
});

describe('ranks and shardings', () => {
  it('number ranks with tp innermost, then pp, then dp', () => {
    const mesh = { dp: 2, pp: 3, tp: 4 };
    for (let rank = 0; rank < 24; rank++) {
      const { dp, pp, tp } = coordsOf(mesh, rank);
      expect((dp * mesh.pp + pp) * mesh.tp + tp).toBe(rank);
      expect(tp < 4 && pp < 3 && dp < 2).toBe(true);
    }
  });

  it('an empty list of axes is no split; the order of partial axes does not matter', () => {
    const a = { dims: { ffn: ['tp'] }, partial: ['dp', 'tp'] } as const;
    expect(sameSharding(a, { dims: { ffn: ['tp'], heads: [] }, partial: ['tp', 'dp'] })).toBe(true);
    expect(sameSharding(a, { dims: { ffn: ['tp'] }, partial: ['dp'] })).toBe(false);
    expect(sameSharding(a, withAxes(a, 'ffn', []))).toBe(false);
  });
});
