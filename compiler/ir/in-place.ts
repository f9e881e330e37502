/**
 * What need not move in a transition: the bytes of a weight that are in its place already, and so what is left to do.
 *
 * Bytes are in place because no other residence has anything where they lie (they were brought in once and last), or
 * because what the old residence has there are the same elements. The ranges are exact; what cannot be taken apart, a
 * quantised block, counts as absent unless all of it is there.
 */
import { firstAbove } from '../first-above.js';
import { groupBy } from '../group-by.js';
import { union, without } from './byte-ranges.js';
import { pieceBytes } from './device-layout.js';
import { isWhole, missingParts } from './piece-parts.js';
import type {
  ByteRange,
  DeviceMoves,
  RuntimeWeight,
  WeightCopy,
  WeightPiece,
  WeightReceive,
} from './runtime-graph.js';
import { isWholeWords } from './written-bytes.js';
import type { Residence, Spot, Spots, TransitionsByResidence } from './weight-arena.js';

/** Ranges of weights, in order and apart from each other. Weights that have none are left out. */
export type RangesByWeight = ReadonlyMap<string, readonly ByteRange[]>;

/** A piece that comes from the host copy, or from a peer of the device. */
export interface BroughtPiece extends WeightPiece {
  /** Index into the peers of the device. */
  readonly peer?: number;
}

/** What has to happen to one weight of the new residence. */
export interface WeightMoves {
  readonly weight: RuntimeWeight;
  /** Copies to another place. */
  readonly copies: readonly WeightCopy[];
  /** Pieces, or parts of them, to bring onto the device. */
  readonly pieces: readonly BroughtPiece[];
  /** What must be set to zero before all that, because the weight has padding. */
  readonly zeros: readonly ByteRange[];
}

/** Whether the buffer has bytes that no piece covers. They must be zero, whatever the place held before. */
export function hasPadding(weight: RuntimeWeight): boolean {
  let bytes = 0;
  for (const piece of weight.pieces) bytes += pieceBytes(weight, piece);
  return bytes < weight.bytes;
}

/** What a transition does for one weight of the new residence. */
interface MovesOfWeight {
  /** The old weight whose place it keeps. */
  readonly keptIn?: string;
  readonly copies: readonly WeightCopy[];
  /** Pieces from the host copy, by their numbers. */
  readonly uploaded: readonly number[];
  readonly received: readonly WeightReceive[];
}

/** The moves of a device by the weights that they are for. */
export type MovesByWeight = ReadonlyMap<string, MovesOfWeight>;

/** Sorts the moves of a device: they are asked about weight by weight, again and again. */
export function movesByWeight(moves: DeviceMoves): MovesByWeight {
  const sorted = new Map<string, Sorting>();
  const of = (weight: string): Sorting => {
    let entry = sorted.get(weight);
    if (entry === undefined) sorted.set(weight, (entry = { copies: [], uploaded: [], received: [] }));
    return entry;
  };
  for (const { weight, old } of moves.keep) of(weight).keptIn = old;
  for (const copy of moves.copy) of(copy.weight).copies.push(copy);
  for (const { weight, pieces } of moves.upload) of(weight).uploaded = pieces;
  for (const receive of moves.receive ?? []) of(receive.weight).received.push(receive);
  return sorted;
}

interface Sorting {
  keptIn?: string;
  readonly copies: WeightCopy[];
  uploaded: readonly number[];
  readonly received: WeightReceive[];
}

/** The sorted moves of a device by `from->to` of residence names. */
export type SortedTransitions = ReadonlyMap<string, MovesByWeight>;

export function sortTransitions(transitions: TransitionsByResidence): SortedTransitions {
  return new Map([...transitions].map(([pair, moves]) => [pair, movesByWeight(moves)]));
}

/**
 * Bytes of each residence's weights that nothing is ever written over: no other residence has something else in their
 * place. They are the ends of the larger residences, and what all have in common.
 */
