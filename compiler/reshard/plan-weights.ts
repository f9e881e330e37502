/** Re-shards of weights: from what the stages hold to moves, with the checkpoint's copy as the origin of all. */
import { groupBy } from '../group-by.js';
import { numbered } from '../numbered.js';
import type { GroupPlan, RankHolding, ReshardBytes, TensorPiece, WeightReshard } from '../ir/transitions.js';
import {
  chooseMoves,
  chooseSent,
  costOf,
  type ChosenMoves,
  type SentPiece,
  type Travel,
} from './plan-moves.js';
import { planningMemo, type GroupRoads, type Origin, type PlanningMemo } from './planning-memo.js';
import type { Roads } from './roads.js';
import { holdingsOf, tradingGroups, type LastingRank, type TradingGroup } from './trading-groups.js';

export type WeightPlan = Pick<WeightReshard, 'groups' | 'bytes' | 'lowerBound' | 'cost'>;

/**
 * Moves from holdings to holdings. `bytesOf` is what a piece takes in device memory; the tensors of `stay` are
 * resident in both shardings and take no part. For whoever looks at a re-shard by itself: compiling takes `planSenders`,
 * which must send the same, and reads the rest off the moves as lowered.
 */
export function planWeights(
  from: readonly RankHolding[],
  to: readonly LastingRank[],
  bytesOf: (piece: TensorPiece) => number,
  roads: Roads,
  stay: ReadonlySet<string> = new Set(),
  memo: PlanningMemo = planningMemo(bytesOf, roads),
): WeightPlan {
  const { origin, groups } = planGroups(from, to, stay, memo, (group, roadOf) =>
    sharePlan(group.devices, chooseMoves({ from: group.from, to: group.to, bytesOf, origin: roadOf }, roads)),
  );
  return weightPlan(groups, origin, roads);
}

/** Devices that trade among themselves, with what they send to each other: devices by their place among them. */
export interface SendingGroup {
  readonly devices: readonly number[];
  /** One value for all groups that do the same. */
  readonly sent: readonly SentPiece[];
}

/** As `planWeights`, as far as devices send to each other. */
export function planSenders(
  from: readonly RankHolding[],
  to: readonly LastingRank[],
  bytesOf: (piece: TensorPiece) => number,
  roads: Roads,
  stay: ReadonlySet<string>,
  memo: PlanningMemo,
): readonly SendingGroup[] {
  const { groups } = planGroups(from, to, stay, memo, (group, origin) => {
    const placeOf = placesIn(group.devices);
    const sent = chooseSent({ from: group.from, to: group.to, bytesOf, origin }, roads);
    return sent.map(({ device, source, piece }) => ({
      device: placeOf(device),
      source: placeOf(source),
      piece,
    }));
  });
  return groups.map(({ devices, shared }) => ({ devices, sent: shared }));
}

/** Plans every group of a re-shard; one plan serves all that hold the same over roads that are alike. */
function planGroups<Shared>(
  from: readonly RankHolding[],
  to: readonly LastingRank[],
  stay: ReadonlySet<string>,
  memo: PlanningMemo,
  plan: (group: TradingGroup, origin: Origin) => Shared,
): { readonly origin: Origin; readonly groups: readonly PlannedGroup<Shared>[] } {
  const origin = memo.originsOf([...from, ...to]);
  const holdingId = numbered<RankHolding['weights']>();
  const plans = new Map<string, Shared>();
  const moving = withoutTensors(stay);
  const groups = tradingGroups(moving(from), moving(to)).map((group): PlannedGroup<Shared> => {
    const ways = memo.groupRoads(devicesOf(group.from), devicesOf(group.to), origin);
    const key = `${ways.likeness} ${holdingsOf(group, holdingId)}`;
    const shared = plans.get(key) ?? plan(group, origin);
    plans.set(key, shared);
    return { devices: group.devices, shared, ways };
  });
  return { origin, groups };
}

function devicesOf(ranks: readonly RankHolding[]): readonly number[] {
  return ranks.map(({ device }) => device);
}

/** A group with what it does and the roads it has. */
export interface PlannedGroup<Shared = SharedPlan> {
  readonly devices: readonly number[];
  readonly shared: Shared;
  readonly ways: GroupRoads;
}

/** What groups do together. */
export function weightPlan(groups: readonly PlannedGroup[], origin: Origin, roads: Roads): WeightPlan {
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
    cost: costOf(travelsOfGroups(groups), origin, roads),
  };
}

/**
 * What travels in all groups. Where no lane is that of two groups, those that do the same over roads that are alike
 * take as long as each other: the first of them stands for all.
 */
function travelsOfGroups(groups: readonly PlannedGroup[]): readonly Travel[] {
  const lanes = groups.flatMap(({ ways }) => ways.lanes);
  const apart = new Set(lanes).size === lanes.length;
  const planId = numbered<SharedPlan>();
  const alike = groupBy(groups, (group) =>
    apart ? `${planId(group.shared)} ${group.ways.likeness}` : group,
  );
  return [...alike.values()].flatMap((members) => {
    const { devices, shared } = members[0]!;
    return shared.travels.map((travel) => at(travel, devices, members.length));
  });
}

/** A plan whose devices are places in a group. */
export interface SharedPlan extends Pick<ChosenMoves, 'lowerBound' | 'travels'> {
  readonly plan: GroupPlan;
}

/** A plan of some devices in terms of their places among them. */
function sharePlan(devices: readonly number[], chosen: ChosenMoves): SharedPlan {
  const placeOf = placesIn(devices);
  const { moves, evict, bytes, lowerBound, travels } = chosen;
  return {
    plan: {
      moves: moves.map((move) => {
        const placed = { ...move, device: placeOf(move.device) };
        return move.source === undefined ? placed : { ...placed, source: placeOf(move.source) };
      }),
      evict: evict.map((entry) => ({ ...entry, device: placeOf(entry.device) })),
      bytes,
    },
    lowerBound,
    travels: placedTravels(travels, devices),
  };
}

/** What travels in terms of the places of devices among some. */
export function placedTravels(travels: readonly Travel[], devices: readonly number[]): readonly Travel[] {
  const placeOf = placesIn(devices);
  return travels.map((travel) => ({
    ...travel,
    device: placeOf(travel.device),
    senders: travel.senders.map((sender) => (sender === 'origin' ? sender : placeOf(sender))),
  }));
}

/** Answers the place of a device among some. */
export function placesIn(devices: readonly number[]): (device: number) => number {
  const places = new Map(devices.map((device, place) => [device, place]));
  return (device) => places.get(device)!;
}

/** What travels in a group and in others like it, by devices instead of places. */
function at({ device, senders, ...travel }: Travel, devices: readonly number[], times: number): Travel {
  return {
    ...travel,
    device: devices[device]!,
    senders: senders.map((sender) => (sender === 'origin' ? sender : devices[sender]!)),
    times,
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
