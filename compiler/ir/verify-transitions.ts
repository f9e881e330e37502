/**
 * Verifies a transition graph from its holdings alone: every destination element arrives exactly once, nothing is
 * kept or copied that was not there, nothing needed is evicted, nothing moves that is resident in both shardings, and
 * KV slices cover every (layer, head) of every replica: once on the way out, wherever it is held on the way in.
 */
import { groupBy } from '../group-by.js';
import { once } from '../once.js';
import { byTensor } from './pieces.js';
import {
  area,
  contains,
  isInOneOf,
  meets,
  meetsOneOf,
  sameRectangle,
  subtractAll,
  type Rectangle,
} from './rectangles.js';
import type {
  KvReshard,
  KvSlice,
  RankHolding,
  ReshardGroup,
  TensorPiece,
  TransitionGraph,
  WeightMove,
  WeightReshard,
} from './transitions.js';

/**
 * Problems of a transition graph; empty when it is sound. A problem is a bug of the compiler, not of a plan.
 *
 * @param sorted lists by tensor, sorted once each
 */
export function verifyTransitions(
  graph: TransitionGraph,
  sorted: Sorted = once(byTensor<TensorPiece>),
): readonly string[] {
  const resident = new Set(graph.resident);
  const known = new Map(graph.lasting?.map(({ stage, device, pieces }) => [`${stage} ${device}`, pieces]));
  const lasting =
    (stage: string): Lasting =>
    (device) =>
      known.get(`${stage} ${device}`) ?? NOTHING;
  const holdings = (stage: string): readonly RankHolding[] => graph.holdings[stage] ?? [];
  return [
    ...graph.weights.flatMap((reshard) =>
      [
        ...verifyWeights(
          reshard,
          holdings(reshard.from),
          holdings(reshard.to),
          lasting(reshard.to),
          resident,
          sorted,
        ),
        ...verifyResident(reshard, resident),
      ].map((problem) => `${reshard.from} -> ${reshard.to}: ${problem}`),
    ),
    ...graph.kv.flatMap((edge) =>
      verifyKv(edge, graph.holdings).map((problem) => `kv ${edge.from} -> ${edge.to}: ${problem}`),
    ),
  ];
}

const NOTHING: readonly TensorPiece[] = [];

function verifyWeights(
  reshard: WeightReshard,
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  lasting: Lasting,
  resident: ReadonlySet<string>,
  sorted: Sorted,
): string[] {
  const before = new Map(from.map((rank) => [rank.device, rank.weights]));
  const after = new Map(to.map((rank) => [rank.device, rank.weights]));
  const problems: string[] = [];
  const grouped = reshard.groups.flatMap(({ devices }) => devices);
  const known = new Set(grouped);
  if (known.size < grouped.length) problems.push('a device is in two groups');
  for (const { device } of to)
    if (before.has(device) && !known.has(device)) problems.push(`device ${device} is in no group`);
  const byPlan = groupBy(reshard.groups, ({ plan }) => plan);
  for (const [first, ...others] of byPlan.values()) {
    problems.push(...verifyGroup(first!, before, after, lasting, resident, sorted));
    for (const other of others) {
      const alike =
        other.devices.length === first!.devices.length &&
        other.devices.every((device, place) => {
          const model = first!.devices[place]!;
          return (
            sameHolding(before.get(device), before.get(model)) &&
            sameHolding(after.get(device), after.get(model)) &&
            sameHolding(lasting(device), lasting(model))
          );
        });
      if (!alike) problems.push(`devices ${other.devices.join()} follow a plan for others`);
    }
  }
  const anew = [...byPlan.keys()].some(({ moves }) => moves.some((move) => move.anew));
  const brought = reshard.bytes.upload + reshard.bytes.peer;
  if (brought < reshard.lowerBound) problems.push('less is brought than the lower bound');
  if (brought > reshard.lowerBound && !anew) problems.push('more is brought than the lower bound');
  return problems;
}

/** Pieces by tensor; lists are sorted once, however many devices hold them. */
type Sorted = (pieces: readonly TensorPiece[]) => ReadonlyMap<string, readonly TensorPiece[]>;

/** What a device has all along of the new stage. */
type Lasting = (device: number) => readonly TensorPiece[];

type Holdings = ReadonlyMap<number, RankHolding['weights']>;

function sameHolding(a: RankHolding['weights'] | undefined, b: RankHolding['weights'] | undefined): boolean {
  if (a === b) return true;
  return (
    a?.length === b?.length &&
    (a ?? []).every((piece, index) => piece.tensor === b![index]!.tensor && sameRectangle(piece, b![index]!))
  );
}

