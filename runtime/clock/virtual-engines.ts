/**
 * Virtual engines: a pipeline whose microbatches have sequences and KV pages of their own. Each is a scheduler with an
 * equal part of pages and batch and one step in flight; all of them share the devices.
 */
import { engineCount, engineShare, type EngineModel } from '../../compiler/cost/engine-model.js';
import type { SchedulerConfig } from '../scheduler/types.js';

/** The configs of the schedulers that share a pipeline of this depth; the config itself where there is only one. */
export function virtualEngines(config: SchedulerConfig, engine: EngineModel): readonly SchedulerConfig[] {
  const [stage] = config.stages;
  const parts = engineCount(
    engine,
    config.stages.map(({ depth }) => depth),
  );
  if (stage === undefined || parts === 1) return [config];
  const share = (count: number): number => engineShare(count, parts);
  const part: SchedulerConfig = {
    ...config,
    stages: [{ ...stage, depth: 1, batchRequests: share(stage.batchRequests) }],
    pools: config.pools.map((pool) => ({ ...pool, pages: share(pool.pages) })),
    hostPages: config.hostPages === 0 ? 0 : share(config.hostPages),
    diskPages: config.diskPages === 0 ? 0 : share(config.diskPages),
  };
  return Array.from({ length: parts }, () => part);
}
