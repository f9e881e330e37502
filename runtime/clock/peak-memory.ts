/** The most memory of devices and tiers that KV took. */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { SchedulerState } from '../scheduler/scheduler.js';
import type { Simulation } from './simulation.js';

/** The most bytes of KV, on devices and in tiers. */
export interface PeakMemory {
  /** Bytes by device. */
  readonly kvPeak: ReadonlyMap<number, number>;
  readonly tierPeak: Simulation['tierPeak'];
}

/**
 * Adds up the most pages that each pool and tier held at one moment, of the host tier filled ones; pools that lie within
 * others are counted with those.
 */
export function peakMemory(graph: RuntimeGraph, states: readonly SchedulerState[]): PeakMemory {
  const kvPeak = new Map<number, number>();
  const most = new Map<string, number>();
  for (const { pools } of states)
    for (const { pool, replica, most: pages } of pools) {
      const key = `${pool} ${replica}`;
      most.set(key, (most.get(key) ?? 0) + pages);
    }
  for (const { id, within, ranks } of graph.pools) {
    if (within !== undefined) continue;
    for (const { device, dp, pageBytes } of ranks)
      kvPeak.set(device, (kvPeak.get(device) ?? 0) + (most.get(`${id} ${dp}`) ?? 0) * pageBytes);
  }
  const pageBytes = graph.hostTier?.pageBytes ?? 0;
  const tier = (name: 'host' | 'disk'): number =>
    states.reduce((sum, state) => sum + state[name].most * pageBytes, 0);
  return { kvPeak, tierPeak: { host: tier('host'), disk: tier('disk') } };
}