export function lastingRanges(
  spots: Spots,
  residences: readonly Residence[],
  transitions: SortedTransitions,
): ReadonlyMap<string, RangesByWeight> {
  const places = new Map(
    residences.map(({ name, weights }) => {
      const mine = spots.get(name)!;
      return [name, inAddressOrder(weights.map(({ id }) => ({ id, spot: mine.get(id)! })))];
    }),
  );
  return new Map(
    residences.map(({ name, weights }) => {
      const mine = spots.get(name)!;
      const others = residences
        .filter((other) => other.name !== name)
        .map((other) => ({
          places: places.get(other.name)!,
          moves: transitions.get(`${other.name}->${name}`),
        }));
      const lasting = new Map<string, readonly ByteRange[]>();
      for (const weight of weights) {
        const spot = mine.get(weight.id)!;
        let ranges: readonly ByteRange[] = [{ at: 0, bytes: weight.bytes }];
        for (const { places: placed, moves } of others)
          ranges = withoutOthers(ranges, weight, spot, placed.get(spot.buffer), moves?.get(weight.id));
        const parts =
          isWhole(weight, ranges) || (ranges.length > 0 && isWrittenExactly(weight)) ? ranges : NONE;
        if (parts.length > 0) lasting.set(weight.id, parts);
      }
      return [name, lasting];
    }),
  );
}

/** Ranges of a weight without what weights of another residence, in order of their places, have there that is not the same. */
function withoutOthers(
  ranges: readonly ByteRange[],
  weight: RuntimeWeight,
  spot: Spot,
  placed: PlacedInBuffer | undefined,
  moves: MovesOfWeight | undefined,
): readonly ByteRange[] {
  if (placed === undefined) return ranges;
  const { weights: others, ends } = placed;
  const end = spot.offset + spot.bytes;
  let left = ranges;
  for (let index = firstAbove(ends, spot.offset); index < others.length && left.length > 0; index++) {
    const { id, spot: place } = others[index]!;
    if (place.offset >= end) break;
    const same = sameBytes(moves, weight, spot, id, place);
    // Most weights have nothing in common with what lies there, and it is as large as they are.
    if (same.length === 0 && place.offset <= spot.offset && place.offset + place.bytes >= end) return NONE;
    const over = { at: place.offset - spot.offset, bytes: place.bytes };
    left = without(left, same.length === 0 ? [over] : without([over], same));
  }
  return left;
}

/**
 * Bytes of the new residence's weights that are in place when a transition begins, those of weights that it keeps left
 * out.
 */
export function rangesInPlace(
  from: string,
  to: Residence,
  moves: MovesByWeight,
  spots: Spots,
  lasting: ReadonlyMap<string, RangesByWeight>,
): RangesByWeight {
  const before = spots.get(from)!;
  const after = spots.get(to.name)!;
  const lasts = lasting.get(to.name);
  const result = new Map<string, readonly ByteRange[]>();
  for (const weight of to.weights) {
    const mine = moves.get(weight.id);
    if (mine?.keptIn !== undefined) continue;
    const ranges = inPlaceOf(weight, mine, before, after, lasts?.get(weight.id));
    if (ranges.length > 0) result.set(weight.id, ranges);
  }
  return result;
}

/** Copies to weights of the new residence that are not in place, of each weight that has some. */
export function copiesLeft(
  from: string,
  to: Residence,
  moves: MovesByWeight,
  spots: Spots,
  lasting: ReadonlyMap<string, RangesByWeight>,
): readonly (readonly WeightCopy[])[] {
  const before = spots.get(from)!;
  const after = spots.get(to.name)!;
  const lasts = lasting.get(to.name);
  return to.weights.flatMap((weight) => {
    const mine = moves.get(weight.id);
    if (mine === undefined || mine.copies.length === 0) return [];
    const ranges = inPlaceOf(weight, mine, before, after, lasts?.get(weight.id));
    return isWhole(weight, ranges) ? [] : [mine.copies.filter((copy) => !isThere(copy, ranges))];
  });
}

/** Bytes of a weight that are in place: those that last, and those that copies would bring where they are. */
function inPlaceOf(
  weight: RuntimeWeight,
  moves: MovesOfWeight | undefined,
  before: ReadonlyMap<string, Spot>,
  after: ReadonlyMap<string, Spot>,
  always: readonly ByteRange[] = NONE,
): readonly ByteRange[] {
  if (isWhole(weight, always)) return always;
  const copied = copiedInPlace(weight, moves, before, after);
  return copied.length === 0 ? union(always) : union([...always, ...copied]);
}

/** What copies would bring where it is already. */
function copiedInPlace(
  weight: RuntimeWeight,
  moves: MovesOfWeight | undefined,
  before: ReadonlyMap<string, Spot>,
  after: ReadonlyMap<string, Spot>,
): readonly ByteRange[] {
  if (moves === undefined || moves.copies.length === 0) return NONE;
  const spot = after.get(weight.id)!;
  const [{ old: first }] = moves.copies as readonly [WeightCopy, ...WeightCopy[]];
  // Most weights are copied from one.
  if (moves.copies.every(({ old }) => old === first))
    return sameBytes(moves, weight, spot, first, before.get(first)!);
  const olds = new Set(moves.copies.map(({ old }) => old));
  return [...olds].flatMap((old) => sameBytes(moves, weight, spot, old, before.get(old)!));
}

