/**
 * Weight buffers of runtime graphs in plain arrays: what uploads and transitions leave on a device, one number per
 * element in the device's layout. Garbage is NaN, so that an element nobody wrote cannot pass for a zero.
 */
import { WEIGHT_FORMATS } from '../../compiler/model/weight-types.js';
import { weightLayout } from '../../compiler/ir/device-layout.js';
import {
  copyRanges,
  type DeviceMoves,
  type RuntimeWeight,
  type WeightCopy,
  type WeightReceive,
  type WeightShard,
} from '../../compiler/ir/runtime-graph.js';

/** Elements of a checkpoint tensor by position; a vector has one row. */
export type ElementSource = (tensor: string) => (row: number, col: number) => number;

export type WeightBuffers = ReadonlyMap<string, Float64Array>;

/** A shard as a first upload leaves it. */
export function packShard(shard: WeightShard, source: ElementSource): WeightBuffers {
  return new Map(
    shard.weights.map((weight) => {
      const buffer = emptyBuffer(weight).fill(0);
      weight.pieces.forEach((_, index) => packPiece(buffer, weight, index, source));
      return [weight.id, buffer];
    }),
  );
}

/**
 * The buffers of `to` after a transition from `old`. Buffers start as garbage; uncovered elements become zero. `peers`
 * has the old buffers of the peers that the moves name.
 */
export function applyTransition(
  old: WeightBuffers,
  moves: DeviceMoves,
  to: WeightShard,
  source: ElementSource,
  peers: (peer: number) => WeightBuffers = () => new Map(),
): WeightBuffers {
  const buffers = new Map<string, Float64Array>();
  for (const weight of to.weights) buffers.set(weight.id, zeroUncovered(emptyBuffer(weight), weight));
  const byId = new Map(to.weights.map((weight) => [weight.id, weight]));
  for (const { weight, old: id } of moves.keep) buffers.set(weight, old.get(id)!);
  const copies: readonly (WeightCopy | WeightReceive)[] = [...moves.copy, ...(moves.receive ?? [])];
  for (const copy of copies) {
    const { dtype } = byId.get(copy.weight)!;
    const elements = (bytes: number): number => elementsIn(dtype, bytes);
    const sender = 'peer' in copy ? peers(copy.peer) : old;
    for (const { at, oldAt, bytes } of copyRanges(copy)) {
      const run = sender.get(copy.old)!.subarray(elements(oldAt), elements(oldAt + bytes));
      buffers.get(copy.weight)!.set(run, elements(at));
    }
  }
  for (const { weight, pieces } of moves.upload) {
    for (const piece of pieces) packPiece(buffers.get(weight)!, byId.get(weight)!, piece, source);
  }
  return buffers;
}

/** Elements of so many bytes of whole blocks. */
function elementsIn(dtype: RuntimeWeight['dtype'], bytes: number): number {
  const { block, bytes: blockBytes } = WEIGHT_FORMATS[dtype];
  const elements = (bytes / blockBytes) * block;
  if (!Number.isInteger(elements)) throw new Error(`${bytes} bytes end inside a ${dtype} block`);
  return elements;
}

function emptyBuffer(weight: RuntimeWeight): Float64Array {
  const { rows, stride } = weightLayout(weight);
  return new Float64Array(rows * stride).fill(NaN);
}

function packPiece(buffer: Float64Array, weight: RuntimeWeight, index: number, source: ElementSource): void {
  const { tensor, rows, cols, at } = weight.pieces[index]!;
  const { stride } = weightLayout(weight);
  const element = source(tensor);
  for (let row = rows[0]; row < rows[1]; row++) {
    for (let col = cols[0]; col < cols[1]; col++) {
      buffer[(at[0] + row - rows[0]) * stride + at[1] + col - cols[0]] = element(row, col);
    }
  }
}

function zeroUncovered(buffer: Float64Array, weight: RuntimeWeight): Float64Array {
  const { stride } = weightLayout(weight);
  const covered = new Uint8Array(buffer.length);
  for (const { rows, cols, at } of weight.pieces) {
    for (let row = 0; row < rows[1] - rows[0]; row++) {
      const start = (at[0] + row) * stride + at[1];
      covered.fill(1, start, start + cols[1] - cols[0]);
    }
  }
  covered.forEach((is, index) => {
    if (!is) buffer[index] = 0;
  });
  return buffer;
}
