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
import type { RankHolding, TensorPiece, WeightMove, WeightReshard } from '../ir/transitions.js';
import { balance, boundSeconds, type Load } from './balance.js';
import { linkLoads } from './link-loads.js';
import type { Road, Roads } from './roads.js';
import { evictions, needsOf, type Need } from './sources.js';

/** What a rank holds of the tensors that move. */
export type Placement = Pick<RankHolding, 'device' | 'weights'>;

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

export type MovePlan = Pick<WeightReshard, 'moves' | 'evict' | 'bytes' | 'lowerBound' | 'cost'>;

/** Plans the moves; a part that no road leads to is uploaded all the same, and has no cost. */
export function planMoves(problem: MoveProblem, roads: Roads): MovePlan {
  const { from, to, bytesOf } = problem;
  const path = (device: number): string => roads.topology.devices[device]!.path;
  const between = (sender: number, device: number): Road | undefined =>
    roads.between(path(sender), path(device));
  const origins = new Map(to.map(({ device }) => [device, problem.origin(device)]));
  const cheaper = (sender: number, device: number): boolean => {
    const road = between(sender, device);
    return road !== undefined && road.bandwidth > (origins.get(device)?.bandwidth ?? 0);
  };
  const found = needsOf(from, to, cheaper);
  const { wholes } = found;
  const needs = found.needs.map((need): Need => {
    const anew = need.kind === 'keep' && problem.rewrites?.(need.device);
    return anew ? { ...need, kind: 'copy' } : need;
  });

  /** Ways to meet each need that bytes travel for; a sender or, without one, the origin. */
  const ways = needs.map((need): readonly { readonly road: Road; readonly sender?: number }[] => {
    if (need.kind === 'keep') return [];
    if (need.kind === 'copy') return [{ road: between(need.device, need.device)! }];
    const origin = origins.get(need.device);
    const senders = need.holders.map((sender) => ({ road: between(sender, need.device)!, sender }));
    return [...(origin ? [{ road: origin }] : []), ...senders];
  });
  const moving = needs.flatMap((_, index) => (ways[index]!.length > 0 ? [index] : []));
  const loads = moving.map((index): Load & { readonly destination: number } => ({
    bytes: bytesOf(needs[index]!.piece),
    roads: ways[index]!.map((way) => way.road),
    destination: needs[index]!.device,
  }));
  const bound = boundSeconds(loads, roads.lanes);
  const chosen = balance(loads, roads.lanes, bound);
  const senderOf = new Map<number, number | undefined>();
  moving.forEach((index, load) => senderOf.set(index, ways[index]![chosen.picks[load]!]!.sender));

  const moves = joinUploads(needs, senderOf, wholes).map((move): WeightMove => ({
    ...move,
    bytes: bytesOf(move.piece),
  }));
  const evict = evictions(from, to).map((entry) => ({ ...entry, bytes: bytesOf(entry.piece) }));
  const total = (...kinds: readonly WeightMove['kind'][]): number =>
    moves.reduce((sum, move) => (kinds.includes(move.kind) ? sum + move.bytes : sum), 0);
  const hops = loads.map((load, index) => ({ bytes: load.bytes, road: load.roads[chosen.picks[index]!]! }));
  return {
    moves,
    evict,
    bytes: {
      keep: total('keep'),
      copy: total('copy'),
      peer: total('peer'),
      upload: total('upload'),
      evict: evict.reduce((sum, entry) => sum + entry.bytes, 0),
    },
    lowerBound: wholes.reduce((sum, piece) => sum + bytesOf(piece), 0),
    cost: {
      links: linkLoads(hops, roads.lanes),
      seconds: chosen.seconds,
      boundSeconds: bound,
      linkBytes: hops.reduce(
        (sum, { bytes, road }) => (isCopy(road, roads) ? sum : sum + bytes * road.hops.length),
        0,
      ),
    },
  };
}

function isCopy(road: Road, roads: Roads): boolean {
  return roads.lanes[road.lanes[0]!]!.direction === 'within';
}

/** Moves in the order of the needs; the parts of a rectangle that all come from the host are one upload again. */
function joinUploads(
  needs: readonly Need[],
  senderOf: ReadonlyMap<number, number | undefined>,
  wholes: readonly TensorPiece[],
): readonly Omit<WeightMove, 'bytes'>[] {
  const sent = new Set<number>();
  needs.forEach((need, index) => {
    if (need.kind === 'missing' && senderOf.get(index) !== undefined) sent.add(need.whole);
  });
  const joined = new Set<number>();
  return needs.flatMap((need, index): readonly Omit<WeightMove, 'bytes'>[] => {
    const { device, piece } = need;
    if (need.kind !== 'missing') return [{ device, piece, kind: need.kind }];
    const sender = senderOf.get(index);
    if (sender !== undefined) return [{ device, piece, kind: 'peer', source: sender }];
    if (sent.has(need.whole)) return [{ device, piece, kind: 'upload' }];
    if (joined.has(need.whole)) return [];
    joined.add(need.whole);
    return [{ device, piece: wholes[need.whole]!, kind: 'upload' }];
  });
}
