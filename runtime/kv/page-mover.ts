/**
 * Device pages of a rank <-> packed bytes, in chunks large enough for the rate of staging memory. The packed part of a
 * page is `[layers, heads, ...]`: its layer groups one after the other, whatever buffers they lie in. Moves that are asked
 * for at the same moment, as those of sequences that one step has prefilled, go together: each alone may be far smaller
 * than a chunk, and a chunk costs the same whatever is in it.
 *
 * Small pieces are gathered by a kernel into one range of a staging buffer, which is then copied at once, and spread by
 * another on the way back; pieces that are large enough are copied where they lie. All moves of a device take turns on
 * one staging buffer without waiting for each other: the device's queue orders them, and a chunk is packed and read, or
 * written and unpacked, by commands that nothing comes between.
 */
import {
  arePacked,
  chunkPages,
  PACKING_UNIT_BYTES as UNIT_BYTES,
  PAGE_LIST_BYTES,
  type MoveBytes,
} from '../../compiler/ir/page-packing.js';
import type {
  CommandList,
  Device,
  DeviceBuffer,
  DeviceKernel,
  DeviceLimits,
  KernelSource,
} from '../device/device.js';
import { createPace } from '../exec/pace.js';
import type { Pace } from '../exec/pace.js';
import { ceilDiv, defineKernel, read, readWrite, subgroupSize } from '../kernels/wgsl.js';
import { createGate } from './gate.js';
import type { Gate } from './gate.js';
import { READS, readsBesideSteps } from './move-sizes.js';
import type { PageGroup } from './page-group.js';

export interface PageMover {
  /** Reads pages, chunk by chunk: `visit` gets packed parts, in any order. */
  out(pages: readonly number[], visit: PackedParts): Promise<void>;
  /**
   * Writes pages, chunk by chunk: `fill` is to fill in packed parts. Resolves when all is enqueued: commands submitted
   * from then on find it.
   */
  in(pages: readonly number[], fill: PackedParts): Promise<void>;
}

/** The packed parts of a move's `pages[first]` and following, in memory that must not be kept. */
export type PackedParts = (first: number, packed: Uint8Array) => void;

/** What the moves of one device share. */
export interface MoveStaging {
  readonly device: Device;
  /** Absent where all pieces are copied where they lie. */
  readonly packing?: Packing;
  readonly reads: Gate;
  readonly pace: Pace;
  /** Tells that from now on steps are given to the device as well, or no more. */
  besideSteps(steps: boolean): void;
  /** Host memory for a chunk, the same every time. */
  scratch(bytes: number): Uint8Array;
  /** Frees what it has on the device; to be called when nothing moves. */
  free(): void;
}

interface Packing {
  readonly pack: DeviceKernel;
  readonly unpack: DeviceKernel;
  /** Packed parts of a chunk. */
  readonly packed: DeviceBuffer;
  /** Page numbers of a chunk. */
  readonly list: DeviceBuffer;
}

/** Bytes that a workgroup moves. */
const GROUP_BYTES = 16 * 1024;
const GROUP_UNITS = GROUP_BYTES / UNIT_BYTES;

/**
 * Kernels over `pages` x runs of `GROUP_UNITS` units: unit `u` of page `list[i]` of a group is unit `base + u` of the i-th
 * packed part.
 */
function pageKernel(direction: 'pack' | 'unpack', limits: DeviceLimits): KernelSource {
  const threads = subgroupSize(limits) || 64;
  const out = direction === 'pack';
  return defineKernel({
    name: `${direction}_pages`,
    bindings: [
      read('list', 'u32'),
      (out ? read : readWrite)('held', 'vec4u'),
      (out ? readWrite : read)('packed', 'vec4u'),
    ],
    immediates: ['pages', 'units', 'base', 'stride'],
    constants: [],
    workgroup: [threads, 1, 1],
    grid: () => [1, 1, 1],
    body: `
  if (wg.y >= im.pages) { return; }
  let at = wg.y * im.stride + im.base;
  let first = list[wg.y] * im.units;
  let end = min((wg.x + 1u) * ${GROUP_UNITS}u, im.units);
  for (var unit = wg.x * ${GROUP_UNITS}u + local.x; unit < end; unit += ${threads}u) {
    ${out ? 'packed[at + unit] = held[first + unit];' : 'held[first + unit] = packed[at + unit];'}
  }`,
  });
}

