/**
 * Carries out weight moves on element ids, without a device: every element is addressed by tensor, row and column.
 * A device's new memory is filled from its own old one, from those of others, and from the checkpoint.
 */
import { intersect } from '../../../compiler/ir/rectangles.js';
import type { RankHolding, TensorPiece, WeightMove } from '../../../compiler/ir/transitions.js';

/** A rectangle of a tensor in a device's memory; an element that has not arrived is NaN. */
interface Block {
  readonly piece: TensorPiece;
  readonly ids: Float64Array;
}

/** By device and tensor. */
export type DeviceMemories = ReadonlyMap<number, ReadonlyMap<string, readonly Block[]>>;

const tensorNumbers = new Map<string, number>();

/** Ids of a tensor's elements: no two positions of any tensors share one. */
function idsOf(tensor: string): (row: number, col: number) => number {
  const number = tensorNumbers.get(tensor) ?? tensorNumbers.size;
  tensorNumbers.set(tensor, number);
  return (row, col) => (number * 2 ** 10 + row) * 2 ** 10 + col;
}

/** Memories that hold what the ranks should. */
export function memoriesOf(holdings: readonly RankHolding[]): DeviceMemories {
  const memories = emptyMemories(holdings);
  for (const blocks of memories.values())
    for (const { piece, ids } of [...blocks.values()].flat()) {
      const id = idsOf(piece.tensor);
      visit(piece, piece, (at, row, col) => (ids[at] = id(row, col)));
    }
  return memories;
}

function emptyMemories(holdings: readonly Pick<RankHolding, 'device' | 'weights'>[]): DeviceMemories {
  return new Map(
    holdings.map(({ device, weights }) => {
      const blocks = new Map<string, Block[]>();
      for (const piece of weights) {
        const mine = blocks.get(piece.tensor) ?? [];
        blocks.set(piece.tensor, mine);
        mine.push({ piece, ids: new Float64Array(size(piece)).fill(NaN) });
      }
      return [device, blocks];
    }),
  );
}

function size({ rows, cols }: TensorPiece): number {
  return (rows[1] - rows[0]) * (cols[1] - cols[0]);
}

/** Visits the elements of `part` with their index in the block `whole`. */
function visit(
  part: Pick<TensorPiece, 'rows' | 'cols'>,
  whole: TensorPiece,
  see: (at: number, row: number, col: number) => void,
): void {
  const width = whole.cols[1] - whole.cols[0];
  for (let row = part.rows[0]; row < part.rows[1]; row++)
    for (let col = part.cols[0]; col < part.cols[1]; col++)
      see((row - whole.rows[0]) * width + col - whole.cols[0], row, col);
}

/** The first device of `wanted` whose memory is not the same in `found`. */
export function firstDifference(found: DeviceMemories, wanted: DeviceMemories): number | undefined {
  for (const [device, blocks] of wanted) {
    const other = found.get(device);
    if (other?.size !== blocks.size) return device;
    for (const [tensor, list] of blocks) {
      const mine = other.get(tensor);
      if (mine?.length !== list.length) return device;
      if (!list.every(({ ids }, index) => mine[index]!.ids.every((id, at) => id === ids[at]))) return device;
    }
  }
  return undefined;
}

/**
 * Memories after the moves: of the devices of `to` what arrived, of the others what they had. Throws where a move
 * takes what is not there, brings what has no place, or brings an element again.
 */
export function executeMoves(
  before: DeviceMemories,
  moves: readonly WeightMove[],
  to: readonly RankHolding[],
): DeviceMemories {
  const after = emptyMemories(to);
  for (const { device, piece, kind, source } of moves) {
    const { tensor } = piece;
    const complain = (what: string): never => {
      throw new Error(`${kind} of ${tensor} to device ${device}: ${what}`);
    };
    const sent = before.get(source ?? device)?.get(tensor) ?? [];
    const id = kind === 'upload' ? idsOf(tensor) : (row: number, col: number) => lookUp(sent, row, col);
    let placed = 0;
    for (const { piece: whole, ids } of after.get(device)?.get(tensor) ?? []) {
      const part = intersect(whole, piece);
      if (!part) continue;
      visit(part, whole, (at, row, col) => {
        if (!Number.isNaN(ids[at])) complain('it arrives twice');
        ids[at] = id(row, col);
        if (Number.isNaN(ids[at])) complain('it is not there');
        placed++;
      });
    }
    if (placed !== size(piece)) complain('it has no place');
  }
  return new Map([...before, ...after]);
}

function lookUp(blocks: readonly Block[], row: number, col: number): number {
  for (const { piece, ids } of blocks) {
    const { rows, cols } = piece;
    if (row < rows[0] || row >= rows[1] || col < cols[0] || col >= cols[1]) continue;
    return ids[(row - rows[0]) * (cols[1] - cols[0]) + col - cols[0]]!;
  }
  return NaN;
}
