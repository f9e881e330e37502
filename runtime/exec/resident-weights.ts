/**
 * The weights resident on one device, and what a transition does to them.
 *
 * Every stage's weights have a fixed place in one arena (`weight-arena.ts`), so kernels are bound once per plan. A
 * transition writes the new residence over the old one in an order that destroys nothing still needed
 * (`move-order.ts`); beyond the arena it needs room for the copies of one weight, and for what it must set aside. It
 * pauses between writes, and each weight may be used as soon as it has arrived.
 */
import type { RuntimeWeight, WeightCopy } from '../../compiler/ir/runtime-graph.js';
import { weightLayout } from '../../compiler/ir/runtime-graph.js';
import { BYTES_OF } from '../../compiler/model/shape.js';
import type { Device, DeviceBuffer, DeviceKernel } from '../device/device.js';
import { packPieces, packRanges, writtenRows } from '../weights/pack.js';
import type { WeightSource } from '../weights/weight-source.js';
import { orderMoves } from './move-order.js';
import type { OrderedMove, WeightJob } from './move-order.js';
import { createPacedWriter } from './paced-writer.js';
import { copyKernel, recordCopies, wantsKernel } from './strided-copy.js';
import type { RowCopy } from './strided-copy.js';
import { verifyWeights } from './verify-weights.js';
import { placeWeights } from './weight-arena.js';
import type { DeviceTransition, Place, Residence, TransitionsByResidence } from './weight-arena.js';

export interface ResidentWeights {
  /** Place of a residence's weight; its content is right only while the residence is active. */
  place(residence: string, weight: string): Place;
  /** Uploads a residence from the weight source, whole. Resolves with the bytes written. */
  load(residence: string): Promise<number>;
  /**
   * Turns the active residence into `to` by the moves of a transition. Moves begin when `clear` has resolved: commands
   * that use the old weights must be submitted by then. From the call on `arrival` knows what is still to come.
   * Resolves with the bytes uploaded once all moves are enqueued.
   */
  transition(to: string, moves: DeviceTransition, clear?: Promise<void>): Promise<number>;
  /** Compares the active residence with the weight source. Rejects with FC0921 where they differ. */
  verify(): Promise<void>;
  /**
   * Resolves when a weight of the residence being moved in has arrived: its last move is enqueued, so that a kernel
   * submitted from then on finds it. Undefined when it is there already.
   */
  arrival(residence: string, weight: string): Promise<void> | undefined;
}

/** Pieces of a weight that are written from the host copy; undefined when the weight is not written at all. */
function piecesToUpload(moves: DeviceTransition, weight: string): readonly number[] | undefined {
  return moves.upload.find((upload) => upload.weight === weight)?.pieces;
}

