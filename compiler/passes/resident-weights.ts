/**
 * Names for weights that are resident together. Two stages on the same devices name their weights alike
 * (`layers.3.qkv`); a weight of a later stage that is not the same everywhere gets its stage's name in front
 * (`decode.layers.3.qkv`), so that on a device one name means one buffer, and equal weights are held once.
 */
import { groupBy } from '../group-by.js';
import type { DraftOp } from '../ir/op-access.js';
import type { RuntimeWeight, WeightShard } from '../ir/runtime-graph.js';
import { sameContent } from '../ir/weight-content.js';

/** A stage's weights on its devices. */
export interface StageWeights {
  readonly stage: string;
  readonly shards: readonly WeightShard[];
  /** Index in `shards` by device. */
  readonly devices: ReadonlyMap<number, number>;
  /** Layer of a weight, -1 outside layers. */
  readonly layerOf: (weight: string) => number;
}

/** Bytes of the weights that the ranks of a stage hold while it is active. */
export interface WeightSizes {
  readonly sizes: readonly { readonly weights: number; readonly largestWeight: number }[];
  /** Index in `sizes` by device. */
  readonly devices: ReadonlyMap<number, number>;
}

export function weightSizes({ shards, devices }: StageWeights): WeightSizes {
  const sizes = shards.map(({ weights }) => ({
    weights: weights.reduce((sum, { bytes }) => sum + bytes, 0),
    largestWeight: weights.reduce((most, { bytes }) => Math.max(most, bytes), 0),
  }));
  return { sizes, devices };
}

/** New names by stage and old name; only names that change are listed. */
export type Renaming = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** Finds the names under which the weights of all stages fit beside each other. */
export function renameResident(stages: readonly StageWeights[]): Renaming {
  const renaming = new Map<string, Map<string, string>>();
  stages.forEach((stage, index) => {
    const names = new Map<string, string>();
    renaming.set(stage.stage, names);
    for (const { shards } of deviceClasses(stages)) {
      const earlier = shards.slice(0, index).map(weightsById);
      for (const weight of shards[index]?.weights ?? []) {
        if (names.has(weight.id)) continue;
        const taken = earlier.some((weights) => {
          const same = weights.get(weight.id);
          return same !== undefined && !sameContent(same, weight);
        });
        if (taken) names.set(weight.id, `${stage.stage}.${weight.id}`);
      }
    }
  });
  return renaming;
}

/** What a renaming does to the weights of these layers. */
export function renamedLayers(
  renaming: Renaming,
  stages: readonly StageWeights[],
  layers: ReadonlySet<number>,
): Renaming {
  return new Map(
    stages.map(({ stage, layerOf }) => {
      const names = [...(renaming.get(stage) ?? [])];
      return [stage, new Map(names.filter(([weight]) => layers.has(layerOf(weight))))];
    }),
  );
}

/** Devices that hold the same in every stage, with the shard of each stage there. */
function deviceClasses(
  stages: readonly StageWeights[],
): readonly { readonly devices: readonly number[]; readonly shards: readonly (WeightShard | undefined)[] }[] {
  const all = new Set(stages.flatMap(({ devices }) => [...devices.keys()]));
  const alike = groupBy(all, (device) => stages.map(({ devices }) => devices.get(device)).join());
  return [...alike.values()].map((devices) => ({
    devices,
    shards: stages.map((stage) => stage.shards[stage.devices.get(devices[0]!) ?? -1]),
  }));
}

function weightsById(shard: WeightShard | undefined): ReadonlyMap<string, RuntimeWeight> {
  return new Map((shard?.weights ?? []).map((weight) => [weight.id, weight]));
}

/** Layer of every tensor that a layer's weights are made of. */
export function layerTensors(stages: readonly StageWeights[]): ReadonlyMap<string, number> {
  const layers = new Map<string, number>();
  for (const { shards, layerOf } of stages)
    for (const { id, pieces } of shards.flatMap((shard) => shard.weights))
      if (layerOf(id) >= 0) for (const { tensor } of pieces) layers.set(tensor, layerOf(id));
  return layers;
}

/** Bytes on every device when the weights of all stages are resident, equal ones once. */
export function residentBytes(
  stages: readonly StageWeights[],
  renaming: Renaming,
): ReadonlyMap<number, number> {
  return new Map(
    deviceClasses(stages).flatMap(({ devices, shards }) => {
      const held = new Map<string, number>();
      shards.forEach((shard, index) => {
        for (const { id, bytes } of shard?.weights ?? [])
          held.set(nameIn(renaming, stages[index]!.stage, id), bytes);
      });
      const total = [...held.values()].reduce((sum, bytes) => sum + bytes, 0);
      return devices.map((device) => [device, total] as const);
    }),
  );
}

/** The weights of a stage under the new names. */
export function renameStage(stage: StageWeights, renaming: Renaming): StageWeights {
  return { ...stage, shards: stage.shards.map((shard) => renameShard(shard, renaming, stage.stage)) };
}

