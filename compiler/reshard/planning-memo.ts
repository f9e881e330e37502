/**
 * What the plans of all re-shards of a model have in common, found once: where the checkpoint's copy comes from, and how
 * the roads of groups of devices compare.
 */
import { byTensor } from '../ir/pieces.js';
import { numbered } from '../numbered.js';
import { once } from '../once.js';
import type { RankHolding, TensorPiece } from '../ir/transitions.js';
import type { Road, Roads } from './roads.js';
import { instancesOf, type Instance } from './instances.js';
import { weightSources } from './weight-source.js';

/** The road to a device from the checkpoint's copy. */
export type Origin = (device: number) => Road | undefined;

/** The roads that a group of devices may use among themselves and from the origin. */
export interface GroupRoads {
  /** Equal for groups whose roads are alike, place by place. */
  readonly likeness: number;
  /** All their lanes, each by one text that no other has. */
  readonly lanes: readonly string[];
}

export interface PlanningMemo {
  /** What ranks hold, by tensor. */
  readonly sorted: typeof byTensor<TensorPiece>;
  /** Origins for all that the ranks hold. */
  readonly originsOf: (ranks: readonly RankHolding[]) => Origin;
  /** Roads from all of some devices, and from the origin, to all of others. */
  readonly groupRoads: (from: readonly number[], to: readonly number[], origin: Origin) => GroupRoads;
}

/**
 * @param bytesOf what a piece takes in device memory
 * @param kvBytes of KV that host memory has room for beside a copy of the model, where there is a disk
 */
export function planningMemo(
  bytesOf: (piece: TensorPiece) => number,
  roads: Roads,
  kvBytes = 0,
): PlanningMemo {
  const holdingId = numbered<RankHolding['weights']>();
  const origins = new Map<string, Origin>();
  const groups = new Map<Origin, KnownRoads>();
  const kinds: (readonly Word[])[] = [];
  const likenessOf = (words: readonly Word[]): number => {
    const known = kinds.findIndex((kind) => sameWords(kind, words));
    return known < 0 ? kinds.push(words) - 1 : known;
  };
  const describe = roadsDescriber(roads);
  const instanceOf = once(instancesOf(roads.topology));
  /** The outermost group that all of some devices stand in. */
  const commonInstance = (devices: readonly number[]): Instance | undefined => {
    const instance = instanceOf(devices[0] ?? -1);
    return devices.every((device) => instanceOf(device) === instance) ? instance : undefined;
  };
  const describedRoads = (from: readonly number[], to: readonly number[], origin: Origin): GroupRoads => {
    const { words, lanes } = describe(from, to, origin);
    const texts = lanes.map((lane) => `${roads.lanes[lane]!.place} ${roads.laneKind(lane)}`);
    return { likeness: likenessOf(words), lanes: texts };
  };
  /** The roads of devices of one instance: those of devices in the same places of another, where these stay inside it. */
  const roadsInside = (
    { path, likeness }: Instance,
    from: readonly number[],
    to: readonly number[],
    origin: Origin,
    inside: KnownRoads['inside'],
  ): GroupRoads => {
    const placesOf = (devices: readonly number[]): string =>
      devices.map((device) => roads.topology.devices[device]!.path.slice(path.length)).join();
    const places = `${likeness} ${placesOf(from)} ${placesOf(to)}`;
    const model = inside.get(places);
    if (model !== undefined) {
      const lanes = model.roads.lanes.map((lane) => path + lane.slice(model.path.length));
      return { likeness: model.roads.likeness, lanes };
    }
    const described = describedRoads(from, to, origin);
    if (described.lanes.every((lane) => lane.startsWith(`${path}.`)))
      inside.set(places, { path, roads: described });
    return described;
  };
  return {
    sorted: once(byTensor<TensorPiece>),
    originsOf(ranks) {
      const distinct = [...new Set(ranks.map(({ weights }) => weights))];
      const key = distinct
        .map(holdingId)
        .sort((a, b) => a - b)
        .join();
      let origin = origins.get(key);
      if (origin === undefined) {
        const modelBytes = wholeTensors(distinct).reduce((sum, tensor) => sum + bytesOf(tensor), 0);
        origins.set(key, (origin = weightSources(roads, { modelBytes, kvBytes })));
      }
      return origin;
    },
    groupRoads(from, to, origin) {
      let known = groups.get(origin);
      if (known === undefined) groups.set(origin, (known = { byDevices: new Map(), inside: new Map() }));
      const key = `${from.join()} ${to.join()}`;
      let found = known.byDevices.get(key);
      if (found === undefined) {
        const instance = commonInstance([...from, ...to]);
        found = instance
          ? roadsInside(instance, from, to, origin, known.inside)
          : describedRoads(from, to, origin);
        known.byDevices.set(key, found);
      }
      return found;
    },
  };
}

/** Roads of groups from one origin. */
interface KnownRoads {
  readonly byDevices: Map<string, GroupRoads>;
  /** Of groups whose roads stay inside one instance, by its likeness and their places in it. */
  readonly inside: Map<string, { readonly path: string; readonly roads: GroupRoads }>;
}

/** Describes roads in words in which lanes are numbered in the order in which they are met, so that only their kind counts. */
function roadsDescriber(
  roads: Roads,
): (from: readonly number[], to: readonly number[], origin: Origin) => Described {
  const laneKind = once((lane: number) => {
    const { link, direction, bandwidth, latency } = roads.lanes[lane]!;
    return `${link} ${direction} ${bandwidth} ${latency}`;
  });
  return (from, to, origin) => {
    const local = new Map<number, number>();
    const words: Word[] = [];
    const describe = (road: Road | undefined): void => {
      words.push(';');
      for (const { link, from: start, to: end, lanes } of road?.hops ?? []) {
        words.push(link, start, end);
        for (const lane of lanes) {
          let id = local.get(lane);
          if (id === undefined) local.set(lane, (id = local.size));
          words.push(id);
        }
      }
    };
    for (const device of to) {
      describe(origin(device));
      for (const sender of from) describe(roads.betweenDevices(sender, device));
    }
    const lanes = [...local.keys()];
    return { words: [...words, ...lanes.map(laneKind)], lanes };
  };
}

type Word = string | number;

interface Described {
  readonly words: readonly Word[];
  readonly lanes: readonly number[];
}

function sameWords(a: readonly Word[], b: readonly Word[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}

/** All tensors of some holdings, each as far as any of them reaches. */
function wholeTensors(holdings: readonly RankHolding['weights'][]): readonly TensorPiece[] {
  const extents = new Map<string, { height: number; width: number }>();
  for (const pieces of holdings)
    for (const { tensor, rows, cols } of pieces) {
      const known = extents.get(tensor);
      if (known === undefined) {
        extents.set(tensor, { height: rows[1], width: cols[1] });
      } else {
        known.height = Math.max(known.height, rows[1]);
        known.width = Math.max(known.width, cols[1]);
      }
    }
  return [...extents].map(([tensor, { height, width }]) => ({ tensor, rows: [0, height], cols: [0, width] }));
}
