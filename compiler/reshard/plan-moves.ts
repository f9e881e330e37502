/**
 * The moves that turn one placement into another: any mesh to any mesh, on equal, overlapping or disjoint devices.
 * What is placed are rectangles of named tensors; `plan-weights.ts` and `plan-kv.ts` say which.
 *
 * What a device holds already stays or is copied inside it. For each remaining part there are several roads: from the
 * origin that has everything (host memory, a disk, a KV tier), and from every device that holds the part and that the
 * links make cheaper than the origin. Of these, roads are chosen so that the last lane is done as early as possible. Every
 * element arrives once; a byte moves twice only where a road has two hops.
 *
 * Example: pp 2 -> tp 2 on devices with a fast link between them: each keeps half of its own layers (copy) and gets
 * half of the other's layers (peer).
 */
import type { Eviction, ReshardBytes, ReshardCost, TensorPiece, WeightMove } from '../ir/transitions.js';
import { balance, boundSeconds, type Load } from './balance.js';
import { linkLoads } from './link-loads.js';
import type { Road, Roads } from './roads.js';
import { evictions, needsOf, partsByHolders, type MaySend, type Need, type Placement } from './sources.js';

export interface MoveProblem {
  /** What lies where before. Devices that are not in `to` only send, and keep what they have. */
  readonly from: readonly Placement[];
  /** What must lie where afterwards. */
  readonly to: readonly Placement[];
  /** Bytes of a piece, at least one. */
  readonly bytesOf: (piece: TensorPiece) => number;
  /** The road to a device from where everything can be had; none when there is no such place. */
  readonly origin: (device: number) => Road | undefined;
  /** Devices on which nothing can stay because their memory is laid out anew: what would be kept is copied. */
  readonly rewrites?: (device: number) => boolean;
}

/** Where bytes may come from: another device, or the origin. */
export type Sender = number | 'origin';

/** Bytes that travel to a device from one of some senders: all that have the same choice and made it alike. */
export interface Travel {
  readonly device: number;
  readonly bytes: number;
  readonly senders: readonly Sender[];
  /** Index into `senders`. */
  readonly pick: number;
  /** How many groups of devices do the same over lanes of their own; one unless said. */
  readonly times?: number;
}

export interface ChosenMoves {
  readonly moves: readonly WeightMove[];
  readonly evict: readonly Eviction[];
  readonly bytes: ReshardBytes;
  readonly lowerBound: number;
  /** Everything that is not kept, copies from a device to itself included. */
  readonly travels: readonly Travel[];
}

export type MovePlan = Omit<ChosenMoves, 'travels'> & { readonly cost: ReshardCost };

/** Plans the moves; a part that no road leads to is uploaded all the same, and has no cost. */
export function planMoves(problem: MoveProblem, roads: Roads): MovePlan {
  const { travels, ...chosen } = chooseMoves(problem, roads);
  return { ...chosen, cost: costOf(travels, problem.origin, roads) };
}

/** The moves alone, and what they make travel. */
export function chooseMoves(problem: MoveProblem, roads: Roads): ChosenMoves {
  const { from, to, bytesOf } = problem;
  const { needs, wholes, senderOf, travels } = chooseSenders(problem, roads);
  const moves = joinUploads(needs, senderOf, wholes, bytesOf);
  const evict = evictions(from, to).map(({ device, piece }) => ({ device, piece, bytes: bytesOf(piece) }));
  return {
    moves,
    evict,
    bytes: bytesOfMoves(moves, evict),
    lowerBound: wholes.reduce((sum, piece) => sum + bytesOf(piece), 0),
    travels: joinTravels(travels()),
  };
}

/** What a device gets from another. */
export interface SentPiece {
  readonly device: number;
  readonly source: number;
  readonly piece: TensorPiece;
}

/** Of the moves those between devices alone, from which the others follow. */
export function chooseSent(problem: MoveProblem, roads: Roads): readonly SentPiece[] {
  const { needs, senderOf } = chooseSenders(problem, roads);
  const sent: SentPiece[] = [];
  needs.forEach(({ kind, device, piece }, index) => {
    const source = senderOf[index];
    if (kind === 'missing' && isDevice(source)) sent.push({ device, source, piece });
  });
  return sent;
}

interface ChosenSenders extends ReturnType<typeof needsOf> {
  /** By need; of those alone that bytes travel for. */
  readonly senderOf: readonly (Sender | undefined)[];
  readonly travels: () => readonly Travel[];
}

