/** Bytes by link and direction: instances of a declared link are counted together, with the busiest lane named. */
import type { LinkLoad } from '../ir/transitions.js';
import { laneSeconds } from './balance.js';
import type { Lane, Road } from './roads.js';

/** Bytes on a road, as often as said on others like it that share no lane with it; once unless said. */
export interface RoadBytes {
  readonly bytes: number;
  readonly road: Road;
  readonly times?: number;
}

/** Sums what travels; links in the order they are first used. Every hop of a road counts its bytes. */
export function linkLoads(travels: readonly RoadBytes[], lanes: readonly Lane[]): readonly LinkLoad[] {
  const loads = new Map<
    string,
    { link: string; from: string; to: string; bytes: number; lanes: Set<number> }
  >();
  const laneBytes = new Map<number, number>();
  for (const { bytes, road, times = 1 } of travels) {
    for (const { link, from, to, lanes: used } of road.hops) {
      const key = `${link} ${from} ${to}`;
      const load = loads.get(key) ?? { link, from, to, bytes: 0, lanes: new Set<number>() };
      loads.set(key, load);
      load.bytes += times * bytes;
      for (const lane of used) {
        load.lanes.add(lane);
        laneBytes.set(lane, (laneBytes.get(lane) ?? 0) + bytes);
      }
    }
  }
  return [...loads.values()].map((load) => {
    const seconds = (lane: number): number => laneSeconds(lanes[lane]!, laneBytes.get(lane)!);
    const busiest = [...load.lanes].reduce((best, lane) => (seconds(lane) > seconds(best) ? lane : best));
    const { link, from, to, bytes } = load;
    const busy = { place: lanes[busiest]!.place, bytes: laneBytes.get(busiest)!, seconds: seconds(busiest) };
    return { link, from, to, bytes, busiest: busy };
  });
}
