/** The ranks of a stage on its devices. */
import type { RuntimeRank } from '../ir/runtime-graph.js';
import type { Stage } from '../plan/plan.js';

/** Ranks in rank order: tp innermost, then pp, then dp. */
export function stageRanks({ mesh, devices }: Stage): readonly RuntimeRank[] {
  return devices.map((device, rank) => {
    const tp = rank % mesh.tp;
    const pp = Math.floor(rank / mesh.tp) % mesh.pp;
    const dp = Math.floor(rank / (mesh.tp * mesh.pp));
    return { rank, device, dp, pp, tp, program: pp, shard: pp * mesh.tp + tp };
  });
}

/** Ranks with the shards of their devices. */
export function placedRanks(stage: Stage, shards: ReadonlyMap<number, number>): readonly RuntimeRank[] {
  return stageRanks(stage).map((rank) => ({ ...rank, shard: shards.get(rank.device)! }));
}
