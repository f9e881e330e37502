/**
 * The tuner: the best of all candidates for a workload, by simulation. The most promising go first, and a simulation is
 * given up as soon as what it has left to do shows that its plan cannot be among the best any more. What is wanted of a
 * plan decides from when on that is so; nothing else is pruned, so the best are the best of all.
 *
 * A candidate goes through more and more that costs more and more, until something shows that it cannot win:
 *
 *     rough bound -> bound -> compiled, with the bound of its exact room for KV -> simulated, with bounds of what is left
 */
import { createPlanCompiler, type PlanCompiler } from '../../compiler/compile.js';
import { FULCRUM_ENGINE, type EngineModel } from '../../compiler/cost/engine-model.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { candidateBound, type PlanBound } from '../../compiler/planner/bound.js';
import { createBoundContext, type BoundContext } from '../../compiler/planner/bounded-stage.js';
import { candidatePlan, type Candidate } from '../../compiler/planner/candidates.js';
import { kvView } from '../../compiler/model/kv-window.js';
import { demandOf, type Demand } from '../../compiler/planner/demand.js';
import { boundFigures, createRoughBound, type RoughBound } from '../../compiler/planner/rough-bound.js';
import { numbered } from '../../compiler/numbered.js';
import { createHeap } from '../../compiler/reshard/heap.js';
import { simulateInParts } from '../clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../clock/simulation.js';
import type { TransitionMode } from '../scheduler/types.js';
import { createWorkLeft } from './work-left.js';

export interface Tuned {
  readonly candidate: Candidate;
  readonly plan: Plan;
  readonly simulation: Simulation;
}

/** What became of the candidates; each is counted once. */
export interface TuneCounts {
  readonly candidates: number;
  /** Do not fit the devices, or cannot hold some request. */
  readonly unfit: number;
  /** The same as one with a smaller batch that memory has no room for either. */
  readonly needless: number;
  /** Cannot win: by the bound before they were compiled, and by that of the compiled plan. */
  readonly outbid: number;
  readonly outbidCompiled: number;
  /** Could not win any more from some point of their simulation on. */
  readonly givenUp: number;
  /** Simulated to the end. */
  readonly simulated: number;
}

export interface TuneResult {
  /** Candidates whose simulation was carried through, the best first. */
  readonly ranked: readonly Tuned[];
  readonly counts: TuneCounts;
}

/**
 * What is wanted of a plan.
 * - `throughput`: all requests done as soon as can be
 * - `latency`: least time between tokens, of plans that reach so many requests per second
 * - `front`: every plan than which no other has both more throughput and less time between tokens
 */
export type Goal =
  | { readonly kind: 'throughput' }
  | { readonly kind: 'latency'; readonly floor: number }
  | { readonly kind: 'front' };

export interface TuneOptions {
  readonly engine?: EngineModel;
  readonly goal?: Goal;
  /** How many of the best are wanted; pruning leaves those right. Default 1; `all` prunes nothing. */
  readonly keep?: number | 'all';
  /** How devices change stage. Default as Fulcrum's do. */
  readonly transitions?: TransitionMode;
  /** Seconds that a plan must take less than to be of interest. */
  readonly within?: number;
  /** For searches that have plans in common. */
  readonly compile?: PlanCompiler;
}

/** Simulates candidates until no other can be among the best. */
export function tune(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  options: TuneOptions = {},
): TuneResult {
  const search = tuneInParts(candidates, requests, options);
  for (;;) {
    const { done, value } = search.next();
    if (done) return value;
  }
}

/** A candidate, and what it comes to at best: seconds in all, and between two tokens. */
interface Bounded extends RoughBound {
  readonly candidate: Candidate;
  /** Its place among the candidates: of equals the first goes first. */
  readonly index: number;
  /** Absent as long as the bound is a rough one. */
  readonly bound?: PlanBound;
  /** The plan, once it is compiled: the bound is that of its exact room for KV then. */
  readonly compiled?: { readonly plan: Plan; readonly runtime: RuntimeGraph };
}

/** Candidates bounded between two times that a search lets others do something. */
const BOUNDS_OF_PART = 200;

