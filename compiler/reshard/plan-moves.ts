/**
 * The moves that turn one placement into another: any mesh to any mesh, on equal, overlapping or disjoint devices.
 * What is placed are rectangles of named tensors; `plan-weights.ts` and `plan-kv.ts` say which.
 *
 * What a device holds already stays or is copied inside it. For each remaining part there are several roads: from the
 * origin that has everything (host memory, a disk, a KV tier), and from every device that holds the part and that the
 * links make cheaper than the origin. Roads are chosen so that the last lane is done as early as possible. Every
 * element arrives once; a byte moves twice only where a road has two hops.
 *
 * Example: pp 2 -> tp 2 on devices with a fast link between them: each keeps half of its own layers (copy) and gets
 * half of the other's layers (peer).
 */
import type { Eviction, ReshardBytes, ReshardCost, TensorPiece, WeightMove } from '../ir/transitions.js';
import type { Rectangle } from '../ir/rectangles.js';
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
  const { maySend, waysOf } = waysIn(problem, roads);
  const found = needsOf(from, to, maySend);
  const { wholes } = found;
  const needs = found.needs.map((need): Need => {
    const anew = need.kind === 'keep' && problem.rewrites?.(need.device);
    return anew ? { ...need, kind: 'copy' } : need;
  });

  const moving = needs.flatMap((need, index) => {
    const found = waysOf(need);
    return found.senders.length > 0 ? [{ index, ...found, bytes: bytesOf(need.piece) }] : [];
  });
  const bound = boundSeconds(
    moving.map((load) => ({ ...load, destination: needs[load.index]!.device })),
    roads.lanes,
  );
  const { picks } = balance(moving, roads.lanes, bound);
  const senderOf = new Map(moving.map(({ index, senders }, load) => [index, senders[picks[load]!]!]));

  const moves = joinUploads(needs, senderOf, wholes).map((move): WeightMove => ({
    ...move,
    bytes: bytesOf(move.piece),
  }));
  const evict = evictions(from, to).map((entry) => ({ ...entry, bytes: bytesOf(entry.piece) }));
  return {
    moves,
    evict,
    bytes: bytesOfMoves(moves, evict),
    lowerBound: wholes.reduce((sum, piece) => sum + bytesOf(piece), 0),
    travels: joinTravels(
      moving.map(({ index, bytes, senders }, load) => ({
        device: needs[index]!.device,
        bytes,
        senders,
        pick: picks[load]!,
      })),
    ),
  };
}

/** Bytes of moves by what happens to them. */
export function bytesOfMoves(moves: readonly WeightMove[], evict: readonly Eviction[]): ReshardBytes {
  const total = (kind: WeightMove['kind']): number =>
    moves.reduce((sum, move) => (move.kind === kind ? sum + move.bytes : sum), 0);
  return {
    keep: total('keep'),
    copy: total('copy'),
    peer: total('peer'),
    upload: total('upload'),
    evict: evict.reduce((sum, entry) => sum + entry.bytes, 0),
  };
}

/** What moves that are settled make travel, with all senders that each part of them could have had. */
export function travelsOf(
  problem: Pick<MoveProblem, 'from' | 'bytesOf' | 'origin'>,
  moves: readonly WeightMove[],
  roads: Roads,
): readonly Travel[] {
  const { maySend, waysOf } = waysIn(problem, roads);
  const partsOf = partsByHolders(problem.from, maySend);
  const travels = moves.flatMap(({ device, piece, kind, source, bytes, anew }): Travel[] => {
    if (kind === 'keep') return [];
    if (kind === 'copy')
      return [{ device, bytes, senders: waysOf({ kind, device, piece }).senders, pick: 0 }];
    const parts = anew ? [{ part: piece, holders: [] }] : partsOf(piece, device);
    const size = (part: Rectangle): number =>
      parts.length === 1 ? bytes : problem.bytesOf({ tensor: piece.tensor, ...part });
    return parts.flatMap(({ part, holders }) => {
      const { senders } = waysOf({ kind: 'missing', device, piece, whole: 0, holders });
      const pick = senders.indexOf(source ?? 'origin');
      return pick < 0 ? [] : [{ device, bytes: size(part), senders, pick }];
    });
  });
  return joinTravels(travels);
}

