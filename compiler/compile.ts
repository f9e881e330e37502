/**
 * The whole back end: a checked plan to its runtime graph, through every level. Between the levels stand verifiers;
 * what they find is a bug of the compiler and throws, what the plan cannot have is a diagnostic.
 */
import type { Diagnostic } from './diagnostics/diagnostic.js';
import type { LogicalGraph } from './ir/logical.js';
import { RUNTIME_GRAPH_FORMAT, RUNTIME_GRAPH_VERSION, type RuntimeGraph } from './ir/runtime-graph.js';
import type { ShardedGraph } from './ir/sharded.js';
import type { TransitionGraph } from './ir/transitions.js';
import { verifyLogical } from './ir/verify-logical.js';
import { verifyRuntime } from './ir/verify-runtime.js';
import { verifySharded } from './ir/verify-sharded.js';
import { verifyTransitions } from './ir/verify-transitions.js';
import { buildLogical } from './passes/build-logical.js';
import { createSearchMemory } from './passes/search-memory.js';
import { checkLowering } from './passes/check-lowering.js';
import { checkExpectations } from './passes/expectations.js';
import { kvBesideCopy } from './passes/host-room.js';
import { layOutPlan, type LaidOutPlan, type LowerOptions } from './passes/lower.js';
import { shardPlan } from './passes/shard.js';
import { buildTransitions, weightPlanning } from './passes/transitions.js';
import type { Plan } from './plan/plan.js';
import { roadsOf } from './reshard/roads.js';

/**
 * Every level of a compiled plan. When a diagnostic is an error, the levels behind the pass that found it are empty
 * (no stages); a plan that merely does not fit its devices is lowered all the same, so that its figures can be shown.
 */
export interface CompileResult {
  readonly logical: LogicalGraph;
  readonly sharded: ShardedGraph;
  readonly transitions: TransitionGraph;
  readonly runtime: RuntimeGraph;
  readonly diagnostics: readonly Diagnostic[];
}

export interface CompileOptions extends LowerOptions {
  /**
   * Whether verifiers look at every level, which takes a fifth of the time. Off for searches alone, which compile plans
   * by the dozen that nobody runs. Default on.
   */
  readonly verify?: boolean;
}

/** Compiles a checked plan. Throws only when a verifier finds a bug. */
export function compilePlan(plan: Plan, options: CompileOptions = {}): CompileResult {
  return compileMemory(plan, options).rest();
}

/** A plan compiled as far as it is known what it takes of memory. */
interface CompiledMemory extends Pick<LaidOutPlan, 'pools' | 'transitions' | 'hostPages'> {
  /** All but what the plan does not keep of what is expected of it. */
  readonly diagnostics: readonly Diagnostic[];
  readonly rest: () => CompileResult;
}

function compileMemory(plan: Plan, options: CompileOptions): CompiledMemory {
  const { verify = true, memory } = options;
  const mustBeSound = (level: string, problems: () => readonly string[]): void => {
    if (verify) throwUnlessSound(level, problems());
  };
  const logical = memory?.logical ?? buildLogical(plan.model);
  if (memory) memory.logical = logical;
  mustBeSound('logical graph', () => verifyLogical(logical));
  const roads = roadsOf(plan.topology);
  const { graph: sharded, diagnostics } = shardPlan(logical, plan, roads.routes);
  const failed = (transitions: TransitionGraph, found: readonly Diagnostic[]): CompiledMemory => {
    const result = { logical, sharded, transitions, runtime: emptyGraph(plan), diagnostics: found };
    return { pools: [], transitions: [], hostPages: 0, diagnostics: found, rest: () => result };
  };
  if (diagnostics.some(isError)) return failed(NO_TRANSITIONS, diagnostics);
  mustBeSound('sharded graph', () => verifySharded(sharded, logical));
  const planned = buildTransitions(sharded, plan, roads, memory);
  const unlowerable = checkLowering(plan, planned.kv);
  if (unlowerable.some(isError)) {
    mustBeSound('transition graph', () => verifyTransitions(planned));
    return failed(planned, [...diagnostics, ...unlowerable]);
  }
  const planning = weightPlanning(sharded, roads, kvBesideCopy(plan));
  const laidOut = layOutPlan(sharded, planned, plan, planning, options);
  const { pools, transitions, hostPages } = laidOut;
  const foundBefore = [...diagnostics, ...unlowerable];
  const rest = (): CompileResult => {
    const lowered = laidOut.lower();
    const { graph: runtime, transitions } = lowered;
    const found = [...foundBefore, ...lowered.diagnostics];
    mustBeSound('transition graph', () => verifyTransitions(transitions, planning.memo.sorted));
    mustBeSound('runtime graph', () => verifyRuntime(runtime, { transitions, fits: !found.some(isError) }));
    const unmet = checkExpectations(plan, runtime, transitions);
    return { logical, sharded, transitions, runtime, diagnostics: [...found, ...unmet] };
  };
  return { pools, transitions, hostPages, diagnostics: [...foundBefore, ...laidOut.diagnostics], rest };
}

/** What searches look at of a compiled plan. */
export interface CompiledCandidate extends Pick<LaidOutPlan, 'pools' | 'transitions' | 'hostPages'> {
  readonly diagnostics: readonly Diagnostic[];
  /** The graph, lowered when it is first asked for: most candidates lose by the room that they have for KV. */
  readonly runtime: () => RuntimeGraph;
}

export type PlanCompiler = (plan: Plan) => CompiledCandidate;

/**
 * A compiler for searches: of plans for one model over one topology, which it does not verify. What it has worked out
 * for one of them it does not work out again for others that are laid out alike.
 */
export function createPlanCompiler(): PlanCompiler {
  const memory = createSearchMemory();
  return (plan) => {
    // What is expected is of the whole plan, and of the bytes that it moves.
    const isJudged = (plan.expectations ?? []).length > 0;
    const { pools, transitions, hostPages, rest, ...half } = compileMemory(plan, {
      verify: false,
      memory,
      reshards: isJudged,
    });
    let whole: CompileResult | undefined;
    const compiled = (): CompileResult => (whole ??= rest());
    const diagnostics = isJudged ? compiled().diagnostics : half.diagnostics;
    return { pools, transitions, hostPages, diagnostics, runtime: () => compiled().runtime };
  };
}

const NO_TRANSITIONS: TransitionGraph = { weights: [], kv: [], kvCosts: [], holdings: {} };

function emptyGraph(plan: Plan): RuntimeGraph {
  return {
    format: RUNTIME_GRAPH_FORMAT,
    version: RUNTIME_GRAPH_VERSION,
    plan: plan.name,
    model: plan.model,
    devices: [],
    stages: [],
    pools: [],
    kv: {
      pageTokens: plan.kv.pageTokens,
      dtype: plan.kv.dtype,
      edges: [],
      costs: { prefillToken: 0, hostPage: 0, diskPage: 0 },
    },
    flow: { stages: [], rules: [] },
    transitions: [],
  };
}

function isError(diagnostic: Diagnostic): boolean {
  return diagnostic.severity === 'error';
}

function throwUnlessSound(level: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const shown = problems.slice(0, 10).map((problem) => `\n  ${problem}`);
  throw new Error(`the compiler made a bad ${level}:${shown.join('')}`);
}
