/**
 * Where a device's weights come from when no other device sends them: the copy of the model in the memory of its
 * host, or its disk where host memory has no room for one.
 */
import { tierFor } from '../plan/routes.js';
import type { Road, Roads } from './roads.js';

/** The road from the place that has the whole model; none where no tier is linked to the device. */
export function weightSource(roads: Roads, device: number, modelBytes: number): Road | undefined {
  const { topology } = roads;
  const { path, group } = topology.devices[device]!;
  const roadFrom = (medium: 'host' | 'disk'): Road | undefined => {
    const names = new Set(topology.tiers.filter((tier) => tier.medium === medium).map((tier) => tier.name));
    const found = [...names].flatMap((name) => {
      const tier = tierFor(topology, group, name);
      if (!tier || tier.capacity < modelBytes) return [];
      return roads.between(tier.path, path) ?? [];
    });
    return found.reduce<Road | undefined>(
      (best, road) => (best === undefined || road.bandwidth > best.bandwidth ? road : best),
      undefined,
    );
  };
  return roadFrom('host') ?? roadFrom('disk');
}
