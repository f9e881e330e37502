/**
 * The transition graph: for every flow edge, what must move so that the next stage can run.
 *
 * Weights are addressed by (tensor, row interval, column interval) and KV by (layer interval, kv head interval,
 * token): never by a position in some table, so a move can neither drop nor misplace an element unnoticed.
 */
import type { Origin } from '../diagnostics/diagnostic.js';

/** Half-open interval. */
export type Interval = readonly [start: number, end: number];

/** A rectangle of one checkpoint tensor; a vector is a tensor of one row. */
export interface TensorPiece {
  readonly tensor: string;
  readonly rows: Interval;
  readonly cols: Interval;
}

/** What one rank of a stage holds. */
export interface RankHolding {
  readonly device: number;
  readonly dp: number;
  readonly pp: number;
  readonly tp: number;
  readonly weights: readonly TensorPiece[];
  readonly kv: { readonly layers: Interval; readonly heads: Interval };
}

/** One weight piece on its way to one device. Bytes are in the device's element type. */
export interface WeightMove {
  readonly device: number;
  readonly piece: TensorPiece;
  /**
   * `keep`: already in its place; `copy`: within the device; `peer`: from the device `source`, which held it before;
   * `upload`: from the host copy of the weights.
   */
  readonly kind: 'keep' | 'copy' | 'peer' | 'upload';
  readonly source?: number;
  /** Of a planned move those of the piece; of one that is settled, those that the executor moves. */
  readonly bytes: number;
  /**
   * Uploaded because it begins or ends inside a word, here or where the device has it: no copy takes that, and it comes
   * with what shares its words.
   */
  readonly anew?: true;
}

/** Pieces of a stage that a device has all along, also while another stage is active: nothing is written over them. */
export interface LastingPieces {
  readonly stage: string;
  readonly device: number;
  /** One value for all devices that have the same. */
  readonly pieces: readonly TensorPiece[];
}

/** Traffic over one declared link in one direction, all its instances together. */
export interface LinkLoad {
  /** `gpu <-> host`; `gpu memory` for copies inside a device. */
  readonly link: string;
  /** Names of the places it joins, in the direction of the traffic. */
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  /** The instance that is done last. */
  readonly busiest: { readonly place: string; readonly bytes: number; readonly seconds: number };
}

/** What moves cost over the declared links. */
export interface ReshardCost {
  readonly links: readonly LinkLoad[];
  /** Predicted time: that of the busiest lane of any link. */
  readonly seconds: number;
  /**
   * No choice of sources can be faster, as far as replicas that are whole on devices of their own keep to these and
   * devices send what they hold of the old stage.
   */
  readonly boundSeconds: number;
  /** Bytes over links, every hop of a staged road counted; the lower bound where nothing is staged. */
  readonly linkBytes: number;
}

/** A piece that the new stage does not need on a device. */
export interface Eviction {
  readonly device: number;
  readonly piece: TensorPiece;
  readonly bytes: number;
}

/** Bytes by what happens to them. */
export interface ReshardBytes {
  readonly keep: number;
  readonly copy: number;
  readonly peer: number;
  readonly upload: number;
  readonly evict: number;
}

/** Devices that trade weights among themselves alone. */
export interface ReshardGroup {
  readonly devices: readonly number[];
  /** One value for all groups that do the same: its moves name devices by their place in the group. */
  readonly plan: GroupPlan;
}

export interface GroupPlan {
  readonly moves: readonly WeightMove[];
  readonly evict: readonly Eviction[];
  readonly bytes: ReshardBytes;
}

/** The re-shard of a device set's weights when it changes from one stage to another. */
export interface WeightReshard {
  readonly from: string;
  readonly to: string;
  /** Devices that trade among themselves; those that do the same share their plan. */
  readonly groups: readonly ReshardGroup[];
  readonly bytes: ReshardBytes;
  /**
   * Fewest bytes any plan must bring onto the devices: what the new stage needs there minus what is there already, of
   * the old stage or from before.
   */
  readonly lowerBound: number;
  readonly cost: ReshardCost;
  readonly origin: Origin;
}

/** A rank's part of every KV page that leaves or enters it, as a slice of the sharding-neutral page. */
export interface KvSlice {
  readonly device: number;
  readonly dp: number;
  readonly layers: Interval;
  readonly heads: Interval;
  /** Bytes per token of this slice. */
  readonly bytesPerToken: number;
}

/**
 * How KV gets from one stage to the next.
 * - `shared`: both stages read the same device pages; nothing moves.
 * - `tier`: the first stage pages out to `tier` in the neutral order, the second pages in from it.
 */
export interface KvReshard {
  readonly from: string;
  readonly to: string;
  readonly path: 'shared' | 'tier';
  readonly tier?: string;
  readonly pageOut: readonly KvSlice[];
  readonly pageIn: readonly KvSlice[];
  readonly bytesPerToken: { readonly out: number; readonly in: number };
  readonly origin: Origin;
}

/** What KV on a flow edge costs over the declared links, for one token that one replica hands to another. */
export interface KvCost {
  readonly from: string;
  readonly to: string;
  /** Stages have several replicas: what is said is the mean of each of the first stage with each of the second. */
  readonly meanOfReplicas?: true;
  readonly links: readonly LinkLoad[];
  /** Seconds of the busiest lane, latency left out. */
  readonly seconds: number;
  /** Bytes over links: on the way out, from host to host, and on the way in. */
  readonly linkBytes: number;
  /** Bytes that devices must be given because they do not hold them already. */
  readonly lowerBound: number;
}

export interface TransitionGraph {
  /** One per ordered pair of stages that share devices, differ in weights (both directions) and take turns. */
  readonly weights: readonly WeightReshard[];
  /** One per flow edge between stages. */
  readonly kv: readonly KvReshard[];
  /** One per flow edge, in the order of `kv`. */
  readonly kvCosts: readonly KvCost[];
  /** What became of stages that could take turns: whether they do, and why. Absent where no stages could. */
  readonly residence?: {
    readonly both: boolean;
    readonly stages: readonly string[];
    readonly why: string;
    /** Layers that stay in both shardings all the same, ascending; their weights are not in `weights`. */
    readonly layers?: readonly number[];
  };
  /** Tensors that are resident in both shardings although the stages take turns: those of `residence.layers`. */
  readonly resident?: readonly string[];
  /** Known once memory is laid out. */
  readonly lasting?: readonly LastingPieces[];
  /** Holdings of every rank by stage name. */
  readonly holdings: Readonly<Record<string, readonly RankHolding[]>>;
}