function chooseSenders(problem: MoveProblem, roads: Roads): ChosenSenders {
  const { from, to, bytesOf, rewrites } = problem;
  const { maySend, waysOf } = waysIn(problem, roads);
  const { needs: found, wholes } = needsOf(from, to, maySend);
  const needs = rewrites ? found.map((need) => copiedAnew(need, rewrites)) : found;
  const moving: Moving[] = [];
  needs.forEach((need, index) => {
    const { senders, roads: choice } = waysOf(need);
    if (senders.length === 0) return;
    moving.push({ index, destination: need.device, bytes: bytesOf(need.piece), senders, roads: choice });
  });
  const { picks } = balance(moving, roads.lanes, boundSeconds(moving, roads.lanes));
  const senderOf = new Array<Sender | undefined>(needs.length).fill(undefined);
  moving.forEach(({ index, senders }, load) => (senderOf[index] = senders[picks[load]!]!));
  const travels = (): readonly Travel[] =>
    moving.map(({ destination: device, bytes, senders }, load) => {
      return { device, bytes, senders, pick: picks[load]! };
    });
  return { needs, wholes, senderOf, travels };
}

function copiedAnew(need: Need, rewrites: (device: number) => boolean): Need {
  return need.kind === 'keep' && rewrites(need.device) ? { ...need, kind: 'copy' } : need;
}

/** A need that bytes travel for. */
interface Moving extends Ways {
  /** Among all needs. */
  readonly index: number;
  readonly destination: number;
  readonly bytes: number;
}

/** Bytes of moves by what happens to them. */
export function bytesOfMoves(moves: readonly WeightMove[], evict: readonly Eviction[]): ReshardBytes {
  const total = { keep: 0, copy: 0, peer: 0, upload: 0, evict: 0 };
  for (const { kind, bytes } of moves) total[kind] += bytes;
  for (const { bytes } of evict) total.evict += bytes;
  return total;
}

/**
 * What moves that are settled make travel, with all senders that each part of them could have had. They name devices
 * by their place among some.
 */
export function travelsOf(
  problem: Pick<MoveProblem, 'from' | 'bytesOf' | 'origin'>,
  devices: readonly number[],
  moves: readonly WeightMove[],
  roads: Roads,
): readonly Travel[] {
  const { maySend, waysOf } = waysIn(problem, roads);
  const partsOf = partsByHolders(problem.from, maySend);
  const travels: Travel[] = [];
  for (const { device: place, piece, kind, source, bytes, anew } of moves) {
    const device = devices[place]!;
    if (kind === 'keep') continue;
    if (kind === 'copy') {
      travels.push({ device, bytes, senders: waysOf({ kind, device }).senders, pick: 0 });
      continue;
    }
    const sender = source === undefined ? 'origin' : devices[source]!;
    const parts = anew ? [{ part: piece, holders: NO_HOLDERS }] : partsOf(piece, device);
    for (const { part, holders } of parts) {
      const { senders } = waysOf({ kind: 'missing', device, holders });
      const pick = senders.indexOf(sender);
      if (pick < 0) continue;
      const size =
        parts.length === 1
          ? bytes
          : problem.bytesOf({ tensor: piece.tensor, rows: part.rows, cols: part.cols });
      travels.push({ device, bytes: size, senders, pick });
    }
  }
  return joinTravels(travels);
}

/** What travels cost over the declared links, all of them together. */
export function costOf(travels: readonly Travel[], origin: MoveProblem['origin'], roads: Roads): ReshardCost {
  const between = roads.betweenDevices;
  const loads = travels.map(({ device, bytes, senders, pick, times = 1 }) => ({
    bytes,
    roads: senders.map((sender) => (sender === 'origin' ? origin(device) : between(sender, device))!),
    pick,
    destination: device,
    times,
  }));
  const hops = loads.map(({ bytes, roads: choice, pick, times }) => ({ bytes, road: choice[pick]!, times }));
  const links = linkLoads(hops, roads.lanes);
  return {
    links,
    seconds: Math.max(0, ...links.map(({ busiest }) => busiest.seconds)),
    boundSeconds: boundSeconds(loads, roads.lanes),
    linkBytes: hops.reduce(
      (sum, { bytes, road, times }) => (isCopy(road, roads) ? sum : sum + times * bytes * road.hops.length),
      0,
    ),
  };
}

function isCopy(road: Road, roads: Roads): boolean {
  return roads.lanes[road.lanes[0]!]!.direction === 'within';
}

interface Ways extends Pick<Load, 'roads'> {
  readonly senders: readonly Sender[];
}

const NO_WAYS: Ways = { senders: [], roads: [] };
const NO_HOLDERS: readonly number[] = [];

/** What the ways to meet a need depend on; holders are looked at only where it is missing. */
export type WayNeed = Pick<Need, 'kind' | 'device'> & { readonly holders?: readonly number[] };

