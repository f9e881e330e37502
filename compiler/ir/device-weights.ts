/**
 * What weights need of the memory of a device that changes between residences: the arena they lie in, the order of each
 * transition's moves with the room for what they set aside, and the ring of slots that moves go by way of. The
 * compiler counts it, the executor allocates it.
 */
import {
  copiesLeft,
  lastingRanges,
  movesLeft,
  rangesInPlace,
  sortTransitions,
  type RangesByWeight,
  type SortedTransitions,
  type WeightMoves,
} from './in-place.js';
import { orderMoves, type OrderedMove, type WeightJob } from './move-order.js';
import type { DeviceMoves, WeightCopy } from './runtime-graph.js';
import { roundUp } from './device-layout.js';
import { once } from '../once.js';
import {
  layOutArena,
  type Residence,
  type Spot,
  type Spots,
  type TransitionsByResidence,
  type WeightArena,
} from './weight-arena.js';

/** The moves of a transition, in order. */
export interface TransitionOrder {
  /** What of the new weights is there already, of those that the transition does not keep. */
  readonly inPlace: RangesByWeight;
  /** What is left to do, in the order of the residence's weights. */
  readonly left: readonly WeightMoves[];
  /** The same in an order in which it can be done. */
  readonly moves: readonly OrderedMove<WeightMoves>[];
  /** Where in the stash each weight that is set aside has its place, packed. */
  readonly stashAt: ReadonlyMap<WeightJob<WeightMoves>, number>;
}

export interface DeviceWeights {
  readonly arena: WeightArena;
  /** Parts of weights by residence that are there whatever the residence: no transition moves them. */
  readonly lasting: ReadonlyMap<string, RangesByWeight>;
  readonly orders: ReadonlyMap<DeviceMoves, TransitionOrder>;
  readonly stashBytes: number;
  /** Of everything: arena, stash and ring. */
  readonly bytes: number;
}

/** Where weights lie, and what of them is there whatever the residence. */
export interface WeightPlaces extends Pick<DeviceWeights, 'arena' | 'lasting'> {
  /** The moves that they were placed for, in order. */
  readonly ordered?: () => OrderedTransitions;
}

/** Transitions in order, and the most that one of them sets aside. */
type OrderedTransitions = Pick<DeviceWeights, 'orders' | 'stashBytes'>;

export interface PlacedWeights extends WeightPlaces {
  /** Bytes of everything, with the transitions that the weights were placed for. */
  readonly neededBytes: () => number;
}

/** Places the weights of a device whose buffers may have so many bytes. */
export function placeWeights(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  maxBufferBytes?: number,
): PlacedWeights {
  const sorted = sortTransitions(transitions);
  const lastingOf = once((spots: Spots) => lastingRanges(spots, residences, sorted));
  const placesOf = (arena: WeightArena): WeightPlaces => ({ arena, lasting: lastingOf(arena.spots) });
  const orderOf = once((arena: WeightArena) =>
    orderTransitions(residences, transitions, placesOf(arena), sorted),
  );
  const setAside = (arena: WeightArena, little: number): number => {
    const most = copiedInAll(residences, sorted, placesOf(arena));
    return most <= little ? most : orderOf(arena).stashBytes;
  };
  const arena = layOutArena(residences, transitions, { maxBufferBytes, sorted, lastingOf, setAside });
  return {
    ...placesOf(arena),
    ordered: () => orderOf(arena),
    neededBytes: () => bytesOfAll(residences, transitions, arena, orderOf(arena).stashBytes),
  };
}

function bytesOfAll(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  { bufferBytes }: WeightArena,
  stashBytes: number,
): number {
  const ring = transitions.size > 0 ? ringSizes(largestWeight(residences)).bytes : 0;
  return bufferBytes.reduce((sum, each) => sum + each, stashBytes + ring);
}

/** Bytes of all copies of a transition that are not in place, of the one with most: none sets more aside. */
function copiedInAll(
  residences: readonly Residence[],
  sorted: SortedTransitions,
  { arena, lasting }: WeightPlaces,
): number {
  let most = 0;
  for (const from of residences)
    for (const to of residences) {
      const moving = sorted.get(`${from.name}->${to.name}`);
      if (moving === undefined) continue;
      const left = copiesLeft(from.name, to, moving, arena.spots, lasting);
      const bytes = left.reduce((sum, copies) => sum + roundUp(bytesOf(copies), REGION_ALIGNMENT), 0);
      most = Math.max(most, bytes);
    }
  return most;
}

/**
 * Plans the weights of a device whose buffers may have so many bytes.
 *
 * @param foreseen places that are known already to be those of these transitions; their order, if it is there, too
 */
export function planDeviceWeights(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  maxBufferBytes?: number,
  foreseen?: WeightPlaces,
): DeviceWeights {
  const places = foreseen ?? placeWeights(residences, transitions, maxBufferBytes);
  const { arena, lasting, ordered } = places;
  const { orders, stashBytes } = ordered?.() ?? orderTransitions(residences, transitions, places);
  const bytes = bytesOfAll(residences, transitions, arena, stashBytes);
  return { arena, lasting, orders, stashBytes, bytes };
}

