/** What is special about a pair of placements, so that a test over random ones can say which kinds it has seen. */
import type { RankHolding } from '../../../compiler/ir/transitions.js';

export type PairKind =
  | 'equal devices'
  | 'overlapping devices'
  | 'disjoint devices'
  | 'uneven layers'
  | 'replicated kv heads'
  | 'replicas';

export const PAIR_KINDS: readonly PairKind[] = [
  'disjoint devices',
  'equal devices',
  'overlapping devices',
  'replicas',
  'replicated kv heads',
  'uneven layers',
];

export function kindsOf(from: readonly RankHolding[], to: readonly RankHolding[]): readonly PairKind[] {
  const [before, after] = [from, to].map((ranks) => new Set(ranks.map((rank) => rank.device)));
  const shared = [...before!].filter((device) => after!.has(device)).length;
  const equal = shared === before!.size && shared === after!.size;
  const kinds: PairKind[] = [
    shared === 0 ? 'disjoint devices' : equal ? 'equal devices' : 'overlapping devices',
  ];
  for (const ranks of [from, to]) {
    const depths = new Set(ranks.map(({ kv }) => kv.layers[1] - kv.layers[0]));
    if (depths.size > 1) kinds.push('uneven layers');
    if (ranks.some(({ dp }) => dp > 0)) kinds.push('replicas');
    if (ranks.some((rank) => ranks.some((other) => sharesHeads(rank, other))))
      kinds.push('replicated kv heads');
  }
  return kinds;
}

/** Two tp ranks with the same heads of the same layers. */
function sharesHeads(a: RankHolding, b: RankHolding): boolean {
  return a.tp < b.tp && a.dp === b.dp && a.pp === b.pp && a.kv.heads[0] === b.kv.heads[0];
}
