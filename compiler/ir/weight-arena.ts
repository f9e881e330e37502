/**
 * Where the weights of every residence lie in a device's memory, planned once.
 *
 * Residences are never on the device at the same time, so all of them are laid over one arena as large as the
 * largest. A weight that a transition keeps has the same place on both sides. One of which it keeps a run of bytes is
 * laid around that run, so that those stay where they are as well; to leave the rest in one piece, kept weights come
 * first:
 *
 *     prefill  | norms | embedding ............ | layer 0 . layer 1 .................. |
 *     decode   | norms | 1/4 . layers 4 to 7 .. | 1/4 of 0 . layer 2 . 1/4 of 1 ...... |
 *
 * The end of the longer residence lies under no other: it is brought in once and never moved again. Several layouts are
 * tried, and of those that need least memory the one is taken with which all transitions move least: unless moves set so
 * much aside on their way that another layout needs less with that.
 */
import { once } from '../once.js';
import {
  ALIGNMENT,
  layOut,
  tenantsOf,
  type Layout,
  type LayoutOptions,
  type Tenant,
} from './arena-layout.js';
import {
  lastingRanges,
  movesLeft,
  rangesInPlace,
  sortTransitions,
  type RangesByWeight,
  type SortedTransitions,
  type WeightMoves,
} from './in-place.js';
import type { DeviceMoves, RuntimeWeight } from './runtime-graph.js';
import { roundUp } from './device-layout.js';
import { writtenBytes } from './written-bytes.js';

/** A residence: weights that are on the device at the same time, under one name. */
export interface Residence {
  readonly name: string;
  readonly weights: readonly RuntimeWeight[];
}

/** Transitions by `from->to` of residence names. */
export type TransitionsByResidence = ReadonlyMap<string, DeviceMoves>;

