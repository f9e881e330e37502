/**
 * The weights resident on one device, and what a transition does to them.
 *
 * Every stage's weights have a fixed place in one arena (`weight-arena.ts`), so kernels are bound once per plan. A
 * transition writes the new residence over the old one in an order that destroys nothing still needed
 * (`move-order.ts`); beyond the arena it needs room for the copies of one weight, and for what it must set aside.
 */
import type { RuntimeWeight, WeightCopy } from '../../compiler/ir/runtime-graph.js';
import { copyRanges } from '../../compiler/ir/runtime-graph.js';
import { BYTES_OF } from '../../compiler/model/shape.js';
import type { Device, DeviceBuffer } from '../device/device.js';
import { packPieces, packWeight } from '../weights/pack.js';
import type { WeightSource } from '../weights/weight-source.js';
import { orderMoves } from './move-order.js';
import type { WeightJob } from './move-order.js';
import { placeWeights } from './weight-arena.js';
import type { DeviceTransition, Place, Residence, TransitionsByResidence } from './weight-arena.js';

export interface ResidentWeights {
  /** Place of a residence's weight; its content is right only while the residence is active. */
  place(residence: string, weight: string): Place;
  /** Uploads a residence from the weight source, whole. Returns the bytes written. */
  load(residence: string): number;
  /** Turns the active residence into `to` by the moves of a transition. Returns the bytes uploaded. */
  transition(to: string, moves: DeviceTransition): number;
}

/** What has to happen to one weight of the new residence. */
interface WeightMoves {
  readonly weight: RuntimeWeight;
  readonly copies: readonly WeightCopy[];
  /** Pieces to upload; undefined when none are. */
  readonly pieces?: readonly number[];
}

export function createResidentWeights(
  device: Device,
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  source: WeightSource,
): ResidentWeights {
  const placed = placeWeights(device, residences, transitions);
  const weightsOf = new Map(residences.map((residence) => [residence.name, residence.weights]));
  let active: string | undefined;
  const find = (residence: string, weight: string): Place => {
    const place = placed.get(residence)?.get(weight);
    if (place === undefined) throw new Error(`no weight ${weight} in residence ${residence}`);
    return place;
  };
  return {
    place: find,
    load(residence) {
      active = residence;
      let bytes = 0;
      for (const weight of weightsOf.get(residence)!) {
        const { buffer, offset } = find(residence, weight.id);
        const packed = packWeight(weight, source);
        device.write(buffer, offset, packed);
        bytes += packed.byteLength;
      }
      return bytes;
    },
    transition(to, moves) {
      const from = active;
      if (from === undefined) throw new Error('a transition needs an active residence');
      const jobs = weightsOf.get(to)!.flatMap((weight) => {
        const copies = moves.copy.filter((copy) => copy.weight === weight.id);
        const pieces = moves.upload.find((upload) => upload.weight === weight.id)?.pieces;
        if (copies.length === 0 && pieces === undefined) return [];
        const job: WeightJob<WeightMoves> = {
          target: find(to, weight.id),
          reads: copies.map((copy) => find(from, copy.old)),
          what: { weight, copies, ...(pieces === undefined ? {} : { pieces }) },
        };
        return [job];
      });
      active = to;
      return move(device, jobs, (weight) => find(from, weight), source);
    },
  };
}

/** Carries out a transition's moves. Returns the bytes uploaded. */
function move(
  device: Device,
  jobs: readonly WeightJob<WeightMoves>[],
  oldPlace: (weight: string) => Place,
  source: WeightSource,
): number {
  const stashes = new Map<WeightJob<WeightMoves>, DeviceBuffer>();
  const bounceBytes = Math.max(0, ...jobs.map((job) => copiedBytes(job.what)));
  const bounce = bounceBytes > 0 ? device.createBuffer('re-shard copy', bounceBytes) : undefined;
  let bytes = 0;
  for (const { kind, job } of orderMoves(jobs)) {
    if (kind === 'stash') {
      const stash = device.createBuffer('re-shard stash', copiedBytes(job.what));
      gather(device, job.what, oldPlace, stash);
      stashes.set(job, stash);
      continue;
    }
    const { weight, copies, pieces } = job.what;
    const { buffer, offset } = job.target;
    if (copies.length > 0) {
      const stash = stashes.get(job);
      // WebGPU copies within one buffer only by way of another.
      if (stash === undefined) gather(device, job.what, oldPlace, bounce!);
      if (hasPadding(weight)) device.write(buffer, offset, new Uint8Array(weight.bytes));
      scatter(device, job, stash ?? bounce!);
      if (stash !== undefined) device.free(stash);
    }
    for (const range of pieces === undefined ? [] : packPieces(weight, source, pieces)) {
      device.write(buffer, offset + range.at, range.bytes);
      bytes += range.bytes.byteLength;
    }
  }
  if (bounce !== undefined) device.free(bounce);
  return bytes;
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
): void {
  device.record((commands) => {
    let at = 0;
    for (const copy of copies) {
      const from = oldPlace(copy.old);
      for (const run of copyRanges(copy)) {
        commands.copy(from.buffer, from.offset + run.oldAt, to, at, run.bytes);
        at += run.bytes;
      }
    }
  });
}

/** The reverse: packed copies from `from` to where the weight wants them. */
function scatter(device: Device, { target, what }: WeightJob<WeightMoves>, from: DeviceBuffer): void {
  device.record((commands) => {
    let at = 0;
    for (const run of what.copies.flatMap(copyRanges)) {
      commands.copy(from, at, target.buffer, target.offset + run.at, run.bytes);
      at += run.bytes;
    }
  });
}

/** Bytes that no piece covers must be zero, whatever the place held before. */
function hasPadding(weight: RuntimeWeight): boolean {
  const covered = weight.pieces.reduce(
    (sum, { rows, cols }) => sum + (rows[1] - rows[0]) * (cols[1] - cols[0]),
    0,
  );
  return covered * BYTES_OF[weight.dtype] < weight.bytes;
}
