/**
 * The weights resident on one device, and what a transition does to them.
 *
 * Every stage's weights have fixed buffers, planned once: a stage's weight keeps its buffer for the whole run, so
 * kernels are bound once per plan. Stages that are never resident together share buffers: a buffer whose content the
 * next stage does not keep is taken over by the smallest new weight that fits it best.
 */
import type { RuntimeTransition, RuntimeWeight } from '../../compiler/ir/runtime-graph.js';
import { copyRanges } from '../../compiler/ir/runtime-graph.js';
import { BYTES_OF } from '../../compiler/model/shape.js';
import type { Device, DeviceBuffer } from '../device/device.js';
import { packPieces, packWeight } from '../weights/pack.js';
import type { WeightSource } from '../weights/weight-source.js';

/** A residence: weights that are on the device at the same time, under one name. */
export interface Residence {
  readonly name: string;
  readonly weights: readonly RuntimeWeight[];
}

type DeviceTransition = RuntimeTransition['devices'][number];

export interface ResidentWeights {
  /** Buffer of a residence's weight; its content is right only while the residence is active. */
  buffer(residence: string, weight: string): DeviceBuffer;
  /** Uploads a residence from the weight source, whole. Returns the bytes written. */
  load(residence: string): number;
  /** Turns the active residence into `to` by the moves of a transition. Returns the bytes uploaded. */
  transition(to: string, moves: DeviceTransition): number;
}

export function createResidentWeights(
  device: Device,
  residences: readonly Residence[],
  transitions: ReadonlyMap<string, DeviceTransition>,
  source: WeightSource,
): ResidentWeights {
  const placed = placeResidences(device, residences, transitions);
  const weightsOf = new Map(
    residences.map((residence) => [
      residence.name,
      new Map(residence.weights.map((weight) => [weight.id, weight])),
    ]),
  );
  let active: string | undefined;
  const find = (residence: string, weight: string): DeviceBuffer => {
    const buffer = placed.get(residence)?.get(weight);
    if (buffer === undefined) throw new Error(`no weight ${weight} in residence ${residence}`);
    return buffer;
  };
  const upload = (residence: string, weight: RuntimeWeight): number => {
    const bytes = packWeight(weight, source);
    device.write(find(residence, weight.id), 0, bytes);
    return bytes.byteLength;
  };
  return {
    buffer: find,
    load(residence) {
      active = residence;
      let bytes = 0;
      for (const weight of weightsOf.get(residence)!.values()) bytes += upload(residence, weight);
      return bytes;
    },
    transition(to, moves) {
      const from = active;
      if (from === undefined) throw new Error('a transition needs an active residence');
      copyWithin(
        device,
        moves,
        (weight) => find(from, weight),
        (weight) => find(to, weight),
        (weight) => weightsOf.get(to)!.get(weight)!,
      );
      let bytes = 0;
      for (const move of moves.upload) {
        const weight = weightsOf.get(to)!.get(move.weight)!;
        for (const range of packPieces(weight, source, move.pieces)) {
          device.write(find(to, weight.id), range.at, range.bytes);
          bytes += range.bytes.byteLength;
        }
      }
      active = to;
      return bytes;
    },
  };
}

/**
 * Copies go through a scratch buffer: a source may be the target of another move of the same transition. Targets with
 * bytes that no piece covers (padding) are cleared first: their buffers may have held another weight.
 */
function copyWithin(
  device: Device,
  moves: DeviceTransition,
  source: (weight: string) => DeviceBuffer,
  target: (weight: string) => DeviceBuffer,
  weightOf: (weight: string) => RuntimeWeight,
): void {
  const runs = moves.copy.flatMap((copy) =>
    copyRanges(copy).map((run) => ({ ...run, from: source(copy.old), to: target(copy.weight) })),
  );
  const total = runs.reduce((sum, run) => sum + run.bytes, 0);
  if (total === 0) return;
  const scratch = device.createBuffer('re-shard scratch', total);
  device.record((commands) => {
    let at = 0;
    for (const run of runs) {
      commands.copy(run.from, run.oldAt, scratch, at, run.bytes);
      at += run.bytes;
    }
  });
  for (const id of new Set(moves.copy.map((copy) => copy.weight))) {
    const weight = weightOf(id);
    if (coveredElements(weight) * BYTES_OF[weight.dtype] < weight.bytes) {
      device.write(target(id), 0, new Uint8Array(weight.bytes));
    }
  }
  device.record((commands) => {
    let at = 0;
    for (const run of runs) {
      commands.copy(scratch, at, run.to, run.at, run.bytes);
      at += run.bytes;
    }
  });
  device.free(scratch);
}

function coveredElements(weight: RuntimeWeight): number {
  return weight.pieces.reduce((sum, { rows, cols }) => sum + (rows[1] - rows[0]) * (cols[1] - cols[0]), 0);
}

/**
 * Gives every weight of every residence a buffer. The first residence gets fresh buffers. Each later one keeps the
 * buffers of weights its transition keeps and fits the rest, largest first, into the smallest buffer that is large
 * enough and not yet taken by the same residence.
 */
function placeResidences(
  device: Device,
  residences: readonly Residence[],
  transitions: ReadonlyMap<string, DeviceTransition>,
): Map<string, Map<string, DeviceBuffer>> {
  const all: DeviceBuffer[] = [];
  const placed = new Map<string, Map<string, DeviceBuffer>>();
  residences.forEach((residence, index) => {
    const mine = new Map<string, DeviceBuffer>();
    const taken = new Set<DeviceBuffer>();
    for (const earlier of residences.slice(0, index)) {
      const keep = transitions.get(`${earlier.name}->${residence.name}`)?.keep ?? [];
      for (const { weight, old } of keep) {
        const buffer = placed.get(earlier.name)!.get(old)!;
        if (mine.has(weight)) {
          if (mine.get(weight) !== buffer) throw new Error(`${weight} would have to stay in two buffers`);
          continue;
        }
        mine.set(weight, buffer);
        taken.add(buffer);
      }
    }
    const rest = residence.weights.filter((weight) => !mine.has(weight.id)).sort((a, b) => b.bytes - a.bytes);
    for (const weight of rest) {
      const fits = all.filter((buffer) => buffer.bytes >= weight.bytes && !taken.has(buffer));
      const best = fits.sort((a, b) => a.bytes - b.bytes)[0];
      const buffer = best ?? device.createBuffer(`weight ${weight.id}`, weight.bytes);
      if (best === undefined) all.push(buffer);
      mine.set(weight.id, buffer);
      taken.add(buffer);
    }
    placed.set(residence.name, mine);
  });
  return placed;
}
