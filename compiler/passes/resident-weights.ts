/**
 * Names for weights that are resident together. Two stages on the same devices name their weights alike
 * (`layers.3.qkv`); a weight of a later stage that is not the same everywhere gets its stage's name in front
 * (`decode.layers.3.qkv`), so that on a device one name means one buffer, and equal weights are held once.
 */
import type { DraftOp } from '../ir/op-access.js';
import type { RuntimeWeight, WeightShard } from '../ir/runtime-graph.js';

/** A stage's weights on its devices. */
export interface StageWeights {
  readonly stage: string;
  readonly shards: readonly WeightShard[];
  /** Index in `shards` by device. */
  readonly devices: ReadonlyMap<number, number>;
  /** Layer of a weight, -1 outside layers. */
  readonly layerOf: (weight: string) => number;
}

/** New names by stage and old name; only names that change are listed. */
export type Renaming = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** Finds the names under which the weights of all stages (or of these layers of them) fit beside each other. */
export function renameResident(stages: readonly StageWeights[], layers?: ReadonlySet<number>): Renaming {
  const renaming = new Map<string, Map<string, string>>();
  stages.forEach((stage, index) => {
    const names = new Map<string, string>();
    renaming.set(stage.stage, names);
    const earlier = stages.slice(0, index);
    for (const [device, shard] of stage.devices) {
      for (const weight of stage.shards[shard]!.weights) {
        if (layers && !layers.has(stage.layerOf(weight.id))) continue;
        const taken = earlier.some((other) => {
          const same = other.shards[other.devices.get(device) ?? -1]?.weights.find((w) => w.id === weight.id);
          return same !== undefined && !sameContent(same, weight);
        });
        if (taken) names.set(weight.id, `${stage.stage}.${weight.id}`);
      }
    }
  });
  return renaming;
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
export function residentBytes(stages: readonly StageWeights[]): ReadonlyMap<number, number> {
  const renaming = renameResident(stages);
  const held = new Map<number, Map<string, number>>();
  for (const { stage, shards, devices } of stages) {
    for (const [device, shard] of devices) {
      const mine = held.get(device) ?? new Map<string, number>();
      held.set(device, mine);
      for (const weight of shards[shard]!.weights) mine.set(nameIn(renaming, stage, weight.id), weight.bytes);
    }
  }
  return new Map(
    [...held].map(([device, weights]) => [
      device,
      [...weights.values()].reduce((sum, bytes) => sum + bytes, 0),
    ]),
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
    const others = stages.filter((other) => other !== stage);
    const shards: WeightShard[] = [];
    const known = new Map<string, number>();
    const devices = new Map<number, number>();
    for (const [device, index] of stage.devices) {
      const key = [index, ...others.map((other) => other.devices.get(device))].join();
      const shard = known.get(key) ?? shards.length;
      known.set(key, shard);
      devices.set(device, shard);
      if (shard < shards.length) continue;
      const own = renameShard(stage.shards[index]!, renaming, stage.stage);
      const weights = new Map(own.weights.map((weight) => [weight.id, weight]));
      for (const other of others) {
        const theirs = other.shards[other.devices.get(device) ?? -1]?.weights ?? [];
        for (const weight of theirs.filter(({ id }) => layers.has(other.layerOf(id)))) {
          const id = nameIn(renaming, other.stage, weight.id);
          if (!weights.has(id)) weights.set(id, { ...weight, id });
        }
      }
      shards.push({ ...own, weights: [...weights.values()] });
    }
    return { ...stage, shards, devices };
  });
}

/** A shard under the new names. */
function renameShard(shard: WeightShard, renaming: Renaming, stage: string): WeightShard {
  const weights = shard.weights.map((weight) => ({ ...weight, id: nameIn(renaming, stage, weight.id) }));
  return { ...shard, weights };
}

/** An op that names its weights anew. */
export function renameOp(op: DraftOp, renaming: Renaming, stage: string): DraftOp {
  if (op.op !== 'kernel') return op;
  return {
    ...op,
    operands: op.operands.map((operand) =>
      'weight' in operand ? { weight: nameIn(renaming, stage, operand.weight) } : operand,
    ),
  };
}

function nameIn(renaming: Renaming, stage: string, weight: string): string {
  return renaming.get(stage)?.get(weight) ?? weight;
}

/** Equal for weights whose buffers have the same bytes. */
function sameContent(a: RuntimeWeight, b: RuntimeWeight): boolean {
  const content = ({ dtype, rows, cols, pieces }: RuntimeWeight): string =>
    JSON.stringify([dtype, rows, cols, pieces]);
  return content(a) === content(b);
}
