/**
 * What each device needs, and who has it.
 *
 * A destination rectangle is cut into what is resident (kept, or copied inside the device) and what is missing. What
 * is missing is cut along the rectangles that other devices hold, so that each part is held by the same devices
 * throughout; a cut between parts with the same holders is not made.
 */
import { byTensor } from '../ir/pieces.js';
import {
  contains,
  intersect,
  sameRectangle,
  subtract,
  subtractAll,
  type Rectangle,
} from '../ir/rectangles.js';
import type { RankHolding, TensorPiece } from '../ir/transitions.js';

/** A part of a destination rectangle. `keep` is a whole rectangle that is already there. */
export type Need =
  | { readonly kind: 'keep'; readonly device: number; readonly piece: TensorPiece }
  | { readonly kind: 'copy'; readonly device: number; readonly piece: TensorPiece }
  | {
      readonly kind: 'missing';
      readonly device: number;
      readonly piece: TensorPiece;
      /** Number of the missing rectangle that this is a part of. */
      readonly whole: number;
      /** Devices that hold all of it, in the order of the holdings. */
      readonly holders: readonly number[];
    };

/** What a rank holds of the tensors that move. */
export interface Placement extends Pick<RankHolding, 'device' | 'weights'> {
  /** What its device has of these all along. */
  readonly lasting?: readonly TensorPiece[];
}

/** Answers who may send to a device; what others hold is not looked at. */
export type MaySend = (from: number, to: number) => boolean;

/** Needs of every rank of `to`, in order, when `from` is what the devices hold. */
export function needsOf(
  from: readonly Placement[],
  to: readonly Placement[],
  maySend: MaySend,
): { readonly needs: readonly Need[]; readonly wholes: readonly TensorPiece[] } {
  const needs: Need[] = [];
  const wholes: TensorPiece[] = [];
  const partsOf = partsByHolders(from, maySend);
  const before = new Map(from.map((rank) => [rank.device, rank]));
  for (const { device, weights, lasting = [] } of to) {
    const held = byTensor(before.get(device)?.weights ?? []);
    const there = byTensor(lasting);
    for (const piece of weights) {
      const { tensor } = piece;
      const resident = held.get(tensor) ?? [];
      if (resident.some((source) => sameRectangle(source, piece))) {
        needs.push({ kind: 'keep', device, piece });
        continue;
      }
      const lasts = there.get(tensor) ?? [];
      for (const source of lasts) {
        const common = intersect(source, piece);
        if (common) needs.push({ kind: 'keep', device, piece: { tensor, ...common } });
      }
      for (const moving of subtractAll(piece, lasts)) {
        for (const source of resident) {
          const common = intersect(source, moving);
          if (common) needs.push({ kind: 'copy', device, piece: { tensor, ...common } });
        }
        for (const rest of subtractAll(moving, resident)) {
          const missing = { tensor, ...rest };
          const whole = wholes.push(missing) - 1;
          for (const { part, holders } of partsOf(missing, device))
            needs.push({ kind: 'missing', device, piece: { tensor, ...part }, whole, holders });
        }
      }
    }
  }
  return { needs, wholes };
}

/** A part of a piece with the devices that hold all of it and may send it, in the order of the holdings. */
export interface HeldPart {
  readonly part: Rectangle;
  readonly holders: readonly number[];
}

/** Cuts what a device is to get so that each part is held by the same senders throughout. */
export function partsByHolders(
  from: readonly Placement[],
  maySend: MaySend,
): (piece: TensorPiece, device: number) => readonly HeldPart[] {
  const everywhere = holdersByTensor(from);
  return (piece, device) =>
    split(piece, everywhere.get(piece.tensor) ?? [], (id) => id !== device && maySend(id, device));
}

/** What a device holds and no rank of `to` on it needs. */
export function evictions(
  from: readonly Placement[],
  to: readonly Placement[],
): readonly { readonly device: number; readonly piece: TensorPiece }[] {
  const before = new Map(from.map((rank) => [rank.device, rank]));
  return to.flatMap(({ device, weights }) => {
    const wanted = byTensor(weights);
    return (before.get(device)?.weights ?? []).flatMap((piece) =>
      subtractAll(piece, wanted.get(piece.tensor) ?? []).map((rest) => ({
        device,
        piece: { tensor: piece.tensor, ...rest },
      })),
    );
  });
}

interface Held {
  readonly rectangle: Rectangle;
  readonly devices: number[];
}

/** Distinct rectangles of every tensor with the devices that hold them. */
function holdersByTensor(holdings: readonly Placement[]): ReadonlyMap<string, readonly Held[]> {
  const all = new Map<string, Held[]>();
  for (const { device, weights } of holdings) {
    for (const { tensor, rows, cols } of weights) {
      const list = all.get(tensor) ?? [];
      all.set(tensor, list);
      const same = list.find((held) => sameRectangle(held.rectangle, { rows, cols }));
      if (same) same.devices.push(device);
      else list.push({ rectangle: { rows, cols }, devices: [device] });
    }
  }
  return all;
}

function split(
  rectangle: Rectangle,
  held: readonly Held[],
  isSender: (device: number) => boolean,
): readonly HeldPart[] {
  const useful = held
    .filter(({ rectangle: other }) => intersect(other, rectangle))
    .map(({ rectangle: other, devices }) => ({ other, devices: devices.filter(isSender) }))
    .filter(({ devices }) => devices.length > 0);
  const whole: Rectangle = { rows: rectangle.rows, cols: rectangle.cols };
  const parts = useful.reduce<readonly Rectangle[]>(
    (all, { other }) =>
      all.flatMap((part) => {
        const common = intersect(part, other);
        return common && !contains(other, part) ? [common, ...subtract(part, other)] : [part];
      }),
    [whole],
  );
  return parts.map((part) => ({
    part,
    holders: useful.filter(({ other }) => contains(other, part)).flatMap(({ devices }) => devices),
  }));
}
