import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { RuntimeWeight } from '../../../compiler/ir/runtime-graph.js';
import { weightBytes, weightLayout } from '../../../compiler/ir/device-layout.js';
import type { Interval } from '../../../compiler/ir/transitions.js';
import type { DType } from '../../../compiler/model/shape.js';
import { tensorsOfWeights } from '../../../runtime/weights/graph-tensors.js';
import { disjointBlocks, hostWeights } from '../../../runtime/weights/host-weights.js';
import { openModelDirectory } from '../../../runtime/weights/model-dir.js';
import { writtenBytes } from '../../../compiler/ir/written-bytes.js';
import { packPieces, packWeight } from '../../../runtime/weights/pack.js';
import { randomWeightSource } from '../../../runtime/weights/random-weights.js';
import {
  validateLayers,
  validateVocabulary,
  validateWeights,
} from '../../../runtime/weights/validate-model.js';
import { fileWeightSource, type WeightSource } from '../../../runtime/weights/weight-source.js';
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../../fixtures/halves.js';
import { writeRandomModel } from '../../fixtures/random-model.js';
import { directoryTensors } from '../../reference/tensors.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-sources-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const shape = { seed: 5, layers: 2, hidden: 18, heads: 3, kvHeads: 1, ffn: 22, vocab: 37 };
const Q = 'model.layers.1.self_attn.q_proj.weight';
const K = 'model.layers.1.self_attn.k_proj.weight';
const NORM = 'model.norm.weight';

const numbers: Record<DType, (bytes: Uint8Array) => number[]> = {
  f32: (bytes) => [...new Float32Array(bytes.slice().buffer)],
  f16: (bytes) => [...new Uint16Array(bytes.slice().buffer)].map(f16ToNumber),
  bf16: (bytes) => [...new Uint16Array(bytes.slice().buffer)].map(bf16ToNumber),
};
const rounded: Record<DType, (value: number) => number> = {
  f32: Math.fround,
  f16: (value) => f16ToNumber(numberToF16(value)),
  bf16: (value) => bf16ToNumber(numberToBf16(value)),
};

function rectangleOf(values: ArrayLike<number>, cols: number, rows: Interval, span: Interval): number[] {
  const out: number[] = [];
  for (let r = rows[0]; r < rows[1]; r++)
    for (let c = span[0]; c < span[1]; c++) out.push(values[r * cols + c]!);
  return out;
}

const interval = (size: number): fc.Arbitrary<Interval> =>
  fc.tuple(fc.nat(size), fc.nat(size)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);

describe('file source', () => {
  it.each(['f32', 'f16', 'bf16'] as const)('reads any rectangle of %s tensors', (dtype) => {
    const dir = writeRandomModel(join(scratch, dtype), { ...shape, dtype, shards: 2 });
    const source = fileWeightSource(openModelDirectory(dir).tensors);
    const expected = directoryTensors(dir)(Q)!;
    fc.assert(
      fc.property(interval(18), interval(18), (rows, cols) => {
        expect(numbers[dtype](source.read(Q, rows, cols))).toEqual(
          rectangleOf(expected.values, 18, rows, cols),
        );
      }),
    );
    expect(numbers[dtype](source.read(NORM, [0, 1], [3, 9]))).toEqual([
      ...directoryTensors(dir)(NORM)!.values.slice(3, 9),
    ]);
    expect(source.tensor(Q)).toMatchObject({ dtype, rows: 18, cols: 18 });
    expect(() => source.read(Q, [0, 19], [0, 18])).toThrow(RangeError);
    expect(() => source.read('ghost', [0, 1], [0, 1])).toThrow(/no tensor ghost/);
    source.close();
  });

  it('says which tensor a file lost after it was opened', () => {
    const dir = writeRandomModel(join(scratch, 'lost'), shape);
    const source = fileWeightSource(openModelDirectory(dir).tensors);
    truncateSync(join(dir, 'model.safetensors'), 9000);
    expect(() => source.read('lm_head.weight', [0, 37], [0, 18])).toThrow(
      /ends inside tensor lm_head.weight/,
    );
    source.close();
  });
});

