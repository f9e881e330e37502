/**
 * Carries out weight moves on element ids, without a device: every element is addressed by tensor, row and column.
 * A device's new memory is filled from its own old one, from those of others, and from the checkpoint.
 */
import { area } from '../../../compiler/ir/rectangles.js';
import type { RankHolding, TensorPiece, WeightMove } from '../../../compiler/ir/transitions.js';
import { weightSource } from '../../../compiler/reshard/weight-source.js';
import type { Road, Roads } from '../../../compiler/reshard/roads.js';

/** Element ids by position, for each device. */
export type DeviceMemories = ReadonlyMap<number, ReadonlyMap<number, number>>;

const tensorNumbers = new Map<string, number>();

/** A number for every position of a piece: no two positions of any tensors share one. */
function positions(piece: TensorPiece): readonly number[] {
  const tensor = tensorNumbers.get(piece.tensor) ?? tensorNumbers.size;
  tensorNumbers.set(piece.tensor, tensor);
  const all: number[] = [];
  for (let row = piece.rows[0]; row < piece.rows[1]; row++)
    for (let col = piece.cols[0]; col < piece.cols[1]; col++)
      all.push((tensor * 2 ** 10 + row) * 2 ** 10 + col);
  return all;
}

/** The id of the element that belongs at a position. */
const idAt = (position: number): number => position + 0.5;

/** Memories that hold what the ranks should. */
export function memoriesOf(holdings: readonly RankHolding[]): DeviceMemories {
  return new Map(
    holdings.map(({ device, weights }) => [
      device,
      new Map(weights.flatMap((piece) => positions(piece).map((at): [number, number] => [at, idAt(at)]))),
    ]),
  );
}

/** The first device of `wanted` whose memory is not the same in `found`. */
export function firstDifference(found: DeviceMemories, wanted: DeviceMemories): number | undefined {
  for (const [device, memory] of wanted) {
    const other = found.get(device);
    if (other?.size !== memory.size) return device;
    for (const [at, id] of memory) if (other.get(at) !== id) return device;
  }
  return undefined;
}

/** Memories after the moves: of the devices of `to` what arrived, of the others what they had. Throws where a move is wrong. */
export function executeMoves(
  before: DeviceMemories,
  moves: readonly WeightMove[],
  to: readonly RankHolding[],
): DeviceMemories {
  const after = new Map(to.map(({ device }) => [device, new Map<number, number>()]));
  for (const { device, piece, kind, source } of moves) {
    const memory = after.get(device);
    if (!memory) throw new Error(`device ${device} has no rank`);
    for (const at of positions(piece)) {
      if (memory.has(at)) throw new Error(`an element of ${piece.tensor} arrives twice on device ${device}`);
      const found = kind === 'upload' ? idAt(at) : before.get(source ?? device)?.get(at);
      if (found === undefined)
        throw new Error(`${kind} of ${piece.tensor} to device ${device}: it is not there`);
      memory.set(at, found);
    }
  }
  return new Map<number, ReadonlyMap<number, number>>([...before, ...after]);
}

/** What the moves put on every lane, and over links in all, counted move by move. */
export function trafficOf(
  moves: readonly WeightMove[],
  roads: Roads,
  elementBytes: number,
  modelBytes: number,
): { readonly laneBytes: readonly number[]; readonly linkBytes: number } {
  const laneBytes = roads.lanes.map(() => 0);
  const path = (device: number): string => roads.topology.devices[device]!.path;
  let linkBytes = 0;
  for (const { device, piece, kind, source } of moves) {
    if (kind === 'keep') continue;
    const road: Road | undefined =
      kind === 'upload'
        ? weightSource(roads, device, modelBytes)
        : roads.between(path(source ?? device), path(device));
    if (!road) throw new Error(`no road for a ${kind} to device ${device}`);
    const bytes = area(piece) * elementBytes;
    for (const lane of road.lanes) laneBytes[lane]! += bytes;
    if (kind !== 'copy') linkBytes += bytes * road.hops.length;
  }
  return { laneBytes, linkBytes };
}
