/**
 * The weights resident on one device, and what a transition does to them.
 *
 * Every stage's weights have a fixed place in one arena, so kernels are bound once per plan. A transition writes the
 * new residence over the old one in an order that destroys nothing still needed, by way of a ring of staging slots
 * (`staging-ring.ts`). Beyond the arena it needs that ring and a stash for what it must set aside: the compiler planned
 * and counted all three (`compiler/ir/device-weights.ts`). A transition that is announced begins to fill the ring while
 * the old residence is still in use, which then grows into memory of the device that nothing else has a use for. What lies where no other residence has anything is brought
 * in at the start and stays: no transition moves it. Each weight may be used as soon as it has arrived.
 */
import { largestWeight, planDeviceWeights } from '../../compiler/ir/device-weights.js';
import type { TransitionOrder } from '../../compiler/ir/device-weights.js';
import { hasPadding } from '../../compiler/ir/in-place.js';
import { partsThere } from '../../compiler/ir/piece-parts.js';
import type { DeviceMoves, WeightCopy } from '../../compiler/ir/runtime-graph.js';
import type { Residence, Spot, TransitionsByResidence } from '../../compiler/ir/weight-arena.js';
import type { Device, DeviceBuffer } from '../device/device.js';
import { packPieces, packRanges } from '../weights/pack.js';
import type { WeightRuns } from '../weights/pack.js';
import type { WeightSource } from '../weights/weight-source.js';
import { NO_SLICE } from '../trace/tracer.js';
import type { Slice, TraceArgs } from '../trace/tracer.js';
import type { Leaving } from './passages.js';
import { createStagingRing } from './staging-ring.js';
import type { MoveSpan, PlaceCopy, StagingRing } from './staging-ring.js';
import type { Turns } from './turns.js';
import { verifyWeights } from './verify-weights.js';
import { openArena } from './weight-arena.js';
import type { Place } from './weight-arena.js';

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
   * Begins to bring the uploads of a transition to the device, as far as there is memory; all else is left as it is. The
   * next transition must be this one. `trace` begins the slice of a weight.
   */
  prepare(to: string, moves: DeviceMoves, trace?: TraceWeight): Prefetch;
  /**
   * Turns the active residence into `to` by the moves of a transition. A place is written when the steps in `leaving`
   * are past what lies there. From the call on `arrival` knows what is still to come. Resolves with the bytes uploaded
   * once all moves are enqueued. `trace` begins the slice of a weight, unless the transition was prepared.
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

/** What has been uploaded ahead of a transition. */
export interface Prefetch {
  /** Bytes brought to the device so far. */
  readonly bytes: () => number;
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

/** A transition whose uploads have begun. */
interface Begun {
  readonly moves: DeviceMoves;
  readonly incoming: Incoming;
  readonly progress: Progress;
  /** Lets it write to places that the steps are past. */
  readonly go: (leaving: Leaving | undefined) => void;
  readonly done: Promise<number>;
}

interface Progress {
  uploaded: number;
}

/** What the weights of a device share with those of others, and what they tell. */
export interface ResidentContext {
  /** Bytes of the device's memory that nothing has a use for: room for what is brought in ahead of a transition. */
  readonly spare: number;
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
  { spare, turns, urgency, onMove }: ResidentContext,
): ResidentWeights {
  const planned = planDeviceWeights(residences, transitions, device.limits.maxBufferBytes);
  const { arena, lasting, orders, stashBytes } = planned;
  const placeOf = openArena(device, arena);
  const weightsOf = new Map(residences.map((residence) => [residence.name, residence.weights]));
  let active: string | undefined;
  let ring: StagingRing | undefined;
  let incoming: Incoming | undefined;
  let prepared: Begun | undefined;
  const find = (residence: string, weight: string): Place => {
    const spot = arena.spots.get(residence)?.get(weight);
    if (spot === undefined) throw new Error(`no weight ${weight} in residence ${residence}`);
    return placeOf(spot);
  };
  /** Made with the first load, before a transition needs it. */
  const openRing = (): StagingRing =>
    createStagingRing(device, largestWeight(residences), spare, turns, onMove);
  const stash = stashBytes > 0 ? device.createBuffer('re-shard stash', stashBytes) : undefined;
  const begin = (to: string, moves: DeviceMoves, trace: TraceWeight): Begun => {
    const from = active;
    if (from === undefined || ring === undefined) throw new Error('a transition needs an active residence');
    if (incoming !== undefined) throw new Error(`${to} is moved in before ${incoming.residence} is there`);
    const order = orders.get(moves);
    if (order === undefined) throw new Error(`no transition from ${from} to ${to} was planned`);
    const moved = order.moves.flatMap(({ kind, job }) => (kind === 'write' ? [job.what.weight.id] : []));
    const awaited = new Map(moved.map((weight) => [weight, createArrival()]));
    const progress: Progress = { uploaded: 0 };
    let leaving: Leaving | undefined;
    let gone = false;
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const done = move(ring, order, stash, progress, {
      oldPlace: (weight) => find(from, weight),
      placeOf,
      source,
      urgency: (weight) => urgency(to, weight),
      clear: (place) => (gone ? leaving?.past(place) : gate.then(() => leaving?.past(place))),
      trace,
      arrived: (weight) => awaited.get(weight)!.arrive(),
    });
    // A failure before the transition is asked for is reported by it.
    done.catch(() => undefined);
    const go = (steps: Leaving | undefined): void => {
      leaving = steps;
      gone = true;
      open();
    };
    return { moves, incoming: { residence: to, awaited }, progress, go, done };
  };
  return {
    place: find,
    async load(residence) {
      active = residence;
      let written = 0;
      const uploader = openRing();
      for (const { name, weights } of residences) {
        for (const weight of weights) {
          const delivery = {
            target: find(name, weight.id),
            name: weight.id,
            urgency: 0,
            clear: () => undefined,
          };
          const write = async (runs: WeightRuns): Promise<void> => {
            await uploader.upload(delivery, runs);
            written += runs.bytes.byteLength;
          };
          const lasts = lasting.get(name)!.get(weight.id) ?? [];
          if (name === residence || lasts[0]?.bytes === weight.bytes) {
            for (const { at, bytes } of packRanges(weight, source)) {
              const size = bytes.byteLength;
              await write({ at, bytes, stride: size, runBytes: size, rows: 1 });
            }
          } else {
            if (hasPadding(weight)) for (const range of lasts) await uploader.zero(delivery, range);
            const parts = weight.pieces.flatMap((piece) => partsThere(weight, piece, lasts));
            for (const runs of packPieces(weight, source, parts)) await write(runs);
          }
        }
      }
      await uploader.finish();
      if (transitions.size > 0) ring = uploader;
      else uploader.free();
      return written;
    },
    prepare(to, moves, trace = () => NO_SLICE) {
      if (prepared !== undefined) throw new Error(`${prepared.incoming.residence} is prepared already`);
      prepared = begin(to, moves, trace);
      const { progress } = prepared;
      return { bytes: () => progress.uploaded };
    },
    async transition(to, moves, leaving, trace = () => NO_SLICE) {
      if (prepared !== undefined && prepared.moves !== moves) {
        throw new Error(`${prepared.incoming.residence} is prepared, not ${to}`);
      }
      const begun = prepared ?? begin(to, moves, trace);
      prepared = undefined;
      incoming = begun.incoming;
      active = to;
      begun.go(leaving);
      try {
        return await begun.done;
      } catch (error) {
        for (const arrival of begun.incoming.awaited.values()) arrival.fail(error);
        throw error;
      } finally {
        incoming = undefined;
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
  readonly placeOf: (spot: Spot) => Place;
  readonly source: WeightSource;
  readonly urgency: (weight: string) => number;
  readonly clear: (place: Place) => Promise<void> | undefined;
  readonly arrived: (weight: string) => void;
  readonly trace: TraceWeight;
}

/** Carries out a transition's moves. Resolves with the bytes uploaded once all are submitted. */
async function move(
  ring: StagingRing,
  { moves, stashAt }: TransitionOrder,
  stash: DeviceBuffer | undefined,
  progress: Progress,
  { oldPlace, placeOf, source, urgency, clear, arrived, trace }: Move,
): Promise<number> {
  for (const { kind, job } of moves) {
    const { weight, copies, pieces, zeros } = job.what;
    if (kind === 'stash') {
      for (const { copy, packedAt } of packed(copies, stashAt.get(job)!))
        await ring.setAside({ ...rowsOf(copy), from: oldPlace(copy.old) }, stash!, packedAt);
      continue;
    }
    const slice = trace(weight.id, { copies: copies.length, uploads: pieces.length });
    const target = placeOf(job.target);
    const delivery = {
      target,
      name: weight.id,
      urgency: urgency(weight.id),
      clear: () => clear(target),
    };
    const aside = stashAt.get(job);
    for (const range of zeros) await ring.zero(delivery, range);
    for (const { copy, packedAt } of packed(copies, aside ?? 0)) {
      const rows = rowsOf(copy);
      if (aside === undefined) await ring.copy(delivery, { ...rows, from: oldPlace(copy.old) });
      else {
        const from = { from: { buffer: stash! }, fromAt: packedAt, fromStride: copy.runBytes };
        await ring.copy(delivery, { ...rows, ...from });
      }
    }
    for (const runs of packPieces(weight, source, pieces)) {
      await ring.upload(delivery, runs);
      progress.uploaded += runs.bytes.byteLength;
    }
    ring.whenSubmitted(() => {
      arrived(weight.id);
      slice.end({ bytes: weight.bytes });
    });
  }
  await ring.finish();
  return progress.uploaded;
}

/** Copies with the place of each in a buffer that holds them all, packed from `start` on. */
function packed(
  copies: readonly WeightCopy[],
  start: number,
): readonly { readonly copy: WeightCopy; readonly packedAt: number }[] {
  let at = start;
  return copies.map((copy) => {
    const packedAt = at;
    at += copy.runBytes * copy.rows;
    return { copy, packedAt };
  });
}

function rowsOf({ at, stride, oldAt, oldStride, runBytes, rows }: WeightCopy): Omit<PlaceCopy, 'from'> {
  return { fromAt: oldAt, fromStride: oldStride, toAt: at, toStride: stride, runBytes, rows };
}