function orderTransitions(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  { arena, lasting }: WeightPlaces,
  sorted: SortedTransitions = sortTransitions(transitions),
): OrderedTransitions {
  const orders = new Map<DeviceMoves, TransitionOrder>();
  let stashBytes = 0;
  for (const from of residences) {
    for (const to of residences) {
      const transition = transitions.get(`${from.name}->${to.name}`);
      if (transition === undefined) continue;
      const moving = sorted.get(`${from.name}->${to.name}`)!;
      const inPlace = rangesInPlace(from.name, to, moving, arena.spots, lasting);
      const left = movesLeft(to.weights, moving, inPlace);
      const moves = orderMoves(left.map((each) => jobOf(from.name, to.name, each, arena.spots)));
      const stash = stashPlaces(moves);
      orders.set(transition, { inPlace, left, moves, stashAt: stash.at });
      stashBytes = Math.max(stashBytes, stash.bytes);
    }
  }
  return { orders, stashBytes };
}

export function largestWeight(residences: readonly Residence[]): number {
  return Math.max(0, ...residences.flatMap(({ weights }) => weights.map(({ bytes }) => bytes)));
}

/** Sizes of the ring of slots by way of which weights are moved (`runtime/exec/staging-ring.ts`). */
export interface RingSizes {
  readonly slots: number;
  readonly slotBytes: number;
  /** For rows that change their places. */
  readonly scratchBytes: number;
  readonly bytes: number;
}

const SLOTS = 4;
/** More is no faster, less costs a submit too often. */
const MOST_SLOT_BYTES = 4 * 1024 * 1024;
const LEAST_SLOT_BYTES = 1024;
/** More does not fit in the cache of a processor. */
const MOST_SCRATCH_BYTES = 1024 * 1024;
/** One row of the scratch of a device (`runtime/device/row-copies.ts`). */
const LEAST_SCRATCH_BYTES = 2048;
/** Regions of slots and of the stash begin where copies of 16-byte words can. */
export const REGION_ALIGNMENT = 16;

/** Sizes for weights of which the largest has so many bytes. */
export function ringSizes(largest: number): RingSizes {
  const share = Math.floor(largest / (SLOTS + 1) / REGION_ALIGNMENT) * REGION_ALIGNMENT;
  const slotBytes = Math.max(LEAST_SLOT_BYTES, Math.min(MOST_SLOT_BYTES, share));
  const scratchBytes = Math.max(LEAST_SCRATCH_BYTES, Math.min(MOST_SCRATCH_BYTES, slotBytes));
  return { slots: SLOTS, slotBytes, scratchBytes, bytes: SLOTS * slotBytes + scratchBytes };
}

/** The moves of a weight with the places that they read and write. */
function jobOf(from: string, to: string, moves: WeightMoves, spots: Spots): WeightJob<WeightMoves> {
  const { weight, copies, zeros } = moves;
  const old = (id: string): Spot => spots.get(from)!.get(id)!;
  const target = spots.get(to)!.get(weight.id)!;
  return {
    target,
    reads: copies.map(({ old: source, oldAt, oldStride, runBytes, rows }) =>
      part(old(source), oldAt, (rows - 1) * oldStride + runBytes),
    ),
    // Zeros are written before copies.
    copied:
      zeros.length > 0
        ? [target]
        : copies.map(({ at, stride, runBytes, rows }) => part(target, at, (rows - 1) * stride + runBytes)),
    what: moves,
  };
}

function part({ buffer, offset }: Spot, at: number, bytes: number): Spot {
  return { buffer, offset: offset + at, bytes };
}

/**
 * Places in the stash for what a transition sets aside: the first gap from the moment it is set aside until it is
 * written. Commands are carried out in order, so a place that was read may be taken again at once.
 */
function stashPlaces(order: readonly OrderedMove<WeightMoves>[]): {
  readonly at: ReadonlyMap<WeightJob<WeightMoves>, number>;
  readonly bytes: number;
} {
  const at = new Map<WeightJob<WeightMoves>, number>();
  let taken: { readonly job: WeightJob<WeightMoves>; readonly start: number; readonly end: number }[] = [];
  let bytes = 0;
  for (const { kind, job } of order) {
    if (kind === 'write') {
      taken = taken.filter((each) => each.job !== job);
      continue;
    }
    const size = roundUp(bytesOf(job.what.copies), REGION_ALIGNMENT);
    let start = 0;
    let index = 0;
    for (; index < taken.length && taken[index]!.start < start + size; index++) start = taken[index]!.end;
    taken.splice(index, 0, { job, start, end: start + size });
    at.set(job, start);
    bytes = Math.max(bytes, start + size);
  }
  return { at, bytes };
}

function bytesOf(copies: readonly WeightCopy[]): number {
  return copies.reduce((sum, copy) => sum + copy.runBytes * copy.rows, 0);
}
