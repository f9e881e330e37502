/** The best static plan and the best re-sharded one for a workload, on engines and machines that differ. */
import { compilePlan, type CompileResult } from '../../compiler/compile.js';
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import { candidateBound } from '../../compiler/planner/bound.js';
import { createBoundContext } from '../../compiler/planner/bounded-stage.js';
import {
  candidateLabel,
  candidatePlan,
  findCandidates,
  type Candidate,
  type Strategy,
} from '../../compiler/planner/candidates.js';
import { demandOf } from '../../compiler/planner/demand.js';
import type { Mesh, Plan } from '../../compiler/plan/plan.js';
import { simulate } from '../../runtime/clock/simulate.js';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import type { TransitionMode } from '../../runtime/scheduler/types.js';

/** Prefill steps of static plans to try: the paper tunes the chunk of the baseline for every point. */
const CHUNKS = [256, 512, 1024, 2048, 4096];
/** The artifact packs whole prompts up to this many tokens. */
const SEESAW_MICROBATCH = 4096;
const BATCH = 256;

/** How a plan does. */
export interface Outcome {
  readonly label: string;
  readonly prefill: Mesh;
  readonly decode: Mesh;
  /** Tokens of a prefill step. */
  readonly microbatch: number;
  /** Requests per second, warm-up and tail included. */
  readonly rate: number;
}

export interface Searched {
  readonly engine: EngineModel;
  readonly transitions: TransitionMode;
}

export interface Searcher {
  /** The fastest plan; undefined where none fits. */
  readonly best: (strategy: Strategy, how: Searched) => Outcome | undefined;
  /** Every plan that fits. */
  readonly every: (strategy: Strategy, how: Searched) => readonly Outcome[];
}

/** Searches on the devices of a plan. Compiled plans are kept from one search to the next. */
export function createSearcher(plan: Plan, requests: readonly SimulatedRequest[]): Searcher {
  const demand = demandOf(requests, plan.kv.pageTokens);
  const candidates = (strategy: Strategy): readonly Candidate[] =>
    findCandidates(plan, [strategy], {
      microbatchTokens: strategy === 'static' ? CHUNKS : [SEESAW_MICROBATCH],
      batchRequests: [BATCH],
    });
  const candidatesOf = new Map<Strategy, readonly Candidate[]>();
  const all = (strategy: Strategy): readonly Candidate[] => {
    const found = candidatesOf.get(strategy) ?? candidates(strategy);
    candidatesOf.set(strategy, found);
    return found;
  };
  const compiled = new Map<Candidate, { readonly plan: Plan; readonly result: CompileResult }>();
  const compile = (candidate: Candidate): { readonly plan: Plan; readonly result: CompileResult } => {
    const known = compiled.get(candidate);
    if (known !== undefined) return known;
    const made = candidatePlan(candidate);
    const found = { plan: made, result: compilePlan(made, { verify: false }) };
    compiled.set(candidate, found);
    return found;
  };
  /** Undefined where the plan does not fit, or cannot hold some request. */
  const run = (candidate: Candidate, how: Searched): Outcome | undefined => {
    const { plan: made, result } = compile(candidate);
    if (result.diagnostics.some(({ severity }) => severity === 'error')) return undefined;
    const simulation = simulate(result.runtime, made, requests, how);
    if (simulation.requests.rejected > 0) return undefined;
    const { stages } = made;
    const { microbatchTokens } = stages[0]!;
    return {
      label: `${candidateLabel(candidate)}, ${microbatchTokens}`,
      prefill: stages[0]!.mesh,
      decode: stages.at(-1)!.mesh,
      microbatch: microbatchTokens,
      rate: requests.length / simulation.makespan,
    };
  };
  return {
    best(strategy, how) {
      const context = createBoundContext(plan.topology, how.engine);
      const bounded = all(strategy)
        .map((candidate) => ({
          candidate,
          least: candidateBound(candidate, context)?.least(demand) ?? Infinity,
        }))
        .sort((a, b) => a.least - b.least);
      let found: Outcome | undefined;
      for (const { candidate, least } of bounded) {
        if (found !== undefined && least >= requests.length / found.rate) break;
        const outcome = run(candidate, how);
        if (outcome !== undefined && (found === undefined || outcome.rate > found.rate)) found = outcome;
      }
      return found;
    },
    every: (strategy, how) =>
      all(strategy).flatMap((candidate) => {
        const outcome = run(candidate, how);
        return outcome === undefined ? [] : [outcome];
      }),
  };
}
