/**
 * Checks that weights that move arrive: what lies on a device against the host copy. Misplaced bytes are what a re-shard
 * does wrong most easily and what answers show last. A difference is a RuntimeFailure FC0921 that names the place.
 */
import { crc32 } from 'node:zlib';
import type { RuntimeWeight } from '../../compiler/ir/runtime-graph.js';
import { weightRowBytes } from '../../compiler/ir/device-layout.js';
import { WEIGHT_FORMATS } from '../../compiler/model/weight-types.js';
import type { Device } from '../device/device.js';
import { RuntimeFailure } from '../failure.js';
import { packRanges } from '../weights/pack.js';
import type { WeightSource } from '../weights/weight-source.js';
import type { Place } from './weight-arena.js';

/** What a run whose moves go wrong is told. */
export const WRONG_MOVE_HELP = 'the results written so far may be wrong as well; please report the plan';

/** Reads weights back and compares each with what the source says it is. Rejects with FC0921, naming the tensor. */
export async function verifyWeights(
  device: Device,
  weights: readonly RuntimeWeight[],
  placeOf: (weight: string) => Place,
  source: WeightSource,
): Promise<void> {
  for (const weight of weights) {
    const [found] = await device.read([placeOf(weight.id)]);
    for (const { at, bytes } of packRanges(weight, source)) {
      const there = found!.subarray(at, at + bytes.byteLength);
      if (crc32(there) === crc32(bytes)) continue;
      const byte = at + bytes.findIndex((value, i) => value !== there[i]);
      throw new RuntimeFailure(
        'FC0921',
        `${device.label}: ${weight.id} (${tensorAt(weight, byte)}) is not what was moved there, from byte ${byte} on`,
        { subject: weight.id, help: WRONG_MOVE_HELP },
      );
    }
  }
}

/** Name of the tensor that a byte of a weight's buffer belongs to. */
function tensorAt(weight: RuntimeWeight, byte: number): string {
  const { block, bytes } = WEIGHT_FORMATS[weight.dtype];
  const rowBytes = weightRowBytes(weight);
  const row = Math.floor(byte / rowBytes);
  const col = Math.floor((byte % rowBytes) / bytes) * block;
  const piece = weight.pieces.find(
    ({ at, rows, cols }) =>
      at[0] <= row && row < at[0] + rows[1] - rows[0] && at[1] <= col && col < at[1] + cols[1] - cols[0],
  );
  return piece?.tensor ?? 'padding';
}
