/** Runs a batch of requests with a plan on this machine's devices, and says what came of it. */
import { resolve } from 'node:path';
import type { Verdict } from '../runtime/expectations/judge-observed.js';
import type { TransitionMode } from '../runtime/scheduler/types.js';
import { readTraceFile } from '../runtime/trace/read-trace.js';
import { interruptible, type CommandContext } from './command.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { judgeRun, judgeTrace, observedRun, reportVerdicts } from './expectations.js';
import { formatTable } from './format.js';
import { loadGraph } from './load-graph.js';
import { filesRead, type LoadedPlan } from './load-plan.js';
import type { MetricsTarget } from './metrics.js';
import { exitCodeOf, reportOutcome, runPlan, type PlanRun } from './run-plan.js';
import { runFigures } from './run-report.js';
import { runSummary, writeRunSummary } from './run-summary.js';
import { fail, out } from './terminal.js';

interface RunOptions {
  readonly plan?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly requests: string;
  readonly out: string;
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  readonly limit?: number;
  readonly ordered?: boolean;
  readonly prefixReuse: boolean;
  readonly model?: string;
  readonly transitions: TransitionMode;
  readonly verifyMoves?: boolean;
  readonly summary?: string;
  readonly trace?: string;
  readonly traceKernels?: boolean;
  readonly metrics?: string;
  readonly metricsPort?: number;
  readonly metricsHost?: string;
  readonly json?: boolean;
}

export async function runRequests(
  { terminal }: CommandContext,
  file: string,
  options: RunOptions,
): Promise<ExitCode> {
  if (options.traceKernels && options.trace === undefined) {
    fail(terminal, '--trace-kernels is about the file that --trace names');
    return EXIT.usage;
  }
  if (options.metricsHost !== undefined && options.metricsPort === undefined) {
    fail(terminal, '--metrics-host is about the port that --metrics-port names');
    return EXIT.usage;
  }
  const loaded = loadGraph(file, options, terminal);
  if (loaded.kind === 'failed') return loaded.exit;
  const { graph, source } = loaded;
  const run = await interruptible((signal) =>
    runPlan(
      {
        graph,
        planPath: file,
        ...(source && { readWithPlan: filesRead(source.checked), params: source.plan.params }),
        requestsPath: options.requests,
        resultsPath: options.out,
        start: options.resume ? 'resume' : options.overwrite ? 'overwrite' : 'new',
        signal,
        transitions: options.transitions,
        verifyMoves: options.verifyMoves === true,
        ordered: options.ordered === true,
        reusesPrefixes: options.prefixReuse,
        ...(options.trace === undefined ? {} : { tracePath: options.trace }),
        traceKernels: options.traceKernels === true,
        ...(options.summary === undefined ? {} : { summaryPath: options.summary }),
        ...metricsTarget(options),
        ...(options.limit === undefined ? {} : { limit: options.limit }),
        ...(options.model === undefined ? {} : { modelDirectory: options.model }),
      },
      terminal,
    ),
  );
  reportOutcome(run, options.out, terminal);
  const verdicts = source === undefined ? [] : judgeFinished(run, source, options);
  const summary = runSummary('run', options.out, run, graph, verdicts);
  out(terminal, options.json ? JSON.stringify(summary, null, 2) : formatTable(runFigures(run)));
  const kept =
    source === undefined || verdicts.length === 0 || reportVerdicts(verdicts, source.checked, terminal);
  // Last, as it may fail: all else has been said by then.
  if (options.summary !== undefined) writeRunSummary(options.summary, summary);
  const ended = exitCodeOf(run);
  if (ended !== EXIT.ok) return ended;
  if (!kept) return EXIT.diagnostics;
  return run.lacksReport ? EXIT.runtime : EXIT.ok;
}

/** Verdicts on what the plan expects of a run; none where the run was cut short, or had nothing to do. */
function judgeFinished(
  run: PlanRun,
  { plan, compiled }: LoadedPlan,
  { requests, trace }: RunOptions,
): readonly Verdict[] {
  const { isIdle, lacksReport } = run;
  const { interrupted, failure } = run.summary;
  if (isIdle || interrupted || failure !== undefined || (plan.expectations ?? []).length === 0) return [];
  const both = { plan, result: compiled };
  const traced =
    trace === undefined || lacksReport
      ? undefined
      : judgeTrace(trace, readTraceFile(trace), [both], plan.name);
  return traced?.kind === 'judged' ? traced.verdicts : judgeRun(both, observedRun(run), resolve(requests));
}

function metricsTarget({ metrics: path, metricsPort: port, metricsHost: host = '127.0.0.1' }: RunOptions) {
  if (path === undefined && port === undefined) return {};
  const target: MetricsTarget = {
    ...(path === undefined ? {} : { path }),
    ...(port === undefined ? {} : { address: { host, port } }),
  };
  return { metrics: target };
}
