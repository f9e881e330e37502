/**
 * The weight moves of all transitions, lowered as they were planned, and then known to the byte.
 */
import { groupBy } from '../group-by.js';
import { planDeviceWeights, type WeightPlaces } from '../ir/device-weights.js';
import { isWrittenExactly } from '../ir/in-place.js';
import { deviceTransitions, residencesOf, transitionBetween, type Residing } from '../ir/residences.js';
import type { DeviceMoves, RuntimeTransition, WeightCopy, WeightShard } from '../ir/runtime-graph.js';
import type {
  LastingPieces,
  RankHolding,
  TensorPiece,
  TransitionGraph,
  WeightReshard,
} from '../ir/transitions.js';
import type { TransitionsByResidence } from '../ir/weight-arena.js';
import type { LastReads } from '../ir/weight-writes.js';
import type { Stage } from '../plan/plan.js';
import { residingOf, type PlannedMoves } from './foresee-moves.js';
import { lowerTransition, type StagePlacement } from './lower-transitions.js';
import { shardCutter } from './lower-weights.js';
import type { KnownWeights } from './memory.js';
import { settleReshard, type SettledStage } from './settle-moves.js';
import { onShared, type PlannedSending, type WeightPlanning } from './transitions.js';
import { lastingPieces, planByDevice, withInPlace } from './turning-weights.js';

export interface LoweredMoves {
  readonly placements: ReadonlyMap<string, StagePlacement>;
  readonly moves: readonly RuntimeTransition[];
  /** The re-shards that those carry out, worked out when they are asked for: nothing else follows from them. */
  readonly reshards: () => readonly WeightReshard[];
  readonly lasting: readonly LastingPieces[];
  /** What the moves need of memory. Absent where nothing moves. */
  readonly known?: KnownWeights;
}

/**
 * Lowers planned moves.
 *
 * @param lastReads of the programs of a stage, under the names that its weights have in the moves
 */
export function lowerMoves(
  planning: WeightPlanning,
  stages: readonly Stage[],
  planned: PlannedMoves,
  holdings: TransitionGraph['holdings'],
  resident: ReadonlySet<string>,
  lastReads: (stage: string, program: number) => LastReads,
): LoweredMoves {
  if (planned.own.length === 0)
    return { placements: planned.placements, moves: [], reshards: () => [], lasting: planned.lasting };
  const sending = planned.sending();
  const cutter = shardCutter(planning.memo.sorted);
  const placements = new Map(
    [...planned.placements].map(([stage, placement]) => [
      stage,
      cutReceived(stage, placement, sending, cutter),
    ]),
  );
  const sendersOf = (change: Pick<RuntimeTransition, 'from' | 'to'>): PlannedSending['groups'] =>
    sending.find(({ from, to }) => from === change.from && to === change.to)!.groups;
  const residences = residencesOf(planned.residing);
  // Stages that hold the same change alike: what the first of them does is what each does.
  const lowered = new Map<RuntimeTransition, RuntimeTransition>();
  const transitions = planned.own.map((own) => {
    const { from, to, origin } = own.transition;
    const first = lowered.get(transitionBetween(planned.residing, residences, from, to)!);
    if (first !== undefined) return { ...first, from, to, origin };
    const [before, after] = [placements.get(from)!, placements.get(to)!];
    const transition = lowerTransition(sendersOf(own.transition), own, before, after, planned.sourcesOf);
    lowered.set(own.transition, transition);
    return transition;
  });
  const residing = residingOf(stages, placements, transitions);
  const foreseen = foreseenPlaces(planned, residing);
  const turning = planByDevice(residing, (residences, moves, device) =>
    planDeviceWeights(residences, moves, undefined, foreseen(device, moves)),
  );
  const isForeseen = [...turning].every(
    ([device, { lasting }]) => planned.places.get(device)!.lasting === lasting,
  );
  const lasting = isForeseen ? planned.lasting : lastingPieces(residing, turning);
  const placed = transitions.map((each) => withInPlace(residing, residences, each, turning, lastReads));
  const settle = (): readonly WeightReshard[] => {
    const stageOf = settledStages(lasting);
    return sending.map((planned) => {
      const { from, to } = planned;
      const moves = placed.find(({ transition }) => transition.from === from && transition.to === to)!;
      const [before, after] = onShared(holdings, from, to);
      return settleReshard(planned, moves, stageOf(from, before), stageOf(to, after), {
        ...planning,
        resident,
      });
    });
  };
  let settled: readonly WeightReshard[] | undefined;
  return {
    placements,
    moves: placed.map(({ transition }) => transition),
    reshards: () => (settled ??= settle()),
    lasting,
    known: { turning: new Map([...turning].map(([device, { bytes }]) => [device, bytes])) },
  };
}

