/** The moves of a re-shard device by device: those of its groups, with places in a group read as devices. */
import type { Eviction, WeightMove, WeightReshard } from '../../../compiler/ir/transitions.js';

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
