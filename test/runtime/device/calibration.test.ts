/** How calibrations make figures of times. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { REACHING_KERNELS } from '../../../compiler/cost/kernel-work.js';
import { allGatherOnce, fitLine } from '../../../runtime/device/calibration-exchanges.js';
import { measureHost } from '../../../runtime/device/calibration-host.js';
import { kernelRun, matmulRun } from '../../../runtime/device/calibration-kernels.js';
import { measureHanding, type Handing } from '../../../runtime/device/calibration-layers.js';
import type { Prepared } from '../../../runtime/device/calibration-prepared.js';
import { middleMean, typicalParts } from '../../../runtime/device/calibration-rounds.js';
import { shapesOf } from '../../../runtime/device/calibration-shapes.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { makePlan } from '../../compiler/support/make-plan.js';

const LIMITS = {
  maxBufferBytes: 2 ** 30,
  maxBindingBytes: 2 ** 27,
  offsetAlignment: 256,
  maxWorkgroupsPerDimension: 65535,
  subgroupSize: 8,
  features: new Set(['subgroups']),
};

describe('a calibration', () => {
  it('leaves out what is far from the rest of the times, to either side', () => {
    expect(middleMean([4])).toBe(4);
    expect(middleMean([1, 5, 3, 1000])).toBe(4);
    expect(middleMean([900, 2, 2, 3, 3, 0.1, 2, 800])).toBe(2.5);
  });

  it('takes every part of the rounds by itself, without those that warm up', async () => {
    let round = 0;
    const parts = await typicalParts(() => Promise.resolve(round++ < 2 ? [1e9, 1e9] : [2, 6]), 0);
    expect(parts).toEqual([2, 6]);
    expect(round).toBe(7);
  });

  it('takes handing kernels over to be no less than recording them, however the machine changes its speed', async () => {
    const handingOf = (slower: number): Promise<Handing> => {
      let now = 0;
      let layers = 0;
      const device = {
        idle: (): Promise<void> => {
          now += 0.3 + 10 * layers * (layers > 1 ? slower : 1);
          return Promise.resolve();
        },
      };
      const record = (count: number): void => {
        now += 0.9;
        layers = count;
      };
      vi.spyOn(performance, 'now').mockImplementation(() => now);
      return measureHanding({ device, record, kernels: 9 } as unknown as Prepared, 0);
    };
    try {
      const even = await handingOf(1);
      expect(even.encode).toBeCloseTo(1e-4, 9);
      expect(even.submit).toBeCloseTo(1.2e-3, 9);
      // Less than none is left of the time of one layer.
      expect((await handingOf(1.2)).submit).toBeCloseTo(9e-4, 9);
    } finally {
      vi.restoreAllMocks();
    }
  });

  it('runs sequences on the host alone to see what a step takes there', () => {
    const { step, request } = measureHost();
    expect(step).toBeGreaterThan(0);
    expect(request).toBeGreaterThanOrEqual(0);
    expect(Number.isFinite(step + request)).toBe(true);
  });

  it('finds the line that times by size lie on', () => {
    const time = fc.double({ min: 1e-6, max: 1e-3, noNaN: true });
    const rate = fc.double({ min: 1e7, max: 1e11, noNaN: true });
    fc.assert(
      fc.property(time, rate, (latency, bandwidth) => {
        const times = [4096, 65536, 2 ** 20].map((bytes) => ({
          bytes,
          seconds: latency + bytes / bandwidth,
        }));
        fc.pre(2 ** 20 / bandwidth > 0.02 * latency);
        const fitted = fitLine(times);
        expect(fitted.isFlat).toBeUndefined();
        for (const { bytes, seconds } of times) {
          expect(fitted.latency + bytes / fitted.bandwidth).toBeGreaterThan(seconds * 0.999);
          expect(fitted.latency + bytes / fitted.bandwidth).toBeLessThan(seconds * 1.001);
        }
      }),
    );
  });

  it('gathers from as many ranks as there are', async () => {
    for (const ranks of [2, 3, 5, 7]) {
      const read: number[] = [];
      const written: number[] = [];
      const devices = Array.from({ length: ranks }, () => ({
        read: ([part]: readonly { bytes: number }[]) => {
          read.push(part!.bytes);
          return Promise.resolve([new Uint8Array(part!.bytes)]);
        },
        write: (_buffer: unknown, _offset: number, data: ArrayBufferView) =>
          void written.push(data.byteLength),
      })) as unknown as Parameters<typeof allGatherOnce>[0];
      await allGatherOnce(devices, [], 4096);
      expect(read.every((bytes) => bytes > 0 && bytes % 4 === 0)).toBe(true);
      expect(written.length).toBe(ranks);
      expect(new Set(written).size).toBe(1);
      expect(written[0]).toBeLessThanOrEqual(4096);
    }
  });

  it('takes the bandwidth of the most bytes where times do not grow with size, and says so', () => {
    const falling = fitLine([
      { bytes: 4096, seconds: 2e-4 },
      { bytes: 65536, seconds: 1e-4 },
    ]);
    expect(falling).toMatchObject({ bandwidth: 65536 / 1e-4, isFlat: true });
    expect(falling.latency).toBeGreaterThan(0);
    expect(falling.latency).toBeLessThan(2e-4);
    const level = fitLine([4096, 65536].map((bytes) => ({ bytes, seconds: 1e-4 + bytes * 1e-14 })));
    expect(level.isFlat).toBe(true);
    expect(level.bandwidth).toBeCloseTo(65536 / 1e-4, -5);
  });

  it('takes the shapes of the ranks of a plan', () => {
    const plan = makePlan({
      shape: { layers: 2, hidden: 128, heads: 8, kvHeads: 4, headDim: 16, ffn: 256, vocab: 512 },
      stages: [
        { name: 'prefill', mesh: { pp: 2 } },
        { name: 'decode', mesh: { tp: 2 } },
      ],
    });
    const { layer, shapes } = shapesOf(plan);
    expect(layer).toEqual({ heads: 4, kvHeads: 2, headDim: 16, hidden: 128, ffn: 128 });
    expect(shapes).toEqual([
      [256, 128],
      [128, 128],
      [512, 128],
      [128, 256],
      [128, 64],
    ]);
  });

  it('has an operand for every binding of every kernel, and counts work for each', () => {
    const layers = [
      { heads: 8, kvHeads: 4, headDim: 32, hidden: 256, ffn: 512 },
      { heads: 3, kvHeads: 1, headDim: 16, hidden: 96, ffn: 64 },
    ];
    const runs = [
      ...layers.flatMap((layer) => REACHING_KERNELS.map((kernel) => kernelRun(kernel, 32, layer))),
      matmulRun(32, 64, 128),
    ];
    for (const { request, rows, operands, immediates, work } of runs) {
      const variant = kernelVariants(request, LIMITS).find(({ maxRows }) => maxRows >= rows)!;
      expect(operands, variant.key).toHaveLength(variant.bindings.length);
      expect(immediates, variant.key).toHaveLength(variant.immediates);
      expect(work.bytes, variant.key).toBeGreaterThan(0);
    }
  });
});
