/**
 * The trial of a candidate: its run of the workload on the clock, which is given up as soon as what is left of it shows
 * that it is done too late.
 */
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { LaidOutPlan } from '../../compiler/passes/lower.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { PlanBound } from '../../compiler/planner/bound.js';
import type { Candidate, Strategy } from '../../compiler/planner/candidates.js';
import { kvView } from '../../compiler/model/kv-window.js';
import { demandOf, type Demand } from '../../compiler/planner/demand.js';
import { simulateInParts } from '../clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../clock/simulation.js';
import { newTokensWithin } from '../scheduler/limits.js';
import type { TransitionMode } from '../scheduler/types.js';
import type { Bounded } from './closer-look.js';
import {
  CLOSELY_OVER,
  FILLED_OVER,
  LAST_FILLED_OVER,
  LITTLE_LEFT,
  REPLICAS_OVER,
  ROUGHLY_OVER,
} from './estimate-margins.js';
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
  /** Whether a plan that takes longer by its estimate is given up; otherwise only one that certainly takes longer. */
  readonly byEstimate: boolean;
  readonly requests: readonly SimulatedRequest[];
  /** What the requests ask for together. */
  readonly demand: Demand;
}

/** A candidate to be simulated. */
export interface Trial {
  readonly candidate: Candidate;
  readonly plan: Plan;
  /** The plan, compiled. */
  readonly runtime: RuntimeGraph;
  /** What its bound depends on. */
  readonly laidOut: Pick<LaidOutPlan, 'pools' | 'transitions'>;
  /** The bound of the compiled plan. */
  readonly bound: PlanBound;
  /** Seconds by which it must be done to matter. */
  readonly by: number;
}

/** What came of a trial; `unfit` where some request cannot be served. */
export type TrialOutcome = Simulation | 'unfit' | 'givenUp';

/** Where a simulation was given up, or may be given up. */
export interface Midway {
  /** Seconds on the clock. */
  readonly now: number;
  /** What is left of the workload. */
  readonly demand: Demand;
}

/** How a trial ended. */
export interface TrialEnd {
  readonly outcome: TrialOutcome;
  /** Whether the batch of decode kept a sequence out: one that never did could be larger and nothing would have changed. */
  readonly reachedBatch: boolean;
  /** What was left of the workload, and when, where it was given up midway. */
  readonly left?: Midway;
  /**
   * Where it was given up midway: by which part of the time that it had (`by`) it would have been late, as far as was
   * known then.
   */
  readonly late?: number;
}

/** A trial with how it ended. */
export interface EndedTrial extends TrialEnd {
  readonly trial: Trial;
}

/** Part by which sums of many small numbers may be off. */
export const ROUNDING = 1e-9;

/** Whether so many seconds are too many to be done by `by`, and not by rounding alone. */
export function isLate(seconds: number, by: number): boolean {
  return seconds * (1 - ROUNDING) >= by;
}

/** Seconds that a plan takes no less than, as far as estimates are known to be too long; 0 before it is estimated. */
export function leastByEstimate({
  candidate: { strategy, stages },
  estimate,
  estimated,
  timesFilled,
}: Pick<Bounded, 'candidate' | 'estimate' | 'estimated' | 'timesFilled'>): number {
  if (estimated === undefined) return 0;
  return (
    estimate * (1 - (estimated === 'closely' ? closelyOver(stages) : roughlyOver(strategy, timesFilled)))
  );
}

/** What rough estimates of plans are reckoned to be too long by. */
function roughlyOver(strategy: Strategy, timesFilled: number | undefined): number {
  return Math.max(ROUGHLY_OVER[strategy], filledOver(strategy, timesFilled));
}

/** What they are too long by where pages say how many sequences decode at once. */
function filledOver(strategy: Strategy, timesFilled: number | undefined): number {
  if (strategy === 'disaggregated' || timesFilled === undefined) return 0;
  return Math.min(FILLED_OVER, LAST_FILLED_OVER / timesFilled);
}

/** What close estimates of plans with such stages are reckoned to be too long by. */
function closelyOver(stages: Candidate['stages']): number {
  return stages.at(-1)!.mesh.dp > 1 ? REPLICAS_OVER : CLOSELY_OVER;
}

/**
 * Seconds that a plan may still lose and be done by `by`: none or less where it cannot be, as far as is known. Infinite
 * where estimates decide and little is left.
 */
export function secondsToSpare(
  { now, demand }: Midway,
  { bound, candidate: { strategy, stages } }: Pick<Trial, 'bound' | 'candidate'>,
  by: number,
  byEstimate: boolean,
): number {
  if (!byEstimate) return by - (now + bound.least(demand, true)) * (1 - ROUNDING);
  const { closely, roughly, timesFilled } = bound.estimate;
  const left =
    closely(demand, true)?.seconds ?? roughly(demand, true) * (1 - filledOver(strategy, timesFilled(demand)));
  return left < by * LITTLE_LEFT ? Infinity : by * (1 + closelyOver(stages)) - now - left;
}

/** Steps between two looks at whether a simulation has a chance left. */
const LOOK_EVERY = 50;

/**
 * Least time between two looks where estimates decide, as a part of the time that a plan has: an estimate takes as long
 * as many steps.
 */
const LEAST_BETWEEN = 0.01;

/** Carries out a trial, with pauses. */
export function* trialInParts(
  trial: Trial,
  { engine, transitions, goal, within, byEstimate, requests, demand }: TrialSetting,
): Generator<void, TrialEnd> {
  const { plan, runtime, by } = trial;
  const left = createWorkLeft(requests, demand);
  let steps = 0;
  // But for KV that is dropped, what is left takes no longer as time passes: until then hardly anything has become late,
  // and what has is seen then.
  let notBefore = -Infinity;
  let reachedBatch = (): boolean => false;
  let givenUp: Pick<TrialEnd, 'left' | 'late'> | undefined;
  const simulation = yield* simulateInParts(
    runtime,
    plan,
    requests,
    { engine, transitions },
    ({ items, now, dropped, reachedBatch: reached }) => {
      reachedBatch = reached;
      left.count(items);
      if (++steps % LOOK_EVERY !== 0 || now < notBefore) return true;
      const midway = { now, demand: left.demand(dropped()) };
      const spare = secondsToSpare(midway, trial, by, byEstimate);
      notBefore = now + Math.max(spare, byEstimate ? by * LEAST_BETWEEN : 0);
      if (spare > 0) return true;
      givenUp = { left: midway, late: -spare / by };
      return false;
    },
  );
  const outcome = outcomeOf(simulation, { goal, within, by, requests });
  return { outcome, reachedBatch: reachedBatch(), ...givenUp };
}

/** What a trial of a simulation that was carried through comes to; undefined is one that was not. */
export function outcomeOf(
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
