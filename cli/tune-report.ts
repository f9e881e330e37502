/** What the tuner found, for people and for machines. */
import type { Mesh, Stage } from '../compiler/plan/plan.js';
import { formatBytes } from '../compiler/check/units.js';
import { hostKvBytes, type Strategy } from '../compiler/planner/candidates.js';
import type { Tuned, TuneResult } from '../runtime/tune/tune.js';
import { formatCount, formatSeconds, formatTable, plural } from './format.js';

interface TunedPlanReport {
  readonly strategy: Strategy;
  readonly label: string;
  readonly stages: readonly {
    readonly stage: string;
    readonly mesh: Mesh;
    readonly devices: readonly number[];
    readonly microbatchTokens: number;
    readonly batchRequests: number;
  }[];
  /** Bytes of KV in the host tier at most; absent where the plan has none. */
  readonly hostKvBytes?: number;
  readonly requestsPerSecond: number;
  readonly tokensPerSecond: number;
  readonly makespan: number;
  readonly meanCompletion: number;
  readonly betweenTokens: number;
  readonly meanDecodeBatch: number;
  readonly transitions: number;
  /** No other plan is better in throughput or time between tokens and as good in the other. */
  readonly pareto: boolean;
}

export interface TunedReport {
  readonly plans: readonly TunedPlanReport[];
  readonly pruned: number;
  readonly unfit: number;
}

export function tunedReport({ ranked, pruned, unfit }: TuneResult): TunedReport {
  return { plans: ranked.map((tuned) => planReport(tuned, ranked)), pruned, unfit };
}

function planReport(tuned: Tuned, all: readonly Tuned[]): TunedPlanReport {
  const { candidate, simulation } = tuned;
  const { makespan, requests, tokens, latency, meanDecodeBatch, transitions } = simulation;
  const dominated = all.some(
    ({ simulation: other }) =>
      other.makespan <= makespan &&
      other.latency.betweenTokens <= latency.betweenTokens &&
      (other.makespan < makespan || other.latency.betweenTokens < latency.betweenTokens),
  );
  const hostKv = hostKvBytes(candidate.plan);
  return {
    strategy: candidate.strategy,
    label: candidate.label,
    stages: candidate.plan.stages.map(stageReport),
    ...(hostKv !== undefined && { hostKvBytes: hostKv }),
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

/** A table of the best; a star marks those that no other beats in throughput and in time between tokens. */
export function describeTuned(result: TuneResult, top: number): string {
  const { plans, pruned, unfit } = tunedReport(result);
  const rest = [
    ...(pruned > 0 ? [`${plural(pruned, 'plan')} could not win by their bounds`] : []),
    ...(unfit > 0 ? [`${plural(unfit, 'plan')} would not fit`] : []),
  ].join(', ');
  if (plans.length === 0) return `no plan fits${rest === '' ? '' : `: ${rest}`}`;
  const best = plans[0]!;
  const rows = plans
    .slice(0, top)
    .map((plan) => [
      plan.pareto ? '*' : '',
      plan.strategy,
      plan.label,
      String(plan.stages[0]!.microbatchTokens),
      String(plan.stages.at(-1)!.batchRequests),
      plan.hostKvBytes === undefined ? '' : formatBytes(plan.hostKvBytes),
      plan.requestsPerSecond.toPrecision(3),
      formatCount(plan.tokensPerSecond),
      formatSeconds(plan.makespan),
      `${(plan.betweenTokens * 1000).toFixed(1)} ms`,
      plan.meanDecodeBatch.toFixed(1),
      String(plan.transitions),
      `${(plan.requestsPerSecond / best.requestsPerSecond).toFixed(2)}x`,
    ]);
  const heading = [
    '',
    'strategy',
    'meshes',
    'microbatch',
    'batch',
    'host KV',
    'requests/s',
    'tokens/s',
    'time',
    'between tokens',
    'decode batch',
    'transitions',
    'of best',
  ];
  const table = formatTable(
    [heading, ...rows],
    [false, false, false, true, true, true, true, true, true, true, true, true, true],
  );
  const note = '* no other has more throughput and less time between tokens';
  return [table, note, ...(rest === '' ? [] : [rest])].join('\n');
}
