/** Which ranks of a pool answer for its pages when these leave the devices. */
import type { KvPool } from '../../compiler/ir/runtime-graph.js';

type PoolRank = KvPool['ranks'][number];

/** The first rank of every slice of a replica's pages: replicas of a head leave the devices once. */
export function pageOwners({ ranks }: Pick<KvPool, 'ranks'>): ReadonlySet<PoolRank> {
  const first = new Map<string, PoolRank>();
  for (const rank of ranks) {
    const slice = `${rank.dp}:${rank.layers.join('-')}:${rank.heads.join('-')}`;
    if (!first.has(slice)) first.set(slice, rank);
  }
  return new Set(first.values());
}
