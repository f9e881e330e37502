/** What the tuner found, for machines; `tune-text.ts` says it to people. */
import { carryingTier } from '../compiler/passes/kv-edges.js';
import { kvRoomIn } from '../compiler/passes/kv-places.js';
import type { Mesh, Plan, Stage } from '../compiler/plan/plan.js';
import {
  candidateLabel,
  type Candidate,
  type SizeChoices,
  type Strategy,
} from '../compiler/planner/candidates.js';
import type { Unheld } from '../compiler/planner/held-requests.js';
import type { TuneCounts, Tuned, TuneResult } from '../runtime/tune/search.js';
import type { TradeOff } from '../runtime/tune/trade-offs.js';
import type { Goal } from '../runtime/tune/trial.js';

/** A plan that was simulated to the end. */
export interface TunedPlanReport {
  readonly strategy: Strategy;
  readonly label: string;
  readonly stages: readonly {
    readonly stage: string;
    readonly mesh: Mesh;
    readonly devices: readonly number[];
    readonly microbatchTokens: number;
    readonly batchRequests: number;
  }[];
  /** The most bytes of KV in the host tier; absent where the plan has no such tier. */
  readonly hostKvBytes?: number;
  readonly requestsPerSecond: number;
  readonly tokensPerSecond: number;
  /** Seconds that the workload takes. */
  readonly makespan: number;
  /** Mean seconds to the last token of a request. */
  readonly meanCompletion: number;
  readonly betweenTokens: number;
  /** Mean sequences in a decode step. */
  readonly meanDecodeBatch: number;
  /** Number of changes of stage. */
  readonly transitions: number;
  /**
   * No other that was simulated to the end is better in throughput or time between tokens and as good in the other. Of
   * equals it is the first.
   */
  readonly pareto: boolean;
  /**
   * One of what was looked for, of all that was tried: the best, as many as were asked for, or of the front. Others were
   * simulated to the end by chance, and some that were not may well be better than they.
   */
  readonly wanted: boolean;
}

/** The plan that the search was for, as it is: its layout is none of those tried. */
export interface OwnPlan {
  readonly plan: string;
  readonly requestsPerSecond: number;
  readonly betweenTokens: number;
  /** The search left it out, by estimates or as what is tolerated; otherwise its layout is none of those tried. */
  readonly leftOut?: true;
}

/** What was looked for, and whether all of it was looked at. */
export interface Searched {
  readonly goal: Goal;
  /** How many of the best were looked for; where the goal is the front, all of it was. */
  readonly top: number;
  readonly sizes: SizeChoices;
  readonly strategies: readonly Strategy[];
  /** Whether plans went out by estimates, and not by bounds alone. */
  readonly byEstimate: boolean;
  /**
   * The part of what counts by which plans that went out may be better, by estimates or else by bounds; absent where it is none
   * by bounds, and for a front, which has steps instead.
   */
  readonly tolerance?: number;
  /** Plans can be estimated roughly alone, too roughly to show any that was not simulated. */
  readonly roughly?: boolean;
  /** Stopped before its end: better plans may be among those that nobody looked at. */
  readonly interrupted: boolean;
  /** Requests whose answers end with the context of the model, and not as the workload has them. */
  readonly cut: number;
  /** Where no plan fits: requests that none of them has room for, as far as that is known. */
  readonly unheld?: Unheld;
  /** Where no plan is as fast as asked: requests per second that none exceeds, by bounds. */
  readonly mostPromised?: number;
  /** The plan that was searched for, where no search tries its layout or it was left out, and it is better than what was found. */
  readonly own?: OwnPlan;
}

/** A plan with less time between tokens than the best, by its estimates: none that was simulated. */
export type TradeOffReport = Pick<
  TunedPlanReport,
  | 'strategy'
  | 'label'
  | 'stages'
  | 'hostKvBytes'
  | 'requestsPerSecond'
  | 'tokensPerSecond'
  | 'makespan'
  | 'betweenTokens'
