/** The devices that run a program together, and their links: the same to the clock and to bounds of it. */
import { bytesPerElement } from '../model/weight-types.js';
import type { DeviceKind, Overhead, Topology } from '../plan/plan.js';
import type { Routes } from '../plan/routes.js';
import { allReduceCost, sendCost, type LinkCost } from './links.js';

/** The tp group that runs the program. */
export interface GroupHardware {
  /** Kinds of its devices, each once: the slowest decides. */
  readonly kinds: readonly DeviceKind[];
  /** Cost of an all-reduce within the group; absent where the group has one rank. */
  readonly allReduce?: LinkCost;
  /** Cost of sending to the next pipeline stage; absent on the last. */
  readonly send?: LinkCost;
  /** Ranks of the tp group; all take part in every collective. */
  readonly ranks: number;
  /** What the topology declares of the engine's time, but for that of a step and a request. */
  readonly overhead: Omit<Overhead, 'step' | 'request'>;
}

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

/**
 * What tells groups apart that cost a program differently: all but their ranks, which programs are for, and what the
 * topology declares, which all groups over it have in common.
 *
 * @param idOf numbers kinds of devices, which may go by one name
 */
export function hardwareKey(
  { kinds, allReduce, send }: GroupHardware,
  idOf: (kind: DeviceKind) => number,
): string {
  const link = (cost: LinkCost | undefined): string =>
    cost ? `${cost.latency} ${cost.bandwidth} ${cost.gatherLatency ?? ''} ${cost.declared ?? ''}` : '';
  return `${kinds.map(idOf).join()}|${link(allReduce)}|${link(send)}`;
}

/** Bytes of an element of activations in device memory. */
export function heldElementBytes({ overhead }: Pick<GroupHardware, 'overhead'>): number {
  return bytesPerElement(overhead.activationsInMemory ?? 'f32');
}

/** Bytes of an element of activations on links between devices. */
export function sentElementBytes({ overhead }: Pick<GroupHardware, 'overhead'>): number {
  return bytesPerElement(overhead.activations ?? 'f32');
}
