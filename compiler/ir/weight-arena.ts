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
import { groupBy } from '../group-by.js';
import {
  hasPadding,
  lastingRanges,
  movesLeft,
  rangesInPlace,
  sortTransitions,
  type RangesByWeight,
  type SortedTransitions,
  type WeightMoves,
} from './in-place.js';
import type { DeviceMoves, RuntimeWeight, WeightCopy } from './runtime-graph.js';
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

/** Every device can bind a buffer from a multiple of this on: WebGPU allows none to ask for more. */
const ALIGNMENT = 256;

/**
 * Sizes of arena buffers that are tried. No weight lies in two buffers, so what is left at the end of one depends on
 * its size and on those of the weights; devices that have room for large models allow buffers of 2 GiB as a rule.
 */
const CHUNK_BYTES = [4, 5, 6, 7, 8].map((quarters) => quarters * 2 ** 28);

export interface ArenaOptions {
  /** Of a buffer at most. Default without end. */
  readonly maxBufferBytes?: number | undefined;
  /** The transitions, sorted. */
  readonly sorted?: SortedTransitions;
  /** Bytes that moves set aside where weights lie so. Default none. */
  readonly setAside?: (arena: WeightArena) => number;
}

/** What moves may set aside, as a part of the arena, before other layouts are tried for that. */
const MUCH_ASIDE = 1 / 16;

/** Lays out the weights of a device. */
export function layOutArena(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  { maxBufferBytes = Infinity, sorted = sortTransitions(transitions), setAside = () => 0 }: ArenaOptions = {},
): WeightArena {
  const largest = Math.max(0, ...residences.flatMap(({ weights }) => weights.map(({ bytes }) => bytes)));
  const all = Math.max(0, ...residences.map(({ weights }) => sumOf(weights.map(({ bytes }) => bytes))));
  // Addresses are aligned in the one space, so they are within a chunk only if chunks begin at aligned addresses.
  const usual = CHUNK_BYTES.map((bytes) => roundDown(Math.min(bytes, maxBufferBytes), ALIGNMENT));
  const chunks = [...new Set(usual.map((bytes) => Math.max(roundUp(largest, ALIGNMENT), bytes)))];
  const keeping = residences.map(({ name }) => keptBy(name, transitions));
  const layOutWith = (options: LayoutOptions): Candidate => {
    const layout = layOut(residences, transitions, keeping, options);
    return { options, layout, bufferBytes: chunkEnds(layout, options.chunk) };
  };
  const fits = chunks.find((chunk) => all <= chunk);
  const sizes = fits === undefined ? chunks : [fits];
  const firsts = sizes.map((chunk) => layOutWith({ chunk, inPlace: true, largestFirst: true }));
  const first = cheapest(firsts, ({ bufferBytes }) => sumOf(bufferBytes));
  const { chunk } = first.options;
  const candidates = [
    first,
    layOutWith({ chunk, inPlace: true, largestFirst: false }),
    layOutWith({ chunk, inPlace: false, largestFirst: true }),
    layOutWith({ chunk, inPlace: false, largestFirst: false }),
  ];
  const least = Math.min(...candidates.map(({ bufferBytes }) => sumOf(bufferBytes)));
  const small = candidates.filter((each) => sumOf(each.bufferBytes) === least);
  const written = small.length === 1 ? () => 0 : writtenInCycle(residences, sorted);
  const arenaOf = ({ layout, bufferBytes }: Candidate): WeightArena => {
    return { bufferBytes, spots: spotsOf(layout, chunk) };
  };
  const usually = arenaOf(cheapest(small, (each) => written(each.layout)));
  if (setAside(usually) <= least * MUCH_ASIDE) return usually;
  const withAside = (arena: WeightArena): number => sumOf(arena.bufferBytes) + setAside(arena);
  return cheapest([usually, ...candidates.map(arenaOf)], withAside);
}