interface WaysIn {
  /**
   * Whether the links make a device a cheaper sender than the origin. A road with no more bandwidth may well lead over
   * the wires of the origin's (PCIe, host memory), which a topology cannot say: nothing would come earlier by it.
   */
  readonly maySend: MaySend;
  readonly waysOf: (need: WayNeed) => Ways;
}

/** Who may send what in a problem, over which roads. */
export function waysIn(problem: Pick<MoveProblem, 'origin'>, roads: Roads): WaysIn {
  const between = roads.betweenDevices;
  const origins = new Map<number, Road | undefined>();
  const origin = (device: number): Road | undefined => {
    if (!origins.has(device)) origins.set(device, problem.origin(device));
    return origins.get(device);
  };
  return {
    maySend(sender, device) {
      const road = between(sender, device);
      return road !== undefined && road.bandwidth > (origin(device)?.bandwidth ?? 0);
    },
    waysOf: waysFinder(between, origin),
  };
}

/** Ways to meet each need that bytes travel for; needs with the same choice get the same value. */
function waysFinder(
  between: (sender: number, device: number) => Road | undefined,
  originOf: MoveProblem['origin'],
): (need: WayNeed) => Ways {
  const known = new Map<string, Ways>();
  const find = (device: number, holders: readonly number[], origin: Road | undefined): Ways => {
    const key = `${device} ${origin === undefined ? '-' : '<'} ${holders.join()}`;
    const ways = known.get(key) ?? {
      senders: [...(origin ? (['origin'] as const) : []), ...holders],
      roads: [...(origin ? [origin] : []), ...holders.map((sender) => between(sender, device)!)],
    };
    known.set(key, ways);
    return ways;
  };
  const copies = new Map<number, Ways>();
  // Parts that are held alike have one list of holders.
  const byHolders = new Map<readonly number[], Map<number, Ways>>();
  return (need) => {
    if (need.kind === 'keep') return NO_WAYS;
    const { device } = need;
    if (need.kind === 'copy') {
      let copy = copies.get(device);
      if (copy === undefined) copies.set(device, (copy = find(device, [device], undefined)));
      return copy;
    }
    const { holders = NO_HOLDERS } = need;
    let byDevice = byHolders.get(holders);
    if (byDevice === undefined) byHolders.set(holders, (byDevice = new Map<number, Ways>()));
    let ways = byDevice.get(device);
    if (ways === undefined) byDevice.set(device, (ways = find(device, holders, originOf(device))));
    return ways;
  };
}

/** Adds up what travels by the same choice; `waysFinder` has one list of senders for each choice of a device. */
function joinTravels(travels: readonly Travel[]): readonly Travel[] {
  const joined = new Map<readonly Sender[], Map<number, Joined>>();
  const all: Joined[] = [];
  for (const { device, bytes, senders, pick } of travels) {
    let byPick = joined.get(senders);
    if (byPick === undefined) joined.set(senders, (byPick = new Map<number, Joined>()));
    const known = byPick.get(pick);
    if (known) {
      known.bytes += bytes;
      continue;
    }
    const travel = { device, bytes, senders, pick };
    byPick.set(pick, travel);
    all.push(travel);
  }
  return all;
}

interface Joined extends Travel {
  bytes: number;
}

/** Moves in the order of the needs; the parts of a rectangle that all come from the host are one upload again. */
function joinUploads(
  needs: readonly Need[],
  senderOf: readonly (Sender | undefined)[],
  wholes: readonly TensorPiece[],
  bytesOf: (piece: TensorPiece) => number,
): readonly WeightMove[] {
  const sent = new Set<number>();
  needs.forEach((need, index) => {
    if (need.kind === 'missing' && isDevice(senderOf[index])) sent.add(need.whole);
  });
  const joined = new Set<number>();
  const moves: WeightMove[] = [];
  needs.forEach((need, index) => {
    const { device, piece, kind } = need;
    if (kind !== 'missing') {
      moves.push({ device, piece, kind, bytes: bytesOf(piece) });
      return;
    }
    const sender = senderOf[index];
    if (isDevice(sender)) {
      moves.push({ device, piece, kind: 'peer', source: sender, bytes: bytesOf(piece) });
    } else if (sent.has(need.whole)) {
      moves.push({ device, piece, kind: 'upload', bytes: bytesOf(piece) });
    } else if (!joined.has(need.whole)) {
      joined.add(need.whole);
      const whole = wholes[need.whole]!;
      moves.push({ device, piece: whole, kind: 'upload', bytes: bytesOf(whole) });
    }
  });
  return moves;
}

function isDevice(sender: Sender | undefined): sender is number {
  return typeof sender === 'number';
}
