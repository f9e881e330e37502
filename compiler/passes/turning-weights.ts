/**
 * What the weights of stages that take turns need of each device, exactly as the executor will lay them out. Devices
 * that do the same are planned once.
 */
import type { DeviceWeights, WeightPlaces } from '../ir/device-weights.js';
import type { BroughtPiece, RangesByWeight, WeightMoves } from '../ir/in-place.js';
import { partsThere } from '../ir/piece-parts.js';
import {
  deviceResidences,
  deviceTransitions,
  residencesOf,
  type Residing,
  type StageResidence,
} from '../ir/residences.js';
import type { DeviceMoves, RuntimeTransition, WeightShard } from '../ir/runtime-graph.js';
import type { LastingPieces, TensorPiece } from '../ir/transitions.js';
import type { Residence, TransitionsByResidence } from '../ir/weight-arena.js';
import { weightWrites, type LastReads } from '../ir/weight-writes.js';
import { writtenBytes } from '../ir/written-bytes.js';

/** By device, for devices with transitions; one value for all that do the same. */
export type TurningWeights = ReadonlyMap<number, DeviceWeights>;

/**
 * What is planned for the weights of every device with transitions; one value for all that do the same.
 *
 * @param plan of a device with these residences and transitions
 */
export function planByDevice<Planned extends object>(
  stages: Residing,
  plan: (residences: readonly Residence[], transitions: TransitionsByResidence, device: number) => Planned,
): ReadonlyMap<number, Planned> {
  const residences = residencesOf(stages);
  const known = new Map<string, Planned>();
  const shards = stages.stages.map(({ ranks }) => new Map(ranks.map(({ device, shard }) => [device, shard])));
  const moves = stages.transitions.map(
    ({ devices }) => new Map(devices.map((each) => [each.device, each.moves])),
  );
  const devices = new Set(moves.flatMap((entries) => [...entries.keys()]));
  return new Map(
    [...devices].map((device) => {
      const key = [...shards, ...moves].map((indices) => indices.get(device)).join();
      let planned = known.get(key);
      if (planned === undefined) {
        const transitions = deviceTransitions(stages, residences, device);
        planned = plan(deviceResidences(stages, residences, device), transitions, device);
        known.set(key, planned);
      }
      return [device, planned];
    }),
  );
}

/** What devices have of every stage all along; the same list for all that have the same. */
export function lastingPieces(
  { stages, transitions }: Residing,
  places: ReadonlyMap<number, WeightPlaces>,
): readonly LastingPieces[] {
  const residences = residencesOf({ stages, transitions });
  const known = new Map<WeightPlaces, Map<WeightShard, readonly TensorPiece[]>>();
  return stages.flatMap(({ name, ranks, shards }) =>
    ranks.flatMap(({ device, shard: index }): readonly LastingPieces[] => {
      const planned = places.get(device);
      if (planned === undefined) return [];
      const shard = shards[index]!;
      const mine = known.get(planned) ?? new Map<WeightShard, readonly TensorPiece[]>();
      known.set(planned, mine);
      const ranges = planned.lasting.get(residences.get(name)!.residence);
      const pieces = mine.get(shard) ?? (ranges ? piecesThere(shard, ranges) : []);
      mine.set(shard, pieces);
      return pieces.length === 0 ? [] : [{ stage: name, device, pieces }];
    }),
  );
}

/** The pieces of a shard, or their parts, that are in some ranges of its weights. */
function piecesThere({ weights }: WeightShard, ranges: RangesByWeight): readonly TensorPiece[] {
  const pieces: TensorPiece[] = [];
  for (const weight of weights) {
    const there = ranges.get(weight.id);
    if (there === undefined) continue;
    for (const piece of weight.pieces)
      for (const { tensor, rows, cols } of partsThere(weight, piece, there))
        pieces.push({ tensor, rows, cols });
  }
  return pieces;
}

/** A transition with what is in place when it begins. */
export interface PlacedTransition {
  readonly transition: RuntimeTransition;
  /** What is left to do, by the moves of the transition. */
  readonly left: readonly (readonly WeightMoves[])[];
}

/**
 * Finds what is in place, and in which order the rest is written. Devices that lay out their memory alike share their
 * moves.
 *
 * @param lastReads of a stage's programs
 */
export function withInPlace(
  { stages }: Residing,
  residences: ReadonlyMap<string, StageResidence>,
  transition: RuntimeTransition,
  turning: TurningWeights,
  lastReads: (stage: string, program: number) => LastReads,
): PlacedTransition {
  const [before, after] = [transition.from, transition.to].map((stage) => residences.get(stage)!.residence);
  const [from, to] = [transition.from, transition.to].map((stage) =>
    stages.find(({ name }) => name === stage)!,
  );
  const shardOf = new Map(to!.ranks.map((rank) => [rank.device, to!.shards[rank.shard]!]));
  const programOf = new Map(from!.ranks.map((rank) => [rank.device, rank.program]));
  const moves: DeviceMoves[] = [];
  const left: (readonly WeightMoves[])[] = [];
  const known = new Map<DeviceWeights, Map<number, number>>();
  const devices = transition.devices.map((entry) => {
    const planned = turning.get(entry.device)!;
    const mine = known.get(planned) ?? new Map<number, number>();
    known.set(planned, mine);
    const index = mine.get(entry.moves) ?? moves.length;
    mine.set(entry.moves, index);
    if (index === moves.length) {
      const old = transition.moves[entry.moves]!;
      const order = planned.orders.get(old)!;
      // Of the stages of the residence, those of this one.
      const ids = new Set(shardOf.get(entry.device)!.weights.map(({ id }) => id));
      const inPlace = [...order.inPlace].flatMap(([weight, list]) =>
        ids.has(weight) ? list.map((range) => ({ weight, ...range })) : [],
      );
      const remaining = order.left.filter(({ weight }) => ids.has(weight.id));
      const written = (isMeant: (piece: BroughtPiece) => boolean): number =>
        remaining.reduce((sum, { weight, pieces }) => sum + writtenBytes(weight, pieces.filter(isMeant)), 0);
      left.push(remaining);
      const reads = lastReads(transition.from, programOf.get(entry.device)!);
      const places = { before: planned.arena.spots.get(before!)!, after: planned.arena.spots.get(after!)! };
      const writes = weightWrites(order, places, reads).filter(({ weight }) => ids.has(weight));
      moves.push({
        ...old,
        ...(inPlace.length > 0 && { inPlace }),
        ...(writes.length > 0 && { writes }),
        uploadBytes: written(({ peer }) => peer === undefined),
        ...(old.receive && { receiveBytes: written(({ peer }) => peer !== undefined) }),
      });
    }
    return { ...entry, moves: index };
  });
  return { transition: { ...transition, moves, devices }, left };
}
