/**
 * The logit adjustments of a step's rows, packed for the `adjust` and `mask` kernels: see `runtime/kernels/kernel.ts`.
 * They share one buffer of fixed size; what does not fit at once takes several turns of write and dispatch.
 */
import { ADJUST_WORDS, maskWords } from '../kernels/kernel.js';
import type { Adjustment } from './adjust.js';

export interface RowAdjustments {
  /** Row of the logits. */
  readonly row: number;
  readonly adjustments: readonly Adjustment[];
  /** Bitmap of allowed ids. */
  readonly mask?: Uint32Array;
}

export interface AdjustmentTurn {
  readonly kernel: 'adjust' | 'mask';
  /** Changed logits, or masked rows. */
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** Packs rows into turns of at most `capacity` bytes, masks last: what a mask rules out stays ruled out. */
export function packAdjustments(
  rows: readonly RowAdjustments[],
  vocab: number,
  capacity: number,
): readonly AdjustmentTurn[] {
  const entries = rows.flatMap(({ row, adjustments }) => adjustments.map((change) => ({ row, ...change })));
  const masked = rows.filter(({ mask }) => mask !== undefined);
  return [
    ...turns('adjust', entries, ADJUST_WORDS, capacity, ({ row, id, bias, repetition, penalty }, words) => {
      words.set([row, id]);
      new Float32Array(words.buffer, words.byteOffset + 8, 3).set([bias, repetition, penalty]);
    }),
    ...turns('mask', masked, maskWords(vocab), capacity, ({ row, mask }, words) => {
      words[0] = row;
      words.set(mask!, 1);
    }),
  ];
}

/** Writes `items` of `size` words each, as many per turn as `capacity` bytes hold. */
function turns<T>(
  kernel: AdjustmentTurn['kernel'],
  items: readonly T[],
  size: number,
  capacity: number,
  write: (item: T, words: Uint32Array) => void,
): readonly AdjustmentTurn[] {
  const most = Math.floor(capacity / (4 * size));
  const made: AdjustmentTurn[] = [];
  for (let first = 0; first < items.length; first += most) {
    const taken = items.slice(first, first + most);
    const words = new Uint32Array(taken.length * size);
    taken.forEach((item, i) => write(item, words.subarray(i * size, (i + 1) * size)));
    made.push({ kernel, count: taken.length, bytes: new Uint8Array(words.buffer) });
  }
  return made;
}
