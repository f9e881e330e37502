/**
 * In which order a transition writes weights, and what keeps it from that: a place may be written when the steps of the old
 * stage are past the last op that reads what lies there. The executor finds that out with the memory that it has
 * (`runtime/exec/passages.ts`), where it may run with buffers that are smaller; who only wants to know when weights can be
 * there looks here.
 */
import type { DraftOp } from './op-access.js';
import { firstAbove } from '../first-above.js';
import type { TransitionOrder } from './device-weights.js';
import { inAddressOrder } from './in-place.js';
import type { WeightWrite } from './runtime-graph.js';
import type { Spot } from './weight-arena.js';

/** By weight, the index of the last op of a program that reads it. Weights that none reads are left out. */
export type LastReads = ReadonlyMap<string, number>;

/** @param names those that weights of the program have elsewhere, where they are others */
export function lastReads(ops: readonly DraftOp[], names?: ReadonlyMap<string, string>): LastReads {
  const reads = new Map<string, number>();
  ops.forEach((op, index) => {
    if (op.op !== 'kernel') return;
    for (const operand of op.operands)
      if ('weight' in operand) reads.set(names?.get(operand.weight) ?? operand.weight, index);
  });
  return reads;
}

/** Where weights of two residences lie, by their ids. */
export interface PlacesOfBoth {
  readonly before: ReadonlyMap<string, Spot>;
  readonly after: ReadonlyMap<string, Spot>;
}

/** What is written in a transition. With `reads` of a program that weights from before are for. */
export function weightWrites(
  { moves }: TransitionOrder,
  { before, after }: PlacesOfBoth,
  reads: LastReads,
): readonly WeightWrite[] {
  const placed = inAddressOrder(
    [...before].filter(([id]) => reads.has(id)).map(([id, spot]) => ({ id, spot })),
  );
  const lastIn = ({ buffer, offset, bytes }: Spot): string | undefined => {
    const there = placed.get(buffer);
    if (there === undefined) return undefined;
    const { weights, ends } = there;
    let last: string | undefined;
    for (let at = firstAbove(ends, offset); at < weights.length; at++) {
      const { id, spot } = weights[at]!;
      if (spot.offset >= offset + bytes) break;
      if (last === undefined || reads.get(id)! > reads.get(last)!) last = id;
    }
    return last;
  };
  return moves.flatMap(({ kind, job }) => {
    if (kind === 'stash') return [];
    const { id } = job.what.weight;
    const behind = lastIn(after.get(id)!);
    return [behind === undefined ? { weight: id } : { weight: id, behind }];
  });
}
