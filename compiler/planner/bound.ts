/**
 * How fast a plan can be at best: a lower bound on the time of a workload that no simulation of the plan goes below.
 * A plan whose bound is above the time of another need not be simulated.
 *
 * A device must at least
 * - run its part of all prompt tokens and all decode rows, in as few steps as can be: see `least-cost`. A decode step has
 *   no more rows than the batch and the KV room allow, as those decoding hold pages;
 * - send the pages of what it prefills to the host tier, and get those of what it decodes, unless it can do so while its
 *   ranks exchange;
 * - wait before it until a first prompt has come as far as to it, and after it for what the last prompt has yet to go
 *   through.
 * Stages that take turns add up on a device. The host prepares every step. Steps of decode are in flight as long as the
 * pipeline, the pages of their rows and the sequences there are make them: see `decode-spans`. Everything else is taken to
 * be free: other bubbles, waits for links, transitions, KV that is computed again.
 *
 * The work of a phase is dealt out over the replicas of its stage, however unevenly: the mean over replicas of what the
 * devices at one pipeline stage of theirs do is what an even part of the work takes or more, and some device is at the
 * mean or above it. Where replicas are not alike that holds of the least of each cost alone: see `leastCosts`.
 */
import { engineCount, type EngineModel } from '../cost/engine-model.js';
import { countInCommon } from '../in-common.js';
import { flowStages } from '../passes/kv-edges.js';
import { diskPages, mostHostPages } from '../passes/host-room.js';
import { leastKv } from '../passes/kv-pools.js';
import type { LaidOutPlan } from '../passes/lower.js';
import { once, onceForObject } from '../once.js';
import type { Plan, Stage } from '../plan/plan.js';
import {
  boundedStage,
  holds,
  holdsOnHost,
  overheadOf,
  sequencesIn,
  stageLoad,
  type BoundContext,
  type BoundedStage,
} from './bounded-stage.js';
import { sharedGroups, type BoundedPlan } from './bounded-plan.js';
import { secondsBetweenHosts } from './between-hosts.js';
import type { Candidate } from './candidates.js';
import type { Demand } from './demand.js';
import { planKvRoom, mayStayTogether, type PlanKvRoom } from './kv-room.js';
import { leastBetweenTokens, leastSeconds } from './least-seconds.js';
import { NO_ESTIMATE, planEstimate, type EstimateSetting, type PlanEstimate } from './plan-estimate.js';
import { sum, type StageLoad } from './stage-load.js';

/** Lower bounds on what a plan takes, in seconds, and estimates that are none. */
export interface PlanBound {
  /** Seconds that the demand takes at least. `begun`: what is left of it, on devices that are at work already. */
  readonly least: (demand: Demand, begun?: boolean) => number;
  /** Seconds between two tokens of a request, at least. */
  readonly betweenTokens: (demand: Demand) => number;
  /** The most sequences that memory has room for where they decode. */
  readonly sequences: (demand: Demand) => number;
  /**
   * Whether every request of the demand has room for its KV, as far as is known.
   *
   * @param hostPages KV pages of the host tier, which a sequence has room in where stages hand it over through that
   */
  readonly fits: (demand: Demand, hostPages?: number) => boolean;
  /** The bound with the KV pages that the compiled plan has, which is no lower. */
  readonly compiled: (plan: Pick<LaidOutPlan, 'pools' | 'transitions'>) => PlanBound;
  /** What the plan may well take. No bound. */
  readonly estimate: PlanEstimate;
}

/**
 * The bound of a plan; undefined where it certainly does not fit its devices with the least KV, or its sharding cannot
 * be.
 */
export function planBound(plan: Plan, context: BoundContext): PlanBound | undefined {
  return boundOfStages(plan, flowStages(plan), context);
}

/** The most KV pages of a candidate's host tier: as many as it has room for without a copy of the weights. */
export function candidateHostPages({ base, stages }: Candidate): number {
  return pagesBehind(base)(stages[0]!).host;
}

/** The most KV pages that the tiers behind the devices of a candidate have room for. */
export function pagesBehindDevices({ base, stages }: Candidate): number {
  const { host, disk } = pagesBehind(base)(stages[0]!);
  return host + disk;
}

/** By the first stage, which prefills. */
const pagesBehind = onceForObject((base: Plan) =>
  once((first: Stage) => {
    const plan = { ...base, stages: [first] };
    return { host: mostHostPages(plan), disk: diskPages(plan) };
  }),
);

/** The bound of a candidate, as that of its plan: the same for all that differ in the cap of KV in the host tier alone. */
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
  if (room === undefined || !flow.every((stage) => room.pages.get(stage.name)! >= leastKv(plan, stage).pages))
    return undefined;
  const engines = engineCount(
    context.engine,
    flow.map(({ mesh }) => mesh.pp),
  );
  const loads = stages.map((stage) => stageLoad(stage, room, engines));
  const takesTurns = !mayStayTogether(
    plan,
    stages.map(({ needs }) => needs),
  );
  const betweenHosts = areDisaggregated(flow) ? secondsToHand(stages[0]!, stages[1]!, context) : 0;
  const { pages, throughHost } = room;
  return boundOf(plan, loads, { pages, throughHost, takesTurns, betweenHosts, transitions: [] }, context);
}

