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
import { leastCost, type LeastCost, type TotalWork } from '../cost/least-cost.js';
import type { EngineModel } from '../cost/engine-model.js';
import { allReduceCost, sendCost } from '../cost/links.js';
import type { RuntimeGraph } from '../ir/runtime-graph.js';
import { carryingTier, flowStages } from '../passes/kv-edges.js';
import type { DeviceKind, Plan, Stage } from '../plan/plan.js';
import { tierFor, type Routes } from '../plan/routes.js';
import type { Demand } from './demand.js';
import { kvRoom, weightsFit, type KvRoom, type OutlinedStage } from './kv-room.js';
import type { Outliner, StageOutline } from './stage-outline.js';

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

/** What bounds of plans over one topology share. */
export interface BoundContext {
  readonly engine: EngineModel;
  readonly routes: Routes;
  readonly outline: Outliner;
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
  return {
    least: (demand, begun = false) => leastSeconds(plan, loads, pages, demand, begun, engine),
    betweenTokens: (demand) => leastBetweenTokens(plan, loads, demand, engine),
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

/** Seconds for each page and each sequence that a rank moves to the host tier or back. */
interface PageCost {
  readonly page: number;
  readonly sequence: number;
}

interface StageLoad {
  readonly stage: Stage;
  readonly sizes: StageOutline['sizes'];
  /** By pipeline stage: the kinds of groups there are among the replicas. */
  readonly groups: readonly (readonly LeastCost[])[];
  readonly out: readonly PageCost[];
  readonly in: readonly PageCost[];
}

function stageLoad(
  plan: Plan,
  stage: Stage,
  outline: StageOutline,
  room: KvRoom,
  { routes, engine }: BoundContext,
): StageLoad {
  const { mesh, devices } = stage;
  const { topology } = plan;
  const path = (device: number): string => topology.devices[device]!.path;
  const groupAt = (dp: number, pp: number): readonly number[] => {
    const first = (dp * mesh.pp + pp) * mesh.tp;
    return devices.slice(first, first + mesh.tp);
  };
  const groups = outline.programs.map((program, pp) => {
    const costs = new Map<string, LeastCost>();
    for (let dp = 0; dp < mesh.dp; dp++) {
      const group = groupAt(dp, pp);
      const kinds = [...new Set(group.map((device): DeviceKind => topology.devices[device]!.kind))];
      const allReduce = mesh.tp > 1 ? allReduceCost(routes, group.map(path)) : undefined;
      const next = pp + 1 < mesh.pp ? path(groupAt(dp, pp + 1)[0]!) : undefined;
      const send = next === undefined ? undefined : sendCost(routes, path(group[0]!), next);
      const key = JSON.stringify([kinds.map(({ name }) => name), allReduce, send]);
      if (costs.has(key)) continue;
      const hardware = {
        kinds,
        overhead: topology.overhead,
        ...(allReduce && { allReduce }),
        ...(send && { send }),
      };
      costs.set(key, leastCost(program, hardware, engine));
    }
    return [...costs.values()];
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

function leastSeconds(
  plan: Plan,
  loads: readonly StageLoad[],
  pages: KvRoom['pages'],
  demand: Demand,
  begun: boolean,
  engine: EngineModel,
): number {
  const [prefill, ...otherPrefill] = loads.filter(({ stage }) => stage.phases.includes('prefill'));
  const [decode, ...otherDecode] = loads.filter(({ stage }) => stage.phases.includes('decode'));
  // Between several stages of a phase the work may be dealt out in any way.
  if (!prefill || !decode || otherPrefill.length + otherDecode.length > 0) return 0;
  const room = pages.get(decode.stage.name) ?? 0;
  const estimate = (work: Demand): number =>
    estimateSeconds({ plan, prefill, decode, room, begun, engine }, work);
  const least = estimate(demand);
  // KV that is dropped is computed again, and the last token of that is sampled without a decode row. The estimate is
  // convex in how often that happens; where once does not lower it, more often does not either.
  const { longest, shortestPrompt, pageTokens } = demand;
  const dropped = estimate({
    ...demand,
    requests: demand.requests + 1,
    promptTokens: demand.promptTokens + shortestPrompt + 1,
    promptPairs: demand.promptPairs + (shortestPrompt * (shortestPrompt + 1)) / 2,
    decodeRows: Math.max(0, demand.decodeRows - 1),
    decodeKeys: Math.max(0, demand.decodeKeys - longest),
    decodePages: Math.max(0, demand.decodePages - Math.ceil(longest / pageTokens)),
  });
  if (dropped >= least) return least;
  return estimate({ ...demand, decodeRows: 0, decodeKeys: 0, decodePages: 0 });
}

/** A token needs a decode step of its own, or the prefill of a sequence that lost its KV. */
function leastBetweenTokens(
  plan: Plan,
  loads: readonly StageLoad[],
  { shortestPrompt }: Demand,
  { hostOverhead }: EngineModel,
): number {
  const host = hostOverhead ? plan.topology.overhead.step + plan.topology.overhead.request : 0;
  const through = ({ groups, sizes, stage }: StageLoad): number => {
    const work = stage.phases.includes('decode')
      ? rowStep(shortestPrompt)
      : promptStep(Math.min(sizes.maxTokens, shortestPrompt));
    return host + sum(groups.map((group) => cheapest(group, work)));
  };
  return Math.min(...loads.map(through));
}

interface Estimated {
  readonly plan: Plan;
  readonly prefill: StageLoad;
  readonly decode: StageLoad;
  /** KV pages of a replica where it decodes. */
  readonly room: number;
  readonly begun: boolean;
  readonly engine: EngineModel;
}

function estimateSeconds(of: Estimated, demand: Demand): number {
  const { plan, prefill, decode, begun, engine } = of;
  const { overhead } = plan.topology;
  const host = engine.hostOverhead ? overhead : { step: 0, request: 0 };
  const prompts = promptWork(prefill, demand);
  const rows = decodeWork(of, demand);
  const fused = prefill === decode;
  const both = fused ? mixedWork(prefill, prompts, rows) : undefined;
  const hostSteps = both
    ? both.steps * prefill.stage.mesh.dp
    : prompts.steps * prefill.stage.mesh.dp + rows.steps * decode.stage.mesh.dp;
  const hostSeconds = hostSteps * host.step + demand.decodeRows * host.request;

  const first: TotalWork = promptStep(Math.min(prefill.sizes.maxTokens, demand.shortestPrompt));
  const row = rowStep(demand.shortestPrompt);
  const firstSteps = prefill.groups.map((group) => (begun ? 0 : cheapest(group, first)));
  const rowSteps = decode.groups.map((group) => (demand.decodeRows > 0 ? cheapest(group, row) : 0));
  const lastSteps = prefill.groups.map((group) => cheapest(group, promptStep(1)));
  const { shortestOutput, shortestPrompt, pageTokens } = demand;
  // The last prompt has yet to be handed over, and to be decoded token by token.
  const handing = (costs: readonly PageCost[]): number =>
    Math.min(...costs.map(({ page, sequence }) => page * Math.ceil(shortestPrompt / pageTokens) + sequence));
  const goesOn = demand.promptTokens > 0 && shortestOutput > 1;
  const handover = handing(prefill.out) + handing(decode.in);
  const chain = goesOn ? handover + (shortestOutput - 1) * (sum(rowSteps) + host.step + host.request) : 0;
  const moved = begun
    ? { pages: 0, sequences: 0 }
    : { pages: demand.decodingPages, sequences: demand.decoding };
  const pageSeconds = ({ page, sequence }: PageCost, dp: number): number =>
    engine.copyEngines ? 0 : (moved.pages * page + moved.sequences * sequence) / dp;

  let least = hostSeconds;
  const prefillSeconds = prefill.groups.map(
    (group, pp) => cheapest(group, prompts) + pageSeconds(prefill.out[pp]!, prefill.stage.mesh.dp),
  );
  prefillSeconds.forEach((seconds, pp) => {
    const before = sum(firstSteps.slice(0, pp));
    const after = demand.promptTokens > 0 ? sum(lastSteps.slice(pp + 1)) + chain : 0;
    least = Math.max(least, before + seconds + after);
  });
  if (both) {
    const apart = apartWork(decode, demand, rows);
    prefill.groups.forEach((group, pp) => {
      const seconds = Math.max(cheapest(group, both), cheapest(group, prompts) + cheapest(group, apart));
      least = Math.max(least, sum(firstSteps.slice(0, pp)) + seconds + sum(rowSteps.slice(pp + 1)));
    });
    return least;
  }
  const decodeSeconds = decode.groups.map(
    (group, pp) => cheapest(group, rows) + pageSeconds(decode.in[pp]!, decode.stage.mesh.dp),
  );
  const shared = sharedPlaces(prefill.stage, decode.stage);
  decodeSeconds.forEach((seconds, pp) => {
    const after = sum(rowSteps.slice(pp + 1));
    const before = shared
      ? Math.max(...shared[pp]!.map((at) => sum(firstSteps.slice(0, at)) + prefillSeconds[at]!))
      : begun || demand.decodeRows === 0
        ? 0
        : sum(firstSteps) + handover + sum(rowSteps.slice(0, pp));
    least = Math.max(least, before + seconds + after);
  });
  return least;
}

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);

const promptStep = (tokens: number): TotalWork => ({
  steps: 1,
  sampling: 0,
  tokens,
  samples: 0,
  pairs: (tokens * (tokens + 1)) / 2,
  keys: tokens,
});

/** A step with one row that sees so many keys. */
const rowStep = (keys: number): TotalWork => ({
  steps: 1,
  sampling: 1,
  tokens: 1,
  samples: 1,
  pairs: keys,
  keys,
});

/** On the replica that is quickest at it. */
function cheapest(group: readonly LeastCost[], work: TotalWork): number {
  return Math.min(...group.map((cost) => cost(work)));
}

/** Of a replica in the mean. */
function promptWork({ stage, sizes }: StageLoad, { promptTokens, promptPairs }: Demand): TotalWork {
  const tokens = promptTokens / stage.mesh.dp;
  return {
    steps: tokens / sizes.maxTokens,
    sampling: 0,
    tokens,
    samples: 0,
    pairs: promptPairs / stage.mesh.dp,
    keys: tokens,
  };
}

interface DecodeWork extends TotalWork {
  /** Rows of a step at most. */
  readonly inStep: number;
}

/** Of a replica in the mean: rows in a step are sequences, dealt over `pp` steps, and hold their pages all at once. */
function decodeWork({ decode, room }: Estimated, demand: Demand): DecodeWork {
  const { stage, sizes } = decode;
  const { dp, pp } = stage.mesh;
  const held = Math.max(1, Math.ceil(demand.shortestPrompt / demand.pageTokens));
  const running = Math.max(1, Math.min(stage.batchRequests, Math.floor(room / held)));
  const inStep = Math.max(1, Math.min(sizes.maxTokens, sizes.maxSequences, Math.ceil(running / pp)));
  // Without a pipeline all that hold pages are rows of a step, so that pages say more than the shortest prompt.
  const byPages = pp === 1 && room > 0 ? demand.decodePages / room : 0;
  const steps = Math.max(demand.decodeRows / inStep, byPages) / dp;
  const tokens = demand.decodeRows / dp;
  const keys = demand.decodeKeys / dp;
  return { inStep, steps, sampling: steps, tokens, samples: tokens, pairs: keys, keys };
}

/** A step of a fused stage may do both at once. */
function mixedWork({ sizes }: StageLoad, prompts: TotalWork, rows: TotalWork): TotalWork {
  const tokens = prompts.tokens + rows.tokens;
  return {
    steps: Math.max(prompts.steps, rows.steps, tokens / sizes.maxTokens),
    sampling: rows.sampling,
    tokens,
    samples: rows.samples,
    pairs: prompts.pairs + rows.pairs,
    keys: prompts.keys + rows.keys,
  };
}

/**
 * What is left of decode in a fused stage for steps without prompt tokens. A step with some ends a prompt or is full, so
 * there are no more of them than that; decode rows in them are taken to be free.
 */
function apartWork({ stage, sizes }: StageLoad, demand: Demand, rows: DecodeWork): TotalWork {
  const full = Math.max(1, sizes.maxTokens - rows.inStep);
  const mixed = (demand.requests + demand.promptTokens / full) / stage.mesh.dp;
  const steps = Math.max(0, rows.steps - mixed);
  const tokens = Math.max(0, rows.tokens - mixed * rows.inStep);
  const keys = Math.max(0, rows.keys - mixed * rows.inStep * demand.longest);
  return { steps, sampling: steps, tokens, samples: tokens, pairs: keys, keys };
}

/**
 * For every pipeline stage of decode those of prefill that stand on the same devices, where stages take turns; undefined
 * where they have devices of their own. Replicas of both are the same devices when there are equally many.
 */
function sharedPlaces(prefill: Stage, decode: Stage): readonly (readonly number[])[] | undefined {
  const { dp, pp, tp } = prefill.mesh;
  if (dp !== decode.mesh.dp || prefill.devices.join() !== decode.devices.join()) return undefined;
  const places = Array.from({ length: decode.mesh.pp }, () => new Set<number>());
  for (let rank = 0; rank < pp * tp; rank++)
    places[Math.floor(rank / decode.mesh.tp)]!.add(Math.floor(rank / tp));
  return places.map((each) => [...each]);
}