/** As `tune`, with pauses in which it says what it has found so far. */
export function* tuneInParts(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  options: TuneOptions = {},
): Generator<TuneResult, TuneResult> {
  const { engine = FULCRUM_ENGINE, goal = { kind: 'throughput' }, keep = 1 } = options;
  const counts = { unfit: 0, needless: 0, outbid: 0, outbidCompiled: 0, givenUp: 0, simulated: 0 };
  const ranked: Tuned[] = [];
  const found = (): TuneResult => ({
    ranked: [...ranked],
    counts: { candidates: candidates.length, ...counts },
  });
  const [first] = candidates;
  if (first === undefined) return found();
  const search: Search = {
    engine,
    transitions: options.transitions ?? 'dataflow',
    goal,
    keep: keep === 'all' ? Infinity : keep,
    within: options.within ?? Infinity,
    context: createBoundContext(first.base.topology, engine),
    compile: options.compile ?? createPlanCompiler(),
    exactBounds: boundsByStages(),
    ...workload(first.base, requests),
  };
  const queue = createHeap<Bounded>(inOrderOf(goal, first));
  const roughBound = createRoughBound(search.demand, search.context);
  const isNeedless = needlessBatches();
  for (const [index, candidate] of candidates.entries()) {
    const rough = roughBound(candidate);
    if (rough === undefined) counts.unfit++;
    else if (isNeedless(candidate, rough)) counts.needless++;
    else queue.push({ candidate, index, ...rough });
    if (index % BOUNDS_OF_PART === 0) yield found();
  }
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const by = Math.min(search.within, keep === 'all' ? Infinity : deadline(next, ranked, search));
    if (isLate(next.least, by)) {
      counts[next.compiled ? 'outbidCompiled' : 'outbid']++;
      continue;
    }
    if (next.compiled !== undefined) {
      const tried = yield* simulateCandidate(next.candidate, next.bound!, next.compiled, by, search, found);
      if (typeof tried === 'string') counts[tried]++;
      else {
        counts.simulated++;
        ranked.push(tried);
        ranked.sort((a, b) => figure(goal, a) - figure(goal, b));
      }
    } else {
      const closer = next.bound === undefined ? boundFully(next, search) : compileFully(next, search);
      if (closer !== undefined) queue.push(closer);
      else counts.unfit++;
    }
    yield found();
  }
  return found();
}

/**
 * Of batches beyond what memory has room for, the least alone is worth a look: larger ones are never reached either, and
 * leave less room.
 */
function needlessBatches(): (candidate: Candidate, rough: RoughBound) => boolean {
  const least = new Map<string, number>();
  const idOf = numbered<unknown>();
  return ({ base, stages }, { sequences }) => {
    const { devices, mesh, phases, microbatchTokens, batchRequests } = stages.at(-1)!;
    if (batchRequests <= sequences) return false;
    const before = stages.length > 1 ? stages[0] : undefined;
    const tokens = phases.length > 1 ? microbatchTokens : 0;
    const key = [base, before, devices, mesh].map(idOf).join() + ` ${tokens}`;
    const known = Math.min(least.get(key) ?? Infinity, batchRequests);
    least.set(key, known);
    return batchRequests > known;
  };
}

/** Bounds of compiled plans. Of candidates that differ in the cap of KV in the host tier alone they are the same. */
interface ExactBounds {
  readonly get: (candidate: Candidate) => PlanBound | undefined;
  readonly set: (candidate: Candidate, bound: PlanBound) => void;
}

function boundsByStages(): ExactBounds {
  const idOf = numbered<unknown>();
  const known = new Map<string, PlanBound>();
  const key = ({ stages }: Candidate): string => stages.map(idOf).join();
  return {
    get: (candidate) => known.get(key(candidate)),
    set: (candidate, bound) => void known.set(key(candidate), bound),
  };
}

interface Search {
  readonly engine: EngineModel;
  readonly transitions: TransitionMode;
  readonly goal: Goal;
  readonly keep: number;
  readonly within: number;
  readonly context: BoundContext;
  readonly compile: PlanCompiler;
  readonly exactBounds: ExactBounds;
  readonly requests: readonly SimulatedRequest[];
  readonly demand: Demand;
}

/** Lengths as every plan runs them: a sequence ends with the context. */
function workload(
  { model, kv }: Plan,
  requests: readonly SimulatedRequest[],
): Pick<Search, 'requests' | 'demand'> {
  const { shape } = model;
  const cut = requests.map((request) => ({
    ...request,
    outputTokens: Math.max(1, Math.min(request.outputTokens, shape.context - request.promptTokens)),
  }));
  return { requests: cut, demand: demandOf(cut, kvView(shape, kv.pageTokens)) };
}