/** `bytes` from `offset` of a buffer of the arena, which is given by its number. */
export interface Spot {
  readonly buffer: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Bytes of a buffer, whatever stands for that. */
export interface BufferRange {
  readonly buffer: unknown;
  readonly offset: number;
  readonly bytes: number;
}

/** Spots by residence and weight. */
export type Spots = ReadonlyMap<string, ReadonlyMap<string, Spot>>;

export interface WeightArena {
  readonly bufferBytes: readonly number[];
  readonly spots: Spots;
}

/**
 * Sizes of arena buffers that are tried. No weight lies in two buffers, so what is left at the end of one depends on
 * its size and on those of the weights; devices that have room for large models allow buffers of 2 GiB as a rule.
 */
const CHUNK_BYTES = [4, 5, 6, 7, 8].map((quarters) => quarters * 2 ** 28);

/** What is there whatever the residence where weights lie so: see `lastingRanges`. */
type LastingOf = (spots: Spots) => ReadonlyMap<string, RangesByWeight>;

export interface ArenaOptions {
  /** Of a buffer at most. Default without end. */
  readonly maxBufferBytes?: number | undefined;
  /** The transitions, sorted. */
  readonly sorted?: SortedTransitions;
  /** Of these residences and transitions. */
  readonly lastingOf?: LastingOf;
  /**
   * Bytes that moves set aside where weights lie so, or an upper bound of those that is no more than what is little.
   * Default none.
   */
  readonly setAside?: (arena: WeightArena, little: number) => number;
}

/** What moves may set aside, as a part of the arena, before other layouts are tried for that. */
const MUCH_ASIDE = 1 / 16;

/** Lays out the weights of a device. */
export function layOutArena(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  options: ArenaOptions = {},
): WeightArena {
  const { maxBufferBytes = Infinity, sorted = sortTransitions(transitions), setAside = () => 0 } = options;
  const { lastingOf = (spots: Spots) => lastingRanges(spots, residences, sorted) } = options;
  const tenants = tenantsOf(residences, transitions);
  const largest = tenants.reduce((most, { bytes }) => bytes.reduce((a, b) => Math.max(a, b), most), 0);
  const all = tenants.reduce((most, { bytes }) => Math.max(most, sumOf(bytes)), 0);
  // Addresses are aligned in the one space, so they are within a chunk only if chunks begin at aligned addresses.
  const usual = CHUNK_BYTES.map((bytes) => roundDown(Math.min(bytes, maxBufferBytes), ALIGNMENT));
  const chunks = [...new Set(usual.map((bytes) => Math.max(roundUp(largest, ALIGNMENT), bytes)))];
  const layOutWith = (how: LayoutOptions): Candidate => {
    const layout = layOut(tenants, how);
    return { how, layout, bufferBytes: chunkEnds(tenants, layout, how.chunk) };
  };
  const fits = chunks.find((chunk) => all <= chunk);
  const sizes = fits === undefined ? chunks : [fits];
  const firsts = sizes.map((chunk) => layOutWith({ chunk, inPlace: true, largestFirst: true }));
  const first = cheapest(firsts, ({ bufferBytes }) => sumOf(bufferBytes));
  const { chunk } = first.how;
  // Where nothing can lie around what is copied, it makes no difference whether it may.
  const isInPlace = tenants.some(({ stays }) => stays.some(({ runs }) => runs.length > 0));
  const candidates = [
    first,
    layOutWith({ chunk, inPlace: true, largestFirst: false }),
    ...(isInPlace
      ? [
          layOutWith({ chunk, inPlace: false, largestFirst: true }),
          layOutWith({ chunk, inPlace: false, largestFirst: false }),
        ]
      : []),
  ];
  const least = Math.min(...candidates.map(({ bufferBytes }) => sumOf(bufferBytes)));
  const small = candidates.filter((each) => sumOf(each.bufferBytes) === least);
  const written = small.length === 1 ? () => 0 : writtenInCycle(residences, sorted, lastingOf);
  const arenaOf = once(({ layout, bufferBytes }: Candidate): WeightArena => {
    return { bufferBytes, spots: spotsOf(residences, layout, chunk) };
  });
  const usually = arenaOf(cheapest(small, (each) => written(arenaOf(each).spots)));
  const little = least * MUCH_ASIDE;
  if (setAside(usually, little) <= little) return usually;
  const withAside = (arena: WeightArena): number => sumOf(arena.bufferBytes) + setAside(arena, 0);
  return cheapest([usually, ...candidates.map(arenaOf)], withAside);
}

/** Whether two places have a byte in common. */
export function overlaps(a: BufferRange, b: BufferRange): boolean {
  return a.buffer === b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

function roundDown(value: number, multiple: number): number {
  return Math.floor(value / multiple) * multiple;
}

/** A layout with the bytes it takes of each chunk. */
interface Candidate {
  readonly how: LayoutOptions;
  readonly layout: Layout;
  readonly bufferBytes: readonly number[];
}

/**
 * Answers what a cycle of all transitions writes under a layout: an uploaded byte twice, as it goes through staging, a
 * copied one once.
 */
function writtenInCycle(
  residences: readonly Residence[],
  transitions: SortedTransitions,
  lastingOf: LastingOf,
): (spots: Spots) => number {
  const sizeOf = (left: readonly WeightMoves[]): number => {
    let bytes = 0;
    for (const { weight, copies, pieces } of left) {
      for (const { runBytes, rows } of copies) bytes += runBytes * rows;
      bytes += 2 * writtenBytes(weight, pieces);
    }
    return bytes;
  };
  const pairs = residences.flatMap((from) =>
    residences.flatMap((to) => {
      const moves = transitions.get(`${from.name}->${to.name}`);
      if (moves === undefined) return [];
      // What layouts have in common: what it takes to write a weight of which nothing is there.
      return [
        { from, to, moves, whole: to.weights.map((weight) => sizeOf(movesLeft([weight], moves, NOTHING))) },
      ];
    }),
  );
  return (spots) => {
    const lasting = lastingOf(spots);
    let written = 0;
    for (const { from, to, moves, whole } of pairs) {
      const inPlace = rangesInPlace(from.name, to, moves, spots, lasting);
      to.weights.forEach((weight, index) => {
        written += inPlace.has(weight.id) ? sizeOf(movesLeft([weight], moves, inPlace)) : whole[index]!;
      });
    }
    return written;
  };
}

const NOTHING: RangesByWeight = new Map();

function cheapest<T>(candidates: readonly T[], cost: (candidate: T) => number): T {
  if (candidates.length === 1) return candidates[0]!;
  const costs = candidates.map(cost);
  return candidates[costs.indexOf(Math.min(...costs))]!;
}

/** Bytes taken of every chunk, from its start. */
function chunkEnds(tenants: readonly Tenant[], layout: Layout, chunk: number): readonly number[] {
  const ends: number[] = [];
  for (const [residence, starts] of layout.entries()) {
    const { bytes } = tenants[residence]!;
    for (let weight = 0; weight < starts.length; weight++) {
      const start = starts[weight]!;
      const index = Math.floor(start / chunk);
      const end = start - index * chunk + bytes[weight]!;
      if (end >= (ends[index] ?? 0)) ends[index] = end;
    }
  }
  return Array.from(ends, (bytes) => bytes ?? 0);
}

function spotsOf(residences: readonly Residence[], layout: Layout, chunk: number): Spots {
  return new Map(
    residences.map(({ name, weights }, residence) => {
      const starts = layout[residence]!;
      const spots = new Map<string, Spot>();
      weights.forEach(({ id, bytes }, weight) => {
        const start = starts[weight]!;
        spots.set(id, { buffer: Math.floor(start / chunk), offset: start % chunk, bytes });
      });
      return [name, spots];
    }),
  );
}

function sumOf(numbers: readonly number[] | Float64Array): number {
  let sum = 0;
  for (const each of numbers) sum += each;
  return sum;
}
