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
import { numbered } from '../numbered.js';
import { carryingTier, flowStages } from '../passes/kv-edges.js';
import type { DeviceKind, Plan, Stage, Topology } from '../plan/plan.js';
import { routesOf, tierFor, type Routes } from '../plan/routes.js';
import type { Demand } from './demand.js';
import type { Candidate } from './candidates.js';
import {
  leastBetweenTokens,
  leastOfBoth,
  leastOfStage,
  leastSeconds,
  type BoundedPlan,
  type PageCost,
  type StageBound,
  type StageLoad,
} from './least-seconds.js';
import {
  kvRoom,
  kvRoomAlone,
  mayStayTogether,
  stageNeeds,
  weightsFit,
  type KvRoom,
  type StageNeeds,
} from './kv-room.js';
import { createOutliner, type Outliner } from './stage-outline.js';

export interface PlanBound {
  /** Seconds that the demand takes at least. `begun`: what is left of it, on devices that are at work already. */
  readonly least: (demand: Demand, begun?: boolean) => number;
  /** Seconds between two tokens of a request, at least. */
  readonly betweenTokens: (demand: Demand) => number;
  /** Sequences that memory has room for where they decode, at most. */
  readonly sequences: (demand: Demand) => number;
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
  /** Of stages that were asked for before; undefined where they are sure not to fit, or their sharding cannot be. */
  readonly stages: Map<Stage, BoundedStage | undefined>;
}

