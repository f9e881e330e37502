/**
 * The moves of a re-shard as they will be made. The planner chooses who sends what; once memory is laid out, more turns
 * out to be in its place than two stages have in common (`in-place.ts`), and what is no multiple of a word comes with its
 * neighbours (`written-bytes.ts`). So the moves are read off those of the runtime graph: what is reported is what the
 * executor moves, to the byte.
 */
import { groupBy } from '../group-by.js';
import { numbered } from '../numbered.js';
import type { WeightMoves } from '../ir/in-place.js';
import { area, contains, isInOneOf, joinRectangles, sameRectangle, subtractAll } from '../ir/rectangles.js';
import { weightRowBytes } from '../ir/device-layout.js';
import type { RuntimeWeight, WeightCopy, WeightPiece } from '../ir/runtime-graph.js';
import type { Eviction, RankHolding, TensorPiece, WeightMove, WeightReshard } from '../ir/transitions.js';
import { bytesByPiece, isWholeWords } from '../ir/written-bytes.js';
import { packedBytes } from '../model/weight-types.js';
import { bytesOfMoves, travelsOf } from '../reshard/plan-moves.js';
import { placedTravels, placesIn, weightPlan, type SharedPlan } from '../reshard/plan-weights.js';
import { evictions } from '../reshard/sources.js';
import type { PlannedSending, WeightPlanning } from './transitions.js';
import type { PlacedTransition } from './turning-weights.js';

/** A stage that a transition leaves or enters. */
export interface SettledStage {
  readonly holdings: readonly RankHolding[];
  /** What a device has all along; one value for all that have the same. */
  readonly lasting: (device: number) => readonly TensorPiece[];
}

export interface SettleContext extends WeightPlanning {
  /** Tensors that are resident in both shardings and take no part. */
  readonly resident: ReadonlySet<string>;
}

/** The re-shard that a transition of the runtime graph carries out. Groups that do the same are looked at once. */
export function settleReshard(
  { groups: sending, ...change }: PlannedSending,
  { transition, left }: PlacedTransition,
  from: SettledStage,
  to: SettledStage,
  { bytesOf, roads, memo, resident }: SettleContext,
): WeightReshard {
  const entries = new Map(transition.devices.map((entry) => [entry.device, entry]));
  const before = new Map(from.holdings.map((rank) => [rank.device, rank]));
  const after = new Map(to.holdings.map((rank) => [rank.device, rank]));
  const { sorted } = memo;
  const origin = memo.originsOf([...from.holdings, ...to.holdings]);

  /** Adds the moves of the device at a place. Returns the bytes that it has nowhere. */
  const settleDevice = (device: number, place: number, placeOf: PlaceOf, moves: WeightMove[]): number => {
    const entry = entries.get(device);
    if (entry === undefined) return 0;
    const peers = entry.peers.map(placeOf);
    const moving = movedParts(left[entry.moves]!, peers);
    // What is there already, in its place or elsewhere.
    const [held, lasting] = [sorted(before.get(device)!.weights), sorted(to.lasting(device))];
    let lacking = 0;
    for (const [tensor, parts] of moving)
      for (const part of parts) {
        if (part.kind === 'copy') continue;
        const { piece } = part;
        const isThere =
          isInOneOf(held.get(tensor) ?? NONE, piece) || isInOneOf(lasting.get(tensor) ?? NONE, piece);
        if (!isThere) lacking += bytesOf(piece);
        else if (part.kind === 'upload') part.anew = true;
      }
    for (const wanted of after.get(device)!.weights) {
      if (resident.has(wanted.tensor)) continue;
      const parts = moving.get(wanted.tensor) ?? NOTHING;
      const [only] = parts;
      // Most pieces come whole.
      if (parts.length === 1 && sameRectangle(only!.piece, wanted)) moves.push(moveOf(place, only!));
      else for (const part of completed(wanted, parts, bytesOf)) moves.push(moveOf(place, part));
    }
    return lacking;
  };
  /** What devices hold that they need no more, but for what stays as it is. */
  const evicted = (devices: readonly number[], placeOf: PlaceOf): readonly Eviction[] => {
    const [senders, receivers] = [before, after].map((ranks) => devices.flatMap((id) => ranks.get(id) ?? []));
    const evict: Eviction[] = [];
    for (const [id, leaving] of groupBy(evictions(senders!, receivers!, sorted), ({ device }) => device)) {
      const device = placeOf(id);
      const lasting = sorted(from.lasting(id));
      for (const { piece } of leaving) {
        const { tensor } = piece;
        if (resident.has(tensor)) continue;
        const stays = lasting.get(tensor);
        if (stays === undefined) {
          evict.push({ device, piece, bytes: bytesOf(piece) });
          continue;
        }
        for (const { rows, cols } of subtractAll(piece, stays)) {
          const rest = { tensor, rows, cols };
          evict.push({ device, piece: rest, bytes: bytesOf(rest) });
        }
      }
    }
    return evict;
  };
  const settle = (devices: readonly number[]): SharedPlan => {
    const placeOf = placesIn(devices);
    const moves: WeightMove[] = [];
    let lowerBound = 0;
    devices.forEach((device, place) => (lowerBound += settleDevice(device, place, placeOf, moves)));
    const evict = evicted(devices, placeOf);
    const holders = devices.flatMap((device) => before.get(device) ?? []);
    const travels = travelsOf({ from: holders, bytesOf, origin }, devices, moves, roads);
    return {
      plan: { moves, evict, bytes: bytesOfMoves(moves, evict) },
      lowerBound,
      travels: placedTravels(travels, devices),
    };
  };

  const known = new Map<string, SharedPlan>();
  const idOf = numbered<unknown>();
  const groups = sending.map(({ devices, sent }) => {
    const alike = devices.map((device) => [
      entries.get(device)?.moves,
      idOf(from.lasting(device)),
      idOf(to.lasting(device)),
    ]);
    const key = `${idOf(sent)} ${alike.join()}`;
    const shared = known.get(key) ?? settle(devices);
    known.set(key, shared);
    const [senders, receivers] = [before, after].map((ranks) =>
      devices.filter((device) => ranks.has(device)),
    );
    return { devices, shared, ways: memo.groupRoads(senders!, receivers!, origin) };
  });
  return { ...change, ...weightPlan(groups, origin, roads) };
}

