import { describe, expect, it } from 'vitest';
import type { DType } from '../../../compiler/model/shape.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { seededRandom } from '../../fixtures/random.js';
import { activation, kernelBench } from './harness.js';
import { elementCount, elementOf, filledPages, pageAddress } from './pages.js';
import type { PageShape } from './pages.js';

const bench = kernelBench();

interface Case {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly pageTokens: number;
}

const CASES: readonly Case[] = [
  { heads: 1, kvHeads: 1, headDim: 2, pageTokens: 4 },
  { heads: 3, kvHeads: 1, headDim: 6, pageTokens: 5 },
  { heads: 4, kvHeads: 2, headDim: 16, pageTokens: 16 },
  { heads: 2, kvHeads: 2, headDim: 64, pageTokens: 3 },
];

interface Features {
  readonly qkNorm: number;
  readonly offset?: number;
  readonly amplitude?: number;
  /** Dimensions at the end of a head that are not rotated, where it has so many. */
  readonly unrotated: number;
}

const FEATURES: readonly Features[] = [
  { qkNorm: 0, unrotated: 0 },
  { qkNorm: 1, unrotated: 0 },
  { qkNorm: 1, offset: 1, unrotated: 0 },
  { qkNorm: 0, amplitude: 1.25, unrotated: 4 },
  { qkNorm: 1, amplitude: 0.75, unrotated: 2 },
];

/** Largest relative rounding of a page element. */
const ROUNDING = { f32: 2e-6, f16: 2 ** -11 + 2e-6, bf16: 2 ** -8 + 2e-6 };

describe.each<DType>(['f32', 'f16', 'bf16'])('rope_append into %s pages', (dtype) => {
  for (const one of CASES) {
    // What a page element is matters to no feature; one type shows them.
    for (const { unrotated, ...features } of dtype === 'bf16' ? FEATURES : FEATURES.slice(0, 2)) {
      const { heads, kvHeads, headDim, pageTokens } = one;
      const { qkNorm, offset = 0, amplitude = 1 } = features;
      const rotary = Math.max(2, headDim - unrotated);
      const name = JSON.stringify({ ...features, rotary });
      it(`${heads}/${kvHeads} heads of ${headDim}, pages of ${pageTokens}, ${name}`, async () => {
        const random = seededRandom(headDim * 7 + qkNorm);
        const shape: PageShape = { ...one, dtype, pages: 4, groupLayers: 3 };
        const layer = 1;
        const half = rotary / 2;
        const rope = Float32Array.from({ length: half }, (_, i) => 10000 ** (-i / half));
        const norms = [0, 1].map(() => Float32Array.from({ length: headDim }, () => random.normal()));
        // Distinct slots; positions near and far.
        const slots = [2, 7, 0, 4 * pageTokens - 1];
        const positions = [0, 1, 511, 100_003];
        const rows = slots.length;
        const qkv = activation(rows, (heads + 2 * kvHeads) * headDim, () => random.normal());
        const args = Uint32Array.from(slots.flatMap((slot, i) => [9, positions[i]!, slot, 0]));
        const before = filledPages(shape, () => 77);
        const params = {
          heads,
          kvHeads,
          headDim,
          pageTokens,
          groupLayers: 3,
          eps: 1e-6,
          ...features,
          ...(unrotated > 0 && { rotary }),
        };
        const [variant] = kernelVariants({ kernel: 'rope_append', params, dtype }, bench.limits());
        const operands = [args, rope, ...(qkNorm ? norms : []), qkv.data, before.words];
        const kvAt = operands.length - 1;
        const immediates = [rows, layer];
        const q = new Float32Array((await bench.run(variant!, operands, immediates, kvAt - 1)).buffer);
        const stored = elementOf(shape, await bench.run(variant!, operands, immediates, kvAt));

        const head = (r: number, slot: number, norm: Float32Array): number[] => {
          const at = r * qkv.stride + slot * headDim;
          const x = Array.from(qkv.data.subarray(at, at + headDim));
          const squares = x.reduce((sum, v) => sum + v * v, 0);
          const scaled = qkNorm
            ? x.map((v, i) => (v / Math.sqrt(squares / headDim + 1e-6)) * (offset + norm[i]!))
            : x;
          return scaled.map((v, i) => {
            if (i >= rotary) return v;
            const angle = Math.fround(positions[r]! * rope[i % half]!);
            const other = i < half ? -scaled[i + half]! : scaled[i - half]!;
            return amplitude * (v * Math.cos(angle) + other * Math.sin(angle));
          });
        };
        const expected = Float64Array.from({ length: elementCount(shape) }, () => 77);
        const address = pageAddress(shape);
        for (let r = 0; r < rows; r++) {
          for (let h = 0; h < heads; h++) {
            head(r, h, norms[0]!).forEach((want, i) => {
              expect(Math.abs(q[r * qkv.stride + h * headDim + i]! - want)).toBeLessThan(2e-5);
            });
          }
          const page = Math.floor(slots[r]! / pageTokens);
          const token = slots[r]! % pageTokens;
          for (let h = 0; h < kvHeads; h++) {
            head(r, heads + h, norms[1]!).forEach((want, i) => {
              expected[address(page, layer, h, token, 0, i)] = want;
            });
            for (let i = 0; i < headDim; i++) {
              expected[address(page, layer, h, token, 1, i)] =
                qkv.data[r * qkv.stride + (heads + kvHeads + h) * headDim + i]!;
            }
          }
        }
        expected.forEach((want, i) => {
          expect(Math.abs(stored(i) - want), `element ${i}`).toBeLessThan(
            2e-5 + ROUNDING[dtype] * Math.abs(want),
          );
        });
      });
    }
  }
});