/** What is left to do to weights of the new residence; those that are as they should be are left out. */
export function movesLeft(
  weights: readonly RuntimeWeight[],
  moves: MovesByWeight,
  inPlace: RangesByWeight,
): readonly WeightMoves[] {
  const result: WeightMoves[] = [];
  for (const weight of weights) {
    const mine = moves.get(weight.id);
    if (mine?.keptIn !== undefined) continue;
    const left = leftOf(weight, mine, inPlace.get(weight.id) ?? NONE);
    if (left) result.push(left);
  }
  return result;
}

function leftOf(
  weight: RuntimeWeight,
  moves: MovesOfWeight | undefined,
  there: readonly ByteRange[],
): WeightMoves | undefined {
  if (isWhole(weight, there)) return undefined;
  const { copies: all, uploaded, received } = moves ?? NO_MOVES;
  const copies = there.length === 0 ? all : all.filter((copy) => !isThere(copy, there));
  const pieces: BroughtPiece[] = [];
  for (const index of uploaded)
    if (there.length === 0) pieces.push(weight.pieces[index]!);
    else pieces.push(...missingParts(weight, weight.pieces[index]!, there));
  for (const { piece, peer } of received)
    for (const { tensor, rows, cols, at } of missingParts(weight, weight.pieces[piece]!, there))
      pieces.push({ tensor, rows, cols, at, peer });
  const zeros = hasPadding(weight) ? without([{ at: 0, bytes: weight.bytes }], there) : NONE;
  return copies.length + pieces.length + zeros.length === 0 ? undefined : { weight, copies, pieces, zeros };
}

const NO_MOVES: MovesOfWeight = { copies: [], uploaded: [], received: [] };

/** Whether all that a copy writes is there already. */
export function isThere({ at, stride, rows, runBytes }: WeightCopy, there: readonly ByteRange[]): boolean {
  const end = at + (rows - 1) * stride + runBytes;
  return there.some((range) => range.at <= at && end <= range.at + range.bytes);
}

/**
 * Which bytes of a weight, at its place, are those that an old weight has at its own. Zeros are written around the
 * pieces of a padded weight, so what it is to hold has to leave its place first.
 */
function sameBytes(
  moves: MovesOfWeight | undefined,
  weight: RuntimeWeight,
  spot: Spot,
  old: string,
  place: Spot,
): readonly ByteRange[] {
  if (moves === undefined) return NONE;
  if (moves.keptIn === old) return [{ at: 0, bytes: weight.bytes }];
  if (spot.buffer !== place.buffer) return NONE;
  const shift = spot.offset - place.offset;
  const same = moves.copies.filter(
    (copy) => copy.old === old && copy.rows === 1 && copy.oldAt - copy.at === shift,
  );
  if (same.length === 0 || hasPadding(weight)) return NONE;
  return same.map(({ at, runBytes }) => ({ at, bytes: runBytes }));
}

const NONE: readonly ByteRange[] = [];

/** A weight with its place. */
export interface Placed {
  readonly id: string;
  readonly spot: Spot;
}

/** Whether writing some pieces of a weight leaves all else of it as it is, so that parts of it can be brought alone. */
export function isWrittenExactly(weight: RuntimeWeight): boolean {
  return weight.pieces.every((piece) => isWholeWords(weight, piece));
}

/** Weights that lie in a buffer, in order of their places, which do not overlap. */
export interface PlacedInBuffer {
  readonly weights: readonly Placed[];
  /** Where each ends. */
  readonly ends: Float64Array;
}

/** Weights of which no two overlap in the order of their places, by buffer. */
export function inAddressOrder(placed: readonly Placed[]): ReadonlyMap<number, PlacedInBuffer> {
  const buffers = [...groupBy(placed, ({ spot }) => spot.buffer)].map(([buffer, inside]) => {
    const inOrder = [...inside].sort((a, b) => a.spot.offset - b.spot.offset);
    const ends = Float64Array.from(inOrder, ({ spot }) => spot.offset + spot.bytes);
    return [buffer, { weights: inOrder, ends }] as const;
  });
  return new Map(buffers);
}
