/**
 * What unlike devices leave unused: all ranks of a pool have equally many pages, so that the device with the least room
 * says how many, whatever others have beside.
 */
import type { KvPool, RuntimeDevice } from '../ir/runtime-graph.js';

/** A pool that has no more pages because some devices have no room for more. */
export interface UnevenRoom {
  readonly pool: string;
  /** The first of those that are full, by its path. */
  readonly full: string;
  /** Devices that have room for more. */
  readonly others: readonly Pick<RuntimeDevice, 'id' | 'path'>[];
  /** The most bytes that one of these may use beside. */
  readonly unused: number;
}

/**
 * Pools with pages of their own of which some device has room for no more, and another for a good part of its memory.
 *
 * @param part of what a device may use, from which on it counts
 */
export function unevenRooms(
  pools: readonly KvPool[],
  devices: readonly RuntimeDevice[],
  part: number,
): readonly UnevenRoom[] {
  const byId = new Map(devices.map((device) => [device.id, device]));
  return pools.flatMap(({ id, within, ranks }): readonly UnevenRoom[] => {
    if (within !== undefined) return [];
    const left = ranks.map(({ device, pageBytes }) => {
      const { path, budget, peak } = byId.get(device)!;
      return { id: device, path, budget, pageBytes, bytes: budget - peak.total };
    });
    const full = left.find(({ bytes, pageBytes }) => bytes < pageBytes);
    const others = left.filter(({ bytes, budget }) => bytes >= part * budget);
    if (full === undefined || others.length === 0) return [];
    const unused = others.reduce((most, { bytes }) => Math.max(most, bytes), 0);
    return [{ pool: id, full: full.path, others: others.map(({ id, path }) => ({ id, path })), unused }];
  });
}
