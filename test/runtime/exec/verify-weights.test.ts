/** `--verify-moves` finds a single wrong byte among weights wherever it comes from, and says where it is. */
import { describe, expect, it } from 'vitest';
import type { DeviceMoves, RuntimeWeight } from '../../../compiler/ir/runtime-graph.js';
import { weightBytes } from '../../../compiler/ir/device-layout.js';
import { RuntimeFailure } from '../../../runtime/failure.js';
import { randomWeightSource } from '../../../runtime/weights/random-weights.js';
import { failureOf, flippingDevice } from '../support/flipping-device.js';
import { residentWeights } from '../support/resident.js';

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
  const moves: DeviceMoves = {
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
    const resident = residentWeights(device, residences, new Map([['prefill->decode', moves]]), source);
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
