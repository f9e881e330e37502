/**
 * The least time in which things can be brought to where they are needed, by trying every combination of sources:
 * the origin that has everything, and every device that has the thing and is nearer than the origin.
 */
import { laneSeconds } from '../../../compiler/reshard/balance.js';
import type { Road, Roads } from '../../../compiler/reshard/roads.js';

/** One indivisible thing that a device lacks, or that it copies inside its memory. */
export interface Lack {
  readonly device: number;
  readonly bytes: number;
  /** Devices that have it, the device itself among them where it only has to be copied. */
  readonly holders: readonly number[];
}

/** Seconds until the last lane is done, at best. */
export function leastSeconds(
  lacks: readonly Lack[],
  roads: Roads,
  origin: (device: number) => Road | undefined,
): number {
  const path = (device: number): string => roads.topology.devices[device]!.path;
  const choices = lacks.map(({ device, holders }) => {
    if (holders.includes(device)) return [roads.between(path(device), path(device))!];
    const home = origin(device);
    const nearer = holders.flatMap((holder) => {
      const road = roads.between(path(holder), path(device));
      return road && road.bandwidth > (home?.bandwidth ?? 0) ? [road] : [];
    });
    return [...(home ? [home] : []), ...nearer];
  });
  const laneBytes = new Map<number, number>();
  let least = Infinity;
  const choose = (index: number): void => {
    if (index < lacks.length) {
      for (const { lanes } of choices[index]!) {
        for (const lane of lanes) laneBytes.set(lane, (laneBytes.get(lane) ?? 0) + lacks[index]!.bytes);
        choose(index + 1);
        for (const lane of lanes) laneBytes.set(lane, laneBytes.get(lane)! - lacks[index]!.bytes);
      }
      // Nothing leads there: it is planned without a cost.
      if (choices[index]!.length === 0) choose(index + 1);
      return;
    }
    const seconds = [...laneBytes].map(([lane, bytes]) => laneSeconds(roads.lanes[lane]!, bytes));
    least = Math.min(least, Math.max(0, ...seconds));
  };
  choose(0);
  return least;
}
