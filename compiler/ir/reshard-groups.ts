/** The moves of a re-shard device by device: those of its groups, with places in a group read as devices. */
import type { Eviction, GroupPlan, WeightMove, WeightReshard } from './transitions.js';

/** Every move of every device. */
export function movesOf({ groups }: Pick<WeightReshard, 'groups'>): readonly WeightMove[] {
  return groups.flatMap(({ devices, plan }) =>
    plan.moves.map(({ device, source, ...move }) => ({
      ...move,
      device: devices[device]!,
      ...(source !== undefined && { source: devices[source]! }),
    })),
  );
}

/** What every device gives up. */
export function evictionsOf({ groups }: Pick<WeightReshard, 'groups'>): readonly Eviction[] {
  return groups.flatMap(({ devices, plan }) =>
    plan.evict.map((entry) => ({ ...entry, device: devices[entry.device]! })),
  );
}

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
