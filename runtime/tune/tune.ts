/**
 * The tuner: the fastest of all candidates for a workload, by simulation. Candidates are taken in the order of their
 * bounds; once the bound of the next is no better than the best simulated so far, no later one can win.
 */
import { compilePlan } from '../../compiler/compile.js';
import { FULCRUM_ENGINE, type EngineModel } from '../../compiler/cost/engine-model.js';
import { demandOf, leastSeconds } from '../../compiler/planner/bound.js';
import type { Candidate } from '../../compiler/planner/candidates.js';
import { simulate } from '../clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../clock/simulation.js';

export interface Tuned {
  readonly candidate: Candidate;
  readonly simulation: Simulation;
}

export interface TuneResult {
  /** Simulated candidates that run every request, fastest first. */
  readonly ranked: readonly Tuned[];
  /** How many could not win, by their bounds. */
  readonly pruned: number;
  /** How many do not fit the devices, or cannot hold some request. */
  readonly unfit: number;
}

export interface TuneOptions {
  readonly engine?: EngineModel;
  /** How many of the fastest are wanted; pruning leaves those right. Default 1; `all` prunes nothing. */
  readonly keep?: number | 'all';
  readonly onProgress?: (done: number, total: number) => void;
}

/** Simulates candidates until no other can be among the `keep` fastest. */
export function tune(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  options: TuneOptions = {},
): TuneResult {
  const engine = options.engine ?? FULCRUM_ENGINE;
  const keep = options.keep === 'all' ? Infinity : (options.keep ?? 1);
  const demand = demandOf(requests);
  const bounded = candidates
    .map((candidate) => ({ candidate, least: leastSeconds(candidate.plan, demand, engine) }))
    .sort((a, b) => a.least - b.least);
  const ranked: Tuned[] = [];
  let unfit = 0;
  for (const [done, { candidate, least }] of bounded.entries()) {
    options.onProgress?.(done, bounded.length);
    const toBeat = ranked[keep - 1]?.simulation.makespan ?? Infinity;
    if (least >= toBeat) return { ranked, pruned: bounded.length - done, unfit };
    const simulation = simulateCandidate(candidate, requests, engine);
    if (simulation === undefined) unfit++;
    else {
      ranked.push({ candidate, simulation });
      ranked.sort((a, b) => a.simulation.makespan - b.simulation.makespan);
    }
  }
  options.onProgress?.(bounded.length, bounded.length);
  return { ranked, pruned: 0, unfit };
}

/** The candidate's run of the workload; undefined when it does not fit. */
export function simulateCandidate(
  { plan }: Candidate,
  requests: readonly SimulatedRequest[],
  engine: EngineModel,
): Simulation | undefined {
  const { runtime, diagnostics } = compilePlan(plan);
  if (diagnostics.some(({ severity }) => severity === 'error')) return undefined;
  const simulation = simulate(runtime, plan, requests, { engine });
  return simulation.requests.rejected === 0 ? simulation : undefined;
}
