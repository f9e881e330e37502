/**
 * The weights resident on one device, and what a transition does to them.
 *
 * Every stage's weights have a fixed place in one arena (`weight-arena.ts`), so kernels are bound once per plan. A
 * transition writes the new residence over the old one in an order that destroys nothing still needed
 * (`move-order.ts`), by way of a ring of staging slots (`staging-ring.ts`). Beyond the arena it needs that ring, no
 * larger than one weight, and room for what it must set aside. Weights whose place no other residence uses are brought in at the start and stay:
 * no transition moves them. Each weight may be used as soon as it has arrived.
 */
import type { DeviceMoves, RuntimeWeight, WeightCopy } from '../../compiler/ir/runtime-graph.js';
import type { Device, DeviceBuffer } from '../device/device.js';
import { packPieces, packRanges } from '../weights/pack.js';
import type { WeightSource } from '../weights/weight-source.js';
import { NO_SLICE } from '../trace/tracer.js';
import type { Slice, TraceArgs } from '../trace/tracer.js';
import { orderMoves } from './move-order.js';
import type { OrderedMove, WeightJob } from './move-order.js';
import type { Leaving } from './passages.js';
import { createStagingRing } from './staging-ring.js';
import type { MoveSpan, PlaceCopy, StagingRing } from './staging-ring.js';
import type { Turns } from './turns.js';
import { verifyWeights } from './verify-weights.js';
import { hasPadding, isInPlace, lastingWeights, placeWeights } from './weight-arena.js';
import type { Place, Residence, TransitionsByResidence } from './weight-arena.js';

/** Begins the slice of a weight that moves. */
export type TraceWeight = (weight: string, args: TraceArgs) => Slice;

export interface ResidentWeights {
  /** Place of a residence's weight; its content is right only while the residence is active. */
  place(residence: string, weight: string): Place;
  /**
   * Uploads a residence from the weight source, and what of the others no transition will move. Resolves with the bytes
   * written.
   */
  load(residence: string): Promise<number>;
  /**
   * Turns the active residence into `to` by the moves of a transition. A place is written when the steps in `leaving`
   * are past what lies there. From the call on `arrival` knows what is still to come. Resolves with the bytes uploaded
   * once all moves are enqueued. `trace` begins the slice of a weight.
   */
  transition(to: string, moves: DeviceMoves, leaving?: Leaving, trace?: TraceWeight): Promise<number>;
  /** Compares the active residence with the weight source. Rejects with FC0921 where they differ. */
  verify(): Promise<void>;
  /**
   * Resolves when a weight of the residence being moved in has arrived: its last move is enqueued, so that a kernel
   * submitted from then on finds it. Undefined when it is there already.
   */
  arrival(residence: string, weight: string): Promise<void> | undefined;
}

/** Pieces of a weight that are written from the host copy; undefined when the weight is not written at all. */
function piecesToUpload(moves: DeviceMoves, weight: string): readonly number[] | undefined {
  return moves.upload.find((upload) => upload.weight === weight)?.pieces;
}

/** What has to happen to one weight of the new residence. */
interface WeightMoves {
  readonly weight: RuntimeWeight;
  readonly copies: readonly WeightCopy[];
  /** Pieces to upload. */
  readonly pieces: readonly number[];
}

/** A residence being moved in, with what has not arrived. */
interface Incoming {
  readonly residence: string;
  readonly awaited: ReadonlyMap<string, Arrival>;
}

interface Arrival {
  readonly promise: Promise<void>;
  readonly arrive: () => void;
  readonly fail: (error: unknown) => void;
}

/** What the weights of a device share with those of others, and what they tell. */
export interface ResidentContext {
  readonly turns: Turns;
  /** How soon a residence's steps need a weight; the lower, the sooner. */
  readonly urgency: (residence: string, weight: string) => number;
  readonly onMove?: (span: MoveSpan) => void;
}