/** Counts reads of the source below. */
function counted(source: WeightSource): WeightSource & { readonly bytesRead: () => number } {
  let bytes = 0;
  return {
    ...source,
    read: (name, rows, cols) => {
      const data = source.read(name, rows, cols);
      bytes += data.length;
      return data;
    },
    bytesRead: () => bytes,
  };
}

describe('host copy', () => {
  it('holds exactly the union, reads each element once, and returns what the source holds', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(interval(9), interval(11)), { maxLength: 6 }), (spans) => {
        const rectangles = spans.map(([rows, cols]) => ({ rows, cols }));
        const source = counted(randomWeightSource(3, new Map([['w', { rows: 9, cols: 11 }]])));
        const host = hostWeights(source, [{ name: 'w', rows: 9, cols: 11, rectangles }]);
        const all = numbers.f32(source.read('w', [0, 9], [0, 11]));
        const before = source.bytesRead();
        for (const { rows, cols } of [...rectangles, ...rectangles]) {
          expect(numbers.f32(host.read('w', rows, cols))).toEqual(rectangleOf(all, 11, rows, cols));
        }
        const union = new Set(
          rectangles.flatMap(({ rows, cols }) => rectangleOf([...Array(99).keys()], 11, rows, cols)),
        );
        host.load();
        expect(host.bytes()).toBe(4 * union.size);
        expect(source.bytesRead() - before).toBe(4 * union.size);
        const area = disjointBlocks(rectangles).reduce(
          (sum, { rows, cols }) => sum + (rows[1] - rows[0]) * (cols[1] - cols[0]),
          0,
        );
        expect(area).toBe(union.size);
      }),
    );
  });

  it('has every rectangle in parts that are views', () => {
    const source = randomWeightSource(3, new Map([['w', { rows: 8, cols: 8 }]]));
    const rectangles = [
      { rows: [0, 8], cols: [0, 8] },
      { rows: [0, 8], cols: [2, 4] },
      { rows: [4, 8], cols: [0, 8] },
    ] as const;
    const host = hostWeights(source, [{ name: 'w', rows: 8, cols: 8, rectangles }]);
    host.load();
    for (const { rows, cols } of rectangles) {
      const parts = host.parts!('w', rows, cols);
      const area = parts.reduce(
        (sum, part) => sum + (part.rows[1] - part.rows[0]) * (part.cols[1] - part.cols[0]),
        0,
      );
      expect(area).toBe((rows[1] - rows[0]) * (cols[1] - cols[0]));
      for (const part of parts) {
        expect(host.read('w', part.rows, part.cols).buffer).toBe(host.read('w', part.rows, part.cols).buffer);
        expect(host.read('w', part.rows, part.cols)).toEqual(source.read('w', part.rows, part.cols));
      }
    }
  });

  it('keeps whole slices as views', () => {
    const source = counted(randomWeightSource(3, new Map([['w', { rows: 8, cols: 4 }]])));
    const rectangles = [
      { rows: [0, 4], cols: [0, 4] },
      { rows: [2, 8], cols: [0, 4] },
    ] as const;
    const host = hostWeights(source, [{ name: 'w', rows: 8, cols: 4, rectangles }]);
    const first = host.read('w', [0, 4], [0, 4]);
    expect(host.read('w', [2, 8], [0, 4]).buffer).toBe(first.buffer);
    expect(source.bytesRead()).toBe(128);
  });
});

describe('random source', () => {
  it('gives the same element whatever rectangle it is read in, and differs by seed and name', () => {
    const sizes = new Map([Q, K].map((name) => [name, { rows: 40, cols: 50 }] as const));
    const source = randomWeightSource(9, sizes);
    const all = numbers.f32(source.read(Q, [0, 40], [0, 50]));
    fc.assert(
      fc.property(interval(40), interval(50), (rows, cols) => {
        expect(numbers.f32(source.read(Q, rows, cols))).toEqual(rectangleOf(all, 50, rows, cols));
      }),
    );
    expect(numbers.f32(source.read(K, [0, 1], [0, 9]))).not.toEqual(all.slice(0, 9));
    expect(numbers.f32(randomWeightSource(10, sizes).read(Q, [0, 1], [0, 9]))).not.toEqual(all.slice(0, 9));
    const variance = all.reduce((sum, value) => sum + value * value, 0) / all.length;
    expect(variance * 50).toBeGreaterThan(0.9);
    expect(variance * 50).toBeLessThan(1.1);
  });
});

