/** Re-shards of weights: from what the stages hold to moves, with the checkpoint's copy as the origin of all. */
import { numbered } from '../numbered.js';
import type { GroupPlan, RankHolding, ReshardBytes, TensorPiece, WeightReshard } from '../ir/transitions.js';
import { chooseMoves, costOf, type ChosenMoves, type Travel } from './plan-moves.js';
import type { Road, Roads } from './roads.js';
import { likeness, tradingGroups, type LastingRank } from './trading-groups.js';
import { weightSource } from './weight-source.js';

export type WeightPlan = Pick<WeightReshard, 'groups' | 'bytes' | 'lowerBound' | 'cost'>;

/**
 * Moves from holdings to holdings. `bytesOf` is what a piece takes in device memory; the tensors of `stay` are
 * resident in both shardings and take no part.
 */
export function planWeights(
  from: readonly RankHolding[],
  to: readonly LastingRank[],
  bytesOf: (piece: TensorPiece) => number,
  roads: Roads,
  stay: ReadonlySet<string> = new Set(),
): WeightPlan {
  const origin = originsOf(from, to, bytesOf, roads);
  const holdingId = numbered<RankHolding['weights']>();
  const plans = new Map<string, SharedPlan>();
  const moving = withoutTensors(stay);
  const groups = tradingGroups(moving(from), moving(to)).map((group) => {
    const key = likeness(group, holdingId, { lanes: roads.lanes, between: roads.betweenDevices, origin });
    const shared =
      plans.get(key) ??
      sharePlan(group.devices, chooseMoves({ from: group.from, to: group.to, bytesOf, origin }, roads));
    plans.set(key, shared);
    return { devices: group.devices, shared };
  });
  return weightPlan(groups, origin, roads);
}

/** What groups do together. */
export function weightPlan(
  groups: readonly { readonly devices: readonly number[]; readonly shared: SharedPlan }[],
  origin: (device: number) => Road | undefined,
  roads: Roads,
): WeightPlan {
  const travels = groups.flatMap(({ devices, shared }) =>
    shared.travels.map((travel) => at(travel, devices)),
  );
  const sum = (pick: (shared: SharedPlan) => number): number =>
    groups.reduce((total, { shared }) => total + pick(shared), 0);
  const bytes = (kind: keyof ReshardBytes): number => sum(({ plan }) => plan.bytes[kind]);
  return {
    groups: groups.map(({ devices, shared }) => ({ devices, plan: shared.plan })),
    bytes: {
      keep: bytes('keep'),
      copy: bytes('copy'),
      peer: bytes('peer'),
      upload: bytes('upload'),
      evict: bytes('evict'),
    },
    lowerBound: sum(({ lowerBound }) => lowerBound),
    cost: costOf(travels, origin, roads),
  };
}

/** A plan whose devices are places in a group. */
export interface SharedPlan extends Pick<ChosenMoves, 'lowerBound' | 'travels'> {
  readonly plan: GroupPlan;
}

/** A plan of some devices in terms of their places among them. */
export function sharePlan(devices: readonly number[], chosen: ChosenMoves): SharedPlan {
  const places = new Map(devices.map((device, place) => [device, place]));
  const placed = <Entry extends { readonly device: number }>(entry: Entry): Entry => ({
    ...entry,
    device: places.get(entry.device)!,
  });
  const { moves, evict, bytes, lowerBound, travels } = chosen;
  return {
    plan: {
      moves: moves.map(({ source, ...move }) => ({
        ...placed(move),
        ...(source !== undefined && { source: places.get(source)! }),
      })),
      evict: evict.map(placed),
      bytes,
    },
    lowerBound,
    travels: travels.map((travel) => ({
      ...placed(travel),
      senders: travel.senders.map((sender) => (sender === 'origin' ? sender : places.get(sender)!)),
    })),
  };
}

/** What travels in a group, by devices instead of places. */
function at({ device, senders, ...travel }: Travel, devices: readonly number[]): Travel {
  return {
    ...travel,
    device: devices[device]!,
    senders: senders.map((sender) => (sender === 'origin' ? sender : devices[sender]!)),
  };
}

/** Roads from the checkpoint's copy, each looked up once. */
export function originsOf(
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  bytesOf: (piece: TensorPiece) => number,
  roads: Roads,
): (device: number) => Road | undefined {
  const modelBytes = wholeTensors([...from, ...to]).reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const known = new Map<number, Road | undefined>();
  return (device) => {
    if (!known.has(device)) known.set(device, weightSource(roads, device, modelBytes));
    return known.get(device);
  };
}

/** Holdings without some tensors; equal lists stay one value. */
function withoutTensors(
  stay: ReadonlySet<string>,
): <Rank extends RankHolding>(ranks: readonly Rank[]) => readonly Rank[] {
  const known = new Map<RankHolding['weights'], RankHolding['weights']>();
  return (ranks) => {
    if (stay.size === 0) return ranks;
    return ranks.map((rank) => {
      const weights = known.get(rank.weights) ?? rank.weights.filter(({ tensor }) => !stay.has(tensor));
      known.set(rank.weights, weights);
      return { ...rank, weights };
    });
  };
}

/** All tensors that the holdings name, each as far as any of them reaches. */
function wholeTensors(holdings: readonly RankHolding[]): readonly TensorPiece[] {
  const extents = new Map<string, readonly [rows: number, cols: number]>();
  const distinct = new Set(holdings.map((rank) => rank.weights));
  for (const { tensor, rows, cols } of [...distinct].flat()) {
    const [height, width] = extents.get(tensor) ?? [0, 0];
    extents.set(tensor, [Math.max(height, rows[1]), Math.max(width, cols[1])]);
  }
  return [...extents].map(([tensor, [height, width]]) => ({ tensor, rows: [0, height], cols: [0, width] }));
}
