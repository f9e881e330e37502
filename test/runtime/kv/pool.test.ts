import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KvPool } from '../../../compiler/ir/runtime-graph.js';
import { createHostPages } from '../../../runtime/kv/host-pages.js';
import { createPagePool, openPoolStaging } from '../../../runtime/kv/pool.js';
import type { Device, DeviceKernel } from '../../../runtime/device/device.js';
import { packingByDevice } from '../../../compiler/passes/page-packing.js';
import { makePlan } from '../../compiler/support/make-plan.js';
import { memoryDevice } from '../support/memory-device.js';

const LAYERS = 6;
const HEADS = 4;
const HEAD_BYTES = 16;

/** A pool laid over pp x tp memory devices, every rank's layers cut into groups of `groupLayers`. */
function layOut(
  id: string,
  pp: number,
  tp: number,
  groupLayers: number,
  firstDevice: number,
  headBytes = HEAD_BYTES,
): KvPool {
  const ranks = Array.from({ length: pp * tp }, (_, rank) => {
    const stage = Math.floor(rank / tp);
    const layers: [number, number] = [
      Math.floor((stage * LAYERS) / pp),
      Math.floor(((stage + 1) * LAYERS) / pp),
    ];
    const heads: [number, number] = [(rank % tp) * (HEADS / tp), ((rank % tp) + 1) * (HEADS / tp)];
    const groups: [number, number][] = [];
    for (let first = layers[0]; first < layers[1]; first += groupLayers) {
      groups.push([first, Math.min(first + groupLayers, layers[1])]);
    }
    const pageBytes = (layers[1] - layers[0]) * (heads[1] - heads[0]) * headBytes;
    return { device: firstDevice + rank, dp: 0, layers, heads, groups, pageBytes };
  });
  return { id, stages: [], pages: 8, ranks };
}

/** Every word is (host page, layer, head, word): what the element is, whoever holds it. */
function element(page: number, layer: number, head: number, word: number): number {
  return ((page * LAYERS + layer) * HEADS + head) * (HEAD_BYTES / 4) + word + 1;
}

