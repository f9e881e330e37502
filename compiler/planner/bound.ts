/**
 * How fast a plan can be at best: a lower bound on the time of a workload that no simulation of the plan goes below.
 * A plan whose bound is above the time of another need not be simulated.
 *
 * A device must at least
 * - run its part of all prompt tokens and all decode rows, in as few steps as can be: see `least-cost`. A decode step has
 *   no more rows than the batch and the KV room allow, as those decoding hold pages;
 * - send the pages of what it prefills to the host tier, and get those of what it decodes;
 * - wait before it until a first prompt has come as far as to it, and after it for what the last prompt has yet to go
 *   through.
 * Stages that take turns add up on a device. The host prepares every step. Everything else is taken to be free: bubbles,
 * waits for links, transitions, KV that is computed again.
 *
 * The work of a phase is dealt out over the replicas of its stage, however unevenly: the mean over replicas of what the
 * devices at one place of theirs do is what an even part of the work takes, and some device is at the mean or above it.
 */
import { leastCost, type LeastCost } from '../cost/least-cost.js';
import type { EngineModel } from '../cost/engine-model.js';
import { allReduceCost, sendCost, type LinkCost } from '../cost/links.js';
import type { CostedProgram } from '../cost/op-classes.js';
import type { GroupHardware } from '../cost/program-cost.js';
import type { RuntimeGraph } from '../ir/runtime-graph.js';
import { carryingTier, flowStages } from '../passes/kv-edges.js';
import type { DeviceKind, Plan, Stage, Topology } from '../plan/plan.js';
import { routesOf, tierFor, type Routes } from '../plan/routes.js';
import type { Demand } from './demand.js';
import {
  leastBetweenTokens,
  leastSeconds,
  type BoundedPlan,
  type PageCost,
  type StageLoad,
} from './least-seconds.js';
import { kvRoom, weightsFit, type KvRoom, type OutlinedStage } from './kv-room.js';
import { createOutliner, type Outliner, type StageOutline } from './stage-outline.js';

export interface PlanBound {
  /** Seconds that the demand takes at least. `begun`: what is left of it, on devices that are at work already. */
  readonly least: (demand: Demand, begun?: boolean) => number;
  /** Seconds between two tokens of a request, at least. */
  readonly betweenTokens: (demand: Demand) => number;
  /** Whether every request of the demand has room for its KV, as far as is known. */
  readonly fits: (demand: Demand) => boolean;
  /** The bound with the KV pages that the compiled plan has, which is no lower. */
  readonly compiled: (graph: RuntimeGraph) => PlanBound;
}

/** What bounds of plans for one model over one topology share. */
export interface BoundContext {
  readonly engine: EngineModel;
  readonly routes: Routes;
  readonly outline: Outliner;
  /** The cost of a program on hardware of which costs were asked before is the one found then. */
  readonly costOf: (program: CostedProgram, hardware: GroupHardware) => LeastCost;
}

export function createBoundContext(topology: Topology, engine: EngineModel): BoundContext {
  const routes = routesOf(topology);
  const costsOf = new Map<CostedProgram, Map<string, LeastCost>>();
  return {
    engine,
    routes,
    outline: createOutliner(routes),
    costOf(program, hardware) {
      const known = costsOf.get(program) ?? new Map<string, LeastCost>();
      costsOf.set(program, known);
      const key = hardwareKey(hardware);
      const cost = known.get(key) ?? leastCost(program, hardware, engine);
      known.set(key, cost);
      return cost;
    },
  };
}

function hardwareKey({ kinds, allReduce, send }: GroupHardware): string {
  const link = (cost: LinkCost | undefined): string => (cost ? `${cost.latency} ${cost.bandwidth}` : '');
  return `${kinds.map(({ name }) => name).join()}|${link(allReduce)}|${link(send)}`;
}

/** Undefined where the plan is sure not to fit its devices, or its sharding cannot be. */
export function planBound(plan: Plan, context: BoundContext): PlanBound | undefined {
  if (!weightsFit(plan)) return undefined;
  const stages: OutlinedStage[] = [];
  for (const stage of flowStages(plan)) {
    const outline = context.outline(plan, stage);
    if (outline === undefined) return undefined;
    stages.push({ stage, outline });
  }
  const room = kvRoom(plan, stages);
  if (room === undefined) return undefined;
  const loads = stages.map(({ stage, outline }) => stageLoad(plan, stage, outline, room, context));
  return boundOf(plan, loads, room.pages, context.engine);
}

