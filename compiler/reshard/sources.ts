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
  isInOneOf,
  meets,
  sameRectangle,
  subtract,
  subtractAll,
  type Rectangle,
} from '../ir/rectangles.js';
import { once } from '../once.js';
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
  const cutsOf = cutsFinder(from, maySend);
  for (const { device, weights, lasting = [] } of to) {
    const there = byTensor(lasting);
    for (const piece of weights) {
      const { tensor } = piece;
      const first = wholes.length;
      const cuts = cutsOf(piece, device, there.get(tensor));
      if (cuts === 'resident') {
        needs.push({ kind: 'keep', device, piece });
        continue;
      }
      for (const { rows, cols } of cuts.wholes) wholes.push({ tensor, rows, cols });
      for (const { kind, part, whole, holders } of cuts.parts) {
        const moving = { tensor, rows: part.rows, cols: part.cols };
        if (kind === 'missing') needs.push({ kind, device, piece: moving, whole: first + whole, holders });
        else needs.push({ kind, device, piece: moving });
      }
    }
  }
  return { needs, wholes };
}

const NOTHING: readonly Rectangle[] = [];

/** A destination rectangle cut into what is there and what is missing. */
interface Cuts {
  readonly wholes: readonly Rectangle[];
  readonly parts: readonly {
    readonly kind: Need['kind'];
    readonly part: Rectangle;
    /** Of a missing part: index in `wholes`, and who holds it. */
    readonly whole: number;
    readonly holders: readonly number[];
  }[];
}

type PieceCuts = Cuts | 'resident';

/** Answers how what a device is to have is cut, given what of it lasts there; the same for tensors that lie alike. */
export function cutsFinder(
  from: readonly Placement[],
  maySend: MaySend,
): (piece: TensorPiece, device: number, lasts?: readonly Rectangle[]) => PieceCuts {
  return onceForAlike(from, (piece, device, lasts, held) => cutPiece(piece, device, lasts, held, maySend));
}

/**
 * Answers about pieces on devices, given what of each lasts there. Tensors that the same devices hold in the same
 * rectangles (those of a layer and of the next) get the same answer, which is found once.
 */
function onceForAlike<Answer>(
  from: readonly Placement[],
  find: (piece: Rectangle, device: number, lasts: readonly Rectangle[], held: readonly Held[]) => Answer,
): (piece: TensorPiece, device: number, lasts?: readonly Rectangle[]) => Answer {
  interface Known {
    readonly piece: Rectangle;
    readonly lasts: readonly Rectangle[];
    readonly answer: Answer;
  }
  const everywhere = holdersByTensor(from);
  const known = new Map<readonly Held[], Map<number, Known[]>>();
  return (wanted, device, lasts = NOTHING) => {
    const held = everywhere.get(wanted.tensor) ?? NOBODY;
    let byDevice = known.get(held);
    if (byDevice === undefined) known.set(held, (byDevice = new Map<number, Known[]>()));
    let mine = byDevice.get(device);
    if (mine === undefined) byDevice.set(device, (mine = []));
    for (const entry of mine)
      if (sameRectangle(entry.piece, wanted) && sameRectangles(entry.lasts, lasts)) return entry.answer;
    const { rows, cols } = wanted;
    const piece = { rows, cols };
    const answer = find(piece, device, lasts, held);
    mine.push({ piece, lasts, answer });
    return answer;
  };
}

function sameRectangles(a: readonly Rectangle[], b: readonly Rectangle[]): boolean {
  return a.length === b.length && a.every((rectangle, index) => sameRectangle(rectangle, b[index]!));
}