export function createBoundContext(topology: Topology, engine: EngineModel): BoundContext {
  const routes = routesOf(topology);
  const costsOf = new Map<CostedProgram, Map<string, LeastCost>>();
  return {
    engine,
    routes,
    outline: createOutliner(routes),
    stages: new Map(),
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

/** What a stage is by itself, whatever others are beside it. */
interface BoundedStage {
  readonly needs: StageNeeds;
  readonly groups: StageLoad['groups'];
  /** Of every pipeline stage: its pages to the host tier, and from there. */
  readonly moves: readonly PageCost[];
  /** KV pages of a replica on devices of its own. */
  readonly pagesAlone: number;
}

function boundedStage(plan: Plan, stage: Stage, context: BoundContext): BoundedStage | undefined {
  const { stages } = context;
  if (!stages.has(stage)) stages.set(stage, boundStage(plan, stage, context));
  return stages.get(stage);
}

function boundStage(plan: Plan, stage: Stage, context: BoundContext): BoundedStage | undefined {
  if (!weightsFit(plan, stage)) return undefined;
  const outline = context.outline(plan, stage);
  if (outline === undefined) return undefined;
  const needs = stageNeeds(plan, stage, outline);
  const pagesAlone = kvRoomAlone(plan, needs);
  if (pagesAlone === undefined) return undefined;
  const { pageBytes } = needs;
  const moves = outline.programs.map((_, pp) => pageCost(plan, stage, pp, pageBytes, context.routes));
  return { needs, groups: groupCosts(plan, stage, outline.programs, context), moves, pagesAlone };
}

/** Undefined where the plan is sure not to fit its devices, or its sharding cannot be. */
export function planBound(plan: Plan, context: BoundContext): PlanBound | undefined {
  return boundOfStages(plan, flowStages(plan), context);
}

/** The bound of a candidate, as that of its plan. */
export function candidateBound({ base, stages }: Candidate, context: BoundContext): PlanBound | undefined {
  const flow = { ...base.flow, stages: stages.map(({ name }) => name) };
  return boundOfStages({ ...base, stages, flow }, stages, context);
}

function boundOfStages(plan: Plan, flow: readonly Stage[], context: BoundContext): PlanBound | undefined {
  const stages: BoundedStage[] = [];
  for (const stage of flow) {
    const bounded = boundedStage(plan, stage, context);
    if (bounded === undefined) return undefined;
    stages.push(bounded);
  }
  const room = roomOf(plan, stages);
  if (room === undefined) return undefined;
  const loads = stages.map((stage) => stageLoad(stage, room));
  const takesTurns = !mayStayTogether(
    plan,
    stages.map(({ needs }) => needs),
  );
  return boundOf(plan, loads, { pages: room.pages, takesTurns }, context.engine);
}

/** What of the room that stages have is known. */
type KnownRoom = Pick<KvRoom, 'pages'> & Pick<BoundedPlan, 'takesTurns'>;

function roomOf(plan: Plan, stages: readonly BoundedStage[]): KvRoom | undefined {
  const needs = stages.map((each) => each.needs);
  const [first, second] = needs.map(({ stage }) => stage);
  if (!areApart(needs.map(({ stage }) => stage))) return kvRoom(plan, needs);
  return {
    pages: new Map(stages.map(({ needs: { stage }, pagesAlone }) => [stage.name, pagesAlone])),
    handsOver: new Set([first!.name]),
    takesOver: new Set([second!.name]),
  };
}

/** Whether these are a stage for prefill and one for decode, on devices of their own. */
function areApart([prefill, decode, ...others]: readonly Stage[]): boolean {
  if (decode === undefined || others.length > 0) return false;
  if (prefill!.phases.join() !== 'prefill' || decode.phases.join() !== 'decode') return false;
  return !prefill!.devices.some((device) => decode.devices.includes(device));
}

/** What a candidate comes to at best, in no more time than it takes to look up its stages. */
export interface RoughBound {
  readonly least: number;
  readonly betweenTokens: number;
  /** Sequences that memory has room for where they decode, at most. */
  readonly sequences: number;
}

/**
 * Bounds on candidates for one demand, below those of `candidateBound` where stages have devices of their own: each
 * stage is bounded once, and pairs of them from that. Undefined where a candidate is sure not to fit.
 */
export function createRoughBound(
  demand: Demand,
  context: BoundContext,
): (candidate: Candidate) => RoughBound | undefined {
  const known = new Map<Stage, BoundAlone | undefined>();
  const boundAlone = (base: Plan, stage: Stage): BoundAlone | undefined => {
    const bounded = boundedStage(base, stage, context);
    if (bounded === undefined || !holds(stage, bounded.pagesAlone, demand)) return undefined;
    const room = { pages: new Map<string, number>(), handsOver: NONE, takesOver: NONE };
    const { pagesAlone } = bounded;
    return {
      ...leastOfStage(stageLoad(bounded, room), pagesAlone, demand),
      sequences: sequencesIn(stage, pagesAlone, demand),
    };
  };
  const alone = (base: Plan, stage: Stage): BoundAlone | undefined => {
    if (!known.has(stage)) known.set(stage, boundAlone(base, stage));
    return known.get(stage);
  };
  return (candidate) => {
    const { base, strategy, stages } = candidate;
    if (strategy !== 'disaggregated') {
      const bound = candidateBound(candidate, context);
      if (bound === undefined || !bound.fits(demand)) return undefined;
      const [least, betweenTokens] = [bound.least(demand), bound.betweenTokens(demand)];
      return { least, betweenTokens, sequences: bound.sequences(demand) };
    }
    const [prefill, decode] = [alone(base, stages[0]!), alone(base, stages[1]!)];
    if (prefill === undefined || decode === undefined) return undefined;
    const { step, request } = overheadOf(base, context.engine);
    const betweenTokens = step + request + Math.min(prefill.oneStep, decode.oneStep);
    return { least: leastOfBoth(prefill, decode), betweenTokens, sequences: decode.sequences };
  };
}

interface BoundAlone extends StageBound {
  readonly sequences: number;
}

const NONE: ReadonlySet<string> = new Set();

/** Each holds the pages of its prompt and of its next token. */
function sequencesIn({ mesh }: Stage, pages: number, { shortestPrompt, pageTokens }: Demand): number {
  return mesh.dp * Math.floor(pages / Math.ceil((shortestPrompt + 1) / pageTokens));
}

function holds({ phases }: Stage, pages: number, { longest, longestDecoding, pageTokens }: Demand): boolean {
  return pages * pageTokens + 1 >= (phases.includes('prefill') ? longest : longestDecoding);
}

function overheadOf(
  { topology }: Plan,
  engine: EngineModel,
): Pick<Plan['topology']['overhead'], 'step' | 'request'> {
  return engine.hostOverhead ? topology.overhead : { step: 0, request: 0 };
}

function boundOf(plan: Plan, loads: readonly StageLoad[], room: KnownRoom, engine: EngineModel): PlanBound {
  const { pages } = room;
  const bounded = boundedPlan(plan, loads, room, engine);
  return {
    least: (demand, begun = false) => (bounded ? leastSeconds(bounded, demand, begun) : 0),
    betweenTokens: (demand) => (bounded ? leastBetweenTokens(bounded, demand) : 0),
    sequences: (demand) => {
      const decoding = loads.filter(({ stage }) => stage.phases.includes('decode'));
      return decoding.reduce((sum, { stage }) => {
        return sum + sequencesIn(stage, pages.get(stage.name) ?? 0, demand);
      }, 0);
    },
    fits: (demand) => loads.every(({ stage }) => holds(stage, pages.get(stage.name) ?? 0, demand)),
    compiled: ({ pools, transitions }) => {
      const exact = pools.flatMap((pool) => pool.stages.map((name) => [name, pool.pages] as const));
      const takesTurns = room.takesTurns || transitions.length > 0;
      return boundOf(plan, loads, { pages: new Map(exact), takesTurns }, engine);
    },
  };
}

/** Undefined where a phase has several stages: between them the work may be dealt out in any way. */
function boundedPlan(
  plan: Plan,
  loads: readonly StageLoad[],
  { pages, takesTurns }: KnownRoom,
  engine: EngineModel,
): BoundedPlan | undefined {
  const [prefill, ...otherPrefill] = loads.filter(({ stage }) => stage.phases.includes('prefill'));
  const [decode, ...otherDecode] = loads.filter(({ stage }) => stage.phases.includes('decode'));
  if (!prefill || !decode || otherPrefill.length + otherDecode.length > 0) return undefined;
  const overhead = overheadOf(plan, engine);
  return { overhead, prefill, decode, room: pages.get(decode.stage.name) ?? 0, takesTurns, engine };
}

function stageLoad({ needs, groups, moves }: BoundedStage, room: KvRoom): StageLoad {
  const { stage, outline } = needs;
  const none = moves.map(() => ({ page: 0, sequence: 0 }));
  return {
    stage,
    sizes: outline.sizes,
    groups,
    // Of the replicas of a head one alone leaves.
    out: room.handsOver.has(stage.name) && stage.sharding.kvReplicas === 1 ? moves : none,
    in: room.takesOver.has(stage.name) ? moves : none,
  };
}

/** By pipeline stage the costs that there are among its replicas; the same list where they are the same. */
function groupCosts(
  { topology }: Plan,
  { mesh, devices }: Stage,
  programs: readonly CostedProgram[],
  { routes, costOf }: BoundContext,
): StageLoad['groups'] {
  const path = (device: number): string => topology.devices[device]!.path;
  const groupAt = (dp: number, pp: number): readonly number[] => {
    const first = (dp * mesh.pp + pp) * mesh.tp;
    return devices.slice(first, first + mesh.tp);
  };
  const idOf = numbered<LeastCost>();
  const known = new Map<string, readonly LeastCost[]>();
  return programs.map((program, pp) => {
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
    const key = [...costs].map(idOf).join();
    const list = known.get(key) ?? [...costs];
    known.set(key, list);
    return list;
  });
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
