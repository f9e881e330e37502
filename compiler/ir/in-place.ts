/**
 * What need not move in a transition: the bytes of a weight that are in its place already, and so what is left to do.
 *
 * Bytes are in place because no other residence has anything where they lie (they were brought in once and last), or
 * because what the old residence has there are the same elements. The ranges are exact; what cannot be taken apart, a
 * quantised block, counts as absent unless all of it is there.
 */
import { groupBy } from '../group-by.js';
import { WEIGHT_FORMATS } from '../model/weight-types.js';
import { bufferRectangle } from './pieces.js';
import { intersect, subtractAll, type Rectangle } from './rectangles.js';
import {
  pieceBytes,
  weightLayout,
  weightRowBytes,
  type ByteRange,
  type DeviceMoves,
  type RuntimeWeight,
  type WeightCopy,
  type WeightPiece,
} from './runtime-graph.js';
import { writesOf } from './written-bytes.js';
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
  return weight.pieces.reduce((sum, piece) => sum + pieceBytes(weight, piece), 0) < weight.bytes;
}

/**
 * Bytes of each residence's weights that nothing is ever written over: no other residence has something else in their
 * place. They are the ends of the larger residences, and what all have in common.
 */
export function lastingRanges(
  spots: Spots,
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
): ReadonlyMap<string, RangesByWeight> {
  const places = new Map(residences.map((residence) => [residence.name, inAddressOrder(residence, spots)]));
  return new Map(
    residences.map(({ name, weights }) => {
      const others = residences
        .filter((other) => other.name !== name)
        .map((other) => {
          const moves = transitions.get(`${other.name}->${name}`);
          return { places: places.get(other.name)!, spots: spots.get(other.name)!, same: sameBytes(moves) };
        });
      const lasting = new Map<string, readonly ByteRange[]>();
      for (const weight of weights) {
        const spot = spots.get(name)!.get(weight.id)!;
        let ranges: readonly ByteRange[] = [{ at: 0, bytes: weight.bytes }];
        for (const other of others) {
          for (const { id, spot: place } of touching(other.places, spot)) {
            const over = { at: place.offset - spot.offset, bytes: place.bytes };
            ranges = without(ranges, without([over], other.same(weight, spot, id, place)));
          }
        }
        const parts = ranges[0]?.bytes === weight.bytes || isWrittenExactly(weight) ? ranges : [];
        if (parts.length > 0) lasting.set(weight.id, parts);
      }
      return [name, lasting];
    }),
  );
}

/**
 * Bytes of the new residence's weights that are in place when a transition begins, those of weights that it keeps left
 * out.
 */
export function rangesInPlace(
  from: string,
  to: Residence,
  moves: DeviceMoves,
  spots: Spots,
  lasting: ReadonlyMap<string, RangesByWeight>,
): RangesByWeight {
  const same = sameBytes(moves);
  const olds = new Map<string, Set<string>>();
  for (const { weight, old } of moves.copy) olds.set(weight, (olds.get(weight) ?? new Set()).add(old));
  const kept = new Set(moves.keep.map(({ weight }) => weight));
  const result = new Map<string, readonly ByteRange[]>();
  for (const weight of to.weights) {
    if (kept.has(weight.id)) continue;
    const spot = spots.get(to.name)!.get(weight.id)!;
    const copied = [...(olds.get(weight.id) ?? [])].flatMap((old) =>
      same(weight, spot, old, spots.get(from)!.get(old)!),
    );
    const ranges = union([...(lasting.get(to.name)?.get(weight.id) ?? []), ...copied]);
    if (ranges.length > 0) result.set(weight.id, ranges);
  }
  return result;
}

