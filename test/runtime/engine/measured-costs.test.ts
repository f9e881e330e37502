import { describe, expect, it } from 'vitest';
import { measuredCosts } from '../../../runtime/engine/measured-costs.js';

const MIB = 1024 * 1024;
const prefill = { prefillTokens: 2048, prefillSeconds: 4 };
const disk = { diskBytes: 64 * MIB, diskRate: 32 * MIB };

describe('measuredCosts', () => {
  it('has seconds of a token and of a page', () => {
    expect(measuredCosts({ ...prefill, ...disk }, MIB)).toEqual({ prefillToken: 1 / 512, diskPage: 1 / 32 });
  });

  it('says nothing of a disk that little was read from', () => {
    const costs = { prefillToken: 1 / 512 };
    expect(measuredCosts({ ...prefill, ...disk, diskBytes: 128 * 1024 }, MIB)).toEqual(costs);
    expect(measuredCosts({ ...prefill, diskBytes: 0, diskRate: undefined }, MIB)).toEqual(costs);
  });

  it('says nothing of the disk before prefill is known', () => {
    expect(measuredCosts({ prefillTokens: 500, prefillSeconds: 1, ...disk }, MIB)).toEqual({});
  });
});