/**
 * Every stage with what the others have of these layers on its devices, under the new names. A shard whose devices
 * have different weights of other stages becomes several.
 */
export function keepLayers(
  stages: readonly StageWeights[],
  layers: ReadonlySet<number>,
  renaming: Renaming,
): readonly StageWeights[] {
  return stages.map((stage) => {
    const { places, devices } = keepingPlaces(stages, stage);
    const shards = places.map(({ shard, others }): WeightShard => {
      const own = renameShard(shard, renaming, stage.stage);
      const weights = new Map(own.weights.map((weight) => [weight.id, weight]));
      for (const { stage: other, shard: theirs } of others) {
        for (const weight of theirs.weights.filter(({ id }) => layers.has(other.layerOf(id)))) {
          const id = nameIn(renaming, other.stage, weight.id);
          if (!weights.has(id)) weights.set(id, { ...weight, id });
        }
      }
      return { ...own, weights: [...weights.values()] };
    });
    return { ...stage, shards, devices };
  });
}

/**
 * Answers how large the weights of every stage are when it keeps some layers of the others: as `keepLayers` would hold
 * them, each layer counted once for all answers.
 *
 * @param names of the weights of all layers
 */
export function keptSizes(
  stages: readonly StageWeights[],
  names: Renaming,
): (layers: readonly number[]) => readonly WeightSizes[] {
  const known = stages.map((stage) => {
    const { places, devices } = keepingPlaces(stages, stage);
    const own = weightSizes(stage).sizes;
    const counted = places.map(({ shard, others }) => {
      const held = new Set(shard.weights.map(({ id }) => nameIn(names, stage.stage, id)));
      const more = new Map<number, { weights: number; largestWeight: number }>();
      for (const { stage: other, shard: theirs } of others)
        for (const { id, bytes } of theirs.weights) {
          const name = nameIn(names, other.stage, id);
          if (held.has(name)) continue;
          held.add(name);
          const layer = other.layerOf(id);
          const sum = more.get(layer) ?? { weights: 0, largestWeight: 0 };
          sum.weights += bytes;
          sum.largestWeight = Math.max(sum.largestWeight, bytes);
          more.set(layer, sum);
        }
      return { own: own[stage.shards.indexOf(shard)]!, more };
    });
    return { devices, counted };
  });
  return (layers) =>
    known.map(({ devices, counted }) => ({
      devices,
      sizes: counted.map(({ own, more }) => {
        const kept = layers.flatMap((layer) => more.get(layer) ?? []);
        return {
          weights: kept.reduce((sum, { weights }) => sum + weights, own.weights),
          largestWeight: kept.reduce((most, each) => Math.max(most, each.largestWeight), own.largestWeight),
        };
      }),
    }));
}

interface KeepingPlaces {
  /** A shard of the stage, with those that the other stages have on the same devices. */
  readonly places: readonly {
    readonly shard: WeightShard;
    readonly others: readonly { readonly stage: StageWeights; readonly shard: WeightShard }[];
  }[];
  /** Index in `places` by device. */
  readonly devices: ReadonlyMap<number, number>;
}

/** Where devices of a stage may keep different weights of other stages. */
function keepingPlaces(stages: readonly StageWeights[], stage: StageWeights): KeepingPlaces {
  const others = stages.filter((other) => other !== stage);
  const places: KeepingPlaces['places'][number][] = [];
  const known = new Map<string, number>();
  const devices = new Map<number, number>();
  for (const [device, index] of stage.devices) {
    const key = [index, ...others.map((other) => other.devices.get(device))].join();
    const place = known.get(key) ?? places.length;
    known.set(key, place);
    devices.set(device, place);
    if (place < places.length) continue;
    const theirs = others.flatMap((other) => {
      const shard = other.shards[other.devices.get(device) ?? -1];
      return shard ? [{ stage: other, shard }] : [];
    });
    places.push({ shard: stage.shards[index]!, others: theirs });
  }
  return { places, devices };
}

/** A shard under the new names. */
function renameShard(shard: WeightShard, renaming: Renaming, stage: string): WeightShard {
  const weights = shard.weights.map((weight) => ({ ...weight, id: nameIn(renaming, stage, weight.id) }));
  return { ...shard, weights };
}

/** An op that names its weights anew; one without a weight that gets another name is the same value. */
export function renameOp(op: DraftOp, names: ReadonlyMap<string, string>): DraftOp {
  if (op.op !== 'kernel') return op;
  let isRenamed = false;
  for (const operand of op.operands) if ('weight' in operand && names.has(operand.weight)) isRenamed = true;
  if (!isRenamed) return op;
  return {
    ...op,
    operands: op.operands.map((operand) =>
      'weight' in operand ? { weight: names.get(operand.weight) ?? operand.weight } : operand,
    ),
  };
}

function nameIn(renaming: Renaming, stage: string, weight: string): string {
  return renaming.get(stage)?.get(weight) ?? weight;
}
