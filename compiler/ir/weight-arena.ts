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
 * tried, and of those that need least memory the one is taken with which all transitions move least.
 */
import { groupBy } from '../group-by.js';
import type { DeviceMoves, RuntimeWeight, WeightCopy } from './runtime-graph.js';
import { pieceBytes, roundUp } from './runtime-graph.js';
import { sameContent } from './weight-content.js';

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

/** Lays out the weights of a device whose buffers may have so many bytes. */
export function layOutArena(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  maxBufferBytes = Infinity,
): WeightArena {
  const largest = Math.max(0, ...residences.flatMap(({ weights }) => weights.map(({ bytes }) => bytes)));
  const all = Math.max(0, ...residences.map(({ weights }) => sumOf(weights.map(({ bytes }) => bytes))));
  // Addresses are aligned in the one space, so they are within a chunk only if chunks begin at aligned addresses.
  const usual = CHUNK_BYTES.map((bytes) => roundDown(Math.min(bytes, maxBufferBytes), ALIGNMENT));
  const chunks = [...new Set(usual.map((bytes) => Math.max(roundUp(largest, ALIGNMENT), bytes)))];
  const layOutWith = (options: LayoutOptions): Candidate => {
    const layout = layOut(residences, transitions, options);
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
  const { layout, bufferBytes } = cheapest(
    candidates.filter((each) => sumOf(each.bufferBytes) === least),
    (each) => movedBytes(each.layout, residences, transitions),
  );
  return { bufferBytes, spots: spotsOf(layout, chunk) };
}

/**
 * Weights of each residence that nothing is ever written over: no other residence has something else in their place.
 * They are the ends of the larger residences, and what all have in common.
 */
export function lastingWeights(
  spots: Spots,
  residences: readonly Residence[],
): ReadonlyMap<string, ReadonlySet<string>> {
  // Weights of one residence lie apart, so in their order those in the way of a place are neighbours.
  const placed = new Map(
    residences.map(({ name, weights }) => {
      const mine = weights.map((weight): Placed => ({ weight, place: spots.get(name)!.get(weight.id)! }));
      return [
        name,
        groupBy(
          mine.sort((a, b) => a.place.offset - b.place.offset),
          ({ place }) => place.buffer,
        ),
      ];
    }),
  );
  const lasts = (mine: Placed, others: readonly Placed[]): boolean => {
    const next = firstIndex(others, ({ place }) => place.offset + place.bytes > mine.place.offset);
    for (let at = next; at < others.length && overlaps(others[at]!.place, mine.place); at++)
      if (!isSame(mine, others[at]!)) return false;
    return true;
  };
  return new Map(
    residences.map(({ name }) => {
      const others = [...placed].filter(([other]) => other !== name).map(([, theirs]) => theirs);
      const mine = [...placed.get(name)!].flatMap(([buffer, all]) =>
        all.filter((each) => others.every((theirs) => lasts(each, theirs.get(buffer) ?? []))),
      );
      return [name, new Set(mine.map(({ weight }) => weight.id))];
    }),
  );
}

interface Placed {
  readonly weight: RuntimeWeight;
  readonly place: Spot;
}

function isSame(a: Placed, b: Placed): boolean {
  const [one, other] = [a.place, b.place];
  return one.buffer === other.buffer && one.offset === other.offset && sameContent(a.weight, b.weight);
}

/** Whether a copy's bytes are where they should be already. */
export function isInPlace({ rows, oldAt, at }: WeightCopy, old: Spot, target: Spot): boolean {
  return rows === 1 && old.buffer === target.buffer && old.offset + oldAt === target.offset + at;
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
    const lasting = keptBy(residence.name, transitions);
    const rest = residence.weights.filter(({ id }) => !mine.has(id));
    if (options.largestFirst) rest.sort((a, b) => b.bytes - a.bytes);
    const inOrder = [
      ...rest.filter(({ id }) => lasting.has(id)),
      ...rest.filter(({ id }) => !lasting.has(id)),
    ];
    const taken = [...mine.values()].sort((a, b) => a.start - b.start);
    for (const { id, bytes } of inOrder) {
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
  const runs = new Map<string, WeightCopy>();
  for (const each of copy) {
    const known = runs.get(each.weight);
    if (each.rows === 1 && (known === undefined || each.runBytes > known.runBytes))
      runs.set(each.weight, each);
  }
  const taken = [...mine.values()].sort((a, b) => a.start - b.start);
  for (const weight of weights) {
    const longest = runs.get(weight.id);
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

/** Puts a range among others in order. */
function insert(ranges: Range[], range: Range): void {
  const place = firstIndex(ranges, ({ start }) => start > range.start);
  ranges.splice(place, 0, range);
}

/** Whether a range has a byte in common with any of some in order that lie apart. */
function isTaken(ranges: readonly Range[], range: Range): boolean {
  const next = ranges[firstIndex(ranges, ({ start, bytes }) => start + bytes > range.start)];
  return next !== undefined && touches(next, range);
}

/** Whether the buffer has bytes that no piece covers. They must be zero, whatever the place held before. */
export function hasPadding(weight: RuntimeWeight): boolean {
  return weight.pieces.reduce((sum, piece) => sum + pieceBytes(weight, piece), 0) < weight.bytes;
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
    let start = roundUp(hole, ALIGNMENT);
    if (!isWithinChunk({ start, bytes }, chunk)) start = roundUp(start, chunk);
    const left = spot.start - start - bytes;
    if (left >= 0 && (left < best.left || spot.start === Infinity)) {
      if (best.left === Infinity || left < best.left) best = { start, left };
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

/** What a cycle of all transitions writes: an uploaded byte twice, as it goes through staging, a copied one once. */
function movedBytes(
  spots: Layout,
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
): number {
  const placed = spotsOf(spots, Infinity);
  const lasting = lastingWeights(placed, residences);
  let moved = 0;
  for (const from of residences) {
    for (const to of residences) {
      const moves = transitions.get(`${from.name}->${to.name}`);
      if (moves === undefined) continue;
      const weightOf = new Map(to.weights.map((weight) => [weight.id, weight]));
      const goes = (weight: string): boolean => !lasting.get(to.name)!.has(weight);
      for (const copy of moves.copy) {
        const places = [
          placed.get(from.name)!.get(copy.old)!,
          placed.get(to.name)!.get(copy.weight)!,
        ] as const;
        if (goes(copy.weight) && !isInPlace(copy, ...places)) moved += copy.runBytes * copy.rows;
      }
      for (const { runBytes, rows } of (moves.receive ?? []).filter(({ weight }) => goes(weight)))
        moved += 2 * runBytes * rows;
      for (const upload of moves.upload.filter(({ weight }) => goes(weight))) {
        const wanted = weightOf.get(upload.weight)!;
        moved += 2 * upload.pieces.reduce((sum, piece) => sum + pieceBytes(wanted, wanted.pieces[piece]!), 0);
      }
    }
  }
  return moved;
}

function cheapest<T>(candidates: readonly T[], cost: (candidate: T) => number): T {
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
