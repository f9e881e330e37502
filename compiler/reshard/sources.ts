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

/** Answers who may send to a device; what others hold is not looked at. */
export type MaySend = (from: number, to: number) => boolean;

/** Needs of every rank of `to`, in order, when `from` is what the devices hold. */
export function needsOf(
  from: readonly Pick<RankHolding, 'device' | 'weights'>[],
  to: readonly Pick<RankHolding, 'device' | 'weights'>[],
  maySend: MaySend,
): { readonly needs: readonly Need[]; readonly wholes: readonly TensorPiece[] } {
  const needs: Need[] = [];
  const wholes: TensorPiece[] = [];
  const everywhere = holdersByTensor(from);
  const before = new Map(from.map((rank) => [rank.device, rank]));
  for (const { device, weights } of to) {
    const held = byTensor(before.get(device)?.weights ?? []);
    const isSender = (id: number): boolean => id !== device && maySend(id, device);
    for (const piece of weights) {
      const { tensor } = piece;
      const resident = held.get(tensor) ?? [];
      if (resident.some((source) => sameRectangle(source, piece))) {
        needs.push({ kind: 'keep', device, piece });
        continue;
      }
      for (const source of resident) {
        const common = intersect(source, piece);
        if (common) needs.push({ kind: 'copy', device, piece: { tensor, ...common } });
      }
      for (const rest of subtractAll(piece, resident)) {
        const whole = wholes.push({ tensor, ...rest }) - 1;
        for (const { part, holders } of split(rest, everywhere.get(tensor) ?? [], isSender))
          needs.push({ kind: 'missing', device, piece: { tensor, ...part }, whole, holders });
      }
    }
  }
  return { needs, wholes };
}

/** What a device holds and no rank of `to` on it needs. */
export function evictions(
  from: readonly Pick<RankHolding, 'device' | 'weights'>[],
  to: readonly Pick<RankHolding, 'device' | 'weights'>[],
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
function holdersByTensor(
  holdings: readonly Pick<RankHolding, 'device' | 'weights'>[],
): ReadonlyMap<string, readonly Held[]> {
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
): readonly { readonly part: Rectangle; readonly holders: readonly number[] }[] {
  const useful = held
    .filter(({ rectangle: other }) => intersect(other, rectangle))
    .map(({ rectangle: other, devices }) => ({ other, devices: devices.filter(isSender) }))
    .filter(({ devices }) => devices.length > 0);
  const parts = useful.reduce<readonly Rectangle[]>(
    (all, { other }) =>
      all.flatMap((part) => {
        const common = intersect(part, other);
        return common && !contains(other, part) ? [common, ...subtract(part, other)] : [part];
      }),
    [rectangle],
  );
  return parts.map((part) => ({
    part,
    holders: useful.filter(({ other }) => contains(other, part)).flatMap(({ devices }) => devices),
  }));
}
