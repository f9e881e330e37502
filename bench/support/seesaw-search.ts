/**
 * The best static plan and the best re-sharded one for a workload, on engines and machines that differ. What is static in
 * the paper is a fused plan here: its engine has one stage for both phases, and no other in its place.
 */
import { createPlanCompiler, type CompiledCandidate, type PlanCompiler } from '../../compiler/compile.js';
import { groupBy } from '../../compiler/group-by.js';
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import {
  candidateLabel,
  findCandidates,
  type Candidate,
  type Strategy,
} from '../../compiler/planner/candidates.js';
import type { Mesh, Plan } from '../../compiler/plan/plan.js';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import type { TransitionMode } from '../../runtime/scheduler/types.js';
import type { Tuned, TuneOptions } from '../../runtime/tune/search.js';
import { tune } from '../../runtime/tune/tune.js';

/** Tokens of a prefill step to try: the paper tunes the chunk of the baseline for every point. */
const CHUNKS: Readonly<Record<'fused' | 're-sharded', readonly number[]>> = {
  fused: [32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096],
  're-sharded': [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384],
};
/** Of vLLM and of the artifact by default. */
const BATCH = 256;

export type Searchable = keyof typeof CHUNKS;

/** How a plan does. */
export interface Outcome {
  readonly label: string;
  readonly prefill: Mesh;
  readonly decode: Mesh;
  /** Tokens of a prefill step. */
  readonly microbatch: number;
  readonly seconds: number;
  /** Requests per second, warm-up and tail included. */
  readonly rate: number;
}

export interface Searched {
  readonly engine: EngineModel;
  readonly transitions: TransitionMode;
}

export interface Searcher {
  /** The fastest plan; undefined where none fits. */
  readonly best: (strategy: Searchable, how: Searched) => Outcome | undefined;
  /** Of every choice of meshes that fits, the fastest plan. */
  readonly every: (strategy: Searchable, how: Searched) => readonly Outcome[];
  /** The plans of the meshes that an outcome of `best` has, by their chunk. */
  readonly chunks: (strategy: Searchable, best: Outcome, how: Searched) => readonly Outcome[];
}

/** What is known from searches before, of other engines and on other machines. */
export interface SearchMemory {
  /** Plans that won: they are tried first, as what is to be beaten. */
  readonly winners: Set<string>;
  /**
   * Of plans under the conditions that make a difference to them: seconds they take at least, by bounds or by estimates,
   * and what they came to.
   */
  readonly known: Map<string, { readonly least: number; readonly exact?: Outcome }>;
}

export function createSearchMemory(): SearchMemory {
  return { winners: new Set(), known: new Map() };
}

