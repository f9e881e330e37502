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
 * devices at one place of theirs do is what an even part of the work takes or more, and some device is at the mean or above
 * it. Where replicas are not alike that holds of the least of each cost alone: see `leastCosts`.
 */
import { LOW_WATER } from '../check/plan/flow.js';
import { engineCount, type EngineModel } from '../cost/engine-model.js';
import { newHost } from '../cost/host-queue.js';
import { countInCommon } from '../in-common.js';
import { flowStages } from '../passes/kv-edges.js';
import { mostHostPages } from '../passes/host-room.js';
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
import { sharedPlaces, type BoundedPlan } from './bounded-plan.js';
import { secondsBetweenHosts } from './between-hosts.js';
import type { CourseSetting } from './course-setting.js';
import { decodeCourse, type Arrival, type CourseFigures } from './decode-course.js';
import { goesWith, promptCourse, promptSteps } from './prompt-course.js';
import { promptsBeside, promptsMeanwhile } from './prompts-beside.js';
import type { Candidate } from './candidates.js';
import { promptsOf, rowsOf, type Demand } from './demand.js';
import { kvRoom, mayStayTogether, type KvRoom } from './kv-room.js';
import { leastBetweenTokens, leastSeconds, likelySeconds } from './least-seconds.js';
import { likelyBetweenTokens, likelyWaiting, type PhaseSeconds } from './likely-between.js';
import { sum, type StageLoad } from './stage-load.js';

/** Lower bounds on what a plan takes, and estimates that are no bounds. Times are in seconds. */
export interface PlanBound {
  /** Seconds that the demand takes at least. `begun`: what is left of it, on devices that are at work already. */
  readonly least: (demand: Demand, begun?: boolean) => number;
  /**
   * Seconds that the demand may well take: stages on the same devices run one after the other, and sequences decode in
   * order of arrival where that is known. Where it is not all are equal, and if prompts and decode go on side by side, a
   * last request comes behind all work. No bound: good for an order of plans, and for what may well be left out. `begun`
   * as above.
   */
  readonly estimate: (demand: Demand, begun?: boolean) => number;
  /**
   * A closer estimate, which takes some milliseconds: steps are costed one by one, as sequences come in order of arrival.
   * There is none where that order is not known or pages do not count by tokens, as sequences share whole ones; where sequences
   * are longer than a window of the model; nor of what is left for a stage for both phases, where many look and each would take as long.
   *
   * @param pages KV pages that tiers behind the devices have room for: what turns hang on where stages take any
   */
  readonly closely: (demand: Demand, begun?: boolean, pages?: number) => CourseFigures | undefined;
  /** Seconds between two tokens of a request, at least. */
  readonly betweenTokens: (demand: Demand) => number;
  /** Estimated seconds between two tokens, in the mean over requests. No bound. `pages` as in `closely`. */
  readonly estimateBetween: (demand: Demand, pages?: number) => number;
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
}

/** Whether plans for a demand are estimated closely: see `PlanBound.closely`. */
export function isEstimatedClosely(
  { inOrder, longest, longestPrefix }: Demand,
  { model: { shape } }: Pick<Plan, 'model'>,
): boolean {
  return inOrder !== undefined && longestPrefix === 0 && longest <= (shape.sliding?.window ?? Infinity);
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
  return hostPagesBeside(base)(stages[0]!);
}