/** Whether two places have a byte in common. */
export function overlaps(a: BufferRange, b: BufferRange): boolean {
  return a.buffer === b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

function roundDown(value: number, multiple: number): number {
  return Math.floor(value / multiple) * multiple;
}

/** A range of the one space that is cut into chunks. */
interface Range {
  readonly start: number;
  readonly bytes: number;
}

/** Ranges by residence and weight. */
type Layout = ReadonlyMap<string, ReadonlyMap<string, Range>>;

/** A layout with the bytes it takes of each chunk. */
interface Candidate {
  readonly options: LayoutOptions;
  readonly layout: Layout;
  readonly bufferBytes: readonly number[];
}

interface LayoutOptions {
  readonly chunk: number;
  /** Lays weights around what transitions would copy, where that is one run of bytes. */
  readonly inPlace: boolean;
  /** Large weights before small ones, which leaves smaller holes; else in the order in which they are needed. */
  readonly largestFirst: boolean;
}

/** Behind all taken ranges. */
const END: Range = { start: Infinity, bytes: 0 };

/** Addresses in one space that is cut into chunks; no weight crosses a cut. */
function layOut(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  keeping: readonly ReadonlySet<string>[],
  options: LayoutOptions,
): Layout {
  const spots = new Map<string, Map<string, Range>>();
  residences.forEach((residence, index) => {
    const mine = new Map<string, Range>();
    const earlier = residences.slice(0, index).flatMap(({ name }) => {
      const moves = transitions.get(`${name}->${residence.name}`);
      return moves === undefined ? [] : [{ moves, old: spots.get(name)! }];
    });
    for (const { moves, old: places } of earlier) {
      for (const { weight, old } of moves.keep) {
        const spot = places.get(old)!;
        if ((mine.get(weight) ?? spot).start !== spot.start) {
          throw new Error(`${weight} would have to stay in two places`);
        }
        mine.set(weight, spot);
      }
    }
    if (options.inPlace) {
      for (const { moves, old } of earlier) stayInPlace(residence, moves, old, mine, options);
    }
    const kept = keeping[index]!;
    const rest = residence.weights.filter(({ id }) => !mine.has(id));
    if (options.largestFirst) rest.sort((a, b) => b.bytes - a.bytes);
    const taken: Range[] = [];
    for (const spot of mine.values()) insert(taken, spot);
    for (const first of [true, false])
      for (const { id, bytes } of rest) {
        if (kept.has(id) !== first) continue;
        const spot = { start: bestFree(bytes, taken, options), bytes };
        mine.set(id, spot);
        insert(taken, spot);
      }
    spots.set(residence.name, mine);
  });
  return spots;
}

/** Adds the weights of a residence that can lie around the longest run of bytes that a transition copies into them. */
function stayInPlace(
  { weights }: Residence,
  { copy }: DeviceMoves,
  old: ReadonlyMap<string, Range>,
  mine: Map<string, Range>,
  { chunk }: LayoutOptions,
): void {
  const copies = groupBy(copy, (each) => each.weight);
  const taken = [...mine.values()].sort((a, b) => a.start - b.start);
  for (const weight of weights) {
    const longest = longestRun(copies.get(weight.id) ?? []);
    if (longest === undefined || mine.has(weight.id) || hasPadding(weight)) continue;
    const start = old.get(longest.old)!.start + longest.oldAt - longest.at;
    const spot = { start, bytes: weight.bytes };
    const fits = start >= 0 && start % ALIGNMENT === 0 && isWithinChunk(spot, chunk);
    if (!fits || isTaken(taken, spot)) continue;
    mine.set(weight.id, spot);
    insert(taken, spot);
  }
}

/** Index of the first of some items in order that something holds for, as it does for all behind it. */
function firstIndex<Item>(items: readonly Item[], holds: (item: Item) => boolean): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(items[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Puts a range among others in order. Neighbours between which no weight could begin become one: then few are left to
 * look at.
 */
function insert(ranges: Range[], range: Range): void {
  const place = firstIndex(ranges, ({ start }) => start > range.start);
  const [before, after] = [ranges[place - 1], ranges[place]];
  const back = before !== undefined && joins(before, range);
  const on = after !== undefined && joins(range, after);
  const start = back ? before.start : range.start;
  const joined = { start, bytes: (on ? endOf(after) : endOf(range)) - start };
  if (back) ranges[place - 1] = joined;
  else if (on) ranges[place] = joined;
  else ranges.splice(place, 0, joined);
  if (back && on) ranges.splice(place, 1);
}

function joins(a: Range, b: Range): boolean {
  return roundUp(endOf(a), ALIGNMENT) >= b.start;
}

function endOf({ start, bytes }: Range): number {
  return start + bytes;
}

/** Whether a range has a byte in common with any of some in order that lie apart. */
function isTaken(ranges: readonly Range[], range: Range): boolean {
  const next = ranges[firstIndex(ranges, ({ start, bytes }) => start + bytes > range.start)];
  return next !== undefined && touches(next, range);
}

/** The longest run of bytes that copies take from one place to another, however they are cut. */
function longestRun(copies: readonly WeightCopy[]): WeightCopy | undefined {
  const runs: WeightCopy[] = [];
  for (const copy of copies.filter(({ rows }) => rows === 1).sort((a, b) => a.at - b.at)) {
    const last = runs.at(-1);
    const goesOn =
      last?.old === copy.old &&
      last.at + last.runBytes === copy.at &&
      last.oldAt + last.runBytes === copy.oldAt;
    if (goesOn) runs[runs.length - 1] = { ...last, runBytes: last.runBytes + copy.runBytes };
    else runs.push(copy);
  }
  return runs.reduce<WeightCopy | undefined>(
    (longest, run) => (longest === undefined || run.runBytes > longest.runBytes ? run : longest),
    undefined,
  );
}

/**
 * Address of the smallest hole between taken spots, given in order, that has room for so many bytes; else behind them.
 * Aligned and within a chunk.
 */
function bestFree(bytes: number, taken: readonly Range[], { chunk }: LayoutOptions): number {
  let best = { start: 0, left: Infinity };
  let hole = 0;
  for (let i = 0; i <= taken.length; i++) {
    const spot = taken[i] ?? END;
    // Most holes are far too small, which is seen before anything is rounded.
    if (spot.start - hole >= bytes) {
      let start = roundUp(hole, ALIGNMENT);
      if (!isWithinChunk({ start, bytes }, chunk)) start = roundUp(start, chunk);
      const left = spot.start - start - bytes;
      if (left >= 0 && (best.left === Infinity || left < best.left)) best = { start, left };
    }
    hole = Math.max(hole, spot.start + spot.bytes);
  }
  return best.start;
}

function isWithinChunk({ start, bytes }: Range, chunk: number): boolean {
  return Math.floor(start / chunk) === Math.floor((start + bytes - 1) / chunk);
}

function touches(a: Range, b: Range): boolean {
  return a.start < b.start + b.bytes && b.start < a.start + a.bytes;
}

/**
 * Answers what a cycle of all transitions writes under a layout: an uploaded byte twice, as it goes through staging, a
 * copied one once.
 */
function writtenInCycle(
  residences: readonly Residence[],
  transitions: SortedTransitions,
): (layout: Layout) => number {
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
  return (layout) => {
    const spots = spotsOf(layout, Infinity);
    const lasting = lastingRanges(spots, residences, transitions);
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
function chunkEnds(layout: Layout, chunk: number): readonly number[] {
  const ends: number[] = [];
  for (const mine of layout.values()) {
    for (const { start, bytes } of mine.values()) {
      const index = Math.floor(start / chunk);
      ends[index] = Math.max(ends[index] ?? 0, (start % chunk) + bytes);
    }
  }
  return Array.from(ends, (bytes) => bytes ?? 0);
}

function spotsOf(layout: Layout, chunk: number): Spots {
  const spot = ({ start, bytes }: Range): Spot =>
    chunk === Infinity
      ? { buffer: 0, offset: start, bytes }
      : { buffer: Math.floor(start / chunk), offset: start % chunk, bytes };
  return new Map(
    [...layout].map(([name, mine]) => [
      name,
      new Map([...mine].map(([weight, range]) => [weight, spot(range)])),
    ]),
  );
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}

/** Weights of a residence that some transition from it keeps. */
function keptBy(residence: string, transitions: TransitionsByResidence): ReadonlySet<string> {
  return new Set(
    [...transitions]
      .filter(([pair]) => pair.startsWith(`${residence}->`))
      .flatMap(([, moves]) => moves.keep.map(({ old }) => old)),
  );
}