describe('page pool', () => {
  it.each([
    [1, 64],
    [4, 64],
    [5, 32],
    [64, 4],
    [200, 3],
  ])('reads pages of %i MiB beside steps in no more than 256 MiB, or three at once', async (size, most) => {
    const headBytes = (size * 2 ** 20) / LAYERS / HEADS;
    const pool = layOut('a', 1, 1, LAYERS, 0, headBytes);
    const devices = new Map([[0, memoryDevice()]]);
    const { reads, besideSteps } = (await openPoolStaging([pool], devices, true)).get(0)!;
    let begun = 0;
    const begin = (): Promise<void> => {
      begun++;
      return new Promise(() => undefined);
    };
    for (let i = 0; i < 100; i++) void reads.run(begin);
    expect(begun).toBe(3);
    besideSteps(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(begun).toBe(most);
  });

  it.each([
    [64, true],
    // Of pages that large each is copied where it lies.
    [8192, true],
    [64, false],
  ])('takes what is counted for packing heads of %i bytes, where they move: %s', async (headBytes, moves) => {
    const pools = [layOut('a', 1, 1, LAYERS, 0, headBytes), layOut('b', 1, 2, 3, 0, headBytes)];
    const createKernel = (): Promise<DeviceKernel> => Promise.resolve({ key: 'pages' });
    const devices = new Map([0, 1].map((id) => [id, { ...memoryDevice(), createKernel }]));
    const staging = await openPoolStaging(pools, devices, moves);
    const plan = makePlan({ stages: [], kv: { hostCapacity: moves ? 2 ** 30 : null } });
    const counted = packingByDevice(plan, pools);
    expect([...devices].map(([id, { memory }]) => [id, memory.live])).toEqual(
      [...devices.keys()].map((id) => [id, counted.get(id) ?? 0]),
    );
    expect(counted.get(0)).toBe(moves && headBytes === 64 ? 8 * LAYERS * HEADS * 64 + 4096 : undefined);
    for (const each of staging.values()) each.free();
    expect([...devices.values()].map(({ memory }) => memory.live)).toEqual([0, 0]);
  });

  it('moves pages from one sharding to any other through the host tier without misplacing an element', async () => {
    const sharding = fc.record({
      pp: fc.constantFrom(1, 2, 3),
      tp: fc.constantFrom(1, 2, 4),
      group: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(sharding, sharding, async (a, b) => {
        const from = layOut('a', a.pp, a.tp, a.group, 0);
        const to = layOut('b', b.pp, b.tp, b.group, 100);
        const devices = new Map(
          [...from.ranks, ...to.ranks].map((rank) => [rank.device, memoryDevice(`gpu ${rank.device}`)]),
        );
        const host = createHostPages(8, { layers: LAYERS, heads: HEADS, headBytes: HEAD_BYTES });
        const staging = await openPoolStaging([from, to], devices, false);
        const source = createPagePool(from, HEAD_BYTES, staging, host);
        const target = createPagePool(to, HEAD_BYTES, staging, host);
        const pages = [3, 4, 1];
        const fill = (
          rank: KvPool['ranks'][number],
          layers: readonly [number, number],
          page: number,
        ): Uint8Array => {
          const words: number[] = [];
          for (let layer = layers[0]; layer < layers[1]; layer++) {
            for (let head = rank.heads[0]; head < rank.heads[1]; head++) {
              for (let word = 0; word < HEAD_BYTES / 4; word++) words.push(element(page, layer, head, word));
            }
          }
          return new Uint8Array(Uint32Array.from(words).buffer);
        };
        for (const rank of from.ranks) {
          rank.groups.forEach((layers, group) =>
            pages.forEach((page) => {
              const bytes = fill(rank, layers, page);
              const buffer = source.buffer(rank.device, group);
              devices.get(rank.device)!.write(buffer, page * bytes.length, bytes);
            }),
          );
        }
        const whole = pages.length * LAYERS * HEADS * HEAD_BYTES;
        expect(await source.pageOut(0, pages, [6, 0, 2])).toBe(whole);
        expect(await target.pageIn(0, [5, 6, 0], [6, 0, 2])).toBe(whole);
        for (const rank of to.ranks) {
          for (const [group, layers] of rank.groups.entries()) {
            for (const [i, page] of [5, 6, 0].entries()) {
              const expected = fill(rank, layers, pages[i]!);
              const range = {
                buffer: target.buffer(rank.device, group),
                offset: page * expected.length,
                bytes: expected.length,
              };
              expect((await devices.get(rank.device)!.read([range]))[0]).toEqual(expected);
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('reads a replicated head once and writes it to every replica', async () => {
    const single = layOut('a', 1, 1, 6, 0).ranks[0]!;
    const pool: KvPool = { id: 'r', stages: [], pages: 2, ranks: [single, { ...single, device: 1 }] };
    const devices = new Map([0, 1].map((id) => [id, memoryDevice()]));
    const host = createHostPages(2, { layers: LAYERS, heads: HEADS, headBytes: HEAD_BYTES });
    const staging = await openPoolStaging([pool], devices, false);
    const pages = createPagePool(pool, HEAD_BYTES, staging, host);
    const bytes = LAYERS * HEADS * HEAD_BYTES;
    expect(await pages.pageOut(0, [0], [0])).toBe(bytes);
    expect(await pages.pageIn(0, [1], [0])).toBe(2 * bytes);
  });

  it('moves what is asked for at once in common chunks, and ends each move with its last page', async () => {
    const layout = { ...layOut('a', 1, 1, 6, 0), pages: 6 };
    const device = memoryDevice();
    let reads = 0;
    const counting: Device = {
      ...device,
      readThrough: (build, ranges, visit) => (reads++, device.readThrough(build, ranges, visit)),
    };
    const host = createHostPages(6, { layers: LAYERS, heads: HEADS, headBytes: HEAD_BYTES });
    const devices = new Map([[layout.ranks[0]!.device, counting]]);
    const pool = createPagePool(layout, HEAD_BYTES, await openPoolStaging([layout], devices, false), host);
    const { buffer, bytes } = { buffer: pool.buffer(0, 0), bytes: LAYERS * HEADS * HEAD_BYTES };
    const content = (page: number): Uint8Array => new Uint8Array(bytes).fill(page + 1);
    for (let page = 0; page < 6; page++) device.write(buffer, page * bytes, content(page));
    expect(await Promise.all([pool.pageOut(0, [3, 0], [0, 1]), pool.pageOut(0, [5], [2])])).toEqual([
      2 * bytes,
      bytes,
    ]);
    expect(reads).toBe(1);
    await Promise.all([pool.pageIn(0, [1], [2]), pool.pageIn(0, [], []), pool.pageIn(0, [2, 4], [0, 1])]);
    for (const [page, was] of [
      [1, 5],
      [2, 3],
      [4, 0],
    ] as const) {
      const [found] = await device.read([{ buffer, offset: page * bytes, bytes }]);
      expect(found).toEqual(content(was));
    }
  });
});