export function createResidentWeights(
  device: Device,
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  source: WeightSource,
  { turns, urgency, onMove }: ResidentContext,
): ResidentWeights {
  const placed = placeWeights(device, residences, transitions);
  const lasting = lastingWeights(placed, residences);
  const weightsOf = new Map(residences.map((residence) => [residence.name, residence.weights]));
  const orders = new Map<DeviceMoves, readonly OrderedMove<WeightMoves>[]>();
  let active: string | undefined;
  let ring: StagingRing | undefined;
  let incoming: Incoming | undefined;
  const find = (residence: string, weight: string): Place => {
    const place = placed.get(residence)?.get(weight);
    if (place === undefined) throw new Error(`no weight ${weight} in residence ${residence}`);
    return place;
  };
  /** The order of a transition's moves; it is the same every time. */
  const ordered = (from: string, to: string, moves: DeviceMoves): readonly OrderedMove<WeightMoves>[] => {
    const known = orders.get(moves);
    if (known !== undefined) return known;
    const jobs = weightsOf.get(to)!.flatMap((weight) => {
      const pieces = piecesToUpload(moves, weight.id);
      const target = find(to, weight.id);
      const copies = moves.copy.filter(
        (copy) =>
          copy.weight === weight.id && (hasPadding(weight) || !isInPlace(copy, find(from, copy.old), target)),
      );
      if (lasting.get(to)!.has(weight.id) || (copies.length === 0 && pieces === undefined)) return [];
      const job: WeightJob<WeightMoves> = {
        target,
        reads: copies.map(({ old, oldAt, oldStride, runBytes, rows }) =>
          part(find(from, old), oldAt, (rows - 1) * oldStride + runBytes),
        ),
        copied: hasPadding(weight)
          ? [target]
          : copies.map(({ at, stride, runBytes, rows }) => part(target, at, (rows - 1) * stride + runBytes)),
        what: { weight, copies, pieces: pieces ?? [] },
      };
      return [job];
    });
    const order = orderMoves(jobs);
    orders.set(moves, order);
    return order;
  };
  const settle = (): void => {
    incoming = undefined;
  };
  /** Made with the first load, before a transition needs it. */
  const openRing = (): StagingRing => {
    // The compiler leaves room for one weight more than the largest residence.
    const spare = Math.max(...residences.flatMap(({ weights }) => weights.map(({ bytes }) => bytes)));
    return createStagingRing(device, spare, turns, onMove);
  };
  return {
    place: find,
    async load(residence) {
      active = residence;
      let written = 0;
      const uploader = openRing();
      for (const { name, weights } of residences) {
        for (const weight of weights) {
          if (name !== residence && !lasting.get(name)!.has(weight.id)) continue;
          const delivery = {
            target: find(name, weight.id),
            name: weight.id,
            urgency: 0,
            clear: () => Promise.resolve(),
          };
          for (const { at, bytes } of packRanges(weight, source)) {
            const size = bytes.byteLength;
            await uploader.upload(delivery, { at, bytes, stride: size, runBytes: size, rows: 1 });
            written += size;
          }
        }
      }
      await uploader.finish();
      if (transitions.size > 0) ring = uploader;
      else uploader.free();
      return written;
    },
    async transition(to, moves, leaving, trace = () => NO_SLICE) {
      const from = active;
      if (from === undefined || ring === undefined) throw new Error('a transition needs an active residence');
      if (incoming !== undefined) throw new Error(`${to} is moved in before ${incoming.residence} is there`);
      const order = ordered(from, to, moves);
      const moved = order.flatMap(({ kind, job }) => (kind === 'write' ? [job.what.weight.id] : []));
      const awaited = new Map(moved.map((weight) => [weight, createArrival()]));
      incoming = { residence: to, awaited };
      active = to;
      try {
        return await move(device, ring, order, {
          oldPlace: (weight) => find(from, weight),
          source,
          urgency: (weight) => urgency(to, weight),
          clear: (place) => leaving?.past(place) ?? Promise.resolve(),
          trace,
          arrived: (weight) => awaited.get(weight)!.arrive(),
        });
      } catch (error) {
        for (const arrival of awaited.values()) arrival.fail(error);
        throw error;
      } finally {
        settle();
      }
    },
    async verify() {
      const residence = active;
      if (residence === undefined) return;
      await verifyWeights(device, weightsOf.get(residence)!, (weight) => find(residence, weight), source);
    },
    arrival: (residence, weight) =>
      incoming?.residence === residence ? incoming.awaited.get(weight)?.promise : undefined,
  };
}

