import { describe, expect, it } from 'vitest';
import { COLLECTIVES } from '../../../compiler/ir/collective-table.js';
import type { Sharding } from '../../../compiler/ir/sharded.js';

const partial: Sharding = { dims: { tokens: ['dp'] }, partial: ['tp'] };
const split: Sharding = { dims: { tokens: ['dp'], ffn: ['tp'] }, partial: [] };
const whole: Sharding = { dims: { tokens: ['dp'] }, partial: [] };

describe('what collectives do to a sharding', () => {
  it.each([
    ['all_reduce', partial, undefined, whole],
    ['reduce_scatter', partial, 'ffn', split],
    ['all_gather', split, 'ffn', whole],
    ['slice', whole, 'ffn', split],
  ] as const)('%s', (kind, input, dim, output) => {
    expect(COLLECTIVES[kind].result(input, 'tp', dim)).toEqual(output);
  });

  it('a gather undoes the minor split only', () => {
    const twice: Sharding = { dims: { ffn: ['dp', 'tp'] }, partial: [] };
    expect(COLLECTIVES.all_gather.result(twice, 'tp', 'ffn')).toEqual({ dims: { ffn: ['dp'] }, partial: [] });
    expect(COLLECTIVES.all_gather.result(twice, 'dp', 'ffn')).toBe('ffn is not split over dp innermost');
  });

  it.each([
    ['all_reduce', whole, undefined, 'the value is not partial over tp'],
    ['slice', partial, 'ffn', 'the value is partial over tp'],
    ['slice', split, 'hidden', 'tp already splits the value'],
    ['all_gather', whole, 'ffn', 'ffn is not split over tp innermost'],
    ['slice', whole, undefined, 'no dimension to split'],
  ] as const)('refuses %s where it does not apply', (kind, input, dim, why) => {
    expect(COLLECTIVES[kind].result(input, 'tp', dim)).toBe(why);
  });
});

describe('bytes per rank', () => {
  it('an all-reduce costs a reduce-scatter and an all-gather', () => {
    for (const n of [1, 2, 3, 4, 8]) {
      const halves =
        COLLECTIVES.reduce_scatter.bytesPerRank(n, 960) + COLLECTIVES.all_gather.bytesPerRank(n, 960);
      expect(COLLECTIVES.all_reduce.bytesPerRank(n, 960)).toBeCloseTo(halves, 9);
    }
    expect(COLLECTIVES.all_reduce.bytesPerRank(4, 1000)).toBe(1500);
    expect(COLLECTIVES.all_reduce.bytesPerRank(1, 1000)).toBe(0);
    expect(COLLECTIVES.slice.bytesPerRank(4, 1000)).toBe(0);
  });
});
