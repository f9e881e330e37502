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
import type { DeviceMoves, RuntimeWeight, WeightCopy } from '../../compiler/ir/runtime-graph.js';
import { pieceBytes, roundUp } from '../../compiler/ir/runtime-graph.js';
import type { Device, DeviceBuffer } from '../device/device.js';

/** A residence: weights that are on the device at the same time, under one name. */
export interface Residence {
  readonly name: string;
  readonly weights: readonly RuntimeWeight[];
}

/** A weight's place: `bytes` from `offset` of an arena buffer. */
export interface Place {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** Transitions by `from->to` of residence names. */
export type TransitionsByResidence = ReadonlyMap<string, DeviceMoves>;

/** Largest arena buffer; a device may set a lower bound. */
const CHUNK_BYTES = 2 ** 30;

interface Spot {
  readonly start: number;
  readonly bytes: number;
}

/** Allocates the arena and returns the place of every weight by residence and weight id. */
export function placeWeights(
  device: Device,
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
): ReadonlyMap<string, ReadonlyMap<string, Place>> {
  const largest = Math.max(0, ...residences.flatMap(({ weights }) => weights.map(({ bytes }) => bytes)));
  const alignment = Math.max(16, device.limits.offsetAlignment);
  // Places are aligned in the one space, so they are within a chunk only if chunks begin at aligned addresses.
  const usual = roundDown(Math.min(CHUNK_BYTES, device.limits.maxBufferBytes), alignment);
  const chunk = Math.max(roundUp(largest, alignment), usual);
  const layouts = [true, false].flatMap((inPlace) =>
    [true, false].map((largestFirst) =>
      layOut(residences, transitions, { chunk, alignment, inPlace, largestFirst }),
    ),
  );
  const least = Math.min(...layouts.map(endOf));
  const spots = cheapest(
    layouts.filter((layout) => endOf(layout) === least),
    (layout) => movedBytes(layout, residences, transitions),
  );
  const ends: number[] = [];
  for (const mine of spots.values()) {
    for (const { start, bytes } of mine.values()) {
      const index = Math.floor(start / chunk);
      ends[index] = Math.max(ends[index] ?? 0, (start % chunk) + bytes);
    }
  }
  const buffers = Array.from(ends, (bytes, i) => device.createBuffer(`weights ${i}`, bytes ?? 16));
  return new Map(
    [...spots].map(([residence, mine]) => [
      residence,
      new Map(
        [...mine].map(([weight, { start, bytes }]) => [
          weight,
          { buffer: buffers[Math.floor(start / chunk)]!, offset: start % chunk, bytes },
        ]),
      ),
    ]),
  );
}

/**
 * Weights of each residence that nothing is ever written over: no other residence has something else in their place.
 * They are the ends of the larger residences, and what all have in common.
 */
export function lastingWeights(
  placed: ReadonlyMap<string, ReadonlyMap<string, Place>>,
  residences: readonly Residence[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const all = residences.flatMap(({ name, weights }) =>
    weights.map((weight) => ({ name, weight, place: placed.get(name)!.get(weight.id)! })),
  );
  const lasts = (mine: Placed): boolean =>
    all.every(
      (other) => other.name === mine.name || !overlaps(mine.place, other.place) || isSame(mine, other),
    );
  return new Map(
    residences.map(({ name }) => {
      const mine = all.filter((each) => each.name === name && lasts(each));
      return [name, new Set(mine.map(({ weight }) => weight.id))];
    }),
  );
}

interface Placed {
  readonly name: string;
  readonly weight: RuntimeWeight;
  readonly place: Place;
}

function isSame(a: Placed, b: Placed): boolean {
  const content = ({ dtype, rows, cols, pieces }: RuntimeWeight): string =>
    JSON.stringify([dtype, rows, cols, pieces]);
  return a.place.offset === b.place.offset && content(a.weight) === content(b.weight);
}

/** Whether a copy's bytes are where they should be already. */
export function isInPlace({ rows, oldAt, at }: WeightCopy, old: Place, target: Place): boolean {
  return rows === 1 && old.buffer === target.buffer && old.offset + oldAt === target.offset + at;
}

/** Whether two places have a byte in common. */
export function overlaps(a: Place, b: Place): boolean {
  return a.buffer === b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

function roundDown(value: number, multiple: number): number {
  return Math.floor(value / multiple) * multiple;
}

/** Spots by residence and weight. */
type Layout = ReadonlyMap<string, ReadonlyMap<string, Spot>>;

interface LayoutOptions {
  readonly chunk: number;
  readonly alignment: number;
  /** Lays weights around what transitions would copy, where that is one run of bytes. */
  readonly inPlace: boolean;
  /** Large weights before small ones, which leaves smaller holes; else in the order in which they are needed. */
  readonly largestFirst: boolean;
}

/** Addresses in one space that is cut into chunks; no weight crosses a cut. */
function layOut(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  options: LayoutOptions,
): Layout {
  const spots = new Map<string, Map<string, Spot>>();
  residences.forEach((residence, index) => {
    const mine = new Map<string, Spot>();
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
      const after = taken.findIndex(({ start }) => start > spot.start);
      taken.splice(after < 0 ? taken.length : after, 0, spot);
    }
    spots.set(residence.name, mine);
  });
  return spots;
}

/** Adds the weights of a residence that can lie around the longest run of bytes that a transition copies into them. */
function stayInPlace(
  { weights }: Residence,
  { copy }: DeviceMoves,
  old: ReadonlyMap<string, Spot>,
  mine: Map<string, Spot>,
  { chunk, alignment }: LayoutOptions,
): void {
  for (const weight of weights) {
    if (mine.has(weight.id) || hasPadding(weight)) continue;
    const [longest] = copy
      .filter((each) => each.weight === weight.id && each.rows === 1)
      .sort((a, b) => b.runBytes - a.runBytes);
    if (longest === undefined) continue;
    const start = old.get(longest.old)!.start + longest.oldAt - longest.at;
    const spot = { start, bytes: weight.bytes };
    const fits = start >= 0 && start % alignment === 0 && isWithinChunk(spot, chunk);
    if (fits && ![...mine.values()].some((other) => touches(other, spot))) mine.set(weight.id, spot);
  }
}

/** Whether the buffer has bytes that no piece covers. They must be zero, whatever the place held before. */
export function hasPadding(weight: RuntimeWeight): boolean {
  return weight.pieces.reduce((sum, piece) => sum + pieceBytes(weight, piece), 0) < weight.bytes;
}

/**
 * Address of the smallest hole between taken spots, given in order, that has room for so many bytes; else behind them.
 * Aligned and within a chunk.
 */
function bestFree(bytes: number, taken: readonly Spot[], { chunk, alignment }: LayoutOptions): number {
  let best = { start: 0, left: Infinity };
  let hole = 0;
  for (const spot of [...taken, { start: Infinity, bytes: 0 }]) {
    let start = roundUp(hole, alignment);
    if (!isWithinChunk({ start, bytes }, chunk)) start = roundUp(start, chunk);
    const left = spot.start - start - bytes;
    if (left >= 0 && (left < best.left || spot.start === Infinity)) {
      if (best.left === Infinity || left < best.left) best = { start, left };
    }
    hole = Math.max(hole, spot.start + spot.bytes);
  }
  return best.start;
}

function isWithinChunk({ start, bytes }: Spot, chunk: number): boolean {
  return Math.floor(start / chunk) === Math.floor((start + bytes - 1) / chunk);
}

function touches(a: Spot, b: Spot): boolean {
  return a.start < b.start + b.bytes && b.start < a.start + a.bytes;
}

/** What a cycle of all transitions writes: an uploaded byte twice, as it goes through staging, a copied one once. */
function movedBytes(
  spots: Layout,
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
): number {
  const buffer: DeviceBuffer = { label: 'arena', bytes: Infinity };
  const placed = new Map(
    [...spots].map(([name, mine]) => [
      name,
      new Map([...mine].map(([id, { start, bytes }]) => [id, { buffer, offset: start, bytes }])),
    ]),
  );
  const lasting = lastingWeights(placed, residences);
  let moved = 0;
  for (const from of residences) {
    for (const to of residences) {
      const moves = transitions.get(`${from.name}->${to.name}`);
      if (moves === undefined) continue;
      const goes = (weight: string): boolean => !lasting.get(to.name)!.has(weight);
      for (const copy of moves.copy) {
        const places = [
          placed.get(from.name)!.get(copy.old)!,
          placed.get(to.name)!.get(copy.weight)!,
        ] as const;
        if (goes(copy.weight) && !isInPlace(copy, ...places)) moved += copy.runBytes * copy.rows;
      }
      for (const upload of moves.upload.filter(({ weight }) => goes(weight))) {
        const wanted = to.weights.find(({ id }) => id === upload.weight)!;
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

function endOf(spots: Layout): number {
  return Math.max(
    0,
    ...[...spots.values()].flatMap((mine) => [...mine.values()].map(({ start, bytes }) => start + bytes)),
  );
}

/** Weights of a residence that some transition from it keeps. */
function keptBy(residence: string, transitions: TransitionsByResidence): ReadonlySet<string> {
  return new Set(
    [...transitions]
      .filter(([pair]) => pair.startsWith(`${residence}->`))
      .flatMap(([, moves]) => moves.keep.map(({ old }) => old)),
  );
}
