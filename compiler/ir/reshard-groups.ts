/** The re-shard of a device set device by device: what its groups do, with places in a group read as devices. */
import type { GroupPlan, WeightReshard } from './transitions.js';

/** Bytes of one device by what happens to them. */
export interface DeviceBytes {
  readonly keep: number;
  readonly copy: number;
  readonly upload: number;
  readonly evict: number;
  /** By the device that sends them. */
  readonly peers: ReadonlyMap<number, number>;
}

/** What happens on every device, in the order of groups and moves. Groups with one plan are counted once. */
export function bytesByDevice({ groups }: WeightReshard): ReadonlyMap<number, DeviceBytes> {
  const known = new Map<GroupPlan, ReadonlyMap<number, DeviceBytes>>();
  return new Map(
    groups.flatMap(({ devices, plan }) => {
      const places = known.get(plan) ?? bytesByPlace(plan);
      known.set(plan, places);
      return [...places].map(([place, bytes]): [number, DeviceBytes] => {
        const peers = [...bytes.peers].map(([source, sum]): [number, number] => [devices[source]!, sum]);
        return [devices[place]!, { ...bytes, peers: new Map(peers) }];
      });
    }),
  );
}

function bytesByPlace({ moves, evict }: GroupPlan): ReadonlyMap<number, DeviceBytes> {
  const sums = new Map<
    number,
    { keep: number; copy: number; upload: number; evict: number; peers: Map<number, number> }
  >();
  const of = (place: number) => {
    const sum = sums.get(place) ?? {
      keep: 0,
      copy: 0,
      upload: 0,
      evict: 0,
      peers: new Map<number, number>(),
    };
    sums.set(place, sum);
    return sum;
  };
  for (const { device, kind, source, bytes } of moves) {
    const sum = of(device);
    if (kind === 'peer') sum.peers.set(source!, (sum.peers.get(source!) ?? 0) + bytes);
    else sum[kind] += bytes;
  }
  for (const { device, bytes } of evict) of(device).evict += bytes;
  return sums;
}