/** What has to happen to one weight of the new residence. */
interface WeightMoves {
  readonly weight: RuntimeWeight;
  readonly copies: readonly WeightCopy[];
  /** Pieces to upload; undefined when none are. */
  readonly pieces?: readonly number[];
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

export function createResidentWeights(
  device: Device,
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  source: WeightSource,
): ResidentWeights {
  const placed = placeWeights(device, residences, transitions);
  const weightsOf = new Map(residences.map((residence) => [residence.name, residence.weights]));
  const orders = new Map<DeviceTransition, readonly OrderedMove<WeightMoves>[]>();
  let active: string | undefined;
  let kernel: DeviceKernel | undefined;
  let incoming: Incoming | undefined;
  const find = (residence: string, weight: string): Place => {
    const place = placed.get(residence)?.get(weight);
    if (place === undefined) throw new Error(`no weight ${weight} in residence ${residence}`);
    return place;
  };
  /** The order of a transition's moves; it is the same every time. */
  const ordered = (
    from: string,
    to: string,
    moves: DeviceTransition,
  ): readonly OrderedMove<WeightMoves>[] => {
    const known = orders.get(moves);
    if (known !== undefined) return known;
    const jobs = weightsOf.get(to)!.flatMap((weight) => {
      const pieces = piecesToUpload(moves, weight.id);
      const copies = moves.copy.filter(
        (copy) => copy.weight === weight.id && !isRewritten(weight, copy, pieces ?? []),
      );
      if (copies.length === 0 && pieces === undefined) return [];
      const job: WeightJob<WeightMoves> = {
        target: find(to, weight.id),
        reads: copies.map((copy) => find(from, copy.old)),
        what: { weight, copies, ...(pieces === undefined ? {} : { pieces }) },
      };
      return [job];
    });
    const order = orderMoves(jobs);
    orders.set(moves, order);
    return order;
  };
  const copiesRows = [...transitions.values()].some(({ copy }) =>
    copy.some((each) => wantsKernel(device, each)),
  );
  const settle = (): void => {
    incoming = undefined;
  };
  return {
    place: find,
    async load(residence) {
      active = residence;
      // Compiled before the first transition needs it.
      if (copiesRows) kernel = await copyKernel(device);
      const writer = createPacedWriter(device);
      for (const weight of weightsOf.get(residence)!) {
        await writer.write(find(residence, weight.id), packRanges(weight, source));
      }
      return writer.bytes();
    },
    async transition(to, moves, clear) {
      const from = active;
      if (from === undefined) throw new Error('a transition needs an active residence');
      if (incoming !== undefined) throw new Error(`${to} is moved in before ${incoming.residence} is there`);
      const moved = new Set([...moves.copy, ...moves.upload].map(({ weight }) => weight));
      const awaited = new Map([...moved].map((weight) => [weight, createArrival()]));
      incoming = { residence: to, awaited };
      active = to;
      try {
        await clear;
        return await move(
          device,
          ordered(from, to, moves),
          (weight) => find(from, weight),
          source,
          (weight) => awaited.get(weight)!.arrive(),
          kernel,
        );
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

/** Carries out a transition's moves, with pauses. Resolves with the bytes uploaded. */
async function move(
  device: Device,
  order: readonly OrderedMove<WeightMoves>[],
  oldPlace: (weight: string) => Place,
  source: WeightSource,
  arrived: (weight: string) => void,
  kernel: DeviceKernel | undefined,
): Promise<number> {
  const stashes = new Map<WeightJob<WeightMoves>, DeviceBuffer>();
  const bounceBytes = Math.max(0, ...order.map(({ job }) => copiedBytes(job.what)));
  const bounce = bounceBytes > 0 ? device.createBuffer('re-shard copy', bounceBytes) : undefined;
  const writer = createPacedWriter(device);
  for (const { kind, job } of order) {
    if (kind === 'stash') {
      const stash = device.createBuffer('re-shard stash', copiedBytes(job.what));
      gather(device, job.what, oldPlace, stash, kernel);
      stashes.set(job, stash);
      continue;
    }
    const { weight, copies, pieces } = job.what;
    const { buffer, offset } = job.target;
    if (copies.length > 0) {
      const stash = stashes.get(job);
      // WebGPU copies within one buffer only by way of another.
      if (stash === undefined) gather(device, job.what, oldPlace, bounce!, kernel);
      if (hasPadding(weight)) device.write(buffer, offset, new Uint8Array(weight.bytes));
      scatter(device, job, stash ?? bounce!, kernel);
      if (stash !== undefined) device.free(stash);
    }
    if (pieces !== undefined) await writer.write(job.target, packPieces(weight, source, pieces));
    arrived(weight.id);
  }
  if (bounce !== undefined) device.free(bounce);
  return writer.bytes();
}

function copiedBytes({ copies }: WeightMoves): number {
  return copies.reduce((sum, copy) => sum + copy.runBytes * copy.rows, 0);
}

/** Copies a weight's sources into `to`, packed in the order of its copies. */
function gather(
  device: Device,
  { copies }: WeightMoves,
  oldPlace: (weight: string) => Place,
  to: DeviceBuffer,
  kernel: DeviceKernel | undefined,
): void {
  let at = 0;
  const packed = copies.map(({ old, oldAt, oldStride, runBytes, rows }): RowCopy => {
    const toAt = at;
    at += runBytes * rows;
    const from = { from: oldPlace(old), fromAt: oldAt, fromStride: oldStride };
    return { ...from, to: { buffer: to }, toAt, toStride: runBytes, runBytes, rows };
  });
  recordCopies(device, packed, kernel);
}

/** The reverse: packed copies from `from` to where the weight wants them. */
function scatter(
  device: Device,
  { target, what }: WeightJob<WeightMoves>,
  from: DeviceBuffer,
  kernel: DeviceKernel | undefined,
): void {
  let packedAt = 0;
  const spread = what.copies.map(({ at, stride, runBytes, rows }): RowCopy => {
    const fromAt = packedAt;
    packedAt += runBytes * rows;
    const to = { to: target, toAt: at, toStride: stride };
    return { ...to, from: { buffer: from }, fromAt, fromStride: runBytes, runBytes, rows };
  });
  recordCopies(device, spread, kernel);
}

/** Whether uploading the pieces writes the rows that the copy lands in anyway. */
function isRewritten(weight: RuntimeWeight, copy: WeightCopy, pieces: readonly number[]): boolean {
  const rowBytes = weightLayout(weight).stride * BYTES_OF[weight.dtype];
  const first = Math.floor(copy.at / rowBytes);
  const last = Math.floor((copy.at + (copy.rows - 1) * copy.stride + copy.runBytes - 1) / rowBytes);
  return writtenRows(weight, pieces).some(([start, end]) => start <= first && last < end);
}

/** Bytes that no piece covers must be zero, whatever the place held before. */
function hasPadding(weight: RuntimeWeight): boolean {
  const covered = weight.pieces.reduce(
    (sum, { rows, cols }) => sum + (rows[1] - rows[0]) * (cols[1] - cols[0]),
    0,
  );
  return covered * BYTES_OF[weight.dtype] < weight.bytes;
}
