import { describe, expect, it } from 'vitest';
import type { DeviceLimits } from '../../../runtime/device/device.js';
import type { KernelRequest } from '../../../runtime/kernels/kernel.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { f32Bits } from '../../../runtime/kernels/wgsl.js';

const limitsOf = (subgroupSize: number): DeviceLimits => ({
  maxBufferBytes: 2 ** 32,
  maxBindingBytes: 2 ** 27,
  offsetAlignment: 256,
  maxWorkgroupsPerDimension: 65535,
  subgroupSize,
  features: new Set(subgroupSize > 0 ? ['subgroups'] : []),
});

const attention = { heads: 4, kvHeads: 2, headDim: 16, pageTokens: 16, groupLayers: 2, scale: 0.25 };

/** One request of every kernel, with the number of its operands. */
const REQUESTS: readonly (readonly [string, number, KernelRequest])[] = [
  ['embed', 3, { kernel: 'embed', params: { vocabRows: 9, hidden: 10, split: 1 }, dtype: 'bf16' }],
  ['rms_norm', 3, { kernel: 'rms_norm', params: { cols: 10, eps: 1e-5 }, dtype: 'f32' }],
  ['add_rms_norm', 4, { kernel: 'add_rms_norm', params: { cols: 10, eps: 1e-5 }, dtype: 'f16' }],
  ['add', 2, { kernel: 'add', params: { cols: 10 } }],
  ['matmul', 4, { kernel: 'matmul', params: { n: 10, k: 12, bias: 1 }, dtype: 'bf16' }],
  ['matmul_int8', 4, { kernel: 'matmul', params: { n: 10, k: 40, bias: 1 }, dtype: 'int8' }],
  ['matmul_int4', 3, { kernel: 'matmul', params: { n: 10, k: 40, bias: 0 }, dtype: 'int4' }],
  ['embed_int8', 3, { kernel: 'embed', params: { vocabRows: 9, hidden: 40, split: 1 }, dtype: 'int8' }],
  ['rope_append', 6, { kernel: 'rope_append', params: { ...attention, qkNorm: 1, eps: 1e-6 }, dtype: 'f16' }],
  ['attention', 5, { kernel: 'attention', params: { ...attention, tileRows: 16 }, dtype: 'f16' }],
  ['decode', 5, { kernel: 'attention', params: { ...attention, tileRows: 1 }, dtype: 'f32' }],
  ['silu_mul', 2, { kernel: 'silu_mul', params: { cols: 12 } }],
  ['gelu_mul', 2, { kernel: 'gelu_mul', params: { cols: 10 } }],
  ['soft_cap', 1, { kernel: 'soft_cap', params: { cols: 10, cap: 30 } }],
  [
    'embed.scaled',
    3,
    { kernel: 'embed', params: { vocabRows: 9, hidden: 12, split: 0, scale: 3 }, dtype: 'f16' },
  ],
  ['rms_norm.offset', 3, { kernel: 'rms_norm', params: { cols: 10, eps: 1e-5, offset: 1 }, dtype: 'bf16' }],
  [
    'rope_append.partial',
    6,
    {
      kernel: 'rope_append',
      params: { ...attention, qkNorm: 1, eps: 1e-6, rotary: 12, amplitude: 1.5, offset: 1 },
      dtype: 'f32',
    },
  ],
  [
    'attention.window',
    5,
    { kernel: 'attention', params: { ...attention, tileRows: 16, window: 9, softcap: 50 }, dtype: 'bf16' },
  ],
  [
    'decode.window',
    5,
    { kernel: 'attention', params: { ...attention, tileRows: 1, window: 9, softcap: 50 }, dtype: 'f16' },
  ],
  [
    'attention.rowHeads',
    5,
    { kernel: 'attention', params: { ...attention, tileRows: 16, rowHeads: 8 }, dtype: 'f32' },
  ],
  [
    'decode.pageHeads',
    5,
    { kernel: 'attention', params: { ...attention, tileRows: 1, pageHeads: 12 }, dtype: 'f32' },
  ],
  ['gather_rows', 3, { kernel: 'gather_rows', params: { cols: 10 } }],
  ['sample', 3, { kernel: 'sample', params: { cols: 10, vocab: 10 } }],
  ['adjust', 2, { kernel: 'adjust', params: { cols: 10, vocab: 10 } }],
  ['mask', 2, { kernel: 'mask', params: { cols: 10, vocab: 10 } }],
];

describe.each([0, 8, 32])('variants with subgroups of %i', (subgroupSize) => {
  it.each(REQUESTS)('%s: operands, immediates and order', (_, operands, request) => {
    const variants = kernelVariants(request, limitsOf(subgroupSize));
    expect(variants.at(-1)!.maxRows).toBe(Infinity);
    expect(variants.map(({ maxRows }) => maxRows)).toEqual(
      [...new Set(variants.map(({ maxRows }) => maxRows))].sort((a, b) => a - b),
    );
    for (const variant of variants) {
      expect(variant.bindings).toHaveLength(operands);
      expect(variant.bindings).toContain('read_write');
      // WebGPU promises 64 bytes of immediates.
      expect(variant.immediates + variant.constants!.length).toBeLessThanOrEqual(16);
      expect(variant.wgsl.includes('enable subgroups')).toBe(/subgroup[A-Z]/.test(variant.wgsl));
      for (const rows of [1, 17, 4096]) {
        for (const size of variant.grid(rows)) expect(size).toBeGreaterThan(0);
      }
    }
  });
});

describe('kernels', () => {
  it.each(REQUESTS)('%s: the text', async (name, _, request) => {
    const [variant] = kernelVariants(request, limitsOf(8));
    await expect(variant!.wgsl).toMatchFileSnapshot(`wgsl/${name}.wgsl`);
  });

  it('share a text over shapes but never a key', () => {
    const of = (n: number, k: number) =>
      kernelVariants({ kernel: 'matmul', params: { n, k, bias: 0 }, dtype: 'f32' }, limitsOf(8))[0]!;
    expect(of(64, 32).wgsl).toBe(of(128, 48).wgsl);
    expect(of(64, 32).key).not.toBe(of(128, 48).key);
  });

  it('cover every column and row of a matmul', () => {
    const request: KernelRequest = { kernel: 'matmul', params: { n: 130, k: 8, bias: 0 }, dtype: 'f32' };
    const grids = kernelVariants(request, limitsOf(8)).map(({ grid, maxRows }) =>
      grid(Math.min(maxRows, 33)),
    );
    // 8 lanes of 4 columns; tiles of 1, 4 and 16 rows.
    expect(grids).toEqual([
      [5, 1, 1],
      [5, 1, 1],
      [5, 3, 1],
    ]);
  });

  it('carry floats as bits', () => {
    expect(f32Bits(1)).toBe(0x3f800000);
    const [norm] = kernelVariants({ kernel: 'rms_norm', params: { cols: 6, eps: 0.5 } }, limitsOf(8));
    expect(norm!.constants).toEqual([2, f32Bits(6), f32Bits(0.5)]);
  });

  it('refuse a request without a parameter', () => {
    expect(() => kernelVariants({ kernel: 'add', params: {} }, limitsOf(8))).toThrow(/cols is missing/);
  });
});
