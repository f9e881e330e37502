/**
 * Checks that what moves arrives, end to end: weights on a device against the host copy, KV pages by a checksum for
 * every (page, layer, head) that follows them from device to host tier and back. Misplaced bytes are what a re-shard
 * does wrong most easily and what answers show last. A difference is a RuntimeFailure FC0921 that names the place.
 */
import { crc32 } from 'node:zlib';
import type { RuntimeWeight } from '../../compiler/ir/runtime-graph.js';
import { weightLayout } from '../../compiler/ir/runtime-graph.js';
import type { Interval } from '../../compiler/ir/transitions.js';
import { BYTES_OF } from '../../compiler/model/shape.js';
import type { Device } from '../device/device.js';
import { RuntimeFailure } from '../failure.js';
import { packRanges } from '../weights/pack.js';
import type { WeightSource } from '../weights/weight-source.js';
import type { Place } from './weight-arena.js';

const HELP = 'the results written so far may be wrong as well; please report the plan';

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
        { subject: weight.id, help: HELP },
      );
    }
  }
}

/** Name of the tensor that a byte of a weight's buffer belongs to. */
function tensorAt(weight: RuntimeWeight, byte: number): string {
  const elementBytes = BYTES_OF[weight.dtype];
  const { stride } = weightLayout(weight);
  const row = Math.floor(byte / elementBytes / stride);
  const col = Math.floor(byte / elementBytes) % stride;
  const piece = weight.pieces.find(
    ({ at, rows, cols }) =>
      at[0] <= row && row < at[0] + rows[1] - rows[0] && at[1] <= col && col < at[1] + cols[1] - cols[0],
  );
  return piece?.tensor ?? 'padding';
}

/** Follows KV through the host tier. Parts of pages are packed bytes `[layers, heads, ...]`, as ranks hold them. */
export interface PageVerifier {
  /** Notes what a rank's part of a host page is as it leaves the device. */
  left(page: number, layers: Interval, heads: Interval, packed: Uint8Array): void;
  /** Compares a part with what left for the page. Throws FC0921, naming page, layer and head. */
  check(where: string, page: number, layers: Interval, heads: Interval, packed: Uint8Array): void;
}

/** @param headBytes bytes of one kv head of one layer of a page */
export function createPageVerifier(headBytes: number): PageVerifier {
  /** Checksums by host page, then `layer/head`. */
  const known = new Map<number, Map<string, number>>();
  const forEachHead = (
    layers: Interval,
    heads: Interval,
    packed: Uint8Array,
    visit: (layer: number, head: number, sum: number) => void,
  ): void => {
    let at = 0;
    for (let layer = layers[0]; layer < layers[1]; layer++) {
      for (let head = heads[0]; head < heads[1]; head++, at += headBytes) {
        visit(layer, head, crc32(packed.subarray(at, at + headBytes)));
      }
    }
  };
  return {
    left(page, layers, heads, packed) {
      const sums = known.get(page) ?? new Map<string, number>();
      known.set(page, sums);
      forEachHead(layers, heads, packed, (layer, head, sum) => sums.set(`${layer}/${head}`, sum));
    },
    check(where, page, layers, heads, packed) {
      const sums = known.get(page);
      forEachHead(layers, heads, packed, (layer, head, sum) => {
        if (sums?.get(`${layer}/${head}`) === sum) return;
        throw new RuntimeFailure(
          'FC0921',
          `${where}: layer ${layer}, head ${head} of host page ${page} is not what left the device`,
          { subject: `host page ${page}`, help: HELP },
        );
      });
    },
  };
}
