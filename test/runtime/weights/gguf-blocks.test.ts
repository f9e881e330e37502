import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { Interval } from '../../../compiler/ir/transitions.js';
import { FILE_TYPES, packedBytes, WEIGHT_FORMATS } from '../../../compiler/model/weight-types.js';
import { dequantise, FILE_BLOCKS, padRows } from '../../../runtime/weights/gguf/blocks.js';
import { openModelDirectory } from '../../../runtime/weights/model-dir.js';
import { validateWeights } from '../../../runtime/weights/validate-model.js';
import { fileWeightSource } from '../../../runtime/weights/weight-source.js';
import { decodeBlocks, fileRows, randomBlocks } from '../../fixtures/blocks.js';
import { ggufBytes } from '../../fixtures/gguf-file.js';
import { seededRandom } from '../../fixtures/random.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-blocks-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const NUMBERS = { q4_0: 2, q8_0: 8, q4_k: 12, q6_k: 14 } as const;
const NAME = 'model.layers.0.mlp.up_proj.weight';

describe.each(FILE_TYPES)('%s blocks', (type) => {
  const { elements } = FILE_BLOCKS[type];
  const [rows, cols] = [6, 5 * elements];
  const packed = randomBlocks(type, rows, cols, seededRandom(2));
  const values = decodeBlocks(type, packed, cols);

  /** The model of one tensor. */
  function open(keeps?: () => boolean) {
    const path = join(scratch, `${type}.gguf`);
    const data = fileRows(type, packed, cols);
    const tensor = { name: 'blk.0.ffn_up.weight', shape: [rows, cols], type: NUMBERS[type], data };
    writeFileSync(path, ggufBytes({ 'general.architecture': 'llama' }, [tensor]));
    return fileWeightSource(openModelDirectory(path).tensors, keeps);
  }

  it('are read as they are, rows filled up to whole device blocks', () => {
    expect(padRows(fileRows(type, packed, cols), type, cols)).toEqual(packed);
    const source = open();
    expect(source.tensor(NAME)).toMatchObject({ dtype: type, rows, cols });
    expect(source.read(NAME, [0, rows], [0, cols])).toEqual(packed);
    const rowBytes = packedBytes(type, cols);
    const { block, bytes } = WEIGHT_FORMATS[type];
    // A rectangle from the second device block on.
    const part = source.read(NAME, [2, 4], [block, cols]);
    const wanted = [2, 3].flatMap((row) => [
      ...packed.subarray(row * rowBytes + bytes, (row + 1) * rowBytes),
    ]);
    expect([...part]).toEqual(wanted);
    source.close();
  });

  it('stand for values that any rectangle of can be read in f32', () => {
    expect([...dequantise(fileRows(type, packed, cols), type)]).toEqual([...values].map(Math.fround));
    const source = open(() => false);
    expect(source.tensor(NAME)).toMatchObject({ dtype: 'f32' });
    const interval = (size: number): fc.Arbitrary<Interval> =>
      fc.tuple(fc.nat(size), fc.nat(size)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
    fc.assert(
      fc.property(interval(rows), interval(cols), (height, width) => {
        const bytes = source.read(NAME, height, width);
        const wanted: number[] = [];
        for (let r = height[0]; r < height[1]; r++)
          for (let c = width[0]; c < width[1]; c++) wanted.push(Math.fround(values[r * cols + c]!));
        expect([...new Float32Array(bytes.slice().buffer)]).toEqual(wanted);
      }),
      { numRuns: 50 },
    );
    source.close();
  });

  it('are refused by a plan that was compiled for another type', () => {
    const source = open();
    const other = type === 'q4_k' ? 'q6_k' : 'q4_k';
    const weight = {
      id: 'up',
      dtype: other,
      rows,
      cols,
      bytes: 0,
      pieces: [{ tensor: NAME, rows: [0, rows], cols: [0, cols], at: [0, 0] }],
    } as const;
    const graph = { stages: [{ shards: [{ pp: 0, tp: 0, weights: [weight] }] }] };
    expect(() => validateWeights(graph as never, source, { dir: '.', configPath: 'm.gguf' })).toThrow(
      expect.objectContaining({ code: 'FC0913', message: expect.stringContaining(`is ${type}`) as string }),
    );
    source.close();
  });
});