describe('packing', () => {
  const dir = writeRandomModel(join(scratch, 'pack'), { ...shape, dtype: 'bf16' });
  const source = fileWeightSource(openModelDirectory(dir).tensors);
  const reference = directoryTensors(dir);

  /** Padded values the device must see, by the definition in the runtime graph. */
  function expectedValues(weight: RuntimeWeight): number[] {
    const { rows, stride } = weightLayout(weight);
    const out = Array<number>(rows * stride).fill(0);
    for (const piece of weight.pieces) {
      const tensor = reference(piece.tensor)!;
      const cols = tensor.shape.at(-1)!;
      for (let r = piece.rows[0]; r < piece.rows[1]; r++) {
        for (let c = piece.cols[0]; c < piece.cols[1]; c++) {
          const at = (piece.at[0] + r - piece.rows[0]) * stride + piece.at[1] + c - piece.cols[0];
          out[at] = rounded[weight.dtype as DType](tensor.values[r * cols + c]!);
        }
      }
    }
    return out;
  }

  const shapes: readonly Omit<RuntimeWeight, 'dtype' | 'bytes'>[] = [
    {
      id: 'qk',
      rows: 9,
      cols: 18,
      pieces: [
        { tensor: Q, rows: [6, 12], cols: [0, 18], at: [0, 0] },
        { tensor: K, rows: [0, 3], cols: [0, 18], at: [6, 0] },
      ],
    },
    { id: 'o', rows: 18, cols: 6, pieces: [{ tensor: Q, rows: [0, 18], cols: [6, 12], at: [0, 0] }] },
    {
      id: 'bias',
      rows: 1,
      cols: 7,
      pieces: [
        { tensor: NORM, rows: [0, 1], cols: [2, 5], at: [0, 0] },
        { tensor: NORM, rows: [0, 1], cols: [9, 13], at: [0, 3] },
      ],
    },
    {
      id: 'head',
      rows: 20,
      cols: 18,
      pieces: [{ tensor: 'lm_head.weight', rows: [19, 37], cols: [0, 18], at: [0, 0] }],
    },
  ];
  const weights = (dtype: DType): RuntimeWeight[] =>
    shapes.map((weight) => ({ ...weight, dtype, bytes: weightBytes({ dtype, ...weight }) }));

  it.each(['f32', 'f16', 'bf16'] as const)('%s: rows, columns, padding and rounding', (dtype) => {
    for (const weight of weights(dtype)) {
      const bytes = packWeight(weight, source);
      expect(bytes.length).toBe(weight.bytes);
      expect(numbers[dtype](bytes)).toEqual(expectedValues(weight));
    }
  });

  it.each(['f32', 'bf16'] as const)('%s: the runs of a piece complete the buffer', (dtype) => {
    const all = weights(dtype);
    const host = hostWeights(source, tensorsOfWeights(all).values());
    for (const weight of all) {
      for (let index = 0; index < weight.pieces.length; index++) {
        const others = weight.pieces.filter((_, i) => i !== index);
        const buffer = packWeight({ ...weight, pieces: others }, source);
        for (const { at, stride, runBytes, rows, bytes } of packPieces(weight, host, [
          weight.pieces[index]!,
        ])) {
          expect([at % 4, runBytes % 4, bytes.byteLength]).toEqual([0, 0, rows * runBytes]);
          for (let row = 0; row < rows; row++) {
            buffer.set(bytes.subarray(row * runBytes, (row + 1) * runBytes), at + row * stride);
          }
        }
        expect(numbers[dtype](buffer)).toEqual(expectedValues(weight));
      }
    }
  });

  it('writes the elements of a piece and no others, unless they share words', () => {
    const bytesOf = (weight: RuntimeWeight, indices: readonly number[]): number => {
      const pieces = indices.map((index) => weight.pieces[index]!);
      const written = [...packPieces(weight, source, pieces)];
      const bytes = written.reduce((sum, each) => sum + each.bytes.byteLength, 0);
      expect(writtenBytes(weight, pieces)).toBe(bytes);
      return bytes;
    };
    const [qk, , bias] = weights('f32');
    expect(bytesOf(qk!, [1, 0])).toBe(9 * 18 * 4);
    expect(bytesOf(bias!, [1])).toBe(4 * 4);
    expect(bytesOf(weights('bf16')[2]!, [1, 0])).toBe(8 * 2);
  });

  it('packs the same bytes from the host copy', () => {
    const all = weights('f16');
    const host = hostWeights(source, tensorsOfWeights(all).values());
    for (const weight of all) expect(packWeight(weight, host)).toEqual(packWeight(weight, source));
    expect(host.bytes()).toBeGreaterThan(0);
  });
});

