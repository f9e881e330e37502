/**
 * Where a device's weights come from when no other device sends them: the copy of the model in the memory of its
 * host, or its disk where host memory has no room for one.
 */
import { tierFor } from '../plan/routes.js';
import type { Road, Roads } from './roads.js';

/** The road from the place that has the whole model; none where no tier is linked to the device. Asked once a device. */
export function weightSources(roads: Roads, modelBytes: number): (device: number) => Road | undefined {
  const { topology } = roads;
  const namesOf = (medium: 'host' | 'disk'): readonly string[] => [
    ...new Set(topology.tiers.filter((tier) => tier.medium === medium).map((tier) => tier.name)),
  ];
  const [hosts, disks] = [namesOf('host'), namesOf('disk')];
  const tiers = new Map<string, readonly string[]>();
  /** Tiers of a group with room for the model. */
  const tiersOf = (group: string, names: readonly string[]): readonly string[] => {
    const key = `${group} ${names.join()}`;
    const found =
      tiers.get(key) ??
      names.flatMap((name) => {
        const tier = tierFor(topology, group, name);
        return tier && tier.capacity >= modelBytes ? [tier.path] : [];
      });
    tiers.set(key, found);
    return found;
  };
  const known = new Map<number, Road | undefined>();
  const find = (device: number): Road | undefined => {
    const { path, group } = topology.devices[device]!;
    const best = (names: readonly string[]): Road | undefined => {
      let fastest: Road | undefined;
      for (const tier of tiersOf(group, names)) {
        const road = roads.between(tier, path);
        if (road && (fastest === undefined || road.bandwidth > fastest.bandwidth)) fastest = road;
      }
      return fastest;
    };
    return best(hosts) ?? best(disks);
  };
  return (device) => {
    if (!known.has(device)) known.set(device, find(device));
    return known.get(device);
  };
}
