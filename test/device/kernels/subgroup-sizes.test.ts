/** Kernels compile for every subgroup size an adapter may report: checked on Dawn's null backend, which has them all. */
import { beforeAll, describe, expect, it } from 'vitest';
import { create, globals } from 'webgpu';
import type { DeviceLimits } from '../../../runtime/device/device.js';
import type { KernelRequest } from '../../../runtime/kernels/kernel.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';

const REQUESTS: readonly KernelRequest[] = [
  ...(['f32', 'bf16'] as const).map((dtype) => ({
    kernel: 'matmul' as const,
    params: { n: 64, k: 64, bias: 1 },
    dtype,
  })),
  { kernel: 'rms_norm', params: { cols: 64, eps: 0 } },
  { kernel: 'sample', params: { cols: 64, vocab: 64 } },
  ...[2, 128].flatMap((headDim) =>
    [1, 16].map((tileRows) => ({
      kernel: 'attention' as const,
      params: { heads: 8, kvHeads: 2, headDim, pageTokens: 16, groupLayers: 1, scale: 1, tileRows },
    })),
  ),
  ...[1, 16].map((tileRows) => ({
    kernel: 'attention' as const,
    params: {
      heads: 8,
      kvHeads: 2,
      headDim: 64,
      pageTokens: 16,
      groupLayers: 1,
      scale: 1,
      tileRows,
      window: 100,
      softcap: 50,
    },
  })),
];

const instance = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);

describe.each([4, 8, 16, 32, 64, 128])('subgroups of %i', (subgroupSize) => {
  let device: GPUDevice;
  beforeAll(async () => {
    Object.assign(globalThis, globals);
    const adapter = await instance.requestAdapter();
    device = await adapter!.requestDevice({ requiredFeatures: ['subgroups'] });
  });

  it('compiles', async () => {
    const limits = { subgroupSize, features: new Set(['subgroups']) } as unknown as DeviceLimits;
    for (const request of REQUESTS) {
      for (const { key, wgsl } of kernelVariants(request, limits)) {
        const info = await device.createShaderModule({ code: wgsl }).getCompilationInfo();
        expect(
          info.messages.filter(({ type }) => type === 'error').map(({ message }) => `${key}: ${message}`),
        ).toEqual([]);
      }
    }
  });
});
