import { describe, expect, it } from 'vitest';
import type { DType } from '../../../compiler/model/shape.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { seededRandom } from '../../fixtures/random.js';
import { activation, expectActivation, garbage, kernelBench, weight, withoutSubgroups } from './harness.js';

const bench = kernelBench();

describe.each<DType>(['f32', 'f16', 'bf16'])('norms with %s weights', (dtype) => {
  it.each([
    [1, 2],
    [3, 45],
    [5, 128],
    [2, 1030],
  ])('%i rows, %i columns', async (rows, cols) => {
    const random = seededRandom(cols);
    const eps = 1e-5;
    const x = activation(rows, cols, () => random.normal() * 3);
    const delta = activation(rows, cols, () => random.normal());
    const w = weight(dtype, 1, cols, random);
    for (const kernel of ['rms_norm', 'add_rms_norm'] as const) {
      const fused = kernel === 'add_rms_norm';
      const input = (r: number, c: number): number =>
        x.data[r * x.stride + c]! + (fused ? delta.data[r * x.stride + c]! : 0);
      const scale = (r: number): number => {
        let squares = 0;
        for (let c = 0; c < cols; c++) squares += input(r, c) ** 2;
        return 1 / Math.sqrt(squares / cols + eps);
      };
      const scales = Array.from({ length: rows }, (_, r) => scale(r));
      const ways = [bench.limits(), withoutSubgroups(bench.limits())].flatMap((limits) =>
        [0, 1].map((offset) => ({ limits, offset })),
      );
      for (const { limits, offset } of ways) {
        const params = { cols, eps, ...(offset > 0 && { offset }) };
        const [variant] = kernelVariants({ kernel, params, dtype }, limits);
        const operands = [x.data, ...(fused ? [delta.data] : []), w.words, garbage(rows, cols).data];
        const bytes = await bench.run(variant!, operands, [rows], operands.length - 1);
        expectActivation(bytes, rows, cols, (r, c) => input(r, c) * scales[r]! * (offset + w.at(0, c)));
        if (fused) expectActivation(await bench.run(variant!, operands, [rows], 0), rows, cols, input);
      }
    }
  });

  it('adds eps before the root', async () => {
    const x = activation(1, 4, () => 0.5);
    const w = { words: new Float32Array([1, 1, 1, 1]) };
    const [variant] = kernelVariants(
      { kernel: 'rms_norm', params: { cols: 4, eps: 0.75 }, dtype: 'f32' },
      bench.limits(),
    );
    const bytes = await bench.run(variant!, [x.data, w.words, garbage(1, 4).data], [1], 2);
    expect(new Float32Array(bytes.buffer)[0]).toBeCloseTo(0.5, 6);
  });
});
