/**
 * Room of the carrying tier for KV. Where stages take turns, transitions load weights from a copy of the model in host
 * memory, one in each that the plan's devices reach; a host that has no room for one loads them from disk.
 */
import type { WeightShard } from '../ir/runtime-graph.js';
import { bytesPerElement } from '../model/weight-types.js';
import type { KvTier, Plan } from '../plan/plan.js';
import { tierFor } from '../plan/routes.js';

/**
 * Bytes that KV may take of a host tier: of the memory of all hosts beside devices that prefill, as it is they who put
 * pages out. What devices on other nodes put out when they run out of pages counts there as well.
 *
 * @param copyBytes of the copy of the weights in each host memory; 0 where there is none
 */
export function hostKvRoom({ topology, stages }: Plan, tier: KvTier, copyBytes: number): number {
  const writing = stages.filter(({ phases }) => phases.includes('prefill'));
  const groups = new Set(writing.flatMap(({ devices }) => devices.map((id) => topology.devices[id]!.group)));
  const hosts = new Set([...groups].flatMap((group) => tierFor(topology, group, tier.name) ?? []));
  let left = 0;
  for (const { capacity } of hosts) left += capacity >= copyBytes ? capacity - copyBytes : capacity;
  return Math.min(tier.capacity ?? 0, left);
}

/** Bytes of the tensors that shards hold pieces of, each once, with the elements that devices have. */
export function copyBytesOf(shards: Iterable<Pick<WeightShard, 'weights'>>): number {
  const tensors = new Map<string, { rows: number; cols: number; element: number }>();
  for (const { weights } of shards)
    for (const { pieces, dtype } of weights)
      for (const { tensor, rows, cols } of pieces) {
        const element = bytesPerElement(dtype);
        const known = tensors.get(tensor);
        if (known === undefined) tensors.set(tensor, { rows: rows[1], cols: cols[1], element });
        else {
          known.rows = Math.max(known.rows, rows[1]);
          known.cols = Math.max(known.cols, cols[1]);
          known.element = Math.max(known.element, element);
        }
      }
  return [...tensors.values()].reduce((sum, { rows, cols, element }) => sum + rows * cols * element, 0);
}
