/**
 * The tuner: the best of all candidates for a workload, by simulation. Candidates are taken in the order of their
 * bounds, and a simulation is given up as soon as what it has left to do shows that its plan cannot be among the best any
 * more. What is wanted of a plan decides from when on that is so; nothing else is pruned, so the best are the best of all.
 */
import { compilePlan } from '../../compiler/compile.js';
import { FULCRUM_ENGINE, type EngineModel } from '../../compiler/cost/engine-model.js';
import { createBoundContext, planBound, type PlanBound } from '../../compiler/planner/bound.js';
import type { Candidate } from '../../compiler/planner/candidates.js';
import { demandOf, type Demand } from '../../compiler/planner/demand.js';
import { simulateWhile } from '../clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../clock/simulation.js';
import { createWorkLeft } from './work-left.js';

export interface Tuned {
  readonly candidate: Candidate;
  readonly simulation: Simulation;
}

export interface TuneResult {
  /** Candidates whose simulation was carried through, the best first. */
  readonly ranked: readonly Tuned[];
  /** How many could not win, by their bounds or in the course of their simulation. */
  readonly pruned: number;
  /** How many do not fit the devices, or cannot hold some request. */
  readonly unfit: number;
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
  readonly onProgress?: (done: number, total: number) => void;
}

/** A candidate, and what it comes to at best: seconds in all, and between two tokens. */
interface Bounded {
  readonly candidate: Candidate;
  readonly bound: PlanBound;
  readonly least: number;
  readonly betweenTokens: number;
}

/** Simulates candidates until no other can be among the best. */
export function tune(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  options: TuneOptions = {},
): TuneResult {
  const { engine = FULCRUM_ENGINE, goal = { kind: 'throughput' }, keep = 1 } = options;
  const [first] = candidates;
  if (first === undefined) return { ranked: [], pruned: 0, unfit: 0 };
  const search: Search = {
    engine,
    goal,
    keep: keep === 'all' ? Infinity : keep,
    ...workload(first, requests),
  };
  const bounded = boundAll(candidates, search).sort(inOrderOf(goal));
  const ranked: Tuned[] = [];
  let pruned = 0;
  let unfit = candidates.length - bounded.length;
  for (const [index, each] of bounded.entries()) {
    options.onProgress?.(candidates.length - bounded.length + index, candidates.length);
    const tried = tryCandidate(each, keep === 'all' ? Infinity : deadline(each, ranked, search), search);
    if (tried === 'late') pruned++;
    else if (tried === 'unfit') unfit++;
    else {
      ranked.push({ candidate: each.candidate, simulation: tried });
      ranked.sort((a, b) => figure(goal, a) - figure(goal, b));
    }
  }
  options.onProgress?.(candidates.length, candidates.length);
  return { ranked, pruned, unfit };
}

interface Search {
  readonly engine: EngineModel;
  readonly goal: Goal;
  readonly keep: number;
  readonly requests: readonly SimulatedRequest[];
  readonly demand: Demand;
}

/** Lengths as every plan runs them: a sequence ends with the context. */
function workload(
  { plan }: Candidate,
  requests: readonly SimulatedRequest[],
): Pick<Search, 'requests' | 'demand'> {
  const { context } = plan.model.shape;
  const cut = requests.map(({ promptTokens, outputTokens }) => ({
    promptTokens,
    outputTokens: Math.max(1, Math.min(outputTokens, context - promptTokens)),
  }));
  return { requests: cut, demand: demandOf(cut, plan.kv.pageTokens) };
}

/** Of those that may fit. */
function boundAll(candidates: readonly Candidate[], { engine, demand }: Search): Bounded[] {
  const context = createBoundContext(candidates[0]!.plan.topology, engine);
  return candidates.flatMap((candidate) => {
    const bound = planBound(candidate.plan, context);
    if (bound === undefined || !bound.fits(demand)) return [];
    return [{ candidate, bound, least: bound.least(demand), betweenTokens: bound.betweenTokens(demand) }];
  });
}

function inOrderOf({ kind }: Goal): (a: Bounded, b: Bounded) => number {
  if (kind === 'latency') return (a, b) => a.betweenTokens - b.betweenTokens || a.least - b.least;
  return (a, b) => a.least - b.least;
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

/** Steps between two looks at whether a simulation has a chance left. */
const LOOK_EVERY = 50;

/** The candidate's run of the workload. `late`: it is not done by the deadline. */
function tryCandidate(
  { candidate: { plan }, bound, least }: Bounded,
  by: number,
  { engine, goal, requests, demand }: Search,
): Simulation | 'late' | 'unfit' {
  const isLate = (seconds: number): boolean => seconds * (1 - ROUNDING) >= by;
  if (isLate(least)) return 'late';
  const { runtime, diagnostics } = compilePlan(plan, { verify: false });
  if (diagnostics.some(({ severity }) => severity === 'error')) return 'unfit';
  const exact = bound.compiled(runtime);
  if (!exact.fits(demand)) return 'unfit';
  if (isLate(exact.least(demand))) return 'late';
  const left = createWorkLeft(requests, demand);
  let steps = 0;
  const simulation = simulateWhile(runtime, plan, requests, { engine }, ({ items, now, dropped }) => {
    left.count(items);
    return ++steps % LOOK_EVERY !== 0 || !isLate(now + exact.least(left.demand(dropped()), true));
  });
  if (simulation === undefined || (goal.kind === 'latency' && simulation.makespan > by)) return 'late';
  const wanted = requests.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
  const all = simulation.requests.rejected === 0 && simulation.tokens.output === wanted;
  return all ? simulation : 'unfit';
}
