/**
 * Expectations that only a run can tell, told beforehand by the clock: transitions, time, and all bytes of an edge under
 * a workload. What is simulated is what runs, but times are predictions.
 */
import { report } from '../../compiler/diagnostics/catalogue.js';
import type { Diagnostic } from '../../compiler/diagnostics/diagnostic.js';
import type { Bound } from '../../compiler/passes/judge-expectation.js';
import type { Workload } from '../../compiler/plan/workload.js';
import { simulate } from '../clock/simulate.js';
import type { SimulatedRequest } from '../clock/simulation.js';
import { schedulerConfig } from '../engine/scheduler-config.js';
import { newTokensWithin, rejection } from '../scheduler/limits.js';
import type { SchedulerConfig } from '../scheduler/types.js';
import { createTimeline, type TimedSlice } from '../clock/timeline.js';
import type { TraceLane } from '../trace/tracer.js';
import { isOfWholeRun, judgeObserved, type Compiled } from './judge-observed.js';
import { observeMoves } from './observed.js';

/** The workloads under which the plan has to be simulated: those it names, and all of its file where it names none. */
export function workloadsExpected(
  { plan }: Pick<Compiled, 'plan'>,
  ofFile: readonly Workload[],
): readonly Workload[] {
  const ofRun = (plan.expectations ?? []).filter(isOfRun);
  const named = ofRun.flatMap(({ workload }) => workload ?? []);
  const wanted = ofRun.some(({ workload }) => workload === undefined) ? [...ofFile, ...named] : named;
  return wanted.filter((each, index) => index === wanted.findIndex((other) => sameWorkload(each, other)));
}

function isOfRun(expectation: NonNullable<Compiled['plan']['expectations']>[number]): expectation is Bound {
  return expectation.kind === 'bound' && isOfWholeRun(expectation);
}

/** Workloads are told apart by where they are declared: imports may rename them. */
export function sameWorkload(a: Workload, b: Workload): boolean {
  return a.origin.file === b.origin.file && a.origin.span.start === b.origin.span.start;
}

/** Diagnostics for what the plan expects of a run and does not keep under one workload. */
export function checkSimulated(
  compiled: Compiled,
  workload: Workload,
  requests: readonly SimulatedRequest[],
): readonly Diagnostic[] {
  const timeline = createTimeline(tellsOfMoves);
  simulate(compiled.runtime, compiled.plan, requests, { timeline });
  const isOf = (other: Workload): boolean => sameWorkload(workload, other);
  return judgeSimulated(compiled, { name: workload.name, requests, slices: timeline.slices(), isOf });
}

/** Whether the plan expects anything that only a run, or a simulation, can tell. */
export function expectsOfRuns({ expectations = [] }: Pick<Compiled['plan'], 'expectations'>): boolean {
  return expectations.some(isOfRun);
}

/** A simulation that has been made. */
export interface SimulatedWorkload {
  /** Of the requests. */
  readonly name: string;
  readonly requests: readonly SimulatedRequest[];
  /** Those within others are not looked at. */
  readonly slices: readonly TimedSlice[];
  readonly isOf: (workload: Workload) => boolean;
}

/**
 * The same for a simulation that has been made. Of a workload that the plan has no room for it keeps nothing, whatever the
 * rest of it takes.
 */
export function judgeSimulated(
  compiled: Compiled,
  { name, requests, slices, isOf }: SimulatedWorkload,
): readonly Diagnostic[] {
  const expectations = (compiled.plan.expectations ?? []).filter(isOfRun);
  const config = schedulerConfig(compiled.runtime, 'dataflow');
  const unheld = requests.filter((request) => lacksRoom(config, request));
  if (unheld.length > 0) {
    const concerned = expectations.find(({ workload }) => workload === undefined || isOf(workload));
    if (concerned === undefined) return [];
    const past = unheld.filter(({ promptTokens }) => promptTokens > config.context).length;
    const counts = { unheld: unheld.length, requests: requests.length };
    return [notHeld(concerned, { workload: name, ...counts }, past, config.context)];
  }
  const observed = observeMoves(
    compiled.runtime,
    slices.map(({ lane, name: what, start, end, args = {} }) => ({ ...lane, name: what, start, end, args })),
  );
  const verdicts = judgeObserved({ ...compiled, plan: { ...compiled.plan, expectations } }, observed, {
    seen: ` for workload ${name}, simulated`,
    isOf,
  });
  return verdicts.flatMap((verdict) => (verdict.kind === 'broken' ? [verdict.diagnostic] : []));
}

/**
 * Whether a plan can never hold a request as far as the model's context lets it go: an answer ends with that, and no plan
 * holds a prompt that is longer.
 */
function lacksRoom(config: SchedulerConfig, { promptTokens, outputTokens }: SimulatedRequest): boolean {
  const maxNewTokens = newTokensWithin(config.context, promptTokens, outputTokens);
  return rejection(config, { id: 0, promptTokens, maxNewTokens }) !== undefined;
}

/** @param past those of the requests whose prompts are longer than the context of the model */
function notHeld(
  { origin: primary, workload: declared }: Bound,
  facts: { readonly workload: string; readonly unheld: number; readonly requests: number },
  past: number,
  context: number,
): Diagnostic {
  const longer = `the prompts of ${past} of them are longer than the context of the model, ${context} tokens: no plan holds these`;
  const room = 'more room for KV, or a larger tier that prefill hands over through, holds longer requests';
  return report('workload-not-held', facts, {
    primary,
    related: declared === undefined ? [] : [{ ...declared.origin, label: 'with lengths as it has them' }],
    helps: [...(past > 0 ? [longer] : []), ...(past < facts.unheld ? [room] : [])],
  });
}

/** The lanes that `judgeSimulated` looks at: those that have no steps, of which there are very many. */
export function tellsOfMoves({ thread }: TraceLane): boolean {
  return thread !== 'queue';
}
