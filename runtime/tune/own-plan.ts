/**
 * The plan that a search began from beside what it found: the search has ways of its own to lay a model out, and estimates
 * may leave the plan out.
 */
import { defaultRules, showCondition } from '../../compiler/check/plan/flow.js';
import { TP_DIMS } from '../../compiler/check/plan/sharding.js';
import type { CompileResult } from '../../compiler/compile.js';
import type { FlowRule, Plan, Stage } from '../../compiler/plan/plan.js';
import { findCandidates, hostKvBytes, type Candidate } from '../../compiler/planner/candidates.js';
import { simulateInParts } from '../clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../clock/simulation.js';
import { FURTHEST_OVER } from './estimate-margins.js';
import type { TuneOptions } from './search.js';
import { answersAll, upToContext, type Goal } from './trial.js';
import { tuneInParts } from './tune.js';

/**
 * Whether a search among all strategies tries the stages and rules of the plan, sizes aside: what it holds against others is
 * then their sizes alone.
 */
export function isTried(plan: Plan): boolean {
  const { stages } = plan;
  if (!hasUsualRules(plan) || !stages.every(isUsual)) return false;
  return findCandidates(plan).some(
    (candidate) =>
      candidate.stages.length === stages.length &&
      candidate.stages.every((stage, place) => isLaidOutAs(stage, stages[place]!)),
  );
}

/** Its rules are those that it would have without any of its own. */
function hasUsualRules({ stages, flow, kv }: Plan): boolean {
  const shown = (rules: readonly FlowRule[]): string =>
    rules
      .map(({ to, when }) => `${to} ${showCondition(when)}`)
      .sort()
      .join();
  return shown(flow.rules) === shown(defaultRules(flow.stages, [], { stages, kv }));
}

/** Nothing is said of it but its mesh. */
function isUsual({ sharding: { onTp, kvReplicas }, overrides, mesh }: Stage): boolean {
  return (mesh.tp === 1 || onTp.length === TP_DIMS.length) && kvReplicas === 1 && overrides.length === 0;
}

function isLaidOutAs(a: Stage, b: Stage): boolean {
  return (
    a.mesh.dp === b.mesh.dp &&
    a.mesh.pp === b.mesh.pp &&
    a.mesh.tp === b.mesh.tp &&
    a.phases.join() === b.phases.join() &&
    a.layerSplit.join() === b.layerSplit.join() &&
    a.devices.join() === b.devices.join()
  );
}

/** The one of candidates that is the plan itself, which has a layout that is tried, with its sizes and its room for KV in the host. */
export function candidateOf(plan: Plan, candidates: readonly Candidate[]): Candidate | undefined {
  const { stages } = plan;
  return candidates.find(
    (candidate) =>
      candidate.stages.length === stages.length &&
      candidate.stages.every((stage, place) => hasSizesOf(stage, stages[place]!)) &&
      candidate.stages.every((stage, place) => isLaidOutAs(stage, stages[place]!)) &&
      hostKvBytes(candidate.base) === hostKvBytes(plan),
  );
}

function hasSizesOf(a: Stage, b: Stage): boolean {
  return (
    (!a.phases.includes('prefill') || a.microbatchTokens === b.microbatchTokens) &&
    (!a.phases.includes('decode') || a.batchRequests === b.batchRequests)
  );
}

/** What a plan is to be better than, and in what. */
type Wanted = Exclude<Goal, { kind: 'front' }>;

/**
 * Simulates a plan that a search may have left out, with pauses; undefined where it does not do what is wanted, or is no
 * better than the best that was found. Where estimates decide and throughput is wanted it goes out as soon as these show that
 * it is behind by more than they are off by (`FURTHEST_OVER`), and otherwise as soon as its bound shows that it is behind.
 *
 * @param best absent where none was found
 */
export function* betterThanFound(
  candidate: Candidate,
  requests: readonly SimulatedRequest[],
  {
    goal,
    survey,
    byEstimate = false,
  }: Pick<TuneOptions, 'survey' | 'byEstimate'> & { readonly goal: Wanted },
  best: Simulation | undefined,
): Generator<void, Simulation | undefined> {
  const search = tuneInParts([candidate], requests, {
    goal,
    ...(survey && { survey }),
    ...(goal.kind === 'throughput' &&
      best !== undefined && { byEstimate, within: best.makespan * (byEstimate ? 1 + FURTHEST_OVER : 1) }),
  });
  let part = search.next();
  for (; !part.done; part = search.next()) yield;
  const own = part.value.ranked[0]?.simulation;
  return own !== undefined && isBetter(own, best, goal) ? own : undefined;
}

/**
 * Simulates a plan that a search does not try, with pauses; undefined where it does not answer all requests, or is no better
 * than the best that was found.
 *
 * @param best absent where none was found
 */
export function* betterAsItIs(
  plan: Plan,
  { runtime }: Pick<CompileResult, 'runtime'>,
  requests: readonly SimulatedRequest[],
  goal: Wanted,
  best: Simulation | undefined,
): Generator<void, Simulation | undefined> {
  const by = goal.kind === 'throughput' && best !== undefined ? best.makespan : Infinity;
  const whole = upToContext(plan, requests);
  const own = yield* simulateInParts(runtime, plan, whole, {}, ({ now }) => now < by);
  if (own === undefined || !answersAll(own, whole)) return undefined;
  if (goal.kind === 'latency' && own.requests.finished / own.makespan < goal.floor) return undefined;
  return isBetter(own, best, goal) ? own : undefined;
}

function isBetter(own: Simulation, best: Simulation | undefined, goal: Wanted): boolean {
  const figure = ({ makespan, latency }: Simulation): number =>
    goal.kind === 'latency' ? latency.betweenTokens : makespan;
  return best === undefined || figure(own) < figure(best);
}
