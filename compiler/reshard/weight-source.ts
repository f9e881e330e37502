/**
 * Where a device's weights come from when no other device sends them: the copy of the model in the memory of its
 * host, or its disk where host memory has no room for one, or none for the KV of a sequence beside it.
 */
import type { Tier, Topology } from '../plan/plan.js';
import { tierFor } from '../plan/routes.js';
import type { Road, Roads } from './roads.js';

/** Bytes of the whole model, and those of KV that host memory is to have room for beside it where there is a disk. */
export interface CopySize {
  readonly modelBytes: number;
  readonly kvBytes: number;
}

/** Whether a host memory beside devices of a group keeps a copy of the model. */
export function keepsCopy(
  topology: Topology,
  group: string,
  { capacity }: Tier,
  { modelBytes, kvBytes }: CopySize,
): boolean {
  if (capacity < modelBytes) return false;
  return capacity >= modelBytes + kvBytes || !hasDisk(topology, group, modelBytes);
}

/** Whether some disk of a group has room for so many bytes. */
function hasDisk(topology: Topology, group: string, bytes: number): boolean {
  return tierNames(topology, 'disk').some((name) => {
    const tier = tierFor(topology, group, name);
    return tier?.medium === 'disk' && tier.capacity >= bytes;
  });
}

function tierNames({ tiers }: Topology, medium: Tier['medium']): readonly string[] {
  return [...new Set(tiers.filter((tier) => tier.medium === medium).map(({ name }) => name))];
}

/** The road from the place that has the whole model; none where no tier is linked to the device. Asked once a device. */
export function weightSources(roads: Roads, size: CopySize): (device: number) => Road | undefined {
  const { topology } = roads;
  const [hosts, disks] = [tierNames(topology, 'host'), tierNames(topology, 'disk')];
  const tiers = new Map<string, readonly string[]>();
  /** Tiers of a group with room for the model. */
  const tiersOf = (group: string, names: readonly string[]): readonly string[] => {
    const key = `${group} ${names.join()}`;
    const found =
      tiers.get(key) ??
      names.flatMap((name) => {
        const tier = tierFor(topology, group, name);
        const holds =
          tier?.medium === 'host'
            ? keepsCopy(topology, group, tier, size)
            : tier && tier.capacity >= size.modelBytes;
        return tier && holds ? [tier.path] : [];
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