function verifyGroup(
  { devices, plan }: ReshardGroup,
  before: Holdings,
  after: Holdings,
  lasting: Lasting,
  resident: ReadonlySet<string>,
  sorted: Sorted,
): string[] {
  const problems: string[] = [];
  const senders = devices.map((device) => sorted(before.get(device) ?? NOTHING));
  const arriving = groupBy(plan.moves, (move) => move.device);
  const leaving = groupBy(plan.evict, (entry) => entry.device);
  devices.forEach((device, place) => {
    const pieces = after.get(device);
    if (!pieces || !before.has(device)) return;
    const where = `device ${device}`;
    const moves = groupBy(arriving.get(place) ?? [], (move) => move.piece.tensor);
    const [held, lasts] = [sorted(before.get(device)!), sorted(lasting(device))];
    const wanted = sorted(pieces);
    for (const piece of pieces) {
      if (resident.has(piece.tensor)) continue;
      const arrives = moves.get(piece.tensor) ?? NO_MOVES;
      if (arrives.length === 1 && contains(arrives[0]!.piece, piece)) continue;
      const missing = subtractAll(
        piece,
        arrives.map((move) => move.piece),
      );
      if (missing.length > 0) problems.push(`${where}: part of ${piece.tensor} never arrives`);
    }
    for (const [tensor, list] of moves) {
      const target = wanted.get(tensor) ?? NOTHING;
      const there = both(held.get(tensor), lasts.get(tensor));
      list.forEach((move, index) => {
        const { kind, piece, source } = move;
        if (!isInOneOf(target, piece)) problems.push(`${where}: ${tensor} arrives where nobody holds it`);
        if (index > 0 && list.slice(0, index).some((other) => meets(other.piece, piece))) {
          problems.push(`${where}: part of ${tensor} arrives twice`);
        }
        const stays = kind === 'keep' || kind === 'copy';
        if (stays && !isAllThere(piece, there))
          problems.push(`${where}: ${kind} of ${tensor}, which is not resident`);
        if (!stays && !move.anew && meetsOneOf(there, piece))
          problems.push(`${where}: ${kind} of ${tensor}, which is resident`);
        if ((kind === 'peer') !== (source !== undefined)) {
          problems.push(`${where}: ${kind} of ${tensor} from device ${senderName(devices, source)}`);
        }
        if (kind === 'peer' && !isInOneOf(senders[source ?? -1]?.get(tensor) ?? NOTHING, piece)) {
          problems.push(`${where}: device ${senderName(devices, source)} has not what it sends of ${tensor}`);
        }
      });
    }
    for (const { piece } of leaving.get(place) ?? []) {
      if (meetsOneOf(wanted.get(piece.tensor) ?? NOTHING, piece))
        problems.push(`${where}: ${piece.tensor} is evicted but still needed`);
    }
  });
  return problems;
}

const NO_MOVES: readonly WeightMove[] = [];

function senderName(devices: readonly number[], source: number | undefined): number | string | undefined {
  return source === undefined ? 'unknown' : devices[source];
}

/** What is in either of two lists; most tensors are in one. */
function both(
  held: readonly TensorPiece[] = NOTHING,
  lasts: readonly TensorPiece[] = NOTHING,
): readonly TensorPiece[] {
  if (lasts.length === 0) return held;
  return held.length === 0 ? lasts : [...held, ...lasts];
}

function isAllThere(piece: Rectangle, there: readonly Rectangle[]): boolean {
  return isInOneOf(there, piece) || subtractAll(piece, there).length === 0;
}

function verifyResident({ groups }: WeightReshard, resident: ReadonlySet<string>): string[] {
  return [...new Map(groups.map((group) => [group.plan, group])).values()].flatMap(({ devices, plan }) =>
    [...plan.moves, ...plan.evict]
      .filter(({ piece }) => resident.has(piece.tensor))
      .map(
        ({ device, piece }) =>
          `device ${devices[device]}: ${piece.tensor} moves, which is resident in both shardings`,
      ),
  );
}

function verifyKv(edge: KvReshard, holdings: TransitionGraph['holdings']): string[] {
  if (edge.path === 'shared') return [];
  const problems: string[] = [];
  const check = (slices: readonly KvSlice[], ranks: readonly RankHolding[], what: string): void => {
    const byReplica = groupBy(slices, (slice) => slice.dp);
    for (const [dp, members] of groupBy(ranks, (rank) => rank.dp)) {
      const rectangles = (byReplica.get(dp) ?? []).map(({ layers, heads }) => ({
        rows: layers,
        cols: heads,
      }));
      for (const { kv } of members) {
        const missing = subtractAll({ rows: kv.layers, cols: kv.heads }, rectangles);
        if (missing.some((rest) => area(rest) > 0))
          problems.push(`replica ${dp} ${what} only part of its pages`);
      }
    }
  };
  check(edge.pageOut, holdings[edge.from] ?? [], 'pages out');
  check(edge.pageIn, holdings[edge.to] ?? [], 'pages in');
  for (const slices of groupBy(edge.pageOut, (slice) => slice.dp).values()) {
    slices.forEach((slice, index) => {
      const twice = slices
        .slice(0, index)
        .some((other) =>
          meets({ rows: slice.layers, cols: slice.heads }, { rows: other.layers, cols: other.heads }),
        );
      if (twice) problems.push(`device ${slice.device} pages out what another did`);
    });
  }
  return problems;
}
