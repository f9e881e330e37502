import { describe, expect, it } from 'vitest';
import { isFileType, WEIGHT_TYPES } from '../../../compiler/model/weight-types.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { FILE_BLOCKS } from '../../../runtime/weights/gguf/blocks.js';
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

describe.each(WEIGHT_TYPES)('embed from a %s table', (dtype) => {
  // Rows of a file are whole blocks.
  const shapes = isFileType(dtype) ? [[7, 3 * FILE_BLOCKS[dtype].elements] as const] : SHAPES;
  it.each(shapes)('%i rows, hidden %i', async (rows, hidden) => {
    const random = seededRandom(hidden);
    const [vocabStart, vocabRows] = [6, 11];
    const table = weight(dtype, vocabRows, hidden, random);
    // Ids before, inside and after the slice held.
    const ids = Array.from({ length: rows }, (_, i) => (i * 5 + 8) % 20);
    const args = Uint32Array.from(ids.flatMap((id) => [id, 9, 9, 9]));
    for (const scale of [undefined, 11.5]) {
      const params = { vocabRows, hidden, split: 1, ...(scale !== undefined && { scale }) };
      const [variant] = kernelVariants({ kernel: 'embed', params, dtype }, bench.limits());
      const bytes = await bench.run(
        variant!,
        [args, table.words, garbage(rows, hidden).data],
        [rows, vocabStart],
        2,
      );
      expectActivation(bytes, rows, hidden, (r, c) => {
        const id = ids[r]! - vocabStart;
        return id >= 0 && id < vocabRows ? table.at(id, c) * (scale ?? 1) : 0;
      });
    }
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

  const gatings = {
    silu_mul: (gate: number) => gate / (1 + Math.exp(-gate)),
    gelu_mul: (gate: number) =>
      0.5 * gate * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3))),
  };
  describe.each(['silu_mul', 'gelu_mul'] as const)('%s', (kernel) => {
    it.each(SHAPES)('%i rows, %i columns', async (rows, cols) => {
      const random = seededRandom(cols);
      // Gates far from zero too: exp must not turn them into NaN.
      const gateUp = activation(rows, 2 * cols, (_, c) => random.normal() * (c % 7 === 0 ? 60 : 2));
      const [variant] = kernelVariants({ kernel, params: { cols } }, bench.limits());
      const bytes = await bench.run(variant!, [gateUp.data, garbage(rows, cols).data], [rows], 1);
      expectActivation(bytes, rows, cols, (r, c) => {
        const gate = gateUp.data[r * gateUp.stride + c]!;
        return gatings[kernel](gate) * gateUp.data[r * gateUp.stride + cols + c]!;
      });
    });
  });

  it.each(SHAPES)('soft_cap: %i rows, %i columns', async (rows, cols) => {
    const random = seededRandom(cols);
    const cap = 30;
    // Near zero, around the cap and far beyond it, where exp would overflow.
    const sizes = [1e-3, 5, 40, 3000];
    const x = activation(rows, cols, (_, c) => random.normal() * sizes[c % sizes.length]!);
    const [variant] = kernelVariants({ kernel: 'soft_cap', params: { cols, cap } }, bench.limits());
    const bytes = await bench.run(variant!, [x.data], [rows], 0);
    const expected = (r: number, c: number): number => cap * Math.tanh(x.data[r * x.stride + c]! / cap);
    expectActivation(bytes, rows, cols, expected);
    // Small values keep their own precision, not that of the cap.
    const capped = new Float32Array(bytes.buffer, bytes.byteOffset);
    for (let r = 0; r < rows; r++) {
      expect(Math.abs(capped[r * x.stride]! / expected(r, 0) - 1)).toBeLessThan(1e-6);
    }
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
