/**
 * What moving KV pages costs, device to host tier and back, beside plain reads and writes of as many bytes on the same
 * devices in the same run. Sequences of a typical length move one after the other without waiting, as the engine moves
 * them; pages are taken in runs, and scattered. Software devices share the machine with everything else, so trust the
 * ratios.
 *
 *   npm run bench:kv-moves
 */
import type { KvPool } from '../compiler/ir/runtime-graph.js';
import type { Interval } from '../compiler/ir/transitions.js';
import { openDevices } from '../runtime/device/dawn.js';
import type { Device } from '../runtime/device/device.js';
import { createHostPages } from '../runtime/kv/host-pages.js';
import { createPagePool, openPoolStaging } from '../runtime/kv/pool.js';
import { gigabytes, percentOf } from './support/figures.js';
import { LLAMA_110M } from './support/shapes.js';

interface Shape {
  readonly name: string;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Pages of a sequence, and how many sequences move. */
  readonly sequencePages: number;
  readonly sequences: number;
}

const PAGE_TOKENS = 16;
const REPEATS = 5;

const SHAPES: readonly Shape[] = [
  { name: 'clerk', layers: 8, kvHeads: 4, headDim: 16, sequencePages: 12, sequences: 32 },
  { name: '110M', ...LLAMA_110M, sequencePages: 32, sequences: 4 },
];

const MESHES: readonly { readonly pp: number; readonly tp: number }[] = [
  { pp: 1, tp: 1 },
  { pp: 4, tp: 1 },
  { pp: 1, tp: 4 },
];

function layOut(
  { layers, kvHeads }: Shape,
  headBytes: number,
  pages: number,
  pp: number,
  tp: number,
): KvPool {
  const ranks = Array.from({ length: pp * tp }, (_, device) => {
    const stage = Math.floor(device / tp);
    const held: Interval = [(stage * layers) / pp, ((stage + 1) * layers) / pp];
    const heads: Interval = [((device % tp) * kvHeads) / tp, (((device % tp) + 1) * kvHeads) / tp];
    const pageBytes = (layers / pp) * (kvHeads / tp) * headBytes;
    return { device, dp: 0, layers: held, heads, groups: [held], pageBytes };
  });
  return { id: 'bench', stages: [], pages, ranks };
}

/** Bytes per second of the best of a few runs, after one that warms staging memory. */
async function best(bytes: number, run: () => Promise<unknown>): Promise<number> {
  await run();
  let seconds = Infinity;
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const began = performance.now();
    await run();
    seconds = Math.min(seconds, (performance.now() - began) / 1000);
  }
  return bytes / seconds;
}

async function measure(shape: Shape, pp: number, tp: number, scattered: boolean): Promise<string> {
  const devices = await openDevices(pp * tp);
  try {
    const byId = new Map<number, Device>(devices.map((device, id) => [id, device]));
    const headBytes = PAGE_TOKENS * 2 * shape.headDim * 4;
    const pages = shape.sequencePages * shape.sequences;
    const host = createHostPages(pages, { layers: shape.layers, heads: shape.kvHeads, headBytes });
    const layout = layOut(shape, headBytes, pages, pp, tp);
    const staging = await openPoolStaging([layout], byId, true);
    const pool = createPagePool(layout, headBytes, staging, host);
    // A stride that visits every page once.
    const order = Array.from({ length: pages }, (_, i) => (scattered ? (i * 101) % pages : i));
    const sequences = Array.from({ length: shape.sequences }, (_, i) =>
      order.slice(i * shape.sequencePages, (i + 1) * shape.sequencePages),
    );
    const idle = (): Promise<unknown> => Promise.all(devices.map((device) => device.idle()));
    const bytes = pages * host.pageBytes;
    const out = await best(bytes, () =>
      Promise.all(sequences.map((sequence) => pool.pageOut(0, sequence, sequence))),
    );
    const into = await best(bytes, async () => {
      await Promise.all(sequences.map((sequence) => pool.pageIn(0, sequence, sequence)));
      await idle();
    });
    const { read, write } = await plain(devices, bytes);
    pool.free();
    return (
      `${shape.name} pp${pp} tp${tp} ${scattered ? 'scattered' : 'in runs'}: ${(bytes / 1e6).toFixed(1)} MB, ` +
      `page_out ${gigabytes(out)} GB/s, plain read ${gigabytes(read)} (${percentOf(out, read)}), ` +
      `page_in ${gigabytes(into)} GB/s, plain write ${gigabytes(write)} (${percentOf(into, write)})`
    );
  } finally {
    for (const device of devices) device.destroy();
  }
}

/** One large buffer per device, read through staging memory into host memory and written whole. */
async function plain(
  devices: readonly Device[],
  bytes: number,
): Promise<{ readonly read: number; readonly write: number }> {
  const each = bytes / devices.length;
  const data = new Uint8Array(each).fill(1);
  const memory = new Uint8Array(bytes).fill(1);
  const buffers = devices.map((device) => device.createBuffer('plain', each));
  const read = await best(bytes, () =>
    Promise.all(
      devices.map((device, i) =>
        device.readThrough(
          () => undefined,
          [{ buffer: buffers[i]!, offset: 0, bytes: each }],
          (found) => memory.set(found, i * each),
        ),
      ),
    ),
  );
  const write = await best(bytes, async () => {
    devices.forEach((device, i) => device.write(buffers[i]!, 0, data));
    await Promise.all(devices.map((device) => device.idle()));
  });
  devices.forEach((device, i) => device.free(buffers[i]!));
  return { read, write };
}

for (const shape of SHAPES) {
  for (const { pp, tp } of MESHES) {
    for (const scattered of [false, true]) console.log(await measure(shape, pp, tp, scattered));
  }
}
