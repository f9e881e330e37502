import { describe, expect, it } from 'vitest';
import { isFileType, vectorType, WEIGHT_TYPES } from '../../../compiler/model/weight-types.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { FILE_BLOCKS } from '../../../runtime/weights/gguf/blocks.js';
import { seededRandom } from '../../fixtures/random.js';
import {
  activation,
  expectActivation,
  garbage,
  kernelBench,
  variantsFor,
  weight,
  withoutSubgroups,
} from './harness.js';

const bench = kernelBench();

/** [rows, n, k]: odd sizes, one column block and several, k that ends inside every kind of load. */
const SHAPES: readonly (readonly [number, number, number])[] = [
  [1, 1, 4],
  [1, 7, 5],
  [3, 33, 12],
  [4, 64, 64],
  [5, 30, 9],
  [16, 37, 100],
  [17, 130, 20],
  [64, 96, 64],
];

/** Rows of a file are whole blocks: one, two and three, which on a device may be one and a half. */
const FILE_SHAPES: readonly (readonly [number, number, number])[] = [
  [1, 7, 1],
  [3, 33, 3],
  [17, 130, 2],
];

describe.each(WEIGHT_TYPES)('matmul with %s weights', (dtype) => {
  const shapes = isFileType(dtype)
    ? FILE_SHAPES.map(([rows, n, blocks]) => [rows, n, blocks * FILE_BLOCKS[dtype].elements] as const)
    : SHAPES;
  it.each(shapes)('%i rows, n %i, k %i', async (rows, n, k) => {
    const random = seededRandom(rows * 1000 + n * 10 + k);
    const a = activation(rows, k, () => random.normal());
    const w = weight(dtype, n, k, random);
    const bias = weight(vectorType(dtype), 1, n, random);
    for (const withBias of [false, true]) {
      const request = { kernel: 'matmul', params: { n, k, bias: withBias ? 1 : 0 }, dtype } as const;
      const variants = [
        ...variantsFor(request, bench.limits(), rows),
        ...kernelVariants(request, withoutSubgroups(bench.limits())),
      ];
      for (const variant of variants) {
        const operands = [a.data, w.words, ...(withBias ? [bias.words] : []), garbage(rows, n).data];
        const bytes = await bench.run(variant, operands, [rows], operands.length - 1);
        expectActivation(bytes, rows, n, (r, c) => {
          let sum = withBias ? bias.at(0, c) : 0;
          for (let i = 0; i < k; i++) sum += a.data[r * a.stride + i]! * w.at(c, i);
          return sum;
        });
      }
    }
  });
});

describe('matmul', () => {
  it.each(['bf16', 'int8', 'int4', 'q4_k'] as const)(
    'gives a row the same bits in every variant: %s',
    async (dtype) => {
      const random = seededRandom(5);
      const [n, k] = [40, dtype === 'q4_k' ? 256 : 72];
      const w = weight(dtype, n, k, random);
      const a = activation(20, k, () => random.normal());
      const [row, block, tall] = kernelVariants(
        { kernel: 'matmul', params: { n, k, bias: 0 }, dtype },
        bench.limits(),
      );
      const all = await bench.run(tall!, [a.data, w.words, garbage(20, n).data], [20], 2);
      for (const [variant, rows] of [
        [row!, 1],
        [block!, 3],
      ] as const) {
        const some = await bench.run(
          variant,
          [a.data.slice(0, rows * a.stride), w.words, garbage(rows, n).data],
          [rows],
          2,
        );
        expect(some).toEqual(all.slice(0, some.byteLength));
      }
    },
  );

  it('computes some columns of an output and leaves the others alone', async () => {
    const random = seededRandom(9);
    const [rows, n, k] = [5, 20, 12];
    const params = { n, k, bias: 0, outStart: 8, outCols: 34 };
    const a = activation(rows, k, () => random.normal());
    const w = weight('f32', n, k, random);
    const request = { kernel: 'matmul', params } as const;
    for (const limits of [bench.limits(), withoutSubgroups(bench.limits())]) {
      const out = activation(rows, 34, (r, c) => r + c / 64);
      const [variant] = kernelVariants(request, limits).slice(-1);
      const bytes = await bench.run(variant!, [a.data, w.words, out.data], [rows], 2);
      expectActivation(bytes, rows, 34, (r, c) => {
        if (c < 8 || c >= 8 + n) return r + c / 64;
        let sum = 0;
        for (let i = 0; i < k; i++) sum += a.data[r * a.stride + i]! * w.at(c - 8, i);
        return sum;
      });
    }
  });
});
