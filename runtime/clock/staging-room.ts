/**
 * How many bytes the ring of staging slots of a device holds, and how many it can bring in ahead of a transition: the ring
 * then takes as many more slots as fit in memory that nothing else has a use for (`runtime/exec/staging-ring.ts`).
 */
import { largestWeight, ringSizes } from '../../compiler/ir/device-weights.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';

/** Bytes of the staging ring of a device. */
export interface StagingRoom {
  /** Bytes of one slot. */
  readonly slot: number;
  /** Bytes of all slots. */
  readonly ring: number;
  /** Bytes of all slots with those that fit in spare memory ahead of a transition. */
  readonly ahead: number;
}

/** The staging room of every device of a graph. */
export function stagingRoom(graph: RuntimeGraph): (device: number) => StagingRoom {
  const largest = new Map<number, number>();
  for (const { shards, ranks } of graph.stages) {
    const largestOf = shards.map((shard) => largestWeight([{ name: '', weights: shard.weights }]));
    for (const { device, shard } of ranks)
      largest.set(device, Math.max(largest.get(device) ?? 0, largestOf[shard]!));
  }
  const spare = new Map(graph.devices.map(({ id, budget, peak }) => [id, budget - peak.total]));
  return (device) => {
    const { slots, slotBytes } = ringSizes(largest.get(device) ?? 0);
    const more = Math.max(0, Math.floor((spare.get(device) ?? 0) / slotBytes));
    return { slot: slotBytes, ring: slotBytes * slots, ahead: slotBytes * (slots + more) };
  };
}
