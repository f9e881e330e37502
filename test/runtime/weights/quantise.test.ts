import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packedBytes, QUANTISED_TYPES, type QuantisedType } from '../../../compiler/model/weight-types.js';
import { convertRows } from '../../../runtime/weights/convert.js';
import { quantise } from '../../../runtime/weights/quantise.js';
import { decodeBlocks } from '../../fixtures/blocks.js';
import { seededRandom } from '../../fixtures/random.js';

/** Half a step of the levels, as a part of the greatest magnitude of a block; `int4` may cut a fifth of it off. */
const BOUND: Readonly<Record<QuantisedType, number>> = { int8: 0.5 / 127, int4: 0.3 };

const f32 = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 });

describe.each(QUANTISED_TYPES)('quantisation to %s', (type) => {
  it('keeps every element within a step of its block, whatever the block', () => {
    fc.assert(
      fc.property(fc.array(f32, { minLength: 1, maxLength: 70 }), (values) => {
        const packed = quantise(Float32Array.from(values), values.length, type);
        expect(packed.length).toBe(packedBytes(type, values.length));
        const found = decodeBlocks(type, packed, values.length);
        for (let block = 0; block < values.length; block += 32) {
          const mine = values.slice(block, block + 32);
          const widest = Math.max(...mine.map(Math.abs));
          mine.forEach((value, i) => {
            const error = Math.abs(found[block + i]! - value);
            expect(error).toBeLessThanOrEqual(widest * BOUND[type] * 1.0001 + 1e-40);
          });
        }
      }),
    );
  });

  it('gives a slice of columns the bytes that the whole has there', () => {
    const random = seededRandom(3);
    const [rows, cols] = [5, 100];
    const values = Float32Array.from({ length: rows * cols }, () => random.normal());
    const whole = quantise(values, cols, type);
    const slice = values.filter((_, i) => i % cols >= 32 && i % cols < 96);
    const part = quantise(slice, 64, type);
    const rowBytes = packedBytes(type, cols);
    for (let row = 0; row < rows; row++) {
      const start = row * rowBytes + packedBytes(type, 32);
      const mine = part.subarray(row * packedBytes(type, 64), (row + 1) * packedBytes(type, 64));
      expect(mine).toEqual(whole.subarray(start, start + mine.length));
    }
  });

  it('keeps zeros, and numbers that are none', () => {
    const zeros = decodeBlocks(type, quantise(new Float32Array(40), 40, type), 40);
    expect([...zeros].every((value) => value === 0)).toBe(true);
    const broken = new Float32Array(64).fill(1);
    broken[40] = Infinity;
    const found = decodeBlocks(type, quantise(broken, 64, type), 64);
    expect([...found.subarray(0, 32)].every((value) => Math.abs(value - 1) < 0.2)).toBe(true);
    expect([...found.subarray(32)].every((value) => Number.isNaN(value))).toBe(true);
  });

  it('is not undone or repeated by conversion', () => {
    const packed = quantise(new Float32Array(32).fill(2), 32, type);
    expect(convertRows(packed, type, type, 32)).toBe(packed);
    expect(() => convertRows(packed, type, 'f32', 32)).toThrow(`${type} weights cannot become f32`);
  });
});

describe('quantisation of 16-bit checkpoints', () => {
  it('is that of the numbers that the checkpoint stands for', () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => (i - 16) / 8);
    const bits = Uint16Array.from(new Uint32Array(values.buffer), (word) => word >>> 16);
    const from = convertRows(new Uint8Array(bits.buffer), 'bf16', 'int8', 32);
    expect(from).toEqual(quantise(values, 32, 'int8'));
  });

  it('meets values close to the levels it can choose', () => {
    const exact = Float32Array.from({ length: 32 }, (_, i) => 0.25 * ((i % 16) - 8));
    expect([...decodeBlocks('int4', quantise(exact, 32, 'int4'), 32)]).toEqual([...exact]);
  });
});
