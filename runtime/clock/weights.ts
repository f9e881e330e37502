/**
 * Transitions on the clock: the moves of every device, layer by layer in the order the next stage needs them, over the
 * lanes of the declared links. A device begins behind the steps given out before the transition; a layer is usable once
 * its last piece is there, while others still move.
 */
import type { RuntimeGraph, RuntimeStage, RuntimeTransition } from '../../compiler/ir/runtime-graph.js';
import { packedBytes } from '../../compiler/model/weight-types.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { tierFor } from '../../compiler/plan/routes.js';
import type { Lanes } from './lanes.js';

/** What a device brings in for one layer; `undefined` stands for the weights outside of layers. */
interface LayerMoves {
  readonly layer: number | undefined;
  readonly upload: number;
  readonly copy: number;
  readonly receive: ReadonlyMap<number, number>;
}

/** When a device's layers of the stage being moved in are usable. */
export type Arrivals = (layer: number | undefined) => number;

/** Weights of one layer on their way to a device. */
export interface LayerSpan {
  readonly layer: number | undefined;
  readonly start: number;
  readonly end: number;
  readonly bytes: number;
}

export interface ClockTransition {
  /** Bytes moved onto devices, copies inside them not counted. */
  readonly bytes: number;
  /** Begins the moves of a device at a time and says when each layer is there, and when all are. */
  readonly begin: (
    device: number,
    at: number,
  ) => { readonly arrivals: Arrivals; readonly end: number; readonly spans: readonly LayerSpan[] };
}

/** Prepares the transition between two stages of a graph. */
export function clockTransition(
  graph: RuntimeGraph,
  plan: Plan,
  transition: RuntimeTransition,
  lanes: Lanes,
  fullReload: boolean,
): ClockTransition {
  const stage = graph.stages.find(({ name }) => name === transition.to)!;
  const moves = new Map(
    transition.devices.map((each) => [
      each.device,
      fullReload ? reload(stage, each.device) : layerMoves(stage, each),
    ]),
  );
  const { topology } = plan;
  const path = (device: number): string => topology.devices[device]!.path;
  const hostOf = (device: number): string | undefined =>
    topology.tiers.find(
      ({ medium, name, group }) =>
        medium === 'host' && tierFor(topology, topology.devices[device]!.group, name)?.group === group,
    )?.path;
  const bring = (device: number, each: LayerMoves, at: number): { start: number; end: number } => {
    const host = hostOf(device);
    const sources: readonly (readonly [string | undefined, number])[] = [
      [path(device), each.copy],
      ...[...each.receive].map(([from, bytes]): [string, number] => [path(from), bytes]),
      [host, each.upload],
    ];
    let start = Infinity;
    let end = at;
    for (const [from, bytes] of sources) {
      if (bytes === 0 || from === undefined) continue;
      const travel = lanes.transfer(from, path(device), bytes, at);
      if (travel === undefined) continue;
      start = Math.min(start, travel.start);
      end = Math.max(end, travel.end);
    }
    return { start: Math.min(start, end), end };
  };
  return {
    bytes: [...moves.values()].flat().reduce((sum, each) => sum + broughtIn(each), 0),
    begin(device, at) {
      const arrived = new Map<number | undefined, number>();
      let end = at;
      const spans = (moves.get(device) ?? []).map((each): LayerSpan => {
        const span = bring(device, each, at);
        arrived.set(each.layer, span.end);
        end = Math.max(end, span.end);
        return { layer: each.layer, ...span, bytes: broughtIn(each) };
      });
      return { arrivals: (layer) => arrived.get(layer) ?? at, end, spans };
    },
  };
}

/** Bytes from outside the device. */
function broughtIn({ upload, receive }: LayerMoves): number {
  return [...receive.values()].reduce((sum, bytes) => sum + bytes, upload);
}

function layerMoves(stage: RuntimeStage, moves: RuntimeTransition['devices'][number]): readonly LayerMoves[] {
  const shard = shardOf(stage, moves.device);
  const uploads = new Map(moves.upload.map(({ weight, pieces }) => [weight, pieces]));
  return byLayer(
    shard.weights.map((weight) => {
      const copies = moves.copy.filter((each) => each.weight === weight.id);
      const received = (moves.receive ?? []).filter((each) => each.weight === weight.id);
      const upload = (uploads.get(weight.id) ?? []).reduce((sum, index) => {
        const { rows, cols } = weight.pieces[index]!;
        return sum + (rows[1] - rows[0]) * packedBytes(weight.dtype, cols[1] - cols[0]);
      }, 0);
      const receive = new Map<number, number>();
      for (const each of received)
        receive.set(each.fromDevice, (receive.get(each.fromDevice) ?? 0) + each.runBytes * each.rows);
      return {
        layer: layerOf(weight.id),
        upload,
        copy: copies.reduce((sum, each) => sum + each.runBytes * each.rows, 0),
        receive,
      };
    }),
  );
}

/** Everything that the stage's own kernels read; what a device keeps for other stages stays. */
function reload(stage: RuntimeStage, device: number): readonly LayerMoves[] {
  const { program } = stage.ranks.find((rank) => rank.device === device)!;
  const read = new Set(
    stage.programs[program]!.ops.flatMap((op) =>
      op.op === 'kernel' ? op.operands.flatMap((each) => ('weight' in each ? [each.weight] : [])) : [],
    ),
  );
  const weights = shardOf(stage, device).weights.filter(({ id }) => read.has(id));
  return byLayer(
    weights.map(({ id, bytes }) => ({
      layer: layerOf(id),
      upload: bytes,
      copy: 0,
      receive: new Map<number, number>(),
    })),
  );
}

function shardOf(stage: RuntimeStage, device: number): RuntimeStage['shards'][number] {
  return stage.shards[stage.ranks.find((rank) => rank.device === device)!.shard]!;
}

/** `3` of `layers.3.qkv` and of `decode.layers.3.qkv`. */
function layerOf(weight: string): number | undefined {
  const match = /(?:^|\.)layers\.(\d+)\./.exec(weight);
  return match ? Number(match[1]) : undefined;
}

/** Adds up the moves of each layer, in the order in which layers first appear. */
function byLayer(moves: readonly LayerMoves[]): readonly LayerMoves[] {
  const sums = new Map<number | undefined, { upload: number; copy: number; receive: Map<number, number> }>();
  for (const { layer, upload, copy, receive } of moves) {
    const sum = sums.get(layer) ?? { upload: 0, copy: 0, receive: new Map<number, number>() };
    sum.upload += upload;
    sum.copy += copy;
    for (const [from, bytes] of receive) sum.receive.set(from, (sum.receive.get(from) ?? 0) + bytes);
    sums.set(layer, sum);
  }
  return [...sums].map(([layer, sum]) => ({ layer, ...sum }));
}
