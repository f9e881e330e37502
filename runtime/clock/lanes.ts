/**
 * Links at work. A transfer occupies every lane of its road from the moment all are free, for as long as each needs:
 * transfers that share a lane follow each other, so contention on a shared link shows as waiting.
 */
import type { Road, Roads } from '../../compiler/reshard/roads.js';

export interface LaneUse {
  readonly link: string;
  readonly place: string;
  readonly direction: 'in' | 'out' | 'within';
  readonly bytes: number;
  /** Seconds occupied. */
  readonly busy: number;
}

export interface Lanes {
  readonly roads: Roads;
  /**
   * Sends bytes from a time on, and says when the first byte leaves and the last arrives. Undefined where no road
   * leads there.
   */
  readonly transfer: (
    from: string,
    to: string,
    bytes: number,
    ready: number,
  ) => { readonly start: number; readonly end: number } | undefined;
  /** Counts bytes of which somebody else knows when they went, and how long that took. */
  readonly count: (from: string, to: string, bytes: number, seconds: number) => void;
  readonly use: () => readonly LaneUse[];
}

export function createLanes(roads: Roads): Lanes {
  const free: number[] = [];
  const bytesOf: number[] = [];
  const busyOf: number[] = [];
  const add = (lane: number, bytes: number, seconds: number): void => {
    bytesOf[lane] = (bytesOf[lane] ?? 0) + bytes;
    busyOf[lane] = (busyOf[lane] ?? 0) + seconds;
  };
  const occupy = (road: Road, bytes: number, ready: number): { start: number; end: number } => {
    const start = road.lanes.reduce((latest, lane) => Math.max(latest, free[lane] ?? 0), ready);
    for (const lane of road.lanes) {
      const seconds = bytes / roads.lanes[lane]!.bandwidth;
      free[lane] = start + seconds;
      add(lane, bytes, seconds);
    }
    return { start, end: start + road.latency + bytes / road.bandwidth };
  };
  return {
    roads,
    transfer(from, to, bytes, ready) {
      if (bytes === 0) return { start: ready, end: ready };
      const road = roads.between(from, to);
      return road && occupy(road, bytes, ready);
    },
    count(from, to, bytes, seconds) {
      for (const lane of roads.between(from, to)?.lanes ?? []) add(lane, bytes, seconds);
    },
    use: () =>
      roads.lanes.map(({ link, place, direction }, lane) => ({
        link,
        place,
        direction,
        bytes: bytesOf[lane] ?? 0,
        busy: busyOf[lane] ?? 0,
      })),
  };
}
