/**
 * What links carry by the compiled plan: every instance of them in one full step of all replicas of each stage, for a token
 * of KV on an edge of the flow or between the host tier and disk, and in a change of stage; and what a token of a stage puts
 * on all instances together.
 */
import { engineOf } from '../../compiler/cost/engine-model.js';
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import { ringBytes } from '../../compiler/cost/links.js';
import type { ProgramTraffic } from '../../compiler/cost/program-cost.js';
import type { CompileResult } from '../../compiler/compile.js';
import { groupBy } from '../../compiler/group-by.js';
import { hostShares, pageOwners } from '../../compiler/ir/page-slices.js';
import type { RuntimeGraph, RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { GroupPlan, KvReshard, LinkLoad, WeightReshard } from '../../compiler/ir/transitions.js';
import { once } from '../../compiler/once.js';
import { kvBesideCopy } from '../../compiler/passes/host-room.js';
import { onShared, weightPlanning } from '../../compiler/passes/transitions.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { parsePath, printPath } from '../../compiler/plan/places.js';
import { tierBeside } from '../../compiler/plan/routes.js';
import { kvTravels } from '../../compiler/reshard/kv-travels.js';
import { linkLoads, type RoadBytes } from '../../compiler/reshard/link-loads.js';
import type { Origin } from '../../compiler/reshard/planning-memo.js';
import { linkName, roadsOf, type Roads } from '../../compiler/reshard/roads.js';
import { stageGroups, type TpGroup } from '../../runtime/clock/stage-clock.js';
import { formatCount } from '../format.js';

/** What the instance of a declared link in one place carries, one way. */
export interface PlannedUse {
  /** `step of decode, 64 rows`, `weights prefill -> decode`. */
  readonly what: string;
  /** As `linkName` has it. */
  readonly link: string;
  /** The place that the instance is declared in, one of those that the link's scope names: `node[2]`. */
  readonly instance: string;
  /** Names of the places it joins, in the direction of the traffic. */
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
}

/** Bytes that cross a road. */
type Travel = Pick<RoadBytes, 'bytes' | 'road'>;

/** What links carry in full steps, for a token of KV and in changes of stage, by the compiled plan. */
export function plannedUse(
  plan: Plan,
  { sharded, runtime, transitions }: CompileResult,
): readonly PlannedUse[] {
  const roads = roadsOf(plan.topology);
  const { memo } = weightPlanning(sharded, roads, kvBesideCopy(plan));
  const use = (what: string, travels: readonly Travel[]): readonly PlannedUse[] =>
    instanceLoads(travels, roads).map((load) => ({ what, ...load }));
  return [
    ...runtime.stages.flatMap((stage) => {
      const rows = stepRows(stage);
      const size = { tokens: rows, samples: stage.maxSequences, pairs: 0, keys: 0 };
      return use(
        `step of ${stage.name}, ${formatCount(rows)} rows`,
        replicasTravels(plan, stage, size, roads),
      );
    }),
    ...transitions.kv.flatMap((edge) =>
      use(`KV ${edge.from} -> ${edge.to}, a token`, meanKvTravels(edge, roads)),
    ),
    ...use('KV spilled, a token', spillTravels(runtime, roads, 'out')),
    ...use('KV fetched, a token', spillTravels(runtime, roads, 'back')),
    ...transitions.weights.flatMap((reshard) => {
      const { from, to } = reshard;
      const origin = memo.originsOf(onShared(transitions.holdings, from, to).flat());
      return use(`weights ${from} -> ${to}`, weightTravels(reshard, origin, roads));
    }),
  ];
}

/** Sums what travels by link, place and direction, in the order in which these are first used; copies inside devices are left out. */
function instanceLoads(
  travels: readonly Travel[],
  { topology, lanes }: Roads,
): readonly Omit<PlannedUse, 'what'>[] {
  const depths = new Map(topology.links.map((link) => [linkName(link), parsePath(link.scope).length]));
  const instanceOf = once((link: string) =>
    once((place: string) => printPath(parsePath(place).slice(0, depths.get(link)))),
  );
  const loads = new Map<string, { -readonly [Key in keyof Omit<PlannedUse, 'what'>]: PlannedUse[Key] }>();
  for (const { bytes, road } of travels)
    for (const { link, from, to, lanes: used } of road.hops) {
      if (!depths.has(link)) continue;
      const instance = instanceOf(link)(lanes[used[0]!]!.place);
      const key = `${link} ${instance} ${from} ${to}`;
      const load = loads.get(key) ?? { link, instance, from, to, bytes: 0 };
      loads.set(key, load);
      load.bytes += bytes;
    }
  return [...loads.values()];
}

/** Rows of a full step: tokens where the stage prefills, else sequences. */
function stepRows({ phases, maxTokens, maxSequences }: RuntimeStage): number {
  return phases.includes('prefill') ? maxTokens : maxSequences;
}

/** KV of a token that a replica of the first stage hands to one of the second: any to any, the mean of them all. */
function meanKvTravels(edge: KvReshard, roads: Roads): readonly Travel[] {
  const { travels, pairs } = kvTravels(edge, roads);
  return travels.map(({ bytes, road }) => ({ bytes: bytes / pairs, road }));
}

/** KV of a token that a replica has prefilled, between the hosts that have it and the disks beside them: the mean of all. */
function spillTravels(
  { hostTier, diskTier, pools, stages, kv }: RuntimeGraph,
  roads: Roads,
  way: 'out' | 'back',
): readonly Travel[] {
  if (hostTier === undefined || diskTier === undefined) return [];
  const hostOf = tierBeside(roads.topology, hostTier.name);
  const diskOf = tierBeside(roads.topology, diskTier.name);
  const prefills = new Set(stages.flatMap(({ name, phases }) => (phases.includes('prefill') ? [name] : [])));
  const writers = pools
    .filter((pool) => pool.stages.some((name) => prefills.has(name)))
    .flatMap((pool) => [...groupBy(pageOwners(pool), ({ dp }) => dp).values()]);
  return writers.flatMap((ranks) =>
    hostShares({ ranks }, hostOf).flatMap(({ device, part }) => {
      const [host, disk] = [hostOf(device), diskOf(device)];
      if (host === undefined || disk === undefined) return [];
      const road = way === 'out' ? roads.between(host, disk) : roads.between(disk, host);
      const bytes = ((hostTier.pageBytes / kv.pageTokens) * part) / writers.length;
      return road === undefined ? [] : [{ bytes, road }];
    }),
  );
}

/** What a change of stage brings to devices. Groups that do the same share a plan, which is summed up once. */
function weightTravels({ groups }: WeightReshard, origin: Origin, roads: Roads): readonly Travel[] {
  const waysOf = once(({ moves }: GroupPlan) => {
    const brought = moves.filter(({ kind }) => kind === 'peer' || kind === 'upload');
    const ways = groupBy(brought, ({ device, source }) => `${device} ${source}`);
    return [...ways.values()].map((alike) => {
      return { ...alike[0]!, bytes: alike.reduce((sum, { bytes }) => sum + bytes, 0) };
    });
  });
  return groups.flatMap(({ devices, plan }) =>
    waysOf(plan).flatMap(({ device, source, bytes }) => {
      const to = devices[device]!;
      const road = source === undefined ? origin(to) : roads.betweenDevices(devices[source]!, to);
      return road === undefined ? [] : [{ bytes, road }];
    }),
  );
}

/** Bytes that a token of a stage puts on a link, one way. */
export interface TokenLoad extends Pick<LinkLoad, 'link' | 'from' | 'to' | 'bytes'> {
  readonly exchange: Exchange;
}

/**
 * Traffic of a token over all pipeline stages of a replica, by what exchanges it and over which link; the mean of the
 * replicas, whose devices may be joined by other links.
 */
export function tokenLoads(plan: Plan, stage: RuntimeStage): readonly TokenLoad[] {
  const roads = roadsOf(plan.topology);
  const travels = replicasTravels(plan, stage, { tokens: 1, samples: 0, pairs: 0, keys: 0 }, roads);
  return [...groupBy(travels, (travel) => travel.exchange)].flatMap(([exchange, own]) =>
    linkLoads(own, roads.lanes).map(({ link, from, to, bytes }) => {
      return { exchange, link, from, to, bytes: bytes / stage.mesh.dp };
    }),
  );
}

/** What ranks of a stage pass on in a step. */
type Exchange = keyof ProgramTraffic;

interface ExchangeTravel extends Travel {
  readonly exchange: Exchange;
}

/** Traffic of one step of every replica. */
function replicasTravels(
  plan: Plan,
  stage: RuntimeStage,
  size: StepSize,
  roads: Roads,
): readonly ExchangeTravel[] {
  return stageGroups(stage, plan, roads.routes, engineOf(plan.topology)).flatMap((replica) =>
    stepTravels(replica, size, roads),
  );
}

/** What the groups of a replica send in one step: collectives go round the ring of their ranks, sends to the next stage. */
function stepTravels(replica: readonly TpGroup[], size: StepSize, roads: Roads): readonly ExchangeTravel[] {
  return replica.flatMap(({ devices, cost }, pp) => {
    const { allReduce, allGather, send } = cost.traffic(size);
    const next = replica[pp + 1]?.devices;
    return devices.flatMap((device, tp) => {
      const travel = (
        exchange: Exchange,
        to: number | undefined,
        bytes: number,
      ): readonly ExchangeTravel[] => {
        if (to === undefined || bytes === 0) return [];
        const road = roads.betweenDevices(device, to);
        return road === undefined ? [] : [{ exchange, bytes, road }];
      };
      const [neighbour, ranks] = [devices[(tp + 1) % devices.length], devices.length];
      return [
        ...travel('allReduce', neighbour, ringBytes({ allReduce, allGather: 0 }, ranks)),
        ...travel('allGather', neighbour, ringBytes({ allReduce: 0, allGather }, ranks)),
        ...travel('send', next?.[tp % next.length], send),
      ];
    });
  });
}