const hostPagesBeside = onceForObject((base: Plan) =>
  once((first: Stage) => mostHostPages({ ...base, stages: [first] })),
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
  const betweenHosts = areApart(flow) ? secondsToHand(stages[0]!, stages[1]!, context) : 0;
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
interface KnownRoom extends Pick<KvRoom, 'pages' | 'throughHost'>, Pick<BoundedPlan, 'takesTurns'> {
  /** Seconds that a page takes between the hosts of stages with devices of their own. */
  readonly betweenHosts: number;
  /** None before the plan is compiled. */
  readonly transitions: LaidOutPlan['transitions'];
}

function roomOf(plan: Plan, stages: readonly BoundedStage[]): KvRoom | undefined {
  const needs = stages.map((each) => each.needs);
  const [first, second] = needs.map(({ stage }) => stage);
  if (!areApart(needs.map(({ stage }) => stage))) return kvRoom(plan, needs);
  return {
    pages: new Map(stages.map(({ needs: { stage }, pagesAlone }) => [stage.name, pagesAlone])),
    handsOver: new Set([first!.name]),
    takesOver: new Set([second!.name]),
    throughHost: true,
  };
}

/** Whether these are a stage for prefill and one for decode, on devices of their own. */
function areApart([prefill, decode, ...others]: readonly Stage[]): boolean {
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
  const { engine } = context;
  const { pages: pagesByStage, throughHost, transitions, betweenHosts } = room;
  const secondsTo = ({ name }: Stage): number => transitions.find(({ to }) => to === name)?.seconds ?? 0;
  const bounded = boundedPlan(plan, loads, room, engine);
  const least = (demand: Demand, begun = false): number =>
    bounded ? leastSeconds(bounded, demand, begun) : 0;
  const oneByOne = bounded !== undefined && areOneByOne(bounded);
  const wholePhases = once((demand: Demand) => phasesOf(bounded!, demand, false));
  const estimateOf = (demand: Demand, begun: boolean): number => {
    if (bounded === undefined) return 0;
    if (!oneByOne) {
      // Of what has begun pages may be past the hosts.
      const handing = begun ? 0 : demand.decodingPages * betweenHosts;
      return Math.max(handing, likelySeconds(dealtEvenly(bounded), demand, begun));
    }
    const { prompts, rows } = begun ? phasesOf(bounded, demand, true) : wholePhases(demand);
    return prompts + rows;
  };
  const wholeEstimate = once((demand: Demand) => estimateOf(demand, false));
  const course = (demand: Demand, begun: boolean, pages: number): CourseFigures | undefined => {
    const { inOrder, kv } = demand;
    if (bounded === undefined || inOrder === undefined || bounded.room === 0) return undefined;
    if (!isEstimatedClosely(demand, plan)) return undefined;
    const { prefill, decode, room, overhead } = bounded;
    const setting: CourseSetting = {
      ...{ room, sequences: inOrder, kv, overhead },
      copyEngines: engine.copyEngines,
    };
    if (prefill === decode) {
      if (begun) return undefined;
      const both = context.fused(decode, setting);
      return { seconds: both.seconds * FUSED_SHORT, betweenTokens: both.betweenTokens * FUSED_SHORT };
    }
    const ofPrefill = { ...setting, room: pagesByStage.get(prefill.stage.name) ?? 0 };
    if (!oneByOne && !overhead.hostPerReplica && overhead.step + overhead.request > 0) {
      const host = newHost();
      const steps = promptSteps(prefill, ofPrefill, host);
      const prompts = promptsMeanwhile(steps, inOrder, kv.pageTokens, begun ? 0 : betweenHosts);
      const arrival: Arrival = { kind: 'beside', ...prompts };
      const rows = decodeCourse(decode, setting, arrival, host);
      return { ...rows, seconds: Math.max(steps.course().seconds, rows.seconds) };
    }
    const prefilled = context.prefilled(prefill.stage)(prefill.out.join());
    const others = prefilled.get(inOrder) ?? [];
    const known = others.find((each) => goesWith(each, ofPrefill.room));
    const prompts = known ?? promptCourse(prefill, ofPrefill);
    if (known === undefined && !begun) prefilled.set(inOrder, [...others, prompts]);
    const arrival: Arrival = oneByOne
      ? {
          kind: 'in turns',
          ...prompts,
          room: pages,
          few: pages * LOW_WATER,
          toPrefill: secondsTo(prefill.stage),
          toDecode: secondsTo(decode.stage),
        }
      : {
          kind: 'beside',
          ...promptsBeside(prompts, inOrder, kv.pageTokens, begun ? 0 : betweenHosts),
        };
    const rows = decodeCourse(decode, setting, arrival);
    return { ...rows, seconds: Math.max(prompts.seconds, rows.seconds) };
  };
  const wholeCourse = once((demand: Demand) => once((pages: number) => course(demand, false, pages)));
  /** Room for more than all prompts is as good as any: they come in one turn. */
  const roomForTurns = ({ decodingPages }: Demand, pages: number): number =>
    oneByOne && pages < decodingPages ? pages : Infinity;
  return {
    least,
    estimate: (demand, begun = false) => (begun ? estimateOf(demand, true) : wholeEstimate(demand)),
    closely(demand, begun = false, pages = Infinity) {
      const inTurns = roomForTurns(demand, pages);
      return begun ? course(demand, true, inTurns) : wholeCourse(demand)(inTurns);
    },
    estimateBetween(demand, pages = Infinity) {
      if (bounded === undefined) return 0;
      const between = likelyBetweenTokens(bounded, demand, { pageSeconds: betweenHosts, pages });
      if (!oneByOne) return between;
      return between + likelyWaiting(bounded, demand, wholePhases(demand), roomForTurns(demand, pages));
    },
    betweenTokens: (demand) => (bounded ? leastBetweenTokens(bounded, demand) : 0),
    sequences: (demand) => {
      const decoding = loads.filter(({ stage }) => stage.phases.includes('decode'));
      return decoding.reduce((sum, load) => {
        return sum + sequencesIn(load, pagesByStage.get(load.stage.name) ?? 0, demand);
      }, 0);
    },
    fits: (demand, hostPages = Infinity) =>
      (!throughHost || holdsOnHost(hostPages, demand)) &&
      loads.every(({ stage }) => holds(stage, pagesByStage.get(stage.name) ?? 0, demand)),
    compiled: ({ pools, transitions }) => {
      const exact = pools.flatMap((pool) => pool.stages.map((name) => [name, pool.pages] as const));
      const takesTurns = room.takesTurns || transitions.length > 0;
      return boundOf(plan, loads, { ...room, pages: new Map(exact), takesTurns, transitions }, context);
    },
  };
}

/**
 * What of the course of a stage for both phases is its estimate: one that is too long may cost the best plan. As measured of
 * static plans for the paper's machines, models and workloads, and not proven: nine tenths take longer than the estimate by
 * 0.1% or more, half by 0.3 to 0.4% or more. Some are too long all the same, as with two replicas: one plan takes 1.5% less
 * (`bench/estimates.ts`, docs/tuning.md).
 */
const FUSED_SHORT = 0.997;

/** The plan as estimates see it: costs are means over replicas, and work is spread evenly. */
function dealtEvenly(bounded: BoundedPlan): BoundedPlan {
  const { prefill, decode } = bounded;
  const inTheMean = (load: StageLoad): StageLoad => ({ ...load, costs: load.meanCosts });
  const first = inTheMean(prefill);
  return { ...bounded, evenly: true, prefill: first, decode: decode === prefill ? first : inTheMean(decode) };
}

/** Estimated seconds of each phase by itself. */
function phasesOf(bounded: BoundedPlan, demand: Demand, begun: boolean): PhaseSeconds {
  const evenly = dealtEvenly(bounded);
  const prompts = leastSeconds(evenly, promptsOf(demand), begun);
  return { prompts, rows: leastSeconds(evenly, rowsOf(demand), true) };
}

/** Whether the phases have stages of their own that share devices, so that they run one after the other. */
function areOneByOne({ prefill, decode }: BoundedPlan): boolean {
  return prefill.stage !== decode.stage && countInCommon(prefill.stage.devices, decode.stage.devices) > 0;
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
  const shared = sharedPlaces(prefill.stage, decode.stage);
  const room = pages.get(decode.stage.name) ?? 0;
  return { overhead, prefill, decode, room, shared, takesTurns, engine };
}
