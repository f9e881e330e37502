/**
 * KV pages with random content go out of a sharding and come into another byte for byte, by kernels and by copies, from
 * scattered pages and from runs, over uneven layer groups, head slices and replicas.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KvPool } from '../../compiler/ir/runtime-graph.js';
import type { Interval } from '../../compiler/ir/transitions.js';
import { openDevices } from '../../runtime/device/dawn.js';
import type { Device } from '../../runtime/device/device.js';
import { createHostPages } from '../../runtime/kv/host-pages.js';
import type { HostPages } from '../../runtime/kv/host-pages.js';
import { createPagePool, openPoolStaging } from '../../runtime/kv/pool.js';
import type { PagePool } from '../../runtime/kv/pool.js';
import { createPageVerifier } from '../../runtime/kv/verify-pages.js';
import { seededRandom } from '../fixtures/random.js';

const LAYERS = 5;
const HEADS = 4;
const PAGES = 16;

interface RankSpec {
  readonly groups: readonly Interval[];
  readonly heads: Interval;
}

/** A pool whose rank `i` is on device `i`. */
function layOut(id: string, headBytes: number, ranks: readonly RankSpec[]): KvPool {
  return {
    id,
    stages: [],
    pages: PAGES,
    ranks: ranks.map(({ groups, heads }, device) => {
      const layers: Interval = [groups[0]![0], groups.at(-1)![1]];
      const pageBytes = (layers[1] - layers[0]) * (heads[1] - heads[0]) * headBytes;
      return { device, dp: 0, layers, heads, groups, pageBytes };
    }),
  };
}

const SHARDINGS: Readonly<Record<string, readonly RankSpec[]>> = {
  'one rank, uneven groups': [
    {
      groups: [
        [0, 1],
        [1, 4],
        [4, 5],
      ],
      heads: [0, 4],
    },
  ],
  'layers split, uneven': [
    { groups: [[0, 2]], heads: [0, 4] },
    {
      groups: [
        [2, 3],
        [3, 5],
      ],
      heads: [0, 4],
    },
  ],
  'heads split': [
    { groups: [[0, 5]], heads: [0, 1] },
    {
      groups: [
        [0, 3],
        [3, 5],
      ],
      heads: [1, 4],
    },
  ],
  'replicated heads': [
    { groups: [[0, 5]], heads: [0, 4] },
    { groups: [[0, 5]], heads: [0, 4] },
  ],
};

/** Bytes of a head: all pieces packed, all copied where they lie, and such that no kernel moves whole units. */
const SIZES: readonly (readonly [string, number])[] = [
  ['packed', 256],
  ['large enough to be copied', 33 * 1024],
  ['odd', 24],
];

/** Far quicker than comparing arrays element by element. */
function expectBytes(found: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(found, expected)).toBe(0);
}

describe('pages', () => {
  let devices: Device[];
  beforeAll(async () => {
    devices = await openDevices(2);
  });
  afterAll(() => {
    for (const device of devices) device.destroy();
  });

  async function fill(
    pool: PagePool,
    layout: KvPool,
    page: number,
    whole: HostPages,
    from: number,
    headBytes: number,
  ) {
    for (const rank of layout.ranks) {
      for (const [group, layers] of rank.groups.entries()) {
        const bytes = (layers[1] - layers[0]) * (rank.heads[1] - rank.heads[0]) * headBytes;
        const part = new Uint8Array(bytes);
        whole.get(from, layers, rank.heads, part);
        devices[rank.device]!.write(pool.buffer(rank.device, group), page * bytes, part);
      }
    }
  }

  async function held(
    pool: PagePool,
    layout: KvPool,
    page: number,
    headBytes: number,
  ): Promise<Uint8Array[]> {
    const parts: Uint8Array[] = [];
    for (const rank of layout.ranks) {
      for (const [group, layers] of rank.groups.entries()) {
        const bytes = (layers[1] - layers[0]) * (rank.heads[1] - rank.heads[0]) * headBytes;
        const range = { buffer: pool.buffer(rank.device, group), offset: page * bytes, bytes };
        parts.push((await devices[rank.device]!.read([range]))[0]!);
      }
    }
    return parts;
  }

  const names = Object.keys(SHARDINGS);
  const cases = SIZES.flatMap(([size, headBytes]) =>
    names.map((name, i) => [size, headBytes, name, names[(i + 1) % names.length]!] as const),
  );

  it.each(cases)('%s (%i bytes a head): %s -> %s', async (_, headBytes, fromName, toName) => {
    const random = seededRandom(headBytes + fromName.length);
    const shape = { layers: LAYERS, heads: HEADS, headBytes };
    const from = layOut('from', headBytes, SHARDINGS[fromName]!);
    const to = layOut('to', headBytes, SHARDINGS[toName]!);
    const byId = new Map(devices.map((device, id) => [id, device]));
    const staging = await openPoolStaging([from, to], byId, true);
    const host = createHostPages(PAGES, shape);
    const verifier = createPageVerifier(headBytes);
    const source = createPagePool(from, headBytes, staging, host, verifier);
    const target = createPagePool(to, headBytes, staging, host, verifier);

    /** What every page should be, in neutral order. */
    const content = createHostPages(PAGES, shape);
    for (let page = 0; page < PAGES; page++) {
      content.bytes(page).set(Uint8Array.from({ length: content.pageBytes }, () => random.below(256)));
    }
    const shuffled = (): number[] =>
      Array.from({ length: PAGES }, (__, page) => ({ page, key: random.uniform() }))
        .sort((a, b) => a.key - b.key)
        .map(({ page }) => page);
    const run = [7, 8, 9, 10, 11];
    const scattered = shuffled()
      .filter((page) => !run.includes(page))
      .slice(0, 6);
    for (const page of [...run, ...scattered]) await fill(source, from, page, content, page, headBytes);

    const hostPages = shuffled();
    const hostOf = (i: number): number => hostPages[i]!;
    const sequences = [run, scattered];
    const hosts = [run.map((__, i) => hostOf(i)), scattered.map((__, i) => hostOf(run.length + i))];
    // Both at once, as the engine moves them.
    await Promise.all(sequences.map((pages, i) => source.pageOut(0, pages, hosts[i]!)));
    sequences.forEach((pages, i) =>
      pages.forEach((page, at) => expectBytes(host.bytes(hosts[i]![at]!), content.bytes(page))),
    );

    const arrivals = [scattered.map((__, i) => i + 3), shuffled().filter((page) => page < 3 || page > 8)].map(
      (pages, i) => pages.slice(0, sequences[1 - i]!.length),
    );
    await Promise.all([target.pageIn(0, arrivals[0]!, hosts[1]!), target.pageIn(0, arrivals[1]!, hosts[0]!)]);
    for (const [i, pages] of arrivals.entries()) {
      for (const [at, page] of pages.entries()) {
        const expected = createHostPages(1, shape);
        expected.bytes(0).set(content.bytes(sequences[1 - i]![at]!));
        const parts = await held(target, to, page, headBytes);
        let part = 0;
        for (const rank of to.ranks) {
          for (const layers of rank.groups) {
            const bytes = new Uint8Array(parts[part]!.length);
            expected.get(0, layers, rank.heads, bytes);
            expectBytes(parts[part++]!, bytes);
          }
        }
      }
    }
    source.free();
    target.free();
    for (const each of staging.values()) each.free();
  });
});
