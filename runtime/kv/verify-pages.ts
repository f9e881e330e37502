/**
 * Checks that KV pages that move arrive, end to end: a checksum for every (page, layer, head) follows them from device
 * to host tier and disk and back. A difference is a RuntimeFailure FC0921 that names the place.
 */
import { crc32 } from 'node:zlib';
import type { Interval } from '../../compiler/ir/transitions.js';
import { WRONG_MOVE_HELP } from '../exec/verify-weights.js';
import { RuntimeFailure } from '../failure.js';

/** Follows KV through the host tier. Parts of pages are packed bytes `[layers, heads, ...]`, as ranks hold them. */
export interface PageVerifier {
  /** Notes what a rank's part of a host page is as it leaves the device. */
  left(page: number, layers: Interval, heads: Interval, packed: Uint8Array): void;
  /** Compares a part with what left for the page. Throws FC0921, naming page, layer and head. */
  check(where: string, page: number, layers: Interval, heads: Interval, packed: Uint8Array): void;
  /** Notes that a disk page holds what the host page does. */
  spilled(page: number, diskPage: number): void;
  /** Notes that a host page is to hold what the disk page does. */
  fetched(diskPage: number, page: number): void;
}

/** @param headBytes bytes of one kv head of one layer of a page */
export function createPageVerifier(headBytes: number): PageVerifier {
  /** Checksums by host page, then `layer/head`. */
  const known = new Map<number, Map<string, number>>();
  const onDisk = new Map<number, ReadonlyMap<string, number>>();
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
          { subject: `host page ${page}`, help: WRONG_MOVE_HELP },
        );
      });
    },
    spilled: (page, diskPage) => onDisk.set(diskPage, new Map(known.get(page))),
    fetched: (diskPage, page) => known.set(page, new Map(onDisk.get(diskPage))),
  };
}
