import { describe, expect, it } from 'vitest';
import { largestWeight, ringSizes } from '../../../compiler/ir/device-weights.js';
import type { DeviceMoves, RuntimeWeight } from '../../../compiler/ir/runtime-graph.js';
import { weightBytes } from '../../../compiler/ir/device-layout.js';
import { packWeight } from '../../../runtime/weights/pack.js';
import { randomWeightSource } from '../../../runtime/weights/random-weights.js';
import { memoryDevice } from '../support/memory-device.js';
import { residentWeights } from '../support/resident.js';
import type { MoveSpan } from '../../../runtime/exec/staging-ring.js';

const source = randomWeightSource(3, new Map(['a', 'b'].map((name) => [name, { rows: 8, cols: 8 }])));

function weight(id: string, tensor: string, rows: readonly [number, number]): RuntimeWeight {
  const base = { id, dtype: 'f32' as const, rows: rows[1] - rows[0], cols: 8 };
  return { ...base, pieces: [{ tensor, rows, cols: [0, 8], at: [0, 0] }], bytes: weightBytes(base) };
}

/** Pipeline part: all of `a`, half of `b`. Tensor part: the lower half of `a` and of `b`. */
const pipeline = { name: 'prefill', weights: [weight('a', 'a', [0, 8]), weight('c', 'b', [0, 4])] };
const tensor = { name: 'decode', weights: [weight('a', 'a', [4, 8]), weight('b', 'b', [4, 8])] };

const toTensor: DeviceMoves = {
  keep: [],
  copy: [{ weight: 'a', at: 0, stride: 128, old: 'a', oldAt: 128, oldStride: 128, runBytes: 128, rows: 1 }],
  upload: [{ weight: 'b', pieces: [0] }],
  evict: ['a'],
  uploadBytes: 128,
};
const toPipeline: DeviceMoves = {
  keep: [],
  copy: [],
  upload: [
    { weight: 'a', pieces: [0] },
    { weight: 'c', pieces: [0] },
  ],
  evict: ['a', 'b'],
  uploadBytes: 384,
};
const transitions = new Map([
  ['prefill->decode', toTensor],
  ['decode->prefill', toPipeline],
]);

