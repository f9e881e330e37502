/** `--verify-moves` finds a single wrong byte of a KV page wherever it comes from, and says where it is. */
import { describe, expect, it } from 'vitest';
import type { KvPool } from '../../../compiler/ir/runtime-graph.js';
import type { Device } from '../../../runtime/device/device.js';
import { createHostPages } from '../../../runtime/kv/host-pages.js';
import type { HostPages } from '../../../runtime/kv/host-pages.js';
import { createPagePool, openPoolStaging } from '../../../runtime/kv/pool.js';
import { createPageVerifier } from '../../../runtime/kv/verify-pages.js';
import { memoryDevice } from '../support/memory-device.js';
import { failureOf, flippingDevice } from '../support/flipping-device.js';

describe('KV pages', () => {
  const HEAD_BYTES = 16;
  const pool = (id: string): KvPool => ({
    id,
    stages: [],
    pages: 4,
    ranks: [{ device: 0, dp: 0, layers: [0, 2], heads: [0, 3], groups: [[0, 2]], pageBytes: 96 }],
  });

  async function roundTrip(
    device: Device,
    wrap: (host: HostPages) => HostPages = (host) => host,
    between: () => void = () => undefined,
  ): Promise<unknown> {
    const devices = new Map([[0, device]]);
    const host = wrap(createHostPages(4, { layers: 2, heads: 3, headBytes: HEAD_BYTES }));
    const verifier = createPageVerifier(HEAD_BYTES);
    const staging = await openPoolStaging([pool('a')], devices, false);
    const from = createPagePool(pool('a'), HEAD_BYTES, staging, host, verifier);
    const to = createPagePool(pool('b'), HEAD_BYTES, staging, host, verifier);
    const content = Uint8Array.from({ length: 4 * 96 }, (_, i) => (i * 37) % 251);
    device.write(from.buffer(0, 0), 0, content);
    await from.pageOut(0, [1, 2], [3, 0]);
    between();
    return failureOf(to.pageIn(0, [0, 1], [3, 0]));
  }

  it('pass when nothing is wrong', async () => {
    expect(await roundTrip(memoryDevice())).toBeUndefined();
  });

  it('are refused when the host tier gives back something else', async () => {
    const failure = await roundTrip(memoryDevice(), (host) => ({
      ...host,
      get(page, layers, heads, packed) {
        host.get(page, layers, heads, packed);
        // Layer 1, head 2.
        if (page === 0) packed[80]! ^= 1;
      },
    }));
    expect(failure).toMatchObject({ code: 'FC0921', details: { subject: 'host page 0' } });
    expect((failure as Error).message).toContain('host tier: layer 1, head 2');
  });

  it('are refused when two heads change places', async () => {
    const failure = await roundTrip(memoryDevice(), (host) => ({
      ...host,
      get(page, layers, heads, packed) {
        host.get(page, layers, heads, packed);
        packed.set([...packed.slice(16, 32), ...packed.slice(0, 16)], 0);
      },
    }));
    expect((failure as Error).message).toContain('layer 0, head 0 of host page 3');
  });

  it('are refused when the device does not get them as sent', async () => {
    const { device, flip } = flippingDevice();
    const failure = await roundTrip(device, undefined, () => flip(17));
    expect(failure).toMatchObject({ code: 'FC0921' });
    expect((failure as Error).message).toContain('gpu[0]: layer 0, head 1 of host page 3');
  });
});
