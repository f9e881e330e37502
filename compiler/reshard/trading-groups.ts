/**
 * Devices that trade weights among themselves alone when a stage changes: the smallest sets that are whole replicas
 * before and after. A replica has the whole model, so each set finds in itself all that its devices need; what is
 * planned for one holds for every other set whose devices hold the same, place by place, over links that are alike.
 *
 * Example: four replicas of two devices become two of four: two groups of four devices, one plan.
 */
import { groupBy } from '../group-by.js';
import type { RankHolding } from '../ir/transitions.js';
import type { Placement } from './sources.js';

export interface TradingGroup {
  /** Those that hold something before, then those that only get something. */
  readonly devices: readonly number[];
  readonly from: readonly RankHolding[];
  readonly to: readonly LastingRank[];
}

/** A rank with what its device has of its pieces all along. */
export type LastingRank = RankHolding & Pick<Placement, 'lasting'>;

/** Groups in the order of their first devices; all devices are one where some could get what they need nowhere else. */
export function tradingGroups(
  from: readonly RankHolding[],
  to: readonly LastingRank[],
): readonly TradingGroup[] {
  const root = new Map<number, number>();
  const rootOf = (device: number): number => {
    let at = device;
    while (root.get(at) !== undefined) at = root.get(at)!;
    if (at !== device) root.set(device, at);
    return at;
  };
  for (const ranks of [from, to])
    for (const replica of groupBy(ranks, ({ dp }) => dp).values())
      for (const { device } of replica) {
        const [a, b] = [rootOf(replica[0]!.device), rootOf(device)];
        if (a !== b) root.set(b, a);
      }
  const before = groupBy(from, ({ device }) => rootOf(device));
  const after = groupBy(to, ({ device }) => rootOf(device));
  const roots = [...new Set([...from, ...to].map(({ device }) => rootOf(device)))];
  if (roots.some((id) => !before.has(id))) return [groupOf(from, to)];
  return roots.map((id) => groupOf(before.get(id)!, after.get(id) ?? []));
}

function groupOf(from: readonly RankHolding[], to: readonly LastingRank[]): TradingGroup {
  return { devices: [...new Set([...from, ...to].map(({ device }) => device))], from, to };
}

/** What the plan of a group depends on besides its roads, as text: who holds what before and after, and what lasts. */
export function holdingsOf(
  { devices, from, to }: TradingGroup,
  holdingId: (weights: RankHolding['weights']) => number,
): string {
  const listed = (lists: readonly (readonly [number, RankHolding['weights'] | undefined])[]): string => {
    const ids = new Map(lists.map(([device, pieces]) => [device, pieces && holdingId(pieces)]));
    return devices.map((device) => ids.get(device)).join();
  };
  const held = (ranks: readonly RankHolding[]): string =>
    listed(ranks.map(({ device, weights }) => [device, weights]));
  return [held(from), held(to), listed(to.map((rank) => [rank.device, rank.lasting]))].join('|');
}
