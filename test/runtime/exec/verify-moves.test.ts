/** `--verify-moves` finds a single wrong byte wherever it comes from, and says where it is. */
import { describe, expect, it } from 'vitest';
import type { KvPool, RuntimeTransition, RuntimeWeight } from '../../../compiler/ir/runtime-graph.js';
import { weightBytes } from '../../../compiler/ir/runtime-graph.js';
import type { Device } from '../../../runtime/device/device.js';
import { createHostPages } from '../../../runtime/exec/host-pages.js';
import type { HostPages } from '../../../runtime/exec/host-pages.js';
import { createPagePool } from '../../../runtime/exec/pool.js';
import { createResidentWeights } from '../../../runtime/exec/resident-weights.js';
import { createPageVerifier } from '../../../runtime/exec/verify-moves.js';
import { RuntimeFailure } from '../../../runtime/failure.js';
import { randomWeightSource } from '../../../runtime/weights/random-weights.js';
import { memoryDevice } from '../support/memory-device.js';

/** A memory device whose next writes go wrong in the byte with this index, once `flip` is called. */
function flippingDevice(): { readonly device: Device; flip(byte: number): void } {
  const device = memoryDevice('gpu[0]');
  let flipped: number | undefined;
  const write: Device['write'] = (buffer, offset, data) => {
    const sent = data.slice();
    if (flipped !== undefined && flipped < sent.length) sent[flipped]! ^= 0x10;
    device.write(buffer, offset, sent);
  };
  return { device: { ...device, write }, flip: (byte) => (flipped = byte) };
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('weights', () => {
  const source = randomWeightSource(3, new Map(['a', 'b'].map((name) => [name, { rows: 8, cols: 8 }])));
  const piece = (tensor: string, at: number): RuntimeWeight['pieces'][number] => ({
    tensor,
    rows: [0, 4],
    cols: [0, 8],
    at: [at, 0],
  });
  const weight = (id: string, pieces: RuntimeWeight['pieces']): RuntimeWeight => {
    const base = { id, dtype: 'f32' as const, rows: 8, cols: 8 };
    return { ...base, pieces, bytes: weightBytes(base) };
  };
  const moves: RuntimeTransition['devices'][number] = {
    device: 0,
    keep: [],
    copy: [],
    upload: [{ weight: 'ab', pieces: [0, 1] }],
    evict: ['aa'],
    uploadBytes: 256,
  };
  const residences = [
    { name: 'prefill', weights: [weight('aa', [piece('a', 0)])] },
    { name: 'decode', weights: [weight('ab', [piece('a', 0), piece('b', 4)])] },
  ];

  it.each([
    ['nothing', undefined, undefined],
    ['the first tensor', 5, 'ab (a)'],
    ['a later byte', 100, 'ab (a)'],
  ])('a flipped byte in %s', async (_, byte, named) => {
    const { device, flip } = flippingDevice();
    const resident = createResidentWeights(device, residences, new Map([['prefill->decode', moves]]), source);
    await resident.load('prefill');
    await resident.verify();
    if (byte !== undefined) flip(byte);
    await resident.transition('decode', moves);
    const failure = await failureOf(resident.verify());
    if (named === undefined) expect(failure).toBeUndefined();
    else {
      expect(failure).toBeInstanceOf(RuntimeFailure);
      expect(failure).toMatchObject({ code: 'FC0921', details: { subject: 'ab' } });
      expect((failure as Error).message).toContain(named);
      expect((failure as Error).message).toContain(`byte ${byte}`);
    }
  });
});

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
    const from = createPagePool(pool('a'), HEAD_BYTES, devices, host, verifier);
    const to = createPagePool(pool('b'), HEAD_BYTES, devices, host, verifier);
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