/** Cuts the shards of a stage along what peers send to its devices as well. */
function cutReceived(
  stage: string,
  placement: StagePlacement,
  sending: readonly PlannedSending[],
  cutter: ReturnType<typeof shardCutter>,
): StagePlacement {
  const { devices, cut } = placement;
  const arriving = sending.filter(({ to }) => to === stage).flatMap(({ groups }) => groups);
  // By shard: distinct lists of pieces that its devices receive.
  const lists = cut.map(() => new Set<readonly TensorPiece[]>());
  for (const [sent, groups] of groupBy(arriving, (group) => group.sent)) {
    for (const [place, received] of groupBy(sent, ({ device }) => device)) {
      const pieces = received.map(({ piece }) => piece);
      for (const group of groups) lists[devices.get(group.devices[place]!) ?? -1]?.add(pieces);
    }
  }
  return { ...placement, cut: cut.map((shard, index) => cutter(shard, lists[index]!)) };
}

/**
 * Answers where the weights of a device with these transitions lie, if that is as foreseen. It is where what is received
 * leaves copies whole, which only a third stage can cut, and where all that is written is written as it is: then layouts
 * compare with each other as they did before.
 */
function foreseenPlaces(
  { places, residing: before }: PlannedMoves,
  after: Residing,
): (device: number, transitions: TransitionsByResidence) => WeightPlaces | undefined {
  const residences = residencesOf(before);
  const exact = new Map<WeightShard, boolean>();
  const isExact = (shard: WeightShard): boolean => {
    const known = exact.get(shard) ?? shard.weights.every(isWrittenExactly);
    exact.set(shard, known);
    return known;
  };
  const shardsOn = (device: number, { stages }: Residing): readonly WeightShard[] =>
    stages.flatMap(({ ranks, shards }) =>
      ranks.filter((rank) => rank.device === device).map((rank) => shards[rank.shard]!),
    );
  return (device, transitions) => {
    const own = deviceTransitions(before, residences, device);
    const known = places.get(device)!;
    const [olds, news] = [before, after].map((residing) => shardsOn(device, residing));
    const isTheSame =
      olds!.every((shard, index) => shard === news![index]) &&
      [...transitions].every(([pair, moves]) => moves === own.get(pair));
    if (isTheSame) return known;
    const isForeseen =
      news!.every(isExact) &&
      [...transitions].every(([pair, { copy }]) => sameCopies(copy, own.get(pair)!.copy));
    return isForeseen ? { arena: known.arena, lasting: known.lasting } : undefined;
  };
}

function sameCopies(a: DeviceMoves['copy'], b: DeviceMoves['copy']): boolean {
  return a === b || (a.length === b.length && a.every((copy, index) => sameCopy(copy, b[index]!)));
}

function sameCopy(a: WeightCopy, b: WeightCopy): boolean {
  return (
    a === b ||
    (a.weight === b.weight &&
      a.at === b.at &&
      a.stride === b.stride &&
      a.old === b.old &&
      a.oldAt === b.oldAt &&
      a.oldStride === b.oldStride &&
      a.runBytes === b.runBytes &&
      a.rows === b.rows)
  );
}

const NOTHING: readonly TensorPiece[] = [];

function settledStages(
  lasting: readonly LastingPieces[],
): (stage: string, ranks: readonly RankHolding[]) => SettledStage {
  const byStage = groupBy(lasting, ({ stage }) => stage);
  return (stage, ranks) => {
    const known = new Map(byStage.get(stage)?.map(({ device, pieces }) => [device, pieces]));
    return { holdings: ranks, lasting: (device) => known.get(device) ?? NOTHING };
  };
}
