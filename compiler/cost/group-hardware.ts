/** The devices that run a program together, and their links: the same to the clock and to bounds of it. */
import type { DeviceKind, Topology } from '../plan/plan.js';
import type { Routes } from '../plan/routes.js';
import { allReduceCost, sendCost } from './links.js';
import type { GroupHardware } from './program-cost.js';

/**
 * @param devices of a tp group, its ranks in order
 * @param next those of the group behind it in the pipeline, which the first rank sends to
 */
export function groupHardware(
  topology: Topology,
  routes: Routes,
  devices: readonly number[],
  next: readonly number[] | undefined,
): GroupHardware {
  const path = (device: number): string => topology.devices[device]!.path;
  const kinds = [...new Set(devices.map((device): DeviceKind => topology.devices[device]!.kind))];
  const allReduce = devices.length > 1 ? allReduceCost(routes, devices.map(path)) : undefined;
  const send = next === undefined ? undefined : sendCost(routes, path(devices[0]!), path(next[0]!));
  const links = { ...(allReduce && { allReduce }), ...(send && { send }) };
  return { kinds, ranks: devices.length, overhead: topology.overhead, ...links };
}
