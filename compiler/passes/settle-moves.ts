/**
 * The moves of a re-shard as they will be made. The planner chooses who sends what; once memory is laid out, more turns
 * out to be in its place than two stages have in common (`in-place.ts`), and what is no multiple of a word comes with its
 * neighbours (`written-bytes.ts`). So the moves are read off those of the runtime graph: what is reported is what the
 * executor moves, to the byte.
 */
import { groupBy } from '../group-by.js';
import { numbered } from '../numbered.js';
import { once } from '../once.js';
import type { WeightMoves } from '../ir/in-place.js';
import { byTensor } from '../ir/pieces.js';
import { contains, joinRectangles, subtractAll } from '../ir/rectangles.js';
import { weightRowBytes } from '../ir/device-layout.js';
import type { RuntimeWeight, WeightCopy, WeightPiece } from '../ir/runtime-graph.js';
import type { RankHolding, ReshardGroup, TensorPiece, WeightMove, WeightReshard } from '../ir/transitions.js';
import { bytesByPiece, isWholeWords } from '../ir/written-bytes.js';
import { packedBytes } from '../model/weight-types.js';
import { bytesOfMoves, travelsOf } from '../reshard/plan-moves.js';
import { sharePlan, weightPlan, type SharedPlan } from '../reshard/plan-weights.js';
import type { WeightPlanning } from './transitions.js';
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
  reshard: WeightReshard,
  { transition, left }: PlacedTransition,
  from: SettledStage,
  to: SettledStage,
  { bytesOf, roads, memo, resident }: SettleContext,
): WeightReshard {
  const entries = new Map(transition.devices.map((entry) => [entry.device, entry]));
  const before = new Map(from.holdings.map((rank) => [rank.device, rank]));
  const after = new Map(to.holdings.map((rank) => [rank.device, rank]));
  const sorted = once(byTensor<TensorPiece>);
  const origin = memo.originsOf([...from.holdings, ...to.holdings]);

  const settleDevice = (device: number): SettledDevice => {
    const entry = entries.get(device);
    if (entry === undefined) return { moves: [], lacking: 0 };
    // What is there already, in its place or elsewhere.
    const held = [sorted(before.get(device)!.weights), sorted(to.lasting(device))];
    const isThere = ({ piece }: MovedPart): boolean =>
      held.some((list) => list.get(piece.tensor)?.some((other) => contains(other, piece)));
    let lacking = 0;
    const parts = movedParts(left[entry.moves]!, entry.peers).map((part): MovedPart => {
      if (part.kind === 'copy') return part;
      if (!isThere(part)) lacking += bytesOf(part.piece);
      else if (part.kind === 'upload') return { ...part, anew: true };
      return part;
    });
    const moving = groupBy(parts, ({ piece }) => piece.tensor);
    const moves = after.get(device)!.weights.flatMap((wanted): readonly WeightMove[] => {
      if (resident.has(wanted.tensor)) return [];
      return completed(wanted, moving.get(wanted.tensor) ?? [], bytesOf).map((move) => ({ device, ...move }));
    });
    return { moves, lacking };
  };
  const settle = ({ devices, plan }: ReshardGroup): SharedPlan => {
    const settled = devices.map(settleDevice);
    const moves = settled.flatMap((each) => each.moves);
    const evict = plan.evict.flatMap(({ device: place, piece: { tensor, ...rectangle } }) => {
      const device = devices[place]!;
      return subtractAll(rectangle, sorted(from.lasting(device)).get(tensor) ?? []).map((rest) => {
        const piece = { tensor, ...rest };
        return { device, piece, bytes: bytesOf(piece) };
      });
    });
    const holders = devices.flatMap((device) => before.get(device) ?? []);
    return sharePlan(devices, {
      moves,
      evict,
      bytes: bytesOfMoves(moves, evict),
      lowerBound: settled.reduce((sum, { lacking }) => sum + lacking, 0),
      travels: travelsOf({ from: holders, bytesOf, origin }, moves, roads),
    });
  };

  const known = new Map<string, SharedPlan>();
  const idOf = numbered<unknown>();
  const groups = reshard.groups.map((group) => {
    const alike = group.devices.map((device) => [
      entries.get(device)?.moves,
      idOf(from.lasting(device)),
      idOf(to.lasting(device)),
    ]);
    const key = `${idOf(group.plan)} ${alike.join()}`;
    const shared = known.get(key) ?? settle(group);
    known.set(key, shared);
    const { devices } = group;
    const [senders, receivers] = [before, after].map((ranks) =>
      devices.filter((device) => ranks.has(device)),
    );
    return { devices, shared, ways: memo.groupRoads(senders!, receivers!, origin) };
  });
  return { ...reshard, ...weightPlan(groups, origin, roads) };
}

interface SettledDevice {
  readonly moves: readonly WeightMove[];
  /** Bytes that it has nowhere. */
  readonly lacking: number;
}

/** What becomes of a part of a tensor. */
type MovedPart = Omit<WeightMove, 'device'>;

/** What moves to the weights of a device for which this is left to do, with the bytes that the executor moves for it. */
function movedParts(left: readonly WeightMoves[], peers: readonly number[]): readonly MovedPart[] {
  return left.flatMap(({ weight, copies, pieces }): readonly MovedPart[] => {
    const bytes = bytesByPiece(weight, pieces);
    return [
      ...copies.map((copy): MovedPart => {
        return {
          kind: 'copy',
          piece: placeless(copiedPiece(weight, copy)),
          bytes: copy.runBytes * copy.rows,
        };
      }),
      ...pieces.map((part, index): MovedPart => {
        const { peer } = part;
        const moved = { piece: placeless(part), bytes: bytes[index]! };
        if (peer !== undefined) return { kind: 'peer', source: peers[peer]!, ...moved };
        return { kind: 'upload', ...moved, ...(!isWholeWords(weight, part) && { anew: true }) };
      }),
    ];
  });
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
  const mine = parts.filter(({ piece }) => contains(wanted, piece));
  if (mine.length === 0) return [{ kind: 'keep', piece: wanted, bytes: bytesOf(wanted) }];
  // Most pieces come whole.
  const [only] = mine;
  if (mine.length === 1 && contains(only!.piece, wanted)) return mine;
  const alike = groupBy(mine, ({ kind, source, anew }) => `${kind} ${source} ${anew}`);
  const moved = [...alike.values()].flatMap((members) =>
    joinRectangles(members.map(({ piece }) => piece)).map((rectangle) => {
      const inside = members.filter(({ piece }) => contains(rectangle, piece));
      const bytes = inside.reduce((sum, part) => sum + part.bytes, 0);
      return { ...members[0]!, piece: { tensor, ...rectangle }, bytes };
    }),
  );
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
