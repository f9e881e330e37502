/**
 * How large a range of a buffer kernels can see, and what that leaves unused. The KV pages of a layer lie in one range,
 * so a device holds no more of them than that however much of its memory is free.
 */
import type { KvPool, RuntimeDevice } from '../ir/runtime-graph.js';
import { intervalLength } from '../ir/rectangles.js';
import type { DeviceKind, Plan, Topology } from '../plan/plan.js';
import { greatestCommonDivisor } from './shared-pages.js';

/**
 * Of a device that does not say: WebGPU guarantees 128 MiB, and implementations on devices with a lot of memory offer up
 * to 2 GiB. A 16th of the memory, between the two.
 */
export function largestBinding({ memory, largestBinding: declared }: DeviceKind): number {
  if (declared !== undefined) return Math.floor(declared / 4) * 4;
  return Math.min(2 ** 31 - 4, Math.max(2 ** 27, Math.floor(memory / 64) * 4));
}

/** The binding limit of a plan: that of the device with the smallest. */
export function bindingBytes({ stages, topology }: Pick<Plan, 'stages' | 'topology'>): number {
  let least = Infinity;
  for (const { devices } of stages)
    for (const device of devices) least = Math.min(least, largestBinding(topology.devices[device]!.kind));
  return least;
}

/** A pool that has no more pages because a binding holds no more. */
export interface CappedPool {
  readonly pool: string;
  /** What the topology calls the device that has the smallest binding, and the bytes of it. */
  readonly device: string;
  readonly largestBinding: number;
  /** Bytes that every device of the pool may use beside, at least, and the part of its budget that they are. */
  readonly unused: number;
  readonly unusedPart: number;
}

/** Pools with pages of their own whose devices would have memory for more of them. */
export function cappedPools(
  { devices: placed }: Pick<Topology, 'devices'>,
  pools: readonly KvPool[],
  devices: readonly RuntimeDevice[],
): readonly CappedPool[] {
  const kinds = devices.map(({ id }) => placed[id]!.kind);
  if (kinds.length === 0) return [];
  const kind = kinds.reduce((a, b) => (largestBinding(b) < largestBinding(a) ? b : a));
  const least = largestBinding(kind);
  const byId = new Map(devices.map((device) => [device.id, device]));
  return pools.flatMap((pool): readonly CappedPool[] => {
    if (pool.within !== undefined || pool.pages < mostBindable(pool, pools, least)) return [];
    let [unused, unusedPart] = [Infinity, 1];
    for (const { device, pageBytes } of pool.ranks) {
      const { budget, peak } = byId.get(device)!;
      const left = budget - peak.total;
      if (left < pageBytes) return [];
      unused = Math.min(unused, left);
      unusedPart = Math.min(unusedPart, left / budget);
    }
    return [{ pool: pool.id, device: kind.name, largestBinding: least, unused, unusedPart }];
  });
}

/** The most pages of which every part that layers can be split into fits a binding. */
function mostBindable(pool: KvPool, pools: readonly KvPool[], largest: number): number {
  const borrower = pools.find(({ within }) => within === pool.id);
  const sharing = borrower && [...pool.ranks, ...borrower.ranks];
  const parts = sharing?.map(({ layers }) => intervalLength(layers)).reduce(greatestCommonDivisor);
  return Math.min(
    ...pool.ranks.map(({ layers, pageBytes }) =>
      pageBytes === 0 ? Infinity : Math.floor(largest / (pageBytes / (parts ?? intervalLength(layers)))),
    ),
  );
}
