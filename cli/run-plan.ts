/** Runs a batch file over a runtime graph with progress on the terminal, and describes what happened. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import type { Plan } from '../compiler/plan/plan.js';
import { idleEngine } from '../runtime/engine/idle-engine.js';
import { openEngine } from '../runtime/engine/open.js';
import { schedulerConfig } from '../runtime/engine/scheduler-config.js';
import type { EngineStats } from '../runtime/engine/types.js';
import { checkBatchFiles } from '../runtime/jobs/batch-files.js';
import { batchIdentity } from '../runtime/jobs/batch-identity.js';
import type { BatchIdentity, Journal } from '../runtime/jobs/journal-format.js';
import { planStart, type StartMode } from '../runtime/jobs/batch-start.js';
import { openEncoder } from '../runtime/jobs/encoder-pool.js';
import type { BatchProgress } from '../runtime/jobs/batch-outcomes.js';
import { NOT_BEGUN, runBatch, type BatchSummary } from '../runtime/jobs/run-batch.js';
import { longestSequence } from '../runtime/scheduler/limits.js';
import type { TransitionMode } from '../runtime/scheduler/types.js';
import type { NamedFile } from '../runtime/refuse-taken.js';
import { openTokenizer } from '../runtime/tokenizer/open-tokenizer.js';
import type { TraceFile } from '../runtime/trace/trace-file.js';
import { NO_TRACE, type Tracer } from '../runtime/trace/tracer.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { formatCount, plural } from './format.js';
import { createProgress } from './progress.js';
import { openMetrics, type MetricsTarget, type OpenMetrics } from './metrics.js';
import { renderFailure } from './render-failure.js';
import { err, type Terminal } from './terminal.js';
import { openTrace, tracedEncoder } from './trace.js';
import { describeWork } from './work-left.js';

const PROGRESS_INTERVAL_MS = 250;

export interface PlanRun {
  readonly summary: BatchSummary;
  readonly stats: EngineStats;
  /** From the first request submitted to the last result written. */
  readonly seconds: number;
  /** Requests of the file that were to be taken at most, where there are more. */
  readonly limited?: number;
  /** Earlier runs had left nothing to do: there is neither a trace of this one nor a figure. */
  readonly isIdle: boolean;
  /** Its trace or its metrics could not be written to their end, which has been said. */
  readonly lacksReport: boolean;
}

export interface PlanRunOptions {
  readonly graph: RuntimeGraph;
  /** The file that the graph comes from. */
  readonly planPath?: string;
  /** Further files that it is made of. */
  readonly readWithPlan?: readonly NamedFile[];
  readonly requestsPath: string;
  readonly resultsPath: string;
  /** What becomes of results that are there already. */
  readonly start: StartMode;
  /** Only the first so many requests of the file. */
  readonly limit?: number;
  /** Submits requests in the order of the file. */
  readonly ordered?: boolean;
  /** Computes what prompts have in common once; default: true. */
  readonly reusesPrefixes?: boolean;
  /** Values of the params of the plan; absent where it was compiled before. */
  readonly params?: Plan['params'];
  /** Model directory in place of the one that the plan names. */
  readonly modelDirectory?: string;
  /** How stages change on shared devices; default: `dataflow`. */
  readonly transitions?: TransitionMode;
  /** Checks everything that moves end to end; slow. */
  readonly verifyMoves?: boolean;
  /** Where to write a timeline of the run. */
  readonly tracePath?: string;
  /** Whether it tells kernels from the exchanges behind them; see `Tracer`. */
  readonly traceKernels?: boolean;
  /** Where a summary will be written when the run has ended: looked at before it begins. */
  readonly summaryPath?: string;
  /** Where metrics go; default: nowhere. */
  readonly metrics?: MetricsTarget;
  readonly signal: AbortSignal;
}

/**
 * Opens the devices, runs the batch, closes the devices. Throws RuntimeFailure for what stops it before it starts, and
 * the signal's reason when that aborts while devices are opened.
 */
