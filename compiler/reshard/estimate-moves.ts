/**
 * What a re-shard will about take, before memory is laid out and moves are planned: by this it is decided what stays
 * resident. Nothing is chosen here and no move is listed. Tensors that lie alike, as those of the layers of a model, need
 * the same and are counted together; the time is what no choice of senders can beat, which planned moves come close to.
 */
import { groupBy } from '../group-by.js';
import { numbered } from '../numbered.js';
import { area } from '../ir/rectangles.js';
import type { RankHolding, TensorPiece } from '../ir/transitions.js';
import { boundSeconds, type PlacedLoad } from './balance.js';
import { waysIn, type Sender } from './plan-moves.js';
import type { GroupRoads, Origin, PlanningMemo } from './planning-memo.js';
import type { Roads } from './roads.js';
import { cutsFinder } from './sources.js';
import { holdingsOf, tradingGroups, type TradingGroup } from './trading-groups.js';

export interface MovesEstimate {
  /** Fewest seconds that the moves can take. */
  readonly seconds: number;
  /** Bytes of every tensor that changes, over all devices. */
  readonly bytes: ReadonlyMap<string, number>;
}

/**
 * Estimates the moves from holdings to holdings.
 *
 * @param bytesOf what a piece takes in device memory
 * @param lastingBytes about how many bytes a device has of what it lacks all along
 */
export function estimateWeights(
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  bytesOf: (piece: TensorPiece) => number,
  roads: Roads,
  memo: PlanningMemo,
  lastingBytes: (device: number) => number,
): MovesEstimate {
  const origin = memo.originsOf([...from, ...to]);
  const holdingId = numbered<RankHolding['weights']>();
  const known = new Map<string, GroupEstimate>();
  const groups = tradingGroups(from, to).map((group): EstimatedGroup => {
    const [senders, receivers] = [group.from, group.to].map((ranks) => ranks.map(({ device }) => device));
    const ways = memo.groupRoads(senders!, receivers!, origin);
    const lasting = receivers!.map(lastingBytes);
    const key = `${ways.likeness} ${holdingsOf(group, holdingId)} ${lasting.join()}`;
    const estimate = known.get(key) ?? estimateGroup(group, bytesOf, roads, origin, lastingBytes);
    known.set(key, estimate);
    return { devices: group.devices, estimate, ways };
  });
  const bytes = new Map<string, number>();
  for (const [estimate, alike] of groupBy(groups, (group) => group.estimate))
    for (const [tensor, some] of estimate.bytes)
      bytes.set(tensor, (bytes.get(tensor) ?? 0) + some * alike.length);
  return { seconds: boundSeconds(loadsOf(groups, origin, roads), roads.lanes), bytes };
}

interface EstimatedGroup {
  readonly devices: readonly number[];
  readonly estimate: GroupEstimate;
  readonly ways: GroupRoads;
}

/** Of one group; devices are places in it. */
interface GroupEstimate {
  readonly loads: readonly {
    readonly place: number;
    readonly bytes: number;
    readonly senders: readonly Sender[];
  }[];
  readonly bytes: ReadonlyMap<string, number>;
}

function estimateGroup(
  { devices, from, to }: TradingGroup,
  bytesOf: (piece: TensorPiece) => number,
  roads: Roads,
  origin: Origin,
  lastingBytes: (device: number) => number,
): GroupEstimate {
  const { maySend, waysOf } = waysIn({ origin }, roads);
  const cutsOf = cutsFinder(from, maySend);
  const places = new Map(devices.map((device, place) => [device, place]));
  const bytes = new Map<string, number>();
  const loads = to.flatMap(({ device, weights }) => {
    // By the way a piece is cut: bytes of all pieces that are cut so, and the area of one.
    const cut = new Map<Exclude<ReturnType<typeof cutsOf>, 'resident'>, { bytes: number; area: number }>();
    for (const piece of weights) {
      const cuts = cutsOf(piece, device);
      if (cuts === 'resident') continue;
      const size = bytesOf(piece);
      bytes.set(piece.tensor, (bytes.get(piece.tensor) ?? 0) + size);
      const sum = cut.get(cuts);
      if (sum) sum.bytes += size;
      else cut.set(cuts, { bytes: size, area: area(piece) });
    }
    const parts = [...cut].flatMap(([cuts, sum]) =>
      cuts.parts.map(({ kind, part, holders }) => ({
        kind,
        bytes: (sum.bytes * area(part)) / sum.area,
        senders: waysOf({ kind, device, holders }).senders,
      })),
    );
    const missing = parts.reduce((sum, part) => (part.kind === 'missing' ? sum + part.bytes : sum), 0);
    const left = missing === 0 ? 1 : Math.max(0, 1 - lastingBytes(device) / missing);
    return parts
      .filter(({ senders }) => senders.length > 0)
      .map(({ kind, bytes: some, senders }) => ({
        place: places.get(device)!,
        bytes: kind === 'missing' ? some * left : some,
        senders: senders.map((sender) => (sender === 'origin' ? sender : places.get(sender)!)),
      }));
  });
  return { loads, bytes };
}

/** What travels in all groups. Where no lane is that of two groups, the first of those that are alike stands for all. */
function loadsOf(groups: readonly EstimatedGroup[], origin: Origin, roads: Roads): readonly PlacedLoad[] {
  const lanes = groups.flatMap(({ ways }) => ways.lanes);
  const apart = new Set(lanes).size === lanes.length;
  const estimateId = numbered<GroupEstimate>();
  const alike = groupBy(groups, (group) =>
    apart ? `${estimateId(group.estimate)} ${group.ways.likeness}` : group,
  );
  return [...alike.values()].flatMap((members) => {
    const { devices, estimate } = members[0]!;
    return estimate.loads
      .filter(({ bytes }) => bytes > 0)
      .map(({ place, bytes, senders }): PlacedLoad => {
        const destination = devices[place]!;
        const ways = senders.map((sender) =>
          sender === 'origin' ? origin(destination)! : roads.betweenDevices(devices[sender]!, destination)!,
        );
        return { destination, bytes, roads: ways, times: members.length };
      });
  });
}
