/**
 * What a device writes in a transition, in the order in which the executor does (`writes` of its moves), and which ops
 * of steps each weight waits for, and is waited for by: it may be written once steps of the old stage are past the last
 * op that reads what lies there, and an op of the new stage that reads it may be given to the device once it is.
 */
import { groupBy } from '../../compiler/group-by.js';
import { movesByWeight, movesLeft, type WeightMoves } from '../../compiler/ir/in-place.js';
import type { DeviceMoves, WeightShard } from '../../compiler/ir/runtime-graph.js';
import type { Mutable } from '../../compiler/mutable.js';
import type { Program } from '../../compiler/ir/runtime-program.js';
import { lastReads } from '../../compiler/ir/weight-writes.js';
import { bytesByPiece } from '../../compiler/ir/written-bytes.js';
import type { RingMoves } from './slot-ends.js';

/**
 * Weights of one layer that are written one after the other, once an old step is past the same exchange. Sizes are in
 * bytes.
 */
export interface Portion {
  /** `undefined` stands for weights outside of layers. */
  readonly layer: number | undefined;
  /**
   * How many exchanges an old step has before its last op that reads what lies in the place of this or of a portion before
   * it. Negative where none reads any, infinite where that is not known.
   */
  readonly behind: number;
  /** Bytes that are uploaded before this portion. */
  readonly start: number;
  /** Bytes from where the device gets its weights: host memory or disk. */
  readonly upload: number;
  /** Bytes that are copied within the device. */
  readonly copy: number;
  /** Bytes from other devices, by the index of the peer among those of the device. */
  readonly receive: ReadonlyMap<number, number>;
}

/** A weight as a part of a portion: from one point of it to another, as fractions of its bytes from outside the device. */
export interface PortionPart extends RingMoves {
  /** Index of the portion. */
  readonly portion: number;
  readonly from: number;
  readonly to: number;
}

/** What a device writes in a transition. */
export interface WrittenWeights {
  readonly portions: readonly Portion[];
  /** Every weight, in the order in which they are written. */
  readonly weights: readonly PortionPart[];
  /** By index of an op in the new stage's program, the index of the last weight that it reads. */
  readonly needs: ReadonlyMap<number, number>;
}

/** Bytes of a portion from outside the device. */
export function broughtIn({ upload, receive }: Pick<Portion, 'upload' | 'receive'>): number {
  return [...receive.values()].reduce((sum, bytes) => sum + bytes, upload);
}

/** One weight that is written. */
interface Written extends Omit<Portion, 'layer' | 'start'> {
  readonly weight: string;
}

/**
 * What is written of a shard of the new stage, to be read by a program.
 *
 * @param old the program that reads what was there before
 */
export function writtenWeights(
  shard: WeightShard,
  moves: DeviceMoves,
  program: Program,
  old: Program,
): WrittenWeights {
  const inPlace = groupBy(moves.inPlace ?? [], ({ weight }) => weight);
  const left = new Map(
    movesLeft(shard.weights, movesByWeight(moves), inPlace).map((each) => [each.weight.id, each]),
  );
  if (moves.writes === undefined) return inPortions([...left.values()].map(unordered), program);
  const exchanges = exchangesBefore(old);
  const reads = lastReads(old.ops);
  let behind = -1;
  const written = moves.writes.flatMap(({ weight, behind: last }): readonly Written[] => {
    if (last !== undefined) behind = Math.max(behind, exchanges[reads.get(last) ?? NaN] ?? Infinity);
    const each = left.get(weight);
    return each === undefined ? [] : [{ ...unordered(each), behind }];
  });
  return inPortions(written, program);
}

/** Every weight of a shard that the program reads, brought in from the host behind everything before. */
export function reloadedWeights(shard: WeightShard, program: Program): WrittenWeights {
  const read = lastReads(program.ops);
  const weights = shard.weights.filter(({ id }) => read.has(id));
  const written = weights.map(({ id, bytes }): Written => {
    return { weight: id, behind: Infinity, upload: bytes, copy: 0, receive: NOBODY };
  });
  return inPortions(written, program);
}

const NOBODY: ReadonlyMap<number, number> = new Map();

function unordered({ weight, copies, pieces }: WeightMoves): Written {
  const bytes = bytesByPiece(weight, pieces);
  const receive = new Map<number, number>();
  let upload = 0;
  pieces.forEach(({ peer }, index) => {
    if (peer === undefined) upload += bytes[index]!;
    else receive.set(peer, (receive.get(peer) ?? 0) + bytes[index]!);
  });
  return {
    weight: weight.id,
    behind: Infinity,
    upload,
    copy: copies.reduce((sum, { runBytes, rows }) => sum + runBytes * rows, 0),
    receive,
  };
}

/** By op, how many exchanges of the ranks come before it. */
function exchangesBefore({ ops }: Program): readonly number[] {
  let count = 0;
  return ops.map(({ op }) => (op === 'collective' ? count++ : count));
}

function inPortions(written: readonly Written[], { ops }: Program): WrittenWeights {
  const portions: Mutable<Portion>[] = [];
  const parts: { portion: number; upload: number; copy: number; before: number }[] = [];
  const places = new Map<string, number>();
  let start = 0;
  for (const { weight, behind, upload, copy, receive } of written) {
    const layer = layerOf(weight);
    let portion = portions.at(-1);
    if (portion === undefined || portion.layer !== layer || portion.behind !== behind)
      portions.push((portion = { layer, behind, start, upload: 0, copy: 0, receive: NOBODY }));
    places.set(weight, parts.length);
    const brought = broughtIn({ upload, receive });
    parts.push({ portion: portions.length - 1, upload: brought, copy, before: broughtIn(portion) });
    portion.upload += upload;
    start += upload;
    portion.copy += copy;
    if (receive.size > 0) portion.receive = added(portion.receive, receive);
  }
  const weights = parts.map(({ portion, upload, copy, before }): PortionPart => {
    const all = broughtIn(portions[portion]!);
    const [from, to] = all === 0 ? [0, 1] : [before / all, (before + upload) / all];
    return { portion, upload, copy, from, to };
  });
  const needs = new Map<number, number>();
  ops.forEach((op, index) => {
    if (op.op !== 'kernel') return;
    for (const operand of op.operands) {
      const place = 'weight' in operand ? places.get(operand.weight) : undefined;
      if (place !== undefined) needs.set(index, Math.max(place, needs.get(index) ?? place));
    }
  });
  return { portions, weights, needs };
}

function added(a: Portion['receive'], b: Portion['receive']): Portion['receive'] {
  const sum = new Map(a);
  for (const [peer, bytes] of b) sum.set(peer, (sum.get(peer) ?? 0) + bytes);
  return sum;
}

/** `3` of `layers.3.qkv` and of `decode.layers.3.qkv`. */
function layerOf(weight: string): number | undefined {
  const match = /(?:^|\.)layers\.(\d+)\./.exec(weight);
  return match ? Number(match[1]) : undefined;
}
