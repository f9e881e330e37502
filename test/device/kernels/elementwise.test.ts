import { describe, it } from 'vitest';
import type { DType } from '../../../compiler/model/shape.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { seededRandom } from '../../fixtures/random.js';
import { activation, expectActivation, garbage, kernelBench, weight } from './harness.js';

const bench = kernelBench();

/** [rows, cols]; the last is wider than one workgroup of quads. */
const SHAPES: readonly (readonly [number, number])[] = [
  [1, 2],
  [3, 5],
  [7, 64],
  [2, 518],
];

describe.each<DType>(['f32', 'f16', 'bf16'])('embed from a %s table', (dtype) => {
  it.each(SHAPES)('%i rows, hidden %i', async (rows, hidden) => {
    const random = seededRandom(hidden);
    const [vocabStart, vocabRows] = [6, 11];
    const table = weight(dtype, vocabRows, hidden, random);
    // Ids before, inside and after the slice held.
    const ids = Array.from({ length: rows }, (_, i) => (i * 5 + 8) % 20);
    const args = Uint32Array.from(ids.flatMap((id) => [id, 9, 9, 9]));
    const [variant] = kernelVariants(
      { kernel: 'embed', params: { vocabRows, hidden, split: 1 }, dtype },
      bench.limits(),
    );
    const bytes = await bench.run(
      variant!,
      [args, table.words, garbage(rows, hidden).data],
      [rows, vocabStart],
      2,
    );
    expectActivation(bytes, rows, hidden, (r, c) => {
      const id = ids[r]! - vocabStart;
      return id >= 0 && id < vocabRows ? table.at(id, c) : 0;
    });
  });
});

describe('elementwise kernels', () => {
  it.each(SHAPES)('add: %i rows, %i columns', async (rows, cols) => {
    const random = seededRandom(cols);
    const x = activation(rows, cols, () => random.normal());
    const delta = activation(rows, cols, () => random.normal());
    const [variant] = kernelVariants({ kernel: 'add', params: { cols } }, bench.limits());
    const bytes = await bench.run(variant!, [x.data, delta.data], [rows], 0);
    expectActivation(bytes, rows, cols, (r, c) => x.data[r * x.stride + c]! + delta.data[r * x.stride + c]!);
  });

  it.each(SHAPES)('silu_mul: %i rows, %i columns', async (rows, cols) => {
    const random = seededRandom(cols);
    // Gates far from zero too: exp must not turn them into NaN.
    const gateUp = activation(rows, 2 * cols, (_, c) => random.normal() * (c % 7 === 0 ? 60 : 2));
    const [variant] = kernelVariants({ kernel: 'silu_mul', params: { cols } }, bench.limits());
    const bytes = await bench.run(variant!, [gateUp.data, garbage(rows, cols).data], [rows], 1);
    expectActivation(bytes, rows, cols, (r, c) => {
      const gate = gateUp.data[r * gateUp.stride + c]!;
      return (gate / (1 + Math.exp(-gate))) * gateUp.data[r * gateUp.stride + cols + c]!;
    });
  });

  it.each(SHAPES)('gather_rows: %i rows, %i columns', async (rows, cols) => {
    const random = seededRandom(cols);
    const x = activation(rows + 4, cols, () => random.normal());
    const from = Array.from({ length: rows }, () => random.below(rows + 4));
    const samples = Uint32Array.from(from.flatMap((row) => [row, 0, 0, 0, 0, 0, 0, 0]));
    const [variant] = kernelVariants({ kernel: 'gather_rows', params: { cols } }, bench.limits());
    const bytes = await bench.run(variant!, [samples, x.data, garbage(rows, cols).data], [rows], 2);
    expectActivation(bytes, rows, cols, (r, c) => x.data[from[r]! * x.stride + c]!);
  });
});
