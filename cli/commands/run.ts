/** `fulcrum run`: compiles a plan, or takes a compiled one, and executes a batch of requests. */
import { resolve } from 'node:path';
import { Option } from 'commander';
import type { Verdict } from '../../runtime/expectations/judge-observed.js';
import type { TransitionMode } from '../../runtime/scheduler/types.js';
import {
  addJsonOption,
  collectSettings,
  gpuAction,
  interruptible,
  parseCount,
  parsePort,
  type AddCommand,
} from '../command.js';
import { EXIT } from '../exit-codes.js';
import { judgeRun, judgeTrace, observedStats, reportVerdicts } from '../expectations.js';
import { formatTable } from '../format.js';
import { loadGraph } from '../load-graph.js';
import type { LoadedPlan } from '../load-plan.js';
import type { MetricsTarget } from '../metrics.js';
import { exitCodeOf, reportOutcome, runPlan, type PlanRun } from '../run-plan.js';
import { runFigures } from '../run-report.js';
import { runSummary, writeRunSummary } from '../run-summary.js';
import { err, out } from '../terminal.js';

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
  readonly metricsHost: string;
  readonly json?: boolean;
}

export const addRunCommand: AddCommand = (program, context) => {
  const command = program
    .command('run')
    .description('compile a plan and execute a batch of requests')
    .argument('<file>', 'plan file, or a runtime graph written by `fulcrum compile` (.json)')
    .requiredOption('--requests <file>', 'requests, in the OpenAI batch format (JSON lines)')
    .requiredOption('--out <file>', 'results, one line per request in the order they finish')
    .addOption(
      new Option('--resume', 'go on where an earlier run into the same file stopped').conflicts('overwrite'),
    )
    .option('--overwrite', 'replace the results of a run that was cut short')
    .option('--limit <count>', 'only the first so many requests of the file', parseCount)
    .option('--ordered', 'run requests in the order of the file, and not in the one that helps')
    .option('--no-prefix-reuse', 'compute every prompt whole, also what it has in common with others')
    .option('--plan <name>', 'plan of the file; needed when it has several')
    .option('--set <name=value>', 'value of a param of the plan file (repeatable)', collectSettings)
    .option('--model <directory>', 'model directory or GGUF file in place of the one that the plan names')
    .addOption(
      new Option('--transitions <mode>', 'let stages overlap while weights move, or drain and reload')
        .choices(['dataflow', 'barrier'] satisfies TransitionMode[])
        .default('dataflow'),
    )
    .option('--verify-moves', 'check weights and KV end to end after every move (slow)')
    .option('--trace <file>', 'timeline of the run, for ui.perfetto.dev or chrome://tracing')
    .option(
      '--trace-kernels',
      'let kernels end before each exchange, so that the trace tells them apart (slower)',
    );
  command
    .option('--metrics <file>', 'metrics of the run in the Prometheus text format, written when it ends')
    .option(
      '--metrics-port <port>',
      'serve them at /metrics while the run lasts; 0 takes any port',
      parsePort,
    )
    .option('--metrics-host <address>', 'address to serve metrics at', '127.0.0.1');
  command.option('--summary <file>', 'also write what `--json` prints to a file');
  addJsonOption(command).action(
    gpuAction(context, async (file: string, options: RunOptions) => {
      const { terminal } = context;
      if (options.traceKernels && options.trace === undefined) {
        err(terminal, 'error: --trace-kernels is about the file that --trace names');
        return EXIT.usage;
      }
      const loaded = loadGraph(file, options, terminal);
      if (loaded.kind === 'failed') return loaded.exit;
      const { graph, source } = loaded;
      const run = await interruptible((signal) =>
        runPlan(
          {
            graph,
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
      if (options.summary !== undefined) writeRunSummary(options.summary, summary);
      out(terminal, options.json ? JSON.stringify(summary, null, 2) : formatTable(runFigures(run)));
      const ended = exitCodeOf(run);
      if (source === undefined || verdicts.length === 0) return ended;
      const kept = reportVerdicts(verdicts, source.checked, terminal);
      return kept || ended !== EXIT.ok ? ended : EXIT.diagnostics;
    }),
  );
};

/** Verdicts on what the plan expects of a run; none where the run was cut short. */
function judgeFinished(
  { summary, stats, seconds }: PlanRun,
  { plan, compiled }: LoadedPlan,
  { requests, trace }: RunOptions,
): readonly Verdict[] {
  const { interrupted, failure, resumed } = summary;
  if (interrupted || failure !== undefined || (plan.expectations ?? []).length === 0) return [];
  const both = { plan, result: compiled };
  const traced = trace === undefined ? undefined : judgeTrace(trace, [both], plan.name);
  return traced?.kind === 'judged'
    ? traced.verdicts
    : judgeRun(both, observedStats(stats, resumed > 0 ? undefined : seconds), resolve(requests));
}

function metricsTarget({ metrics: path, metricsPort: port, metricsHost: host }: RunOptions) {
  if (path === undefined && port === undefined) return {};
  const target: MetricsTarget = {
    ...(path === undefined ? {} : { path }),
    ...(port === undefined ? {} : { address: { host, port } }),
  };
  return { metrics: target };
}