/**
 * Estimated seconds that a KV page takes from the hosts of one stage to those of another. Where decode has replicas to
 * choose from, of which some are beside hosts of prefill, those take the more the longer others wait: then none is
 * counted.
 */
function secondsToHand(
  { hosts }: BoundedStage,
  { hosts: others, needs: { stage, pageBytes } }: BoundedStage,
  { routes }: BoundContext,
): number {
  const { dp } = stage.mesh;
  const mayChoose = dp > 1 && countInCommon(hosts.hosts, others.hosts) > 0;
  return mayChoose ? 0 : secondsBetweenHosts(hosts, others, sum(pageBytes) / dp, routes);
}

/**
 * KV pages of each stage, and what transitions cost, as far as known: before compiling an upper limit of pages and no
 * transitions, after it the exact ones.
 */
interface KnownRoom extends Pick<PlanKvRoom, 'pages' | 'throughHost'>, Pick<BoundedPlan, 'takesTurns'> {
  /** Seconds that a page takes between the hosts of stages with devices of their own. */
  readonly betweenHosts: number;
  /** None before the plan is compiled. */
  readonly transitions: LaidOutPlan['transitions'];
}

function roomOf(plan: Plan, stages: readonly BoundedStage[]): PlanKvRoom | undefined {
  const needs = stages.map((each) => each.needs);
  const [first, second] = needs.map(({ stage }) => stage);
  if (!areDisaggregated(needs.map(({ stage }) => stage))) return planKvRoom(plan, needs);
  return {
    pages: new Map(stages.map(({ needs: { stage }, pagesAlone }) => [stage.name, pagesAlone])),
    handsOver: new Set([first!.name]),
    takesOver: new Set([second!.name]),
    throughHost: true,
  };
}

/** Whether these are a stage for prefill and one for decode, on devices of their own. */
function areDisaggregated([prefill, decode, ...others]: readonly Stage[]): boolean {
  if (decode === undefined || others.length > 0) return false;
  if (prefill!.phases.join() !== 'prefill' || decode.phases.join() !== 'decode') return false;
  return countInCommon(prefill!.devices, decode.devices) === 0;
}

function boundOf(
  plan: Plan,
  loads: readonly StageLoad[],
  room: KnownRoom,
  context: Pick<BoundContext, 'engine' | 'prefilled' | 'fused'>,
): PlanBound {
  const { throughHost } = room;
  const pagesOf = ({ name }: Stage): number => room.pages.get(name) ?? 0;
  const bounded = boundedPlan(plan, loads, room, context.engine);
  return {
    least: (demand, begun = false) => (bounded ? leastSeconds(bounded, demand, begun) : 0),
    betweenTokens: (demand) => (bounded ? leastBetweenTokens(bounded, demand) : 0),
    sequences: (demand) => {
      const decoding = loads.filter(({ stage }) => stage.phases.includes('decode'));
      return decoding.reduce((sum, load) => sum + sequencesIn(load, pagesOf(load.stage), demand), 0);
    },
    fits: (demand, hostPages = Infinity) =>
      (!throughHost || holdsOnHost(hostPages, demand)) &&
      loads.every(({ stage }) => holds(stage, pagesOf(stage), demand)),
    compiled: ({ pools, transitions }) => {
      const exact = pools.flatMap((pool) => pool.stages.map((name) => [name, pool.pages] as const));
      const takesTurns = room.takesTurns || transitions.length > 0;
      return boundOf(plan, loads, { ...room, pages: new Map(exact), takesTurns, transitions }, context);
    },
    estimate: bounded ? estimateOf(bounded, plan, room, context) : NO_ESTIMATE,
  };
}

function estimateOf(
  bounded: BoundedPlan,
  { model }: Plan,
  { pages, betweenHosts, transitions }: KnownRoom,
  context: EstimateSetting['context'],
): PlanEstimate {
  const secondsTo = ({ stage }: StageLoad): number =>
    transitions.find(({ to }) => to === stage.name)?.seconds ?? 0;
  const { prefill, decode } = bounded;
  return planEstimate(bounded, {
    model,
    betweenHosts,
    context,
    roomToPrefill: pages.get(prefill.stage.name) ?? 0,
    toPrefill: secondsTo(prefill),
    toDecode: secondsTo(decode),
  });
}

/**
 * The plan as bounds see it; undefined where a phase has several stages: between them the work may be dealt out in any
 * way.
 */
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
  const shared = sharedGroups(prefill.stage, decode.stage);
  const room = pages.get(decode.stage.name) ?? 0;
  return { overhead, prefill, decode, room, shared, takesTurns, engine };
}