/**
 * Staging for a device.
 *
 * @param bytes that moves want of it; with none packed there is no memory for that
 */
export async function openMoveStaging(device: Device, bytes: MoveBytes): Promise<MoveStaging> {
  let memory = new Uint8Array(0);
  const scratch = (size: number): Uint8Array => {
    if (memory.byteLength < size) memory = new Uint8Array(size);
    return memory.subarray(0, size);
  };
  const reads = createGate(READS);
  const beside = readsBesideSteps(bytes.chunk);
  const besideSteps = (steps: boolean): void => reads.widen(steps ? beside : READS);
  const staging = { device, reads, pace: createPace(device), scratch, besideSteps };
  if (bytes.packed === 0) return { ...staging, free: () => undefined };
  const [pack, unpack] = await Promise.all(
    (['pack', 'unpack'] as const).map((one) => device.createKernel(pageKernel(one, device.limits))),
  );
  const packed = device.createBuffer('packed KV pages', bytes.packed);
  const list = device.createBuffer('KV pages to move', PAGE_LIST_BYTES);
  return {
    ...staging,
    packing: { pack: pack!, unpack: unpack!, packed, list },
    free() {
      device.free(packed);
      device.free(list);
    },
  };
}

export function createPageMover(staging: MoveStaging, groups: readonly PageGroup[]): PageMover {
  const { device, packing, reads, pace } = staging;
  const sizes = groups.map(({ pageBytes }) => pageBytes);
  const partBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const packer =
    packing !== undefined && arePacked(sizes) ? createPacker(device, packing, groups) : undefined;
  const perChunk = chunkPages(partBytes, packer?.capacity);

  const readOut = async (chunks: readonly Chunk[]): Promise<void> => {
    await Promise.all(
      chunks.map(({ pages, visit, done }) =>
        reads.run(async () => {
          if (packer !== undefined) await packer.read(pages, visit);
          else {
            const ranges = pages.flatMap((page) =>
              groups.map(({ buffer, pageBytes }) => ({ buffer, offset: page * pageBytes, bytes: pageBytes })),
            );
            await device.readThrough(() => undefined, ranges, visit);
          }
          done();
        }),
      ),
    );
  };
  const writeIn = async (chunks: readonly Chunk[]): Promise<void> => {
    for (const { pages, visit, done } of chunks) {
      const packed = staging.scratch(pages.length * partBytes);
      visit(packed);
      if (packer !== undefined) packer.write(pages, packed);
      else writeDirect(device, groups, pages, packed);
      await pace(packed.byteLength);
      done();
    }
  };
  const size = { perChunk, partBytes };
  return { out: together(size, readOut), in: together(size, writeIn) };
}