/** Undefined where the candidate is sure not to fit. */
function boundFully(each: Bounded, { context, exactBounds, demand }: Search): Bounded | undefined {
  const bound = exactBounds.get(each.candidate) ?? candidateBound(each.candidate, context);
  return bound?.fits(demand) ? { ...each, bound, ...boundFigures(bound, demand) } : undefined;
}

/** Undefined where the candidate does not fit. */
function compileFully(each: Bounded, { compile, exactBounds, demand }: Search): Bounded | undefined {
  const plan = candidatePlan(each.candidate);
  const { runtime, diagnostics } = compile(plan);
  if (diagnostics.some(({ severity }) => severity === 'error')) return undefined;
  const bound = each.bound!.compiled(runtime);
  exactBounds.set(each.candidate, bound);
  if (!bound.fits(demand)) return undefined;
  return { ...each, bound, ...boundFigures(bound, demand), compiled: { plan, runtime } };
}

/** Other caps of KV than the first have no higher bounds, and are hardly ever better. */
const CAPS_LATER = 1.05;

/** A good plan early lets others go early; which goes first decides nothing else. */
function inOrderOf({ kind }: Goal, { base: first }: Candidate): (a: Bounded, b: Bounded) => number {
  const seconds = ({ estimate, candidate: { base } }: Bounded): number =>
    base === first ? estimate : estimate * CAPS_LATER;
  const inTime = (a: Bounded, b: Bounded): number => seconds(a) - seconds(b) || a.index - b.index;
  return kind === 'latency' ? (a, b) => a.betweenTokens - b.betweenTokens || inTime(a, b) : inTime;
}

/** What plans are ranked by, the least first. */
function figure({ kind }: Goal, { simulation }: Tuned): number {
  return kind === 'latency' ? simulation.latency.betweenTokens : simulation.makespan;
}

/** Seconds by which a candidate must be done to matter. */
function deadline({ betweenTokens }: Bounded, ranked: readonly Tuned[], search: Search): number {
  const { goal, keep, requests } = search;
  const worst = ranked[keep - 1];
  switch (goal.kind) {
    case 'throughput':
      return worst?.simulation.makespan ?? Infinity;
    case 'latency':
      if (worst !== undefined && betweenTokens >= worst.simulation.latency.betweenTokens) return 0;
      return (requests.length / goal.floor) * (1 + ROUNDING);
    case 'front':
      return ranked
        .filter(({ simulation }) => simulation.latency.betweenTokens <= betweenTokens)
        .reduce((least, { simulation }) => Math.min(least, simulation.makespan), Infinity);
  }
}

/** What sums of many small numbers may be off by. */
const ROUNDING = 1e-9;

function isLate(seconds: number, by: number): boolean {
  return seconds * (1 - ROUNDING) >= by;
}

/** Steps between two looks at whether a simulation has a chance left. */
const LOOK_EVERY = 50;

/** The candidate's run of the workload, or why there is none. */
function* simulateCandidate(
  candidate: Candidate,
  bound: PlanBound,
  { plan, runtime }: { readonly plan: Plan; readonly runtime: RuntimeGraph },
  by: number,
  { engine, transitions, goal, within, requests, demand }: Search,
  found: () => TuneResult,
): Generator<TuneResult, Tuned | 'unfit' | 'givenUp'> {
  const left = createWorkLeft(requests, demand);
  let steps = 0;
  const parts = simulateInParts(
    runtime,
    plan,
    requests,
    { engine, transitions },
    ({ items, now, dropped }) => {
      left.count(items);
      return ++steps % LOOK_EVERY !== 0 || !isLate(now + bound.least(left.demand(dropped()), true), by);
    },
  );
  let part = parts.next();
  for (; !part.done; part = parts.next()) yield found();
  const simulation = part.value;
  if (simulation === undefined || simulation.makespan >= within) return 'givenUp';
  if (goal.kind === 'latency' && simulation.makespan > by) return 'givenUp';
  const wanted = requests.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
  const all = simulation.requests.rejected === 0 && simulation.tokens.output === wanted;
  return all ? { candidate, plan, simulation } : 'unfit';
}
