import { describe, expect, it } from 'vitest';
import { convertBytes } from '../../../runtime/weights/convert.js';
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../../fixtures/halves.js';
import { seededRandom } from '../../fixtures/random.js';

const everyHalf = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function halves(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}

function bytesOf(values: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Indices at which two functions of the index differ, NaN being equal to NaN. */
function differences(
  length: number,
  actual: (i: number) => number,
  expected: (i: number) => number,
): number[] {
  return Array.from({ length }, (_, i) => i).filter((i) => !Object.is(actual(i), expected(i)));
}

describe('convertBytes', () => {
  it.each([
    ['f16', f16ToNumber],
    ['bf16', bf16ToNumber],
  ] as const)('widens all 65536 patterns of %s exactly', (dtype, toNumber) => {
    const wide = floats(convertBytes(bytesOf(everyHalf), dtype, 'f32'));
    expect(differences(65536, (i) => wide[i]!, toNumber)).toEqual([]);
  });

  it.each(['f16', 'bf16'] as const)('%s survives a round trip through f32, NaN staying NaN', (dtype) => {
    const toNumber = dtype === 'f16' ? f16ToNumber : bf16ToNumber;
    const back = halves(convertBytes(convertBytes(bytesOf(everyHalf), dtype, 'f32'), 'f32', dtype));
    const wrong = differences(
      65536,
      (i) => (Number.isNaN(toNumber(i)) ? Number(Number.isNaN(toNumber(back[i]!))) : back[i]!),
      (i) => (Number.isNaN(toNumber(i)) ? 1 : i),
    );
    expect(wrong).toEqual([]);
  });

  it.each([
    ['f16', 'bf16', f16ToNumber, numberToBf16],
    ['bf16', 'f16', bf16ToNumber, numberToF16],
  ] as const)('%s to %s rounds once', (from, to, toNumber, fromNumber) => {
    const out = halves(convertBytes(bytesOf(everyHalf), from, to));
    const finite = (i: number): boolean => !Number.isNaN(toNumber(i));
    expect(
      differences(
        65536,
        (i) => (finite(i) ? out[i]! : 0),
        (i) => (finite(i) ? fromNumber(toNumber(i)) : 0),
      ),
    ).toEqual([]);
  });

  it.each([
    ['f16', numberToF16, f16ToNumber],
    ['bf16', numberToBf16, bf16ToNumber],
  ] as const)(
    'f32 to %s rounds to nearest even for random values and every tie',
    (dtype, fromNumber, toNumber) => {
      const random = seededRandom(11);
      const values: number[] = [0, -0, Infinity, -Infinity, 3.4e38, 1e-45, -1e-40, 65519.996, 65520];
      for (let i = 0; i < 50_000; i++) values.push(random.normal() * 10 ** (random.uniform() * 60 - 40));
      for (let bits = 0; bits < 0x7bff; bits++) {
        values.push((toNumber(bits) + toNumber(bits + 1)) / 2, -toNumber(bits));
      }
      const source = Float32Array.from(values);
      const out = halves(convertBytes(bytesOf(source), 'f32', dtype));
      expect(
        differences(
          source.length,
          (i) => out[i]!,
          (i) => fromNumber(source[i]!),
        ),
      ).toEqual([]);
    },
  );

  it('reads bytes at any alignment', () => {
    const odd = new Uint8Array(9);
    odd.set(bytesOf(Float32Array.of(1.5, -2)), 1);
    expect([...halves(convertBytes(odd.subarray(1), 'f32', 'bf16'))]).toEqual([0x3fc0, 0xc000]);
    const oddHalves = new Uint8Array(5);
    oddHalves.set(bytesOf(Uint16Array.of(0x3c00, 0xc000)), 1);
    expect([...floats(convertBytes(oddHalves.subarray(1), 'f16', 'f32'))]).toEqual([1, -2]);
  });
});