>;

/** What a search has found, for machines. */
export interface TunedReport {
  readonly plans: readonly TunedPlanReport[];
  /**
   * Plans with less and less time between tokens than the best, none of them simulated: each the quickest of its kind,
   * as far as estimates tell.
   */
  readonly tradeOffs: readonly TradeOffReport[];
  readonly searched: Searched;
  readonly counts: TuneCounts;
  /**
   * Where plans with the most throughput were looked for, to the end, and estimates or what is tolerated left some out: seconds
   * that none of those takes less than, by proven bounds.
   */
  readonly leastLeftOut?: number;
}

/** What a search has found; trade-offs without those that it simulated. */
export function tunedReport(
  { ranked, counts, leastLeftOut }: TuneResult,
  searched: Searched,
  tradeOffs: readonly TradeOff[] = [],
): TunedReport {
  const { goal, top, interrupted } = searched;
  const plans = ranked.map((tuned, place) => {
    const report = planReport(tuned, place, ranked);
    const wanted = !interrupted && (goal.kind === 'front' ? report.pareto : place < top);
    return { ...report, wanted };
  });
  const [best] = ranked;
  return {
    plans,
    tradeOffs:
      best === undefined
        ? []
        : tradeOffs.filter((each) => !each.isSimulated).map((each) => tradeOffReport(each, best)),
    searched,
    counts,
    ...(goal.kind === 'throughput' && !interrupted && leastLeftOut < Infinity && { leastLeftOut }),
  };
}

/** @param best a plan that was simulated with the same workload */
function tradeOffReport(
  { candidate, seconds, betweenTokens }: TradeOff,
  { simulation: { requests, tokens } }: Tuned,
): TradeOffReport {
  return {
    ...layoutReport(candidate, { ...candidate.base, stages: candidate.stages }),
    requestsPerSecond: requests.finished / seconds,
    tokensPerSecond: (tokens.prompt + tokens.output) / seconds,
    makespan: seconds,
    betweenTokens,
  };
}

function layoutReport(
  candidate: Candidate,
  plan: Plan,
): Pick<TunedPlanReport, 'strategy' | 'label' | 'stages' | 'hostKvBytes'> {
  const host = carryingTier(plan);
  return {
    strategy: candidate.strategy,
    label: candidateLabel(candidate),
    stages: plan.stages.map(stageReport),
    ...(host !== undefined && { hostKvBytes: kvRoomIn(plan, host) }),
  };
}

/** @param place index of the plan among all that were simulated */
function planReport(tuned: Tuned, place: number, all: readonly Tuned[]): Omit<TunedPlanReport, 'wanted'> {
  const { candidate, plan, simulation } = tuned;
  const { makespan, requests, tokens, latency, meanDecodeBatch, transitions } = simulation;
  // Of equals the first alone is not dominated.
  const dominated = all.some(
    ({ simulation: other }, otherPlace) =>
      other.makespan <= makespan &&
      other.latency.betweenTokens <= latency.betweenTokens &&
      (other.makespan < makespan ||
        other.latency.betweenTokens < latency.betweenTokens ||
        otherPlace < place),
  );
  return {
    ...layoutReport(candidate, plan),
    requestsPerSecond: requests.finished / makespan,
    tokensPerSecond: (tokens.prompt + tokens.output) / makespan,
    makespan,
    meanCompletion: latency.completion,
    betweenTokens: latency.betweenTokens,
    meanDecodeBatch,
    transitions: transitions.count,
    pareto: !dominated,
  };
}

function stageReport(stage: Stage): TunedPlanReport['stages'][number] {
  const { name, mesh, devices, microbatchTokens, batchRequests } = stage;
  return { stage: name, mesh, devices, microbatchTokens, batchRequests };
}

/** Whether every candidate is sure not to fit. */
export function noneFits({ candidates, unfit, needless }: TuneCounts): boolean {
  return candidates > 0 && unfit + needless === candidates;
}