function boundOf(
  plan: Plan,
  loads: readonly StageLoad[],
  pages: KvRoom['pages'],
  engine: EngineModel,
): PlanBound {
  const bounded = boundedPlan(plan, loads, pages, engine);
  return {
    least: (demand, begun = false) => (bounded ? leastSeconds(bounded, demand, begun) : 0),
    betweenTokens: (demand) => (bounded ? leastBetweenTokens(bounded, demand) : 0),
    fits: ({ longest, longestDecoding, pageTokens }) =>
      loads.every(({ stage }) => {
        const most = stage.phases.includes('prefill') ? longest : longestDecoding;
        return (pages.get(stage.name) ?? 0) * pageTokens + 1 >= most;
      }),
    compiled: ({ pools }) => {
      const exact = pools.flatMap((pool) => pool.stages.map((name) => [name, pool.pages] as const));
      return boundOf(plan, loads, new Map(exact), engine);
    },
  };
}

/** Undefined where a phase has several stages: between them the work may be dealt out in any way. */
function boundedPlan(
  plan: Plan,
  loads: readonly StageLoad[],
  pages: KvRoom['pages'],
  engine: EngineModel,
): BoundedPlan | undefined {
  const [prefill, ...otherPrefill] = loads.filter(({ stage }) => stage.phases.includes('prefill'));
  const [decode, ...otherDecode] = loads.filter(({ stage }) => stage.phases.includes('decode'));
  if (!prefill || !decode || otherPrefill.length + otherDecode.length > 0) return undefined;
  const overhead = engine.hostOverhead ? plan.topology.overhead : { step: 0, request: 0 };
  return { overhead, prefill, decode, room: pages.get(decode.stage.name) ?? 0, engine };
}

function stageLoad(
  plan: Plan,
  stage: Stage,
  outline: StageOutline,
  room: KvRoom,
  { routes, costOf }: BoundContext,
): StageLoad {
  const { mesh, devices } = stage;
  const { topology } = plan;
  const path = (device: number): string => topology.devices[device]!.path;
  const groupAt = (dp: number, pp: number): readonly number[] => {
    const first = (dp * mesh.pp + pp) * mesh.tp;
    return devices.slice(first, first + mesh.tp);
  };
  const groups = outline.programs.map((program, pp) => {
    const costs = new Set<LeastCost>();
    for (let dp = 0; dp < mesh.dp; dp++) {
      const group = groupAt(dp, pp);
      const kinds = [...new Set(group.map((device): DeviceKind => topology.devices[device]!.kind))];
      const allReduce = mesh.tp > 1 ? allReduceCost(routes, group.map(path)) : undefined;
      const next = pp + 1 < mesh.pp ? path(groupAt(dp, pp + 1)[0]!) : undefined;
      const send = next === undefined ? undefined : sendCost(routes, path(group[0]!), next);
      const links = { ...(allReduce && { allReduce }), ...(send && { send }) };
      costs.add(costOf(program, { kinds, overhead: topology.overhead, ...links }));
    }
    return [...costs];
  });
  const none = outline.programs.map(() => ({ page: 0, sequence: 0 }));
  const moves = (): readonly PageCost[] =>
    outline.programs.map((_, pp) => pageCost(plan, stage, pp, room.pageBytes.get(stage.name)!, routes));
  return {
    stage,
    sizes: outline.sizes,
    groups,
    // Of the replicas of a head one alone leaves.
    out: room.handsOver.has(stage.name) && stage.sharding.kvReplicas === 1 ? moves() : none,
    in: room.takesOver.has(stage.name) ? moves() : none,
  };
}

/** Of the replica and rank that has the fastest road. */
function pageCost(
  plan: Plan,
  { mesh, devices }: Stage,
  pp: number,
  pageBytes: readonly number[],
  routes: Routes,
): PageCost {
  const { topology } = plan;
  const tier = carryingTier(plan);
  let least: PageCost | undefined;
  for (let dp = 0; dp < mesh.dp; dp++) {
    const rank = (dp * mesh.pp + pp) * mesh.tp;
    const { path, group } = topology.devices[devices[rank]!]!;
    const host = tier && tierFor(topology, group, tier.name)?.path;
    const road = host === undefined ? undefined : routes.find(path, host);
    if (road === undefined) return { page: 0, sequence: 0 };
    const cost = { page: pageBytes[rank]! / road.bandwidth, sequence: road.latency };
    if (least === undefined || cost.page < least.page) least = cost;
  }
  return least!;
}
