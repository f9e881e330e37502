/**
 * Transitions on the clock: the moves of every device, layer by layer in the order the next stage needs them, over the
 * lanes of the declared links. A device begins behind the steps given out before the transition; a layer is usable once
 * its last piece is there, with the slot that it is in (`slot-ends.ts`), while others still move. Kernels of the new stage
 * hold up what comes behind them (`upload-course.ts`).
 *
 * A transition that is announced brings its uploads near before that, layer by layer, as far as the ring of staging slots
 * has room. What it copies takes part in the ring as well, so that no more than the room of either is passed. At the
 * transition what is staged goes to its place by a copy on the device, and the rest is uploaded.
 */
import { groupBy } from '../../compiler/group-by.js';
import { movesByWeight, movesLeft } from '../../compiler/ir/in-place.js';
import { bytesByPiece } from '../../compiler/ir/written-bytes.js';
import type {
  DeviceMoves,
  RuntimeGraph,
  RuntimeRank,
  RuntimeTransition,
  WeightShard,
} from '../../compiler/ir/runtime-graph.js';
import type { Program } from '../../compiler/ir/runtime-program.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { Road } from '../../compiler/reshard/roads.js';
import { weightSources } from '../../compiler/reshard/weight-source.js';
import { bytesPerElement, type WeightType } from '../../compiler/model/weight-types.js';
import type { Lanes } from './lanes.js';
import { slotEnds, type RingMoves, type SlotEnd } from './slot-ends.js';
import type { StagingRoom } from './staging-room.js';
import { createUploadCourse, type UploadCourse, type UploadedLayer } from './upload-course.js';
import type { VirtualClock } from './virtual-clock.js';

/** What a device brings in for one layer; `undefined` stands for the weights outside of layers. */
interface LayerMoves {
  readonly layer: number | undefined;
  readonly upload: number;
  readonly copy: number;
  /** Bytes by peer. */
  readonly receive: ReadonlyMap<number, number>;
}

/** Weights of one layer on their way to a device, if nothing holds them up. */
export interface LayerSpan {
  readonly layer: number | undefined;
  readonly start: number;
  readonly end: number;
  readonly bytes: number;
}

export interface ClockTransition {
  /** Bytes moved onto devices, copies inside them not counted. */
  readonly bytes: number;
  /** Begins to bring near what a device will upload; the moves of the device begin later, and take what is there. */
  readonly prepare: (device: number) => void;
  /** Whether all that the device brings in is near: its moves are then given to it at once, behind whatever it has. */
  readonly isNear: (device: number) => boolean;
  /** Begins the moves of a device at a time. */
  readonly begin: (
    device: number,
    at: number,
  ) => { readonly course: UploadCourse; readonly spans: readonly LayerSpan[] };
}

export interface MoveContext {
  readonly lanes: Lanes;
  readonly clock: VirtualClock;
  readonly room: (device: number) => StagingRoom;
  /** Copies run beside kernels: no slot waits for any. */
  readonly copyEngines: boolean;
  /** Every weight of the next stage is loaded from the host, none of them ahead. */
  readonly fullReload: boolean;
}

/** What is staged of each layer's upload, by its index, and when the last of it is there. */
type Staged = Map<number, { readonly bytes: number; readonly end: number }>;

/** Plans the transition between two stages of a graph; it can be made any number of times. */
export function clockTransition(
  graph: RuntimeGraph,
  { topology }: Plan,
  transition: RuntimeTransition,
  { lanes, clock, room, copyEngines, fullReload }: MoveContext,
): ClockTransition {
  const stage = graph.stages.find(({ name }) => name === transition.to)!;
  const ranks = new Map(stage.ranks.map((rank) => [rank.device, rank]));
  const path = (device: number): string => topology.devices[device]!.path;
  const stages = graph.stages.filter(({ name }) => [transition.from, transition.to].includes(name));
  const sourceOf = weightSources(lanes.roads, modelBytes(stages));
  const known = new Map<string, readonly LayerMoves[]>();
  const layersOf = (index: number, rank: RuntimeRank): readonly LayerMoves[] => {
    const shard = stage.shards[rank.shard]!;
    return fullReload
      ? reload(shard, stage.programs[rank.program]!)
      : layerMoves(shard, transition.moves[index]!);
  };
  const work = new Map(
    transition.devices.map(({ device, moves, peers }) => {
      const rank = ranks.get(device)!;
      const key = `${moves} ${rank.shard}`;
      const layers = known.get(key) ?? layersOf(moves, rank);
      known.set(key, layers);
      const to = path(device);
      return [
        device,
        {
          layers,
          own: lanes.roads.between(to, to),
          source: sourceOf(device),
          peers: peers.map((peer) => lanes.roads.betweenDevices(peer, device)),
        },
      ] as const;
    }),
  );
  const staged = new Map<number, Staged>();
  return {
    bytes: [...work.values()].reduce(
      (sum, { layers }) => layers.reduce((all, each) => all + broughtIn(each), sum),
      0,
    ),
    prepare(device) {
      const mine = work.get(device);
      if (mine?.source === undefined || fullReload) return;
      const { source, layers } = mine;
      const there: Staged = new Map();
      staged.set(device, there);
      const { ahead } = room(device);
      let [uploads, copies] = [ahead, ahead];
      const stage = (index: number): void => {
        // Its moves have begun: the rest goes on with them.
        if (staged.get(device) !== there) return;
        const layer = layers[index];
        if (layer === undefined || layer.copy > copies || uploads === 0) return;
        copies -= layer.copy;
        const bytes = Math.min(layer.upload, uploads);
        uploads -= bytes;
        const { end } = lanes.transfer(source, bytes, clock.now(), 'weights');
        there.set(index, { bytes, end });
        if (bytes === 0) stage(index + 1);
        else clock.at(end, () => stage(index + 1));
      };
      stage(0);
    },
    isNear(device) {
      const there = staged.get(device);
      const isThere = ({ upload, receive }: LayerMoves, index: number): boolean => {
        const near = there?.get(index);
        return upload === (near?.bytes ?? 0) && (near?.end ?? 0) <= clock.now() && receive.size === 0;
      };
      return work.get(device)?.layers.every(isThere) ?? true;
    },
    begin(device, at) {
      const mine = work.get(device);
      const there = staged.get(device);
      staged.delete(device);
      let [near, uploaded, last] = [0, 0, at];
      const layers: UploadedLayer[] = [];
      const spans = (mine?.layers ?? []).map((each, index): LayerSpan => {
        let start = Infinity;
        let end = at;
        const bring = (road: Road | undefined, bytes: number, ready = at): void => {
          if (bytes === 0 || road === undefined) return;
          const travel = lanes.transfer(road, bytes, ready, 'weights');
          start = Math.min(start, travel.start);
          end = Math.max(end, travel.end);
        };
        const own = there?.get(index) ?? { bytes: 0, end: at };
        bring(mine!.own, each.copy);
        bring(mine!.own, own.bytes, Math.max(at, own.end));
        for (const [peer, bytes] of each.receive) bring(mine!.peers[peer], bytes);
        bring(mine!.source, each.upload - own.bytes);
        near += own.bytes;
        uploaded += each.upload;
        last = Math.max(last, end);
        layers.push({ layer: each.layer, bytes: uploaded, time: last });
        return { layer: each.layer, start: Math.min(start, end), end, bytes: broughtIn(each) };
      });
      const { ring, slot } = room(device);
      const course = copyEngines
        ? createUploadCourse({ begin: at, near, ring: Infinity }, layers)
        : createUploadCourse(
            { begin: at, near, ring: Math.max(near, ring) },
            withTheirSlots(layers, slotEnds((mine?.layers ?? []).map(ringMoves), slot), at),
          );
      return { course, spans };
    },
  };
}

