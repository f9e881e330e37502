/** What plans expect of runs, held against simulations beforehand and against what a run was seen to do. */
import { realpathSync } from 'node:fs';
import { sift } from '../compiler/check/allowances.js';
import { canRun, type CompiledPlan } from '../compiler/check-and-compile.js';
import type { Diagnostic } from '../compiler/diagnostics/diagnostic.js';
import { showExpectation } from '../compiler/plan/print-plan.js';
import type { Workload } from '../compiler/plan/workload.js';
import { requestsFile } from '../runtime/clock/lengths-file.js';
import { judgeObserved, type Verdict } from '../runtime/expectations/judge-observed.js';
import { observeTrace, type Observed } from '../runtime/expectations/observed.js';
import { checkSimulated, workloadsExpected } from '../runtime/expectations/simulate-expectations.js';
import { RuntimeFailure } from '../runtime/failure.js';
import type { TraceOrProblem } from '../runtime/trace/read-trace.js';
import { formatTable, indent } from './format.js';
import { reportDiagnostics, type CheckedFile } from './load-plan.js';
import type { PlanRun } from './run-plan.js';
import { err, type Terminal } from './terminal.js';
import { requestsOf } from './workloads.js';

/**
 * What simulations of compiled plans find, as far as the plans expect something of a run. Requests that cannot be read
 * are told on the terminal.
 */
export function simulateExpectations(
  compiled: readonly CompiledPlan[],
  workloads: readonly Workload[],
  terminal: Terminal,
): readonly Diagnostic[] {
  const able = compiled.filter(({ result }) => canRun(result));
  return able.flatMap((each) => simulated(each, workloads, terminal));
}

function simulated(
  { plan, result }: CompiledPlan,
  workloads: readonly Workload[],
  terminal: Terminal,
): readonly Diagnostic[] {
  const compiled = { plan, runtime: result.runtime, transitions: result.transitions };
  return workloadsExpected(compiled, workloads).flatMap((workload) => {
    const requests = requestsOf(workload, plan.model.shape.context);
    if (requests.kind === 'requests') return checkSimulated(compiled, workload, requests.requests);
    err(terminal, `what plan ${plan.name} expects of ${workload.name} is not checked: ${requests.message}`);
    return [];
  });
}

export type JudgedTrace =
  | { readonly kind: 'judged'; readonly plan: string; readonly verdicts: readonly Verdict[] }
  /** There is no sound plan of the name that is wanted, and another has to be named; the message is complete. */
  | { readonly kind: 'usage'; readonly wanted: unknown; readonly message: string }
  | { readonly kind: 'unusable'; readonly failure: RuntimeFailure };

/**
 * Verdicts on the plan that a trace is a run of.
 *
 * @param read what is in the file
 * @param name the plan, where the trace is to be held against another one than it names
 */
export function judgeTrace(
  path: string,
  read: TraceOrProblem,
  compiled: readonly CompiledPlan[],
  name: string | undefined,
): JudgedTrace {
  const unusable = (why: string): JudgedTrace => {
    return { kind: 'unusable', failure: new RuntimeFailure('FC0924', why, { subject: path }) };
  };
  if (read.kind === 'problem') return unusable(read.why);
  const { about } = read.trace;
  const wanted = name ?? about['plan'];
  const plan = compiled.find((each) => each.plan.name === wanted);
  if (plan === undefined) {
    const names = compiled.map((each) => each.plan.name).join(', ') || 'none';
    const message = `${path} is a run of plan ${String(about['plan'])}: choose one of the file with --plan (${names})`;
    return { kind: 'usage', wanted, message };
  }
  const observed = observeTrace(plan.result.runtime, read.trace);
  if (typeof observed === 'string')
    return unusable(`${path} is no run of plan ${plan.plan.name}: ${observed}`);
  const requests = typeof about['requests'] === 'string' ? about['requests'] : undefined;
  return { kind: 'judged', plan: plan.plan.name, verdicts: judgeRun(plan, observed, requests) };
}

/** What the figures of a run tell where it left no trace. */
export function observedRun({
  stats,
  seconds,
  summary,
  limited,
}: Pick<PlanRun, 'stats' | 'seconds' | 'summary' | 'limited'>): Observed {
  return {
    ...(limited !== undefined && { limited }),
    isRest: summary.resumed > 0,
    transitions: { count: stats.transitions },
    peaks: stats.plannedPeak,
    seconds,
  };
}

/**
 * Verdicts on what a plan expects, against a run.
 *
 * @param requests file of the requests that were run, or the name of the workload that was simulated
 */
export function judgeRun(
  { plan, result: { runtime, transitions } }: CompiledPlan,
  observed: Observed,
  requests: string | undefined,
): readonly Verdict[] {
  return judgeObserved({ plan, runtime, transitions }, observed, {
    seen: ' in the run',
    isOf: ({ name, requests: declared }) =>
      requests !== undefined &&
      (declared.kind === 'file' ? samePath(requestsFile(declared), requests) : name === requests),
  });
}

function samePath(a: string, b: string): boolean {
  try {
    return realpathSync(a) === realpathSync(b);
  } catch {
    return false;
  }
}

/** Diagnostics of the verdicts that are broken. */
export function brokenBy(verdicts: readonly Verdict[]): readonly Diagnostic[] {
  return verdicts.flatMap((verdict) => (verdict.kind === 'broken' ? [verdict.diagnostic] : []));
}

/** Prints what became of the expectations of a run; false when an error is among them. */
export function reportVerdicts(
  verdicts: readonly Verdict[],
  { render, allowances }: Pick<CheckedFile, 'render' | 'allowances'>,
  terminal: Terminal,
): boolean {
  err(terminal, `expectations of the plan\n${indent(describeVerdicts(verdicts))}`);
  return reportDiagnostics(terminal, sift(brokenBy(verdicts), allowances).kept, render);
}

/** The verdicts as a table, one line each. */
export function describeVerdicts(verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return 'it expects nothing';
  return formatTable(
    verdicts.map((verdict) => [
      showExpectation(verdict.expectation),
      verdict.kind === 'unknown' ? `not known: ${verdict.why}` : `${verdict.kind}, ${verdict.figure}`,
    ]),
  );
}

/** The `--json` form of verdicts. */
export function verdictsJson(verdicts: readonly Verdict[]): readonly Readonly<Record<string, unknown>>[] {
  return verdicts.map((verdict) => ({
    expectation: showExpectation(verdict.expectation),
    verdict: verdict.kind,
    ...(verdict.kind === 'unknown' ? { why: verdict.why } : { figure: verdict.figure }),
  }));
}
