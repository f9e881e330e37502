/** Re-shards of weights: from what the stages hold to moves, with the checkpoint's copy as the origin of all. */
import { groupBy } from '../group-by.js';
import { numbered } from '../numbered.js';
import type { GroupPlan, RankHolding, ReshardBytes, TensorPiece, WeightReshard } from '../ir/transitions.js';
import { chooseMoves, costOf, type ChosenMoves, type Travel } from './plan-moves.js';
import { planningMemo, type GroupRoads, type Origin, type PlanningMemo } from './planning-memo.js';
import type { Roads } from './roads.js';
import { holdingsOf, tradingGroups, type LastingRank } from './trading-groups.js';

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
  memo: PlanningMemo = planningMemo(bytesOf, roads),
): WeightPlan {
  const origin = memo.originsOf([...from, ...to]);
  const holdingId = numbered<RankHolding['weights']>();
  const plans = new Map<string, SharedPlan>();
  const moving = withoutTensors(stay);
  const groups = tradingGroups(moving(from), moving(to)).map((group): PlannedGroup => {
    const ways = memo.groupRoads(devicesOf(group.from), devicesOf(group.to), origin);
    const key = `${ways.likeness} ${holdingsOf(group, holdingId)}`;
    const shared =
      plans.get(key) ??
      sharePlan(group.devices, chooseMoves({ from: group.from, to: group.to, bytesOf, origin }, roads));
    plans.set(key, shared);
    return { devices: group.devices, shared, ways };
  });
  return weightPlan(groups, origin, roads);
}

function devicesOf(ranks: readonly RankHolding[]): readonly number[] {
  return ranks.map(({ device }) => device);
}

/** A group with what it does and the roads it has. */
export interface PlannedGroup {
  readonly devices: readonly number[];
  readonly shared: SharedPlan;
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
export function sharePlan(devices: readonly number[], chosen: ChosenMoves): SharedPlan {
  const places = new Map(devices.map((device, place) => [device, place]));
  const placeOf = (device: number): number => places.get(device)!;
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
    travels: travels.map((travel) => ({
      ...travel,
      device: placeOf(travel.device),
      senders: travel.senders.map((sender) => (sender === 'origin' ? sender : placeOf(sender))),
    })),
  };
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