describe('validation', () => {
  const dir = writeRandomModel(join(scratch, 'valid'), shape);
  const opened = openModelDirectory(dir);
  const source = fileWeightSource(opened.tensors);
  const graphOf = (tensor: string, rows: number, cols: number): Parameters<typeof validateWeights>[0] => {
    const piece = { tensor, rows: [0, rows], cols: [0, cols], at: [0, 0] } as const;
    const weight = { id: 'w', dtype: 'f32', rows, cols, pieces: [piece], bytes: 0 } as const;
    return { stages: [{ shards: [{ pp: 0, tp: 0, weights: [weight] }] }] } as unknown as Parameters<
      typeof validateWeights
    >[0];
  };

  it('accepts what the model has', () => {
    expect(() => validateWeights(graphOf(Q, 18, 18), source, opened)).not.toThrow();
    expect(() => validateWeights(graphOf(NORM, 1, 18), source, opened)).not.toThrow();
  });

  it.each([
    ['a missing tensor', 'lm_head.bias', 1, 37, 'FC0912', /no tensor lm_head.bias/],
    [
      'too few rows',
      Q,
      24,
      18,
      'FC0913',
      /q_proj.weight in .*model.safetensors is \[18, 18\], .* \[24, 18\]/,
    ],
    ['too many columns', NORM, 1, 16, 'FC0913', /model.norm.weight in .* is \[18\], .* \[16\]/],
  ])('refuses %s', (_, tensor, rows, cols, code, message) => {
    const check = (): void => validateWeights(graphOf(tensor, rows, cols), source, opened);
    expect(check).toThrow(expect.objectContaining({ code }));
    expect(check).toThrow(message);
  });

  it('refuses weights with more layers than config.json has', () => {
    const { layers } = shape;
    expect(() => validateLayers({ layers }, opened)).not.toThrow();
    const check = (): void => validateLayers({ layers: layers - 1 }, opened);
    expect(check).toThrow(expect.objectContaining({ code: 'FC0919' }));
    expect(check).toThrow(
      `asks for ${layers - 1} layers, the weights have more: tensor model.layers.${layers - 1}.`,
    );
  });

  it('speaks of the metadata of a GGUF file, which has no config.json', () => {
    const model = { dir, configPath: join(dir, 'model.gguf') };
    expect(() => validateWeights(graphOf('lm_head.bias', 1, 37), source, model)).toThrow(
      expect.objectContaining({
        message: `${model.configPath} has no tensor lm_head.bias`,
        details: { subject: 'lm_head.bias', help: expect.not.stringContaining('config.json') as string },
      }),
    );
    expect(() => validateWeights(graphOf(Q, 24, 18), source, model)).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('its metadata asks for [24, 18]') as string,
        details: { subject: Q, help: expect.not.stringContaining('config.json') as string },
      }),
    );
  });

  it('refuses a dtype that holds no weights', () => {
    const stored = { name: 'w', file: 'm.safetensors', dtype: 'I64', shape: [4], offset: 0, bytes: 32 };
    const integers = fileWeightSource(new Map([['w', stored]]));
    expect(() => validateWeights(graphOf('w', 1, 4), integers, opened)).toThrow(
      /w in m.safetensors is I64\[4\]/,
    );
  });

  it('compares the tokenizer with the embedding', () => {
    const tokenizer = { largestId: 511, origin: 'tokenizer.json' };
    expect(() => validateVocabulary(tokenizer, 512)).not.toThrow();
    expect(() => validateVocabulary(tokenizer, 511)).toThrow(expect.objectContaining({ code: 'FC0915' }));
  });
});