/** The place of a device in its group. */
type PlaceOf = (device: number) => number;

/** What becomes of a part of a tensor. */
type MovedPart = Omit<WeightMove, 'device' | 'anew'> & { anew?: true };

const NOTHING: readonly MovedPart[] = [];
const NONE: readonly TensorPiece[] = [];

/** Spelled out: thousands are made, and objects of few shapes are made and read faster than copies with more. */
function moveOf(device: number, { kind, source, piece, bytes, anew }: MovedPart): WeightMove {
  if (source !== undefined) return { device, kind, source, piece, bytes };
  return anew ? { device, kind, piece, bytes, anew } : { device, kind, piece, bytes };
}

/**
 * What moves to the weights of a device for which this is left to do, by tensor, with the bytes that the executor moves
 * for it.
 *
 * @param peers by their places
 */
function movedParts(
  left: readonly WeightMoves[],
  peers: readonly number[],
): ReadonlyMap<string, readonly MovedPart[]> {
  const moved = new Map<string, MovedPart[]>();
  const add = (part: MovedPart): void => {
    const others = moved.get(part.piece.tensor);
    if (others) others.push(part);
    else moved.set(part.piece.tensor, [part]);
  };
  for (const { weight, copies, pieces } of left) {
    for (const copy of copies) {
      const bytes = copy.runBytes * copy.rows;
      add({ kind: 'copy', piece: placeless(copiedPiece(weight, copy)), bytes });
    }
    const sizes = bytesByPiece(weight, pieces);
    pieces.forEach((part, index) => {
      const [piece, bytes] = [placeless(part), sizes[index]!];
      if (part.peer !== undefined) add({ kind: 'peer', source: peers[part.peer]!, piece, bytes });
      else if (isWholeWords(weight, part)) add({ kind: 'upload', piece, bytes });
      else add({ kind: 'upload', piece, bytes, anew: true });
    });
  }
  return moved;
}

function placeless({ tensor, rows, cols }: WeightPiece): TensorPiece {
  return { tensor, rows, cols };
}

/** The piece that a copy brings: the one that begins where it does. */
function copiedPiece(weight: RuntimeWeight, { at }: WeightCopy): WeightPiece {
  const rowBytes = weightRowBytes(weight);
  return weight.pieces.find(
    (piece) => piece.at[0] * rowBytes + packedBytes(weight.dtype, piece.at[1]) === at,
  )!;
}

/** The moves of a wanted piece: parts that belong together joined, and what does not move kept. */
function completed(
  wanted: TensorPiece,
  parts: readonly MovedPart[],
  bytesOf: (piece: TensorPiece) => number,
): readonly MovedPart[] {
  const { tensor, rows, cols } = wanted;
  const mine = parts.every(({ piece }) => contains(wanted, piece))
    ? parts
    : parts.filter(({ piece }) => contains(wanted, piece));
  if (mine.length === 0) return [{ kind: 'keep', piece: wanted, bytes: bytesOf(wanted) }];
  const moved = mine.flatMap((first): readonly MovedPart[] => {
    const members = mine.filter((part) => isMovedAlike(part, first));
    if (members[0] !== first) return [];
    if (members.length === 1) return members;
    return joinRectangles(members.map(({ piece }) => piece)).map((rectangle) => {
      const inside = members.filter(({ piece }) => contains(rectangle, piece));
      const bytes = inside.reduce((sum, part) => sum + part.bytes, 0);
      return { ...first, piece: { tensor, ...rectangle }, bytes };
    });
  });
  // Parts do not overlap: where they are as large as the piece, nothing is left of it.
  if (mine.reduce((sum, { piece }) => sum + area(piece), 0) === area(wanted)) return moved;
  const rest = subtractAll(
    { rows, cols },
    mine.map(({ piece }) => piece),
  );
  const kept = joinRectangles(rest).map((rectangle): MovedPart => {
    const piece = { tensor, ...rectangle };
    return { kind: 'keep', piece, bytes: bytesOf(piece) };
  });
  return [...kept, ...moved];
}

function isMovedAlike(a: MovedPart, b: MovedPart): boolean {
  return a.kind === b.kind && a.source === b.source && a.anew === b.anew;
}