describe('resident weights', () => {
  it('holds exactly the packed weights of the active residence after every transition', async () => {
    const device = memoryDevice();
    const resident = residentWeights(device, [pipeline, tensor], transitions, source);
    const check = async (residence: typeof pipeline): Promise<void> => {
      for (const item of residence.weights) {
        const [bytes] = await device.read([resident.place(residence.name, item.id)]);
        expect(bytes).toEqual(packWeight(item, source));
      }
    };
    expect(await resident.load('prefill')).toBe(384);
    await check(pipeline);
    for (let cycle = 0; cycle < 2; cycle++) {
      expect(await resident.transition('decode', toTensor)).toBe(128);
      await check(tensor);
      // A third of the pipeline's weights lies where the tensor residence has nothing.
      expect(await resident.transition('prefill', toPipeline)).toBe(256);
      await check(pipeline);
    }
  });

  it('writes no place before it is clear, and tells when each weight arrives', async () => {
    const device = memoryDevice();
    const resident = residentWeights(device, [pipeline, tensor], transitions, source);
    await resident.load('prefill');
    let clear: () => void = () => undefined;
    const cleared = new Promise<void>((resolve) => (clear = resolve));
    const moved = resident.transition('decode', toTensor, { past: () => cleared });
    const old = resident.place('prefill', 'a');
    await new Promise((resolve) => setImmediate(resolve));
    expect((await device.read([old]))[0]).toEqual(packWeight(pipeline.weights[0]!, source));
    expect(resident.arrival('prefill', 'a')).toBeUndefined();
    const arrivals = tensor.weights.map(async (item) => {
      await resident.arrival('decode', item.id)!;
      const [bytes] = await device.read([resident.place('decode', item.id)]);
      return [bytes, packWeight(item, source)];
    });
    clear();
    for (const [bytes, expected] of await Promise.all(arrivals)) expect(bytes).toEqual(expected);
    await moved;
    expect(resident.arrival('decode', 'b')).toBeUndefined();
  });

  it('uploads ahead of an announced transition, as far as memory allows, and touches nothing before it', async () => {
    const large = (id: string, tensor: string): RuntimeWeight => {
      const base = { id, dtype: 'f32' as const, rows: 512, cols: 8 };
      const pieces = [0, 128, 256, 384].map((row): RuntimeWeight['pieces'][number] => ({
        tensor,
        rows: [row, row + 128],
        cols: [0, 8],
        at: [row, 0],
      }));
      return { ...base, pieces, bytes: 16_384 };
    };
    const sizes = { rows: 512, cols: 8 };
    const tall = randomWeightSource(3, new Map(['a', 'b', 'c'].map((name) => [name, sizes])));
    const old = { name: 'prefill', weights: [large('w', 'a'), large('x', 'a')] };
    const next = { name: 'decode', weights: [large('y', 'b'), large('z', 'c')] };
    const moves: DeviceMoves = {
      ...toTensor,
      copy: [],
      upload: next.weights.map(({ id }) => ({ weight: id, pieces: [0, 1, 2, 3] })),
    };
    const { slotBytes } = ringSizes(16_384);
    const ahead: number[] = [];
    for (const spare of [0, 3 * slotBytes, 100 * slotBytes]) {
      const device = memoryDevice();
      const pairs = new Map([['prefill->decode', moves]]);
      const resident = residentWeights(device, [old, next], pairs, tall, undefined, spare);
      await resident.load('prefill');
      const most = device.memory.live + spare;
      const prefetch = resident.prepare('decode', moves);
      expect(() => resident.prepare('decode', moves)).toThrow('prepared already');
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      ahead.push(prefetch.bytes());
      expect(device.memory.live).toBeLessThanOrEqual(most);
      await resident.verify();
      expect(resident.arrival('decode', 'y')).toBeUndefined();
      await expect(resident.transition('prefill', toPipeline)).rejects.toThrow('decode is prepared');
      expect(await resident.transition('decode', moves)).toBe(32_768);
      await resident.verify();
      expect(device.memory.peak).toBeLessThanOrEqual(most);
      // What is taken of the spare memory is beside what the plan counts on.
      expect(device.memory.plannedPeak).toBe(most - spare);
      expect(device.memory.peak > most - spare).toBe(spare > 0);
    }
    const [ringful, more, all] = ahead;
    expect(ringful).toBeGreaterThan(0);
    expect(more).toBeGreaterThan(ringful!);
    expect(more).toBeLessThan(32_768);
    expect(all).toBe(32_768);
  });

  it('fails the arrivals that a failed move leaves open', async () => {
    const device = memoryDevice();
    const resident = residentWeights(device, [pipeline, tensor], transitions, source);
    await resident.load('prefill');
    const gone = (): Promise<void> => Promise.reject(new Error('gone'));
    const moved = resident.transition('decode', toTensor, { past: gone });
    const arrival = resident.arrival('decode', 'b');
    await expect(moved).rejects.toThrow('gone');
    await expect(arrival).rejects.toThrow('gone');
  });

  it('clears the padding of a copied weight in a buffer that held another', async () => {
    const device = memoryDevice();
    const big = { name: 'prefill', weights: [weight('a', 'a', [0, 8]), weight('b', 'b', [0, 8])] };
    // Three rows are padded to four.
    const odd = { name: 'decode', weights: [weight('a', 'a', [1, 4])] };
    const copy = {
      weight: 'a',
      at: 0,
      stride: 96,
      old: 'a',
      oldAt: 32,
      oldStride: 96,
      runBytes: 96,
      rows: 1,
    };
    const moves: DeviceMoves = { ...toTensor, copy: [copy], upload: [], evict: ['a', 'b'] };
    const resident = residentWeights(device, [big, odd], new Map([['prefill->decode', moves]]), source);
    await resident.load('prefill');
    await resident.transition('decode', moves);
    const item = odd.weights[0]!;
    const [bytes] = await device.read([resident.place('decode', 'a')]);
    expect(bytes).toEqual(packWeight(item, source));
  });

  it('lays residences that are never resident together over the same memory', () => {
    const device = memoryDevice();
    residentWeights(device, [pipeline, tensor], transitions, source);
    // Both have two weights, the last of 128 bytes at an aligned offset.
    expect(device.memory.live).toBe(256 + 128);
  });

  it('needs no more than a ring of slots beyond the arena where nothing is set aside', async () => {
    const device = memoryDevice();
    const resident = residentWeights(device, [pipeline, tensor], transitions, source);
    await resident.load('prefill');
    const { live } = device.memory;
    expect(live).toBe(256 + 128 + ringSizes(largestWeight([pipeline, tensor])).bytes);
    await resident.transition('decode', toTensor);
    expect(device.memory.peak).toBe(live);
  });

  it('needs no ring where nothing ever moves', async () => {
    const device = memoryDevice();
    await residentWeights(device, [pipeline], new Map(), source).load('prefill');
    expect(device.memory.live).toBe(256 + 128);
  });

  it('leaves a run of bytes where it is, and what lies beyond the other residence', async () => {
    const device = memoryDevice();
    const long = { name: 'prefill', weights: [weight('a', 'a', [0, 8]), weight('b', 'b', [0, 8])] };
    const short = { name: 'decode', weights: [weight('half', 'a', [0, 4])] };
    const copy = { at: 0, stride: 128, oldAt: 0, oldStride: 128, runBytes: 128, rows: 1 };
    const there: DeviceMoves = { ...toTensor, copy: [{ weight: 'half', old: 'a', ...copy }], upload: [] };
    const back: DeviceMoves = {
      ...toPipeline,
      copy: [{ weight: 'a', old: 'half', ...copy }],
      upload: [{ weight: 'b', pieces: [0] }],
    };
    const spans: MoveSpan[] = [];
    const pairs = new Map([
      ['prefill->decode', there],
      ['decode->prefill', back],
    ]);
    const resident = residentWeights(device, [long, short], pairs, source, (span) => spans.push(span));
    await resident.load('prefill');
    await device.idle();
    spans.length = 0;
    expect(await resident.transition('decode', there)).toBe(0);
    expect(await resident.transition('prefill', back)).toBe(0);
    await resident.verify();
    expect(spans).toEqual([]);
    const place = resident.place('prefill', 'a');
    expect(resident.place('decode', 'half')).toEqual({ ...place, bytes: 128 });
  });

  it('keeps the buffer of a weight that a transition keeps', () => {
    const device = memoryDevice();
    const kept = { name: 'decode', weights: [weight('x', 'a', [0, 8])] };
    const keep: DeviceMoves = {
      ...toTensor,
      copy: [],
      upload: [],
      evict: [],
      keep: [{ weight: 'x', old: 'a' }],
    };
    const resident = residentWeights(device, [pipeline, kept], new Map([['prefill->decode', keep]]), source);
    expect(resident.place('decode', 'x')).toEqual(resident.place('prefill', 'a'));
  });
});
