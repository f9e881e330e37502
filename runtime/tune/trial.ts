/**
 * The trial of a candidate: its run of the workload on the clock, which is given up as soon as what is left of it shows
 * that it is done too late.
 */
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { LaidOutPlan } from '../../compiler/passes/lower.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { PlanBound } from '../../compiler/planner/bound.js';
import type { Candidate } from '../../compiler/planner/candidates.js';
import { kvView } from '../../compiler/model/kv-window.js';
import { demandOf, type Demand } from '../../compiler/planner/demand.js';
import { simulateInParts } from '../clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../clock/simulation.js';
import { newTokensWithin } from '../scheduler/limits.js';
import type { TransitionMode } from '../scheduler/types.js';
import { createWorkLeft } from './work-left.js';

/**
 * What is wanted of a plan.
 * - `throughput`: all requests done as soon as can be
 * - `latency`: least time between tokens, of plans that reach so many requests per second
 * - `front`: plans than which no other has both more throughput and less time between tokens: every one, or where
 *   estimates decide, in steps
 */
export type Goal =
  | { readonly kind: 'throughput' }
  | { readonly kind: 'latency'; readonly floor: number }
  | { readonly kind: 'front' };

/** What all trials of a search have in common. */
export interface TrialSetting {
  readonly engine: EngineModel;
  readonly transitions: TransitionMode;
  readonly goal: Goal;
  /** Seconds that a plan must take less than to be of interest. */
  readonly within: number;
  /** Whether what takes longer by its estimate is given up; else what is sure to take longer alone. */
  readonly byEstimate: boolean;
  readonly requests: readonly SimulatedRequest[];
  /** Of those requests. */
  readonly demand: Demand;
}

export interface Trial {
  readonly candidate: Candidate;
  readonly plan: Plan;
  /** The plan, compiled. */
  readonly runtime: RuntimeGraph;
  /** What its bound hangs on. */
  readonly laidOut: Pick<LaidOutPlan, 'pools' | 'transitions'>;
  /** Of the compiled plan. */
  readonly bound: PlanBound;
  /** Seconds by which it must be done to matter. */
  readonly by: number;
}

/** What came of a trial; `unfit` where some request cannot be served. */
export type TrialOutcome = Simulation | 'unfit' | 'givenUp';

/** How a trial ended. */
export interface TrialEnd {
  readonly outcome: TrialOutcome;
  /** Whether the batch of decode was ever full: one that never was could be larger and nothing would have changed. */
  readonly reachedBatch: boolean;
  /** What was left of the workload, and when, where it was given up midway. */
  readonly left?: { readonly now: number; readonly demand: Demand };
}

export interface EndedTrial extends TrialEnd {
  readonly trial: Trial;
}

/** What sums of many small numbers may be off by. */
export const ROUNDING = 1e-9;

export function isLate(seconds: number, by: number): boolean {
  return seconds * (1 - ROUNDING) >= by;
}

/** What estimates are too long by at most, as a rule. */
const OVERESTIMATED = 0.006;

/**
 * What close ones are too short by, mostly: nine in ten of some 400 plans for the paper's machines, models and workloads take
 * longer by more, and the median by 0.6%.
 */
const CLOSELY_SHORT = 0.003;

/** Seconds that a plan takes no less than, as a rule, by its estimate. */
export function ratherShort(estimate: number): number {
  return estimate * (1 - OVERESTIMATED);
}

/** Seconds that a plan takes no less than, mostly, by its close estimate. */
export function mostlyLonger(estimate: number): number {
  return estimate * (1 + CLOSELY_SHORT);
}

/** Seconds that what is left of a workload takes, for whoever asks whether it can be done in time. */
export function secondsLeft(bound: PlanBound, demand: Demand, byEstimate: boolean): number {
  if (!byEstimate) return bound.least(demand, true);
  const close = bound.closely(demand, true);
  return close === undefined ? ratherShort(bound.estimate(demand, true)) : mostlyLonger(close.seconds);
}

/** Steps between two looks at whether a simulation has a chance left. */
const LOOK_EVERY = 50;

/** And where estimates decide, of which each takes as long as many steps, the part of the time that a plan has. */
const LEAST_BETWEEN = 0.01;

/** Carries out a trial, with pauses. */
export function* trialInParts(
  { plan, runtime, bound, by }: Trial,
  { engine, transitions, goal, within, byEstimate, requests, demand }: TrialSetting,
): Generator<void, TrialEnd> {
  const left = createWorkLeft(requests, demand);
  let steps = 0;
  // But for KV that is dropped, what is left takes no longer as time passes: until then hardly anything has become late,
  // and what has is seen then.
  let notBefore = -Infinity;
  let reachedBatch = (): boolean => false;
  let givenUp: TrialEnd['left'];
  const simulation = yield* simulateInParts(
    runtime,
    plan,
    requests,
    { engine, transitions },
    ({ items, now, dropped, reachedBatch: reached }) => {
      reachedBatch = reached;
      left.count(items);
      if (++steps % LOOK_EVERY !== 0 || now < notBefore) return true;
      const ahead = left.demand(dropped());
      const seconds = secondsLeft(bound, ahead, byEstimate);
      notBefore = Math.max(by - seconds, byEstimate ? now + by * LEAST_BETWEEN : 0);
      if (!isLate(now + seconds, by)) return true;
      givenUp = { now, demand: ahead };
      return false;
    },
  );
  const outcome = outcomeOf(simulation, { goal, within, by, requests });
  return { outcome, reachedBatch: reachedBatch(), ...(givenUp && { left: givenUp }) };
}

function outcomeOf(
  simulation: Simulation | undefined,
  { goal, within, by, requests }: Pick<TrialSetting, 'goal' | 'within' | 'requests'> & Pick<Trial, 'by'>,
): TrialOutcome {
  if (simulation === undefined || simulation.makespan >= within) return 'givenUp';
  if (goal.kind === 'latency' && simulation.makespan > by) return 'givenUp';
  return answersAll(simulation, requests) ? simulation : 'unfit';
}

/** Lengths as every plan runs them: a sequence ends with the context. */
export function upToContext(
  { model: { shape } }: Pick<Plan, 'model'>,
  requests: readonly SimulatedRequest[],
): readonly SimulatedRequest[] {
  return requests.map((request) => ({
    ...request,
    outputTokens: newTokensWithin(shape.context, request.promptTokens, request.outputTokens),
  }));
}

/** What a plan is to run: requests as `upToContext` has them, and what they come to. */
export function workloadOf(
  plan: Pick<Plan, 'model' | 'kv'>,
  requests: readonly SimulatedRequest[],
): Pick<TrialSetting, 'requests' | 'demand'> {
  const whole = upToContext(plan, requests);
  return { requests: whole, demand: demandOf(whole, kvView(plan.model.shape, plan.kv.pageTokens)) };
}

/** Whether every request was answered, and as long as it was to be. */
export function answersAll(
  { requests: { rejected }, tokens }: Simulation,
  requests: readonly SimulatedRequest[],
): boolean {
  const wanted = requests.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
  return rejected === 0 && tokens.output === wanted;
}