/** Pages asked for by one call, those of them that have not moved, and how the call ends. */
interface Move {
  readonly pages: readonly number[];
  readonly parts: PackedParts;
  left: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Chunk {
  readonly pages: readonly number[];
  /** Passes the packed parts of its pages on to the moves that they belong to. */
  readonly visit: (packed: Uint8Array) => void;
  /** To be called when its pages have moved. */
  readonly done: () => void;
}

interface ChunkSize {
  readonly perChunk: number;
  readonly partBytes: number;
}

/** Collects moves until all that is asked for at the moment has been, and works them off in common chunks. */
function together(
  size: ChunkSize,
  work: (chunks: readonly Chunk[]) => Promise<void>,
): (pages: readonly number[], parts: PackedParts) => Promise<void> {
  let moves: Move[] = [];
  const start = (): void => {
    const all = moves;
    moves = [];
    work(cutChunks(all, size)).catch((error: unknown) => {
      for (const move of all) move.reject(error);
    });
  };
  return async (pages, parts) => {
    if (pages.length === 0) return;
    await new Promise<void>((resolve, reject) => {
      if (moves.length === 0) queueMicrotask(start);
      moves.push({ pages, parts, left: pages.length, resolve, reject });
    });
  };
}

function cutChunks(moves: readonly Move[], { perChunk, partBytes }: ChunkSize): readonly Chunk[] {
  const entries = moves.flatMap((move) => move.pages.map((page, i) => ({ move, page, i })));
  return Array.from({ length: Math.ceil(entries.length / perChunk) }, (_, chunk): Chunk => {
    const mine = entries.slice(chunk * perChunk, (chunk + 1) * perChunk);
    const parts: { readonly move: Move; readonly at: number; count: number }[] = [];
    for (const [at, { move }] of mine.entries()) {
      const last = parts.at(-1);
      if (last?.move === move) last.count++;
      else parts.push({ move, at, count: 1 });
    }
    return {
      pages: mine.map(({ page }) => page),
      visit(packed) {
        for (const { move, at, count } of parts)
          move.parts(mine[at]!.i, packed.subarray(at * partBytes, (at + count) * partBytes));
      },
      done() {
        for (const { move, count } of parts) {
          move.left -= count;
          if (move.left === 0) move.resolve();
        }
      },
    };
  });
}

/** Writes packed parts where they belong, as many neighbouring pages at once as there are. */
function writeDirect(
  device: Device,
  groups: readonly PageGroup[],
  pages: readonly number[],
  packed: Uint8Array,
): void {
  let at = 0;
  for (let i = 0; i < pages.length;) {
    let next = i + 1;
    // Groups of one page lie between those of the next, so only a single group can be written in runs.
    while (groups.length === 1 && pages[next] === pages[next - 1]! + 1) next++;
    for (const { buffer, pageBytes } of groups) {
      const bytes = (next - i) * pageBytes;
      device.write(buffer, pages[i]! * pageBytes, packed.subarray(at, at + bytes));
      at += bytes;
    }
    i = next;
  }
}

interface Packer {
  /** Pages that it takes at once. */
  readonly capacity: number;
  read(pages: readonly number[], visit: (packed: Uint8Array) => void): Promise<void>;
  write(pages: readonly number[], packed: Uint8Array): void;
}

function createPacker(device: Device, packing: Packing, groups: readonly PageGroup[]): Packer {
  const stride = groups.reduce((sum, { pageBytes }) => sum + pageBytes, 0) / UNIT_BYTES;
  const list = { buffer: packing.list };
  const packed = { buffer: packing.packed };
  let base = 0;
  const bound = groups.map(({ buffer, pageBytes }) => {
    const units = pageBytes / UNIT_BYTES;
    const at = base;
    base += units;
    return {
      units,
      base: at,
      pack: device.bind(packing.pack, [list, { buffer }, packed]),
      unpack: device.bind(packing.unpack, [list, { buffer }, packed]),
    };
  });
  const record = (commands: CommandList, kernel: 'pack' | 'unpack', pages: number): void => {
    for (const group of bound) {
      const immediates = Uint32Array.of(pages, group.units, group.base, stride);
      commands.dispatch(group[kernel], immediates, [ceilDiv(group.units, GROUP_UNITS), pages, 1]);
    }
  };
  const listPages = (pages: readonly number[]): void =>
    device.write(packing.list, 0, new Uint8Array(Uint32Array.from(pages).buffer));
  return {
    capacity: Math.floor(packing.packed.bytes / (stride * UNIT_BYTES)),
    read(pages, visit) {
      listPages(pages);
      return device.readThrough(
        (commands) => record(commands, 'pack', pages.length),
        [{ buffer: packing.packed, offset: 0, bytes: pages.length * stride * UNIT_BYTES }],
        visit,
      );
    },
    write(pages, bytes) {
      listPages(pages);
      device.write(packing.packed, 0, bytes);
      device.record((commands) => record(commands, 'unpack', pages.length));
    },
  };
}
