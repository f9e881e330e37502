/**
 * What the weights of stages that take turns need of each device, exactly as the executor will allocate it. Devices
 * that do the same are planned once.
 */
import { planDeviceWeights } from '../ir/device-weights.js';
import { deviceResidences, deviceTransitions, residencesOf, type Residing } from '../ir/residences.js';
import type { DeviceMoves } from '../ir/runtime-graph.js';

/** Bytes by device, for devices with transitions. */
export function turningWeights(stages: Residing): ReadonlyMap<number, number> {
  const residences = residencesOf(stages);
  const known = new Map<string, number>();
  const devices = new Set(
    stages.transitions.flatMap((transition) => transition.devices.map((each) => each.device)),
  );
  const ids = new Map<DeviceMoves, number>();
  const idOf = (moves: DeviceMoves): number => {
    const id = ids.get(moves) ?? ids.size;
    ids.set(moves, id);
    return id;
  };
  return new Map(
    [...devices].map((device) => {
      const transitions = deviceTransitions(stages, residences, device);
      const shards = stages.stages.map(({ ranks }) => ranks.find((rank) => rank.device === device)?.shard);
      const key = [...shards, ...[...transitions.values()].map((moves) => idOf(moves))].join();
      const bytes =
        known.get(key) ?? planDeviceWeights(deviceResidences(stages, residences, device), transitions).bytes;
      known.set(key, bytes);
      return [device, bytes];
    }),
  );
}
