/** What moves cost, counted move by move from the roads they take. */
import type { ReshardCost } from '../../../compiler/ir/transitions.js';
import { laneSeconds } from '../../../compiler/reshard/balance.js';
import type { Road, Roads } from '../../../compiler/reshard/roads.js';

/** A move as far as links see it. `origin`: brought from where everything is. */
export interface Travel {
  readonly device: number;
  readonly bytes: number;
  readonly kind: 'keep' | 'copy' | 'peer' | 'origin';
  readonly source?: number;
}

/** What moves put on every lane, and over links in all, counted move by move. */
export function trafficOf(
  travels: readonly Travel[],
  roads: Roads,
  origin: (device: number) => Road | undefined,
): { readonly laneBytes: readonly number[]; readonly linkBytes: number; readonly mostHops: number } {
  const laneBytes = roads.lanes.map(() => 0);
  const path = (device: number): string => roads.topology.devices[device]!.path;
  let linkBytes = 0;
  let mostHops = 0;
  for (const { device, bytes, kind, source } of travels) {
    if (kind === 'keep') continue;
    const road = kind === 'origin' ? origin(device) : roads.between(path(source ?? device), path(device));
    if (!road) throw new Error(`no road for a ${kind} to device ${device}`);
    for (const lane of road.lanes) laneBytes[lane]! += bytes;
    if (kind === 'copy') continue;
    linkBytes += bytes * road.hops.length;
    mostHops = Math.max(mostHops, road.hops.length);
  }
  return { laneBytes, linkBytes, mostHops };
}

/** When the last lane is done. */
export function slowestLane(laneBytes: readonly number[], roads: Roads): number {
  return Math.max(0, ...laneBytes.map((bytes, lane) => laneSeconds(roads.lanes[lane]!, bytes)));
}

/** Time of a cost without what is copied inside devices. */
export function transferSeconds({ links }: ReshardCost): number {
  const between = links.filter(({ link }) => !link.endsWith('memory'));
  return Math.max(0, ...between.map(({ busiest }) => busiest.seconds));
}