/** What is left to do to weights of the new residence; those that are as they should be are left out. */
export function movesLeft(
  weights: readonly RuntimeWeight[],
  moves: DeviceMoves,
  inPlace: RangesByWeight,
): readonly WeightMoves[] {
  const uploaded = new Map(moves.upload.map(({ weight, pieces }) => [weight, pieces]));
  const received = groupBy(moves.receive ?? [], ({ weight }) => weight);
  const copied = groupBy(moves.copy, ({ weight }) => weight);
  const kept = new Set(moves.keep.map(({ weight }) => weight));
  return weights.flatMap((weight) => {
    if (kept.has(weight.id)) return [];
    const there = inPlace.get(weight.id) ?? [];
    const copies = (copied.get(weight.id) ?? []).filter((copy) => !isThere(copy, there));
    const missing = (index: number): readonly WeightPiece[] =>
      missingParts(weight, weight.pieces[index]!, there);
    const pieces: readonly BroughtPiece[] = [
      ...(uploaded.get(weight.id) ?? []).flatMap(missing),
      ...(received.get(weight.id) ?? []).flatMap(({ piece, peer }) =>
        missing(piece).map((part) => ({ ...part, peer })),
      ),
    ];
    const zeros = hasPadding(weight) ? without([{ at: 0, bytes: weight.bytes }], there) : [];
    return copies.length + pieces.length + zeros.length === 0 ? [] : [{ weight, copies, pieces, zeros }];
  });
}

/** Whether all that a copy writes is there already. */
export function isThere({ at, stride, rows, runBytes }: WeightCopy, there: readonly ByteRange[]): boolean {
  const end = at + (rows - 1) * stride + runBytes;
  return there.some((range) => range.at <= at && end <= range.at + range.bytes);
}

/** The parts of a piece that are in none of the ranges of its weight. */
export function missingParts(
  weight: RuntimeWeight,
  piece: WeightPiece,
  there: readonly ByteRange[],
): readonly WeightPiece[] {
  if (there.length === 0) return [piece];
  const inBuffer = bufferRectangle(piece);
  const known = there.flatMap((range) => rectanglesOf(weight, range));
  return subtractAll(inBuffer, known).map((part) => partOf(piece, part));
}

/** The parts of a piece that are in ranges of its weight. */
export function partsThere(
  weight: RuntimeWeight,
  piece: WeightPiece,
  there: readonly ByteRange[],
): readonly WeightPiece[] {
  const inBuffer = bufferRectangle(piece);
  return there.flatMap((range) =>
    rectanglesOf(weight, range).flatMap((rectangle) => {
      const part = intersect(rectangle, inBuffer);
      return part ? [partOf(piece, part)] : [];
    }),
  );
}

/**
 * Answers which bytes of a weight, at its place, are those that an old weight has at its own. Zeros are written around
 * the pieces of a padded weight, so what it is to hold has to leave its place first.
 */
type SameBytes = (weight: RuntimeWeight, spot: Spot, old: string, place: Spot) => readonly ByteRange[];

function sameBytes(moves: DeviceMoves | undefined): SameBytes {
  const kept = new Set(moves?.keep.map(({ weight, old }) => `${weight} ${old}`));
  const copies = groupBy(moves?.copy ?? [], ({ weight, old }) => `${weight} ${old}`);
  return (weight, spot, old, place) => {
    const key = `${weight.id} ${old}`;
    if (kept.has(key)) return [{ at: 0, bytes: weight.bytes }];
    const between = copies.get(key) ?? [];
    if (between.length === 0 || spot.buffer !== place.buffer || hasPadding(weight)) return [];
    return between
      .filter(({ rows, at, oldAt }) => rows === 1 && place.offset + oldAt === spot.offset + at)
      .map(({ at, runBytes }) => ({ at, bytes: runBytes }));
  };
}

interface Placed {
  readonly id: string;
  readonly spot: Spot;
}

/** Whether writing some pieces of a weight leaves all else of it as it is, so that parts of it can be brought alone. */
function isWrittenExactly(weight: RuntimeWeight): boolean {
  return writesOf(weight, weight.pieces).rows.length === 0;
}