/** What travels cost over the declared links, all of them together. */
export function costOf(travels: readonly Travel[], origin: MoveProblem['origin'], roads: Roads): ReshardCost {
  const between = roads.betweenDevices;
  const loads = travels.map(({ device, bytes, senders, pick }) => ({
    bytes,
    roads: senders.map((sender) => (sender === 'origin' ? origin(device) : between(sender, device))!),
    pick,
    destination: device,
  }));
  const hops = loads.map(({ bytes, roads: choice, pick }) => ({ bytes, road: choice[pick]! }));
  const links = linkLoads(hops, roads.lanes);
  return {
    links,
    seconds: Math.max(0, ...links.map(({ busiest }) => busiest.seconds)),
    boundSeconds: boundSeconds(loads, roads.lanes),
    linkBytes: hops.reduce(
      (sum, { bytes, road }) => (isCopy(road, roads) ? sum : sum + bytes * road.hops.length),
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

interface WaysIn {
  /** Whether the links make a device a cheaper sender than the origin. */
  readonly maySend: MaySend;
  readonly waysOf: (need: Need) => Ways;
}

function waysIn(problem: Pick<MoveProblem, 'origin'>, roads: Roads): WaysIn {
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
): (need: Need) => Ways {
  const known = new Map<string, Ways>();
  return (need) => {
    if (need.kind === 'keep') return NO_WAYS;
    const { device } = need;
    const key = `${device} ${need.kind === 'copy' ? device : `< ${need.holders.join()}`}`;
    const found = known.get(key);
    if (found) return found;
    const origin = need.kind === 'copy' ? undefined : originOf(device);
    const devices = need.kind === 'copy' ? [device] : need.holders;
    const ways = {
      senders: [...(origin ? (['origin'] as const) : []), ...devices],
      roads: [...(origin ? [origin] : []), ...devices.map((sender) => between(sender, device)!)],
    };
    known.set(key, ways);
    return ways;
  };
}

function joinTravels(travels: readonly Travel[]): readonly Travel[] {
  const joined = new Map<string, Travel>();
  for (const travel of travels) {
    const key = `${travel.device} ${travel.pick} ${travel.senders.join()}`;
    const known = joined.get(key);
    joined.set(key, known ? { ...known, bytes: known.bytes + travel.bytes } : travel);
  }
  return [...joined.values()];
}

/** Moves in the order of the needs; the parts of a rectangle that all come from the host are one upload again. */
function joinUploads(
  needs: readonly Need[],
  senderOf: ReadonlyMap<number, Sender>,
  wholes: readonly TensorPiece[],
): readonly Omit<WeightMove, 'bytes'>[] {
  const sent = new Set<number>();
  needs.forEach((need, index) => {
    if (need.kind === 'missing' && isDevice(senderOf.get(index))) sent.add(need.whole);
  });
  const joined = new Set<number>();
  return needs.flatMap((need, index): readonly Omit<WeightMove, 'bytes'>[] => {
    const { device, piece } = need;
    if (need.kind !== 'missing') return [{ device, piece, kind: need.kind }];
    const sender = senderOf.get(index);
    if (isDevice(sender)) return [{ device, piece, kind: 'peer', source: sender }];
    if (sent.has(need.whole)) return [{ device, piece, kind: 'upload' }];
    if (joined.has(need.whole)) return [];
    joined.add(need.whole);
    return [{ device, piece: wholes[need.whole]!, kind: 'upload' }];
  });
}

function isDevice(sender: Sender | undefined): sender is number {
  return typeof sender === 'number';
}
