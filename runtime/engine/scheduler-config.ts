/** From the contract to the scheduler: what a runtime graph says about stages, pools, tiers and rules. */
import type { KvPool, RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { kvView } from '../../compiler/model/kv-window.js';
import type { SchedulerConfig, TransitionMode } from '../scheduler/types.js';
import { residencesOf } from '../../compiler/ir/residences.js';

/** The scheduler's view of a runtime graph; every executor of the graph gets the same. */
export function schedulerConfig(graph: RuntimeGraph, transitions: TransitionMode): SchedulerConfig {
  const residences = residencesOf(graph);
  return {
    stages: graph.stages.map((stage) => ({
      name: stage.name,
      phases: stage.phases,
      dp: stage.mesh.dp,
      depth: stage.mesh.pp,
      maxTokens: stage.maxTokens,
      maxSequences: stage.maxSequences,
      batchRequests: stage.batchRequests,
      pool: stage.pool,
      ...residences.get(stage.name)!,
    })),
    pools: graph.pools.map((pool) => ({
      id: pool.id,
      dp: Math.max(...pool.ranks.map((rank) => rank.dp)) + 1,
      pages: pool.pages,
      ...(pool.within !== undefined && { within: pool.within }),
      ...(graph.hostTier?.hosts && { hosts: hostsBeside(pool, graph.hostTier.hosts) }),
    })),
    ...kvView(graph.model.shape, graph.kv.pageTokens),
    hostPages: graph.hostTier?.pages ?? 0,
    hostTier: graph.hostTier?.name ?? '',
    diskPages: graph.diskTier?.pages ?? 0,
    diskTier: graph.diskTier?.name ?? '',
    costs: graph.kv.costs,
    flow: graph.flow.stages,
    rules: graph.flow.rules,
    transitions,
    context: graph.model.shape.context,
  };
}

/** By replica of a pool, the hosts beside its ranks. */
function hostsBeside(
  { ranks }: Pick<KvPool, 'ranks'>,
  hosts: readonly (readonly number[])[],
): readonly (readonly number[])[] {
  const byReplica: Set<number>[] = [];
  for (const { dp, device } of ranks)
    (byReplica[dp] ??= new Set()).add(hosts.findIndex((devices) => devices.includes(device)));
  return byReplica.map((each) => [...each].filter((host) => host >= 0));
}
