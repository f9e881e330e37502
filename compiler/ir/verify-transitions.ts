/**
 * Verifies a transition graph from its holdings alone: every destination element arrives exactly once, nothing is
 * kept or copied that was not there, nothing needed is evicted, nothing moves that is resident in both shardings, and
 * KV slices cover every (layer, head) of every replica: once on the way out, wherever it is held on the way in.
 */
import { groupBy } from '../group-by.js';
import { byTensor } from './pieces.js';
import { area, contains, intersect, subtractAll } from './rectangles.js';
import type { KvReshard, KvSlice, RankHolding, TransitionGraph, WeightReshard } from './transitions.js';

/** Problems of a transition graph; empty when it is sound. A problem is a bug of the compiler, not of a plan. */
export function verifyTransitions(graph: TransitionGraph): readonly string[] {
  const resident = new Set(graph.resident);
  const holdings = (stage: string): readonly RankHolding[] => graph.holdings[stage] ?? [];
  return [
    ...graph.weights.flatMap((reshard) =>
      [
        ...verifyWeights(reshard, holdings(reshard.from), holdings(reshard.to), resident),
        ...verifyResident(reshard, resident),
      ].map((problem) => `${reshard.from} -> ${reshard.to}: ${problem}`),
    ),
    ...graph.kv.flatMap((edge) =>
      verifyKv(edge, graph.holdings).map((problem) => `kv ${edge.from} -> ${edge.to}: ${problem}`),
    ),
  ];
}

function verifyWeights(
  reshard: WeightReshard,
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  resident: ReadonlySet<string>,
): string[] {
  const problems: string[] = [];
  const senders = new Map(from.map((rank) => [rank.device, byTensor(rank.weights)]));
  for (const rank of to) {
    const before = from.find((candidate) => candidate.device === rank.device);
    if (!before) continue;
    const where = `device ${rank.device}`;
    const moves = byTensor(
      reshard.moves
        .filter((move) => move.device === rank.device)
        .map((move) => ({ ...move, tensor: move.piece.tensor })),
    );
    const held = byTensor(before.weights);
    const wanted = byTensor(rank.weights);
    for (const piece of rank.weights.filter(({ tensor }) => !resident.has(tensor))) {
      const arriving = (moves.get(piece.tensor) ?? []).map((move) => move.piece);
      const missing = subtractAll(piece, arriving);
      if (missing.length > 0) problems.push(`${where}: part of ${piece.tensor} never arrives`);
    }
    for (const [tensor, list] of moves) {
      list.forEach((move, index) => {
        if (!(wanted.get(tensor) ?? []).some((piece) => contains(piece, move.piece))) {
          problems.push(`${where}: ${tensor} arrives where nobody holds it`);
        }
        if (list.slice(0, index).some((other) => intersect(other.piece, move.piece))) {
          problems.push(`${where}: part of ${tensor} arrives twice`);
        }
        const there = (held.get(tensor) ?? []).some((piece) => contains(piece, move.piece));
        if (there !== (move.kind === 'keep' || move.kind === 'copy')) {
          problems.push(`${where}: ${move.kind} of ${tensor}, which is ${there ? '' : 'not '}resident`);
        }
        if ((move.kind === 'peer') !== (move.source !== undefined)) {
          problems.push(`${where}: ${move.kind} of ${tensor} from device ${move.source ?? 'unknown'}`);
        }
        const sent = senders.get(move.source ?? -1)?.get(tensor) ?? [];
        if (move.kind === 'peer' && !sent.some((piece) => contains(piece, move.piece))) {
          problems.push(`${where}: device ${move.source ?? 'unknown'} has not what it sends of ${tensor}`);
        }
      });
    }
    for (const evicted of reshard.evict.filter((entry) => entry.device === rank.device)) {
      const { tensor } = evicted.piece;
      if ((wanted.get(tensor) ?? []).some((piece) => intersect(piece, evicted.piece))) {
        problems.push(`${where}: ${tensor} is evicted but still needed`);
      }
    }
  }
  if (reshard.bytes.upload + reshard.bytes.peer !== reshard.lowerBound)
    problems.push('more is brought than the lower bound');
  return problems;
}

function verifyResident({ moves, evict }: WeightReshard, resident: ReadonlySet<string>): string[] {
  return [...moves, ...evict]
    .filter(({ piece }) => resident.has(piece.tensor))
    .map(
      ({ device, piece }) => `device ${device}: ${piece.tensor} moves, which is resident in both shardings`,
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
          intersect({ rows: slice.layers, cols: slice.heads }, { rows: other.layers, cols: other.heads }),
        );
      if (twice) problems.push(`device ${slice.device} pages out what another did`);
    });
  }
  return problems;
}