export async function runPlan(options: PlanRunOptions, terminal: Terminal): Promise<PlanRun> {
  const { graph } = options;
  // What can be wrong with files is found before a device is opened. Requests of a stream are counted as they come.
  const reportPaths = [options.tracePath, options.metrics?.path].filter((path) => path !== undefined);
  const counted = checkBatchFiles({ ...options, reportPaths });
  const inFile = counted ?? 0;
  const limited = limitedTo(options.limit, counted);
  const total = Math.min(inFile, options.limit ?? Infinity);
  const batch = batchIdentity(options);
  const room = longestSequence(schedulerConfig(graph, options.transitions ?? 'dataflow'));
  const start = await planStart(options.resultsPath, options.start, { batch, room });
  const isFinished = start.kind === 'resume' && total > 0 && leavesNothing(start.journal, inFile, total);
  // What an earlier run left is of more use than a report of nothing.
  const { metrics: target, tracePath } = isFinished ? {} : options;
  for (const path of isFinished ? reportPaths : [])
    err(terminal, `nothing is left to do; ${path} ${existsSync(path) ? 'stays as it is' : 'is not written'}`);
  const metrics = target && (await openMetrics(target, graph, terminal));
  let trace: TraceFile | undefined;
  let lacksReport = false;
  let run: Omit<PlanRun, 'lacksReport' | 'limited'>;
  try {
    trace =
      tracePath === undefined
        ? undefined
        : openTrace(tracePath, graph, terminal, {
            about: factsOf(options),
            apart: options.traceKernels ?? false,
            onBroken: (reason) => {
              lacksReport = true;
              err(terminal, `the trace ends early: ${reason}`);
            },
          });
    const context = {
      total,
      isFinished,
      batch,
      room,
      tracer: trace ?? NO_TRACE,
      ...(metrics && { metrics }),
    };
    run = await runObserved(options, context, terminal);
    const { interrupted, failure, resumed } = run.summary;
    const { peakMemory, plannedPeak } = run.stats;
    const figures = { peakMemory, plannedPeak, resumed, ...limited };
    if (!interrupted && failure === undefined) trace?.close(figures);
  } finally {
    trace?.close();
    if ((await metrics?.close()) === false) lacksReport = true;
  }
  return { ...run, ...limited, lacksReport };
}

/** The limit, where a file has more requests. Of a stream nobody knows how many would have come. */
function limitedTo(limit: number | undefined, inFile: number | undefined): Pick<PlanRun, 'limited'> {
  return limit === undefined || limit >= (inFile ?? Infinity) ? {} : { limited: limit };
}

/** Whether the first `total` of the requests of a file are finished; where lines are blank, only if all are. */
function leavesNothing({ finished }: Journal, inFile: number, total: number): boolean {
  return finished.length === inFile || finished.filter(({ line }) => line <= total).length === total;
}

/** What decides on a run beside its plan, for who reads its trace; what it has not is left out. */
function factsOf(options: PlanRunOptions): Readonly<Record<string, unknown>> {
  const { params, transitions = 'dataflow', reusesPrefixes = true, verifyMoves } = options;
  return {
    requests: resolve(options.requestsPath),
    ...(params && { params }),
    transitions,
    prefixReuse: reusesPrefixes,
    ...(options.traceKernels && { traceKernels: true }),
    ...(verifyMoves && { verifyMoves }),
  };
}

interface RunContext {
  /** Requests of the file, as far as that is known. */
  readonly total: number;
  /** Earlier runs have answered all of them. */
  readonly isFinished: boolean;
  readonly batch: BatchIdentity;
  /** Tokens of one sequence that the KV pools have room for. */
  readonly room: number;
  readonly tracer: Tracer;
  readonly metrics?: OpenMetrics;
}