/** Weights of a residence by buffer, in order of their places. */
function inAddressOrder({ name, weights }: Residence, spots: Spots): ReadonlyMap<number, readonly Placed[]> {
  const buffers = new Map<number, Placed[]>();
  for (const { id } of weights) {
    const spot = spots.get(name)!.get(id)!;
    const mine = buffers.get(spot.buffer) ?? [];
    buffers.set(spot.buffer, mine);
    mine.push({ id, spot });
  }
  for (const mine of buffers.values()) mine.sort((a, b) => a.spot.offset - b.spot.offset);
  return buffers;
}

/** Those that have a byte in common with a spot. They do not overlap each other. */
function* touching(buffers: ReadonlyMap<number, readonly Placed[]>, spot: Spot): Generator<Placed> {
  const placed = buffers.get(spot.buffer) ?? [];
  let [low, high] = [0, placed.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const { offset, bytes } = placed[middle]!.spot;
    if (offset + bytes <= spot.offset) low = middle + 1;
    else high = middle;
  }
  for (let index = low; index < placed.length; index++) {
    if (placed[index]!.spot.offset >= spot.offset + spot.bytes) return;
    yield placed[index]!;
  }
}

/** Ranges without what others cover, in order. */
function without(ranges: readonly ByteRange[], others: readonly ByteRange[]): readonly ByteRange[] {
  return others.reduce<readonly ByteRange[]>(
    (rest, other) =>
      rest.flatMap(({ at, bytes }) => {
        const end = at + bytes;
        const before = { at, bytes: Math.min(end, other.at) - at };
        const start = Math.max(at, other.at + other.bytes);
        return [before, { at: start, bytes: end - start }].filter((part) => part.bytes > 0);
      }),
    ranges,
  );
}

function union(ranges: readonly ByteRange[]): readonly ByteRange[] {
  const merged: { at: number; bytes: number }[] = [];
  for (const { at, bytes } of [...ranges].sort((a, b) => a.at - b.at)) {
    const last = merged.at(-1);
    if (last && at <= last.at + last.bytes) last.bytes = Math.max(last.bytes, at + bytes - last.at);
    else merged.push({ at, bytes });
  }
  return merged;
}

/** The rows and columns of a weight's buffer that lie whole in a range: a part of a row, whole rows, a part of a row. */
function rectanglesOf(weight: RuntimeWeight, { at, bytes }: ByteRange): readonly Rectangle[] {
  const rowBytes = weightRowBytes(weight);
  const { stride } = weightLayout(weight);
  const format = WEIGHT_FORMATS[weight.dtype];
  const end = at + bytes;
  const [first, last] = [Math.floor(at / rowBytes), Math.floor(end / rowBytes)];
  const start = Math.ceil((at % rowBytes) / format.bytes) * format.block;
  const stop = Math.floor((end % rowBytes) / format.bytes) * format.block;
  if (first === last) return start < stop ? [{ rows: [first, first + 1], cols: [start, stop] }] : [];
  const whole = start === 0 ? first : first + 1;
  return [
    ...(start > 0 && start < stride
      ? [{ rows: [first, first + 1], cols: [start, stride] } satisfies Rectangle]
      : []),
    ...(whole < last ? [{ rows: [whole, last], cols: [0, stride] } satisfies Rectangle] : []),
    ...(stop > 0 ? [{ rows: [last, last + 1], cols: [0, stop] } satisfies Rectangle] : []),
  ];
}

/** The part of a piece that lies in these rows and columns of the buffer. */
function partOf({ tensor, at, rows, cols }: WeightPiece, part: Rectangle): WeightPiece {
  const [down, right] = [rows[0] - at[0], cols[0] - at[1]];
  return {
    tensor,
    rows: [part.rows[0] + down, part.rows[1] + down],
    cols: [part.cols[0] + right, part.cols[1] + right],
    at: [part.rows[0], part.cols[0]],
  };
}