function part({ buffer, offset }: Place, at: number, bytes: number): Place {
  return { buffer, offset: offset + at, bytes };
}

function createArrival(): Arrival {
  let arrive: () => void = () => undefined;
  let fail: (error: unknown) => void = () => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    arrive = resolve;
    fail = reject;
  });
  // Nobody may be waiting; the failure itself is reported by the transition.
  promise.catch(() => undefined);
  return { promise, arrive, fail };
}

/** What the moves of a transition need to know. */
interface Move {
  readonly oldPlace: (weight: string) => Place;
  readonly source: WeightSource;
  readonly urgency: (weight: string) => number;
  readonly clear: (place: Place) => Promise<void>;
  readonly arrived: (weight: string) => void;
  readonly trace: TraceWeight;
}

/** Carries out a transition's moves. Resolves with the bytes uploaded once all are submitted. */
async function move(
  device: Device,
  ring: StagingRing,
  order: readonly OrderedMove<WeightMoves>[],
  { oldPlace, source, urgency, clear, arrived, trace }: Move,
): Promise<number> {
  const stashes = new Map<WeightJob<WeightMoves>, DeviceBuffer>();
  let uploaded = 0;
  for (const { kind, job } of order) {
    const { weight, copies, pieces } = job.what;
    if (kind === 'stash') {
      const stash = device.createBuffer('re-shard stash', copiedBytes(job.what));
      stashes.set(job, stash);
      for (const { copy, packedAt } of packed(copies)) {
        await ring.setAside({ ...rowsOf(copy), from: oldPlace(copy.old) }, stash, packedAt);
      }
      continue;
    }
    const slice = trace(weight.id, { copies: copies.length, uploads: pieces.length });
    const delivery = {
      target: job.target,
      name: weight.id,
      urgency: urgency(weight.id),
      clear: () => clear(job.target),
    };
    const stash = stashes.get(job);
    if (hasPadding(weight)) await ring.zero(delivery);
    for (const { copy, packedAt } of packed(copies)) {
      const rows = rowsOf(copy);
      if (stash === undefined) await ring.copy(delivery, { ...rows, from: oldPlace(copy.old) });
      else {
        const from = { from: { buffer: stash }, fromAt: packedAt, fromStride: copy.runBytes };
        await ring.copy(delivery, { ...rows, ...from });
      }
    }
    for (const runs of packPieces(weight, source, pieces)) {
      await ring.upload(delivery, runs);
      uploaded += runs.bytes.byteLength;
    }
    ring.whenSubmitted(() => {
      if (stash !== undefined) device.free(stash);
      arrived(weight.id);
      slice.end({ bytes: weight.bytes });
    });
  }
  await ring.finish();
  return uploaded;
}

function copiedBytes({ copies }: WeightMoves): number {
  return copies.reduce((sum, copy) => sum + copy.runBytes * copy.rows, 0);
}

/** Copies with the place of each in a buffer that holds them all, packed. */
function packed(
  copies: readonly WeightCopy[],
): readonly { readonly copy: WeightCopy; readonly packedAt: number }[] {
  let at = 0;
  return copies.map((copy) => {
    const packedAt = at;
    at += copy.runBytes * copy.rows;
    return { copy, packedAt };
  });
}

function rowsOf({ at, stride, oldAt, oldStride, runBytes, rows }: WeightCopy): Omit<PlaceCopy, 'from'> {
  return { fromAt: oldAt, fromStride: oldStride, toAt: at, toStride: stride, runBytes, rows };
}
