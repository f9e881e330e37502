import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMPUTED_TYPES, deviceRates } from '../../../compiler/cost/rates.js';
import type { DeviceKind } from '../../../compiler/plan/plan.js';
import { originAt } from '../support/make-plan.js';

const KIND: DeviceKind = {
  name: 'chip',
  memory: 1e9,
  bandwidth: 100e9,
  compute: { f32: 10e12, f16: 40e12 },
  sustained: { compute: 0.5, bandwidth: 0.8 },
  origin: originAt(),
};

describe('deviceRates', () => {
  it('takes what large kernels reach of the peaks', () => {
    const rates = deviceRates(KIND);
    expect(rates.bandwidth).toBe(80e9);
    expect(rates.flops('f32')).toBe(5e12);
    expect(rates.flops('f16')).toBe(20e12);
  });

  it('lets a 16-bit type stand in for the other, and f32 for the rest', () => {
    expect(deviceRates(KIND).flops('bf16')).toBe(20e12);
    expect(deviceRates({ ...KIND, compute: { f32: 10e12 } }).flops('f16')).toBe(5e12);
    expect(deviceRates({ ...KIND, compute: { bf16: 40e12, fp8: 80e12 } }).flops('f32')).toBe(20e12);
  });

  it('takes no notice of types that nothing is computed in while one that something is has a speed', () => {
    const { flops } = deviceRates({
      ...KIND,
      compute: { ...KIND.compute, tf32: 1, fp8: 1, int8: 1, int4: 1 },
    });
    expect(COMPUTED_TYPES.map(flops)).toEqual([5e12, 20e12, 20e12]);
    expect(deviceRates({ ...KIND, compute: { f16: 40e12, int8: 1 } }).flops('f32')).toBe(20e12);
    expect(deviceRates({ ...KIND, compute: { fp8: 80e12, int8: 40e12 } }).flops('f16')).toBe(20e12);
  });

  it('computes whole tiles of rows', () => {
    const { gemmFlops } = deviceRates(KIND);
    expect(gemmFlops('f16', 64)).toBe(20e12);
    expect(gemmFlops('f16', 65)).toBeCloseTo((20e12 * 65) / 128);
    expect(gemmFlops('f16', 1)).toBeCloseTo(20e12 / 64);
    expect(deviceRates(KIND, false).gemmFlops('f16', 1)).toBe(20e12);
  });

  it('interpolates declared fractions over the logarithm of the rows', () => {
    const { gemmFlops } = deviceRates({ ...KIND, gemm: { 100: 0.1, 10000: 0.5 } });
    expect(gemmFlops('f16', 1000)).toBeCloseTo(0.3 * 40e12);
    expect(gemmFlops('f16', 50)).toBeCloseTo(0.05 * 40e12);
    expect(gemmFlops('f16', 1e6)).toBeCloseTo(0.5 * 40e12);
  });

  it('says what products of up to so many rows reach, and no more', () => {
    const fraction = fc.double({ min: 0.01, max: 1, noNaN: true });
    const gemm = fc.record({ 16: fraction, 64: fraction, 256: fraction });
    fc.assert(
      fc.property(fc.option(gemm, { nil: undefined }), fc.integer({ min: 1, max: 400 }), (declared, most) => {
        const { gemmFlops, bestGemmFlops } = deviceRates({ ...KIND, ...(declared && { gemm: declared }) });
        const reached = Array.from({ length: most }, (_, rows) => gemmFlops('f16', rows + 1));
        const best = bestGemmFlops('f16', most);
        // Products of few rows compute a whole tile, which bounds count by themselves.
        if (declared === undefined) expect(best).toBe(gemmFlops('f16', 64));
        else expect(best).toBeCloseTo(Math.max(...reached), 0);
      }),
    );
  });

  it('lets products of any size reach what the best do, where no size loses anything', () => {
    const calibrated = {
      ...KIND,
      sustained: { compute: 0.05, bandwidth: 1 },
      gemm: { 1: 0.1, 64: 0.9, 256: 0.7 },
    };
    for (const rows of [1, 64, 4096]) {
      const rates = deviceRates(calibrated, false);
      expect(rates.gemmFlops('f16', rows)).toBe(0.9 * 40e12);
      expect(rates.bestGemmFlops('f16', rows)).toBe(0.9 * 40e12);
      // Of attention `sustained` is what there is.
      expect(rates.flops('f16')).toBe(0.05 * 40e12);
    }
  });
});