/** What comes from other devices comes by way of the ring as well: to the executor it is one more upload. */
function ringMoves(moves: LayerMoves): RingMoves {
  return { upload: broughtIn(moves), copy: moves.copy };
}

/** Layers that are there with the slot of their last byte. */
function withTheirSlots(
  layers: readonly UploadedLayer[],
  ends: readonly SlotEnd[],
  begin: number,
): readonly UploadedLayer[] {
  return layers.map(({ layer }, index) => {
    const { place, part } = ends[index]!;
    const [from, to] = [layers[place - 1] ?? { bytes: 0, time: begin }, layers[place]!];
    return {
      layer,
      bytes: from.bytes + part * (to.bytes - from.bytes),
      time: from.time + part * (to.time - from.time),
    };
  });
}

/**
 * Bytes of a copy of what stages hold, which the place that weights come from must have room for: of `neededTensors`,
 * without the rectangles that nobody asks for here.
 */
function modelBytes(stages: RuntimeGraph['stages']): number {
  const tensors = new Map<string, { rows: number; cols: number; dtype: WeightType; agreed: boolean }>();
  for (const { shards } of stages)
    for (const { weights } of shards)
      for (const { dtype, pieces } of weights)
        for (const { tensor, rows, cols } of pieces) {
          let whole = tensors.get(tensor);
          if (whole === undefined) tensors.set(tensor, (whole = { rows: 0, cols: 0, dtype, agreed: true }));
          whole.rows = Math.max(whole.rows, rows[1]);
          whole.cols = Math.max(whole.cols, cols[1]);
          whole.agreed &&= whole.dtype === dtype;
        }
  let bytes = 0;
  for (const { rows, cols, dtype, agreed } of tensors.values())
    bytes += rows * cols * bytesPerElement(agreed ? dtype : 'f32');
  return bytes;
}

/** Bytes from outside the device. */
function broughtIn({ upload, receive }: LayerMoves): number {
  return [...receive.values()].reduce((sum, bytes) => sum + bytes, upload);
}

function layerMoves(shard: WeightShard, moves: DeviceMoves): readonly LayerMoves[] {
  const inPlace = groupBy(moves.inPlace ?? [], ({ weight }) => weight);
  return byLayer(
    movesLeft(shard.weights, movesByWeight(moves), inPlace).map(({ weight, copies, pieces }) => {
      const bytes = bytesByPiece(weight, pieces);
      const receive = new Map<number, number>();
      let upload = 0;
      pieces.forEach(({ peer }, index) => {
        if (peer === undefined) upload += bytes[index]!;
        else receive.set(peer, (receive.get(peer) ?? 0) + bytes[index]!);
      });
      return {
        layer: layerOf(weight.id),
        upload,
        copy: copies.reduce((sum, { runBytes, rows }) => sum + runBytes * rows, 0),
        receive,
      };
    }),
  );
}

/** Everything that the stage's own kernels read; what a device keeps for other stages stays. */
function reload(shard: WeightShard, { ops }: Program): readonly LayerMoves[] {
  const read = new Set(
    ops.flatMap((op) =>
      op.op === 'kernel' ? op.operands.flatMap((each) => ('weight' in each ? [each.weight] : [])) : [],
    ),
  );
  const weights = shard.weights.filter(({ id }) => read.has(id));
  return byLayer(
    weights.map(({ id, bytes }) => ({
      layer: layerOf(id),
      upload: bytes,
      copy: 0,
      receive: new Map<number, number>(),
    })),
  );
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