function cutPiece(
  piece: Rectangle,
  device: number,
  lasts: readonly Rectangle[],
  held: readonly Held[],
  maySend: MaySend,
): PieceCuts {
  const resident = held.filter(({ devices }) => devices.includes(device)).map(({ rectangle }) => rectangle);
  if (resident.some((source) => sameRectangle(source, piece))) return 'resident';
  const wholes: Rectangle[] = [];
  const parts: Cuts['parts'][number][] = [];
  const common = (kind: 'keep' | 'copy', sources: readonly Rectangle[], wanted: Rectangle): void => {
    for (const source of sources) {
      const part = intersect(source, wanted);
      if (part) parts.push({ kind, part, whole: 0, holders: [] });
    }
  };
  common('keep', lasts, piece);
  for (const moving of subtractAll(piece, lasts)) {
    common('copy', resident, moving);
    for (const missing of subtractAll(moving, resident)) {
      const whole = wholes.push(missing) - 1;
      for (const { part, holders } of partsOf(missing, device, held, maySend))
        parts.push({ kind: 'missing', part, whole, holders });
    }
  }
  return { wholes, parts };
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
  return onceForAlike(from, (piece, device, _lasts, held) => partsOf(piece, device, held, maySend));
}

/**
 * What a device holds and no rank of `to` on it needs.
 *
 * @param sorted pieces by tensor
 */
export function evictions(
  from: readonly Placement[],
  to: readonly Placement[],
  sorted: typeof byTensor<TensorPiece> = byTensor,
): readonly { readonly device: number; readonly piece: TensorPiece }[] {
  const before = new Map(from.map((rank) => [rank.device, rank]));
  const evicted: { readonly device: number; readonly piece: TensorPiece }[] = [];
  for (const { device, weights } of to) {
    const wanted = sorted(weights);
    for (const piece of before.get(device)?.weights ?? []) {
      const { tensor } = piece;
      const needed = wanted.get(tensor);
      if (needed === undefined) evicted.push({ device, piece });
      else if (!isInOneOf(needed, piece))
        for (const { rows, cols } of subtractAll(piece, needed))
          evicted.push({ device, piece: { tensor, rows, cols } });
    }
  }
  return evicted;
}

interface Held {
  readonly rectangle: Rectangle;
  readonly devices: number[];
}

const NOBODY: readonly Held[] = [];

/**
 * Distinct rectangles of every tensor with the devices that hold them; one value for tensors that lie alike.
 *
 * Rank by rank, every tensor goes from what is known of its holders to that and one more: tensors that lie alike, as those
 * of the layers of a model, go the same way and end at the same place.
 */
function holdersByTensor(holdings: readonly Placement[]): ReadonlyMap<string, readonly Held[]> {
  const root: Holders = { next: new Map() };
  const reached = new Map<string, Holders>();
  for (const { device, weights } of holdings)
    for (const piece of weights) {
      const so = reached.get(piece.tensor) ?? root;
      let ways = so.next.get(device);
      if (ways === undefined) so.next.set(device, (ways = []));
      let way = ways.find(({ last }) => sameRectangle(last!.rectangle, piece));
      if (way === undefined) {
        const { rows, cols } = piece;
        ways.push((way = { before: so, last: { device, rectangle: { rows, cols } }, next: new Map() }));
      }
      reached.set(piece.tensor, way);
    }
  const heldAt = once(listHolders);
  return new Map([...reached].map(([tensor, holders]) => [tensor, heldAt(holders)]));
}

/** Holders of a tensor, the last one first. */
interface Holders {
  readonly before?: Holders;
  readonly last?: { readonly device: number; readonly rectangle: Rectangle };
  /** By the device of one holder more. */
  readonly next: Map<number, Holders[]>;
}

function listHolders(holders: Holders): readonly Held[] {
  const all: NonNullable<Holders['last']>[] = [];
  for (let at: Holders | undefined = holders; at?.last; at = at.before) all.push(at.last);
  const list: Held[] = [];
  for (const { device, rectangle } of all.reverse()) {
    const same = list.find((held) => sameRectangle(held.rectangle, rectangle));
    if (same) same.devices.push(device);
    else list.push({ rectangle, devices: [device] });
  }
  return list;
}

function partsOf(
  rectangle: Rectangle,
  device: number,
  held: readonly Held[],
  maySend: MaySend,
): readonly HeldPart[] {
  const isSender = (id: number): boolean => id !== device && maySend(id, device);
  const useful = held
    .filter(({ rectangle: other }) => meets(other, rectangle))
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