/** Searches on the devices of a plan. Compiled plans are kept from one search to the next. */
export function createSearcher(
  plan: Plan,
  requests: readonly SimulatedRequest[],
  { winners, known }: SearchMemory,
): Searcher {
  const compile = rememberingCompiler();
  const candidatesOf = new Map<Strategy, readonly Candidate[]>();
  const all = (strategy: Searchable): readonly Candidate[] => {
    const sizes = { microbatchTokens: CHUNKS[strategy], batchRequests: [BATCH] };
    const found = candidatesOf.get(strategy) ?? findCandidates(plan, [strategy], sizes).filter(isDistinct);
    candidatesOf.set(strategy, found);
    return found;
  };
  /** Simulates; the plans that were run to the end are known from then on. */
  const search = (
    candidates: readonly Candidate[],
    how: Searched,
    options: TuneOptions = {},
  ): readonly Outcome[] =>
    tune(candidates, requests, { ...how, ...options, compile }).ranked.map((each) => {
      const exact = outcomeOf(each, requests);
      known.set(conditionsOf(each.candidate, how), { least: exact.seconds, exact });
      return exact;
    });
  const knownOf = (
    candidate: Candidate,
    how: Searched,
  ): { readonly least: number; readonly exact?: Outcome } =>
    known.get(conditionsOf(candidate, how)) ?? { least: 0 };
  const fastest = (candidates: readonly Candidate[], how: Searched): Outcome | undefined => {
    let best = quickest(candidates.flatMap((each) => knownOf(each, how).exact ?? []));
    const improve = (some: readonly Candidate[]): void => {
      const open = some.filter((each) => {
        const { least, exact } = knownOf(each, how);
        return exact === undefined && least < (best?.seconds ?? Infinity);
      });
      const within = best && { within: best.seconds };
      best = search(open, how, { byEstimate: true, ...within })[0] ?? best;
    };
    improve(candidates.filter((each) => winners.has(keyOf(each))));
    improve(candidates);
    if (best === undefined) return undefined;
    for (const each of candidates) {
      const { least, exact } = knownOf(each, how);
      if (exact === undefined) known.set(conditionsOf(each, how), { least: Math.max(least, best.seconds) });
    }
    return best;
  };
  return {
    best(strategy, how) {
      const found = fastest(all(strategy), how);
      if (found !== undefined) winners.add(`${found.label} ${found.microbatch}`);
      return found;
    },
    every(strategy, how) {
      const byMeshes = groupBy(all(strategy), candidateLabel);
      return [...byMeshes.values()].flatMap((group) => fastest(group, how) ?? []);
    },
    chunks(strategy, { label }, how) {
      const group = all(strategy).filter((each) => candidateLabel(each) === label);
      const open = group.filter((each) => knownOf(each, how).exact === undefined);
      search(open, how, { keep: 'all' });
      return group.flatMap((each) => knownOf(each, how).exact ?? []);
    },
  };
}

/** A step of a fused plan carries no fewer tokens than its rows of decode: smaller chunks are one and the same. */
function isDistinct({ strategy, stages }: Candidate): boolean {
  const { mesh, microbatchTokens } = stages[0]!;
  return strategy !== 'fused' || microbatchTokens >= Math.ceil(BATCH / (mesh.dp * mesh.pp));
}

function quickest(outcomes: readonly Outcome[]): Outcome | undefined {
  return [...outcomes].sort((a, b) => a.seconds - b.seconds)[0];
}

function keyOf(candidate: Candidate): string {
  return `${candidateLabel(candidate)} ${candidate.stages[0]!.microbatchTokens}`;
}

/** The plan, and everything about engine and machine that its time depends on of what the benchmark varies. */
function conditionsOf(candidate: Candidate, { engine, transitions }: Searched): string {
  const { strategy, base, stages } = candidate;
  const { devices, links, overhead } = base.topology;
  const widths = stages.map(({ mesh }) => mesh.tp);
  const virtualEngines = engine.virtualEngines && strategy === 'fused' && stages[0]!.mesh.pp > 1;
  return JSON.stringify([
    keyOf(candidate),
    { ...engine, virtualEngines },
    // Without a change of stage there is nothing to it.
    strategy === 'fused' ? '' : transitions,
    devices[0]!.kind,
    overhead,
    base.memoryUse,
    links.map(({ allreduce, allreduceLatency }) =>
      widths.map((tp) => [allreduce[tp], allreduceLatency?.[tp]]),
    ),
  ]);
}

function outcomeOf(
  { candidate, plan: { stages }, simulation }: Tuned,
  requests: readonly SimulatedRequest[],
): Outcome {
  return {
    label: candidateLabel(candidate),
    prefill: stages[0]!.mesh,
    decode: stages.at(-1)!.mesh,
    microbatch: stages[0]!.microbatchTokens,
    seconds: simulation.makespan,
    rate: requests.length / simulation.makespan,
  };
}

/** Plans of one search are those of the next under the same name and with the same steps. */
function rememberingCompiler(): PlanCompiler {
  const compile = createPlanCompiler();
  const known = new Map<string, CompiledCandidate>();
  return (plan) => {
    const key = [plan.name, ...plan.stages.map(({ microbatchTokens }) => microbatchTokens)].join(' ');
    const result = known.get(key) ?? compile(plan);
    known.set(key, result);
    return result;
  };
}