async function runObserved(
  options: PlanRunOptions,
  { total, isFinished, batch, room, tracer, metrics }: RunContext,
  terminal: Terminal,
): Promise<Omit<PlanRun, 'lacksReport' | 'limited'>> {
  const { graph } = options;
  const tokenizer = openTokenizer(graph.model, options.modelDirectory);
  const progress = await createProgress(terminal, 'requests');
  const engine = isFinished
    ? idleEngine()
    : await openEngine(graph, {
        ...(options.modelDirectory === undefined ? {} : { modelDirectory: options.modelDirectory }),
        ...(options.transitions === undefined ? {} : { transitions: options.transitions }),
        verifyMoves: options.verifyMoves ?? false,
        reusesPrefixes: options.reusesPrefixes ?? true,
        tracer,
        progress: progress.say,
        signal: options.signal,
      });
  const encoder = openEncoder(options.requestsPath, tokenizer, {
    model: graph.model,
    ...(options.modelDirectory === undefined ? {} : { modelDirectory: options.modelDirectory }),
  });
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1000;
  let state: BatchProgress = NOT_BEGUN;
  const show = (): void => {
    const work = { progress: state, stats: engine.stats(), elapsed: elapsed() };
    const known = total > 0 ? total : state.readAll ? state.read : undefined;
    const note = describeWork({ ...work, ...(known === undefined ? {} : { total: known }) });
    progress.update(state.answered + state.failed, Math.max(total, state.read), note);
  };
  progress.start(total);
  // Prefill may go on for long before the first answer, so the bar also moves by the clock.
  const ticking = setInterval(show, PROGRESS_INTERVAL_MS);
  try {
    const summary = await runBatch({
      requestsPath: options.requestsPath,
      resultsPath: options.resultsPath,
      batch,
      room,
      start: options.start,
      ...(options.limit === undefined ? {} : { limit: options.limit }),
      ordered: options.ordered ?? false,
      encoder: tracedEncoder(encoder, tracer, graph),
      engine: metrics?.observe(engine) ?? engine,
      tokenizer,
      model: { name: graph.model.name, context: graph.model.shape.context, vocab: graph.model.shape.vocab },
      signal: options.signal,
      onProgress: (now) => {
        state = now;
        metrics?.progress(now);
      },
    });
    show();
    return { summary, stats: engine.stats(), seconds: elapsed(), isIdle: isFinished };
  } finally {
    clearInterval(ticking);
    progress.stop();
    await encoder.close();
    await engine.dispose();
  }
}

/** Exit status of the work of a run: requests with an error line do not make it a failure. */
export function exitCodeOf({ summary }: PlanRun): ExitCode {
  if (summary.failure !== undefined) return EXIT.runtime;
  return summary.interrupted ? EXIT.interrupted : EXIT.ok;
}

/** Errors of lines that hold no request at all. */
const NO_REQUEST: readonly string[] = ['invalid_json', 'invalid_request'];

/** Says what cut a run short, which requests got error lines, and how many answers are not whole. */
export function reportOutcome(run: PlanRun, resultsPath: string, terminal: Terminal): void {
  const { answered, failed, cut, resumed, interrupted, resumable, errors, failure } = run.summary;
  if (resumed > 0) err(terminal, `${plural(resumed, 'result')} of an earlier run kept`);
  if (failed > 0) err(terminal, `${plural(failed, 'request')} could not be answered; see the error lines`);
  if (failed > 0 && answered === 0 && Object.keys(errors).every((code) => NO_REQUEST.includes(code)))
    err(terminal, 'no request could be read: is this a file of one JSON object per line, not compressed?');
  if (cut > 0) {
    const share = `${formatCount(cut)} of ${plural(answered, 'answered request')}`;
    const they = cut === 1 ? 'it is' : 'they are';
    err(terminal, `warning: the KV pools have no room for the whole answers of ${share}: ${they} cut short`);
  }
  if (failure !== undefined) err(terminal, renderFailure(failure, terminal.colour));
  if (failure !== undefined || interrupted) {
    const kept = plural(answered + failed, 'result');
    const ended = interrupted ? 'interrupted' : 'stopped early';
    err(terminal, `${ended}; ${kept} kept in ${resultsPath}${resumable ? '; go on with --resume' : ''}`);
  }
}
