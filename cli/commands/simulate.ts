/** `fulcrum simulate`: runs a workload through plans on the virtual clock. */
import { Option } from 'commander';
import { engineCount, engineOf } from '../../compiler/cost/engine-model.js';
import type { CompiledPlan } from '../../compiler/check-and-compile.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { sift } from '../../compiler/check/allowances.js';
import { simulateInParts } from '../../runtime/clock/simulate.js';
import {
  expectsOfRuns,
  judgeSimulated,
  tellsOfMoves,
} from '../../runtime/expectations/simulate-expectations.js';
import type { TraceLane } from '../../runtime/trace/tracer.js';
import type { SimulatedRequest, SimulateOptions, Simulation } from '../../runtime/clock/simulation.js';
import { createTimeline, flatSlices } from '../../runtime/clock/timeline.js';
import { refuseTaken } from '../../runtime/refuse-taken.js';
import type { TransitionMode } from '../../runtime/scheduler/types.js';
import type { RuntimeFailure } from '../../runtime/failure.js';
import {
  againstReport,
  describeAgainst,
  readRun,
  refuseBeyondContext,
  refuseOtherRun,
  type AgainstReport,
  type NamedWorkload,
  type TracedRun,
} from '../against.js';
import {
  action,
  addJsonOption,
  choicesOption,
  collectSettings,
  gather,
  interruptible,
  listening,
  type AddCommand,
  type CommandContext,
} from '../command.js';
import { EFFECT_NAMES, effectsInCommon, switched } from '../engine-effects.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { plural } from '../format.js';
import { jsonDocument } from '../json-document.js';
import {
  checkPlanFile,
  choosePlan,
  refuseUnchosen,
  type Unchosen,
  compileOrRefuse,
  filesRead,
  refuseUnsound,
  reportDiagnostics,
  type CheckedFile,
  type Loaded,
} from '../load-plan.js';
import { passedOver } from '../passed-over.js';
import {
  describeUndone,
  describeSimulation,
  describeThroughput,
  simulationReport,
  type EngineReport,
} from '../simulation-report.js';
import { diagnosticsSaid, err, fail, out, saysOnce, type Terminal } from '../terminal.js';
import { simulationPage, type SimulatedPlan } from '../page/page.js';
import { planPage } from '../page/plan-page.js';
import { drawnDevices, isDrawn } from '../page/timeline-data.js';
import { writeSimulatedTrace } from '../trace.js';
import { checkAsRun, type CheckedAsRun } from '../run-settings.js';
import { refuseUnwritable, writeWhole } from '../write-text.js';
import { chooseRequests, refuseRequests, type ChosenRequests } from '../workloads.js';

interface SimulateCliOptions {
  readonly plan?: readonly string[];
  readonly workload?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly transitions?: TransitionMode;
  readonly without?: readonly string[];
  readonly with?: readonly string[];
  readonly trace?: string;
  readonly html?: string;
  readonly against?: string;
  readonly json?: boolean;
}

export const addSimulateCommand: AddCommand = (program, context) => {
  const command = program
    .command('simulate')
    .description('run a workload through plans on a virtual clock: throughput, time by category, link use')
    .argument('<file>', 'plan file')
    .option('--plan <name>', 'plan of the file (repeatable); all of them unless named', gather)
    .option(
      '--workload <name>',
      'workload that the plan file declares or imports, or a .jsonl file of lengths',
    )
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings)
    .addOption(
      new Option(
        '--transitions <mode>',
        'how devices change stage: as in the run of `--against`, else dataflow, unless named',
      ).choices(['dataflow', 'barrier'] satisfies TransitionMode[]),
    )
    .addOption(choicesOption('--with <switch,...>', 'engine effects to add', EFFECT_NAMES))
    .addOption(choicesOption('--without <switch,...>', 'engine effects to leave out', EFFECT_NAMES))
    .option('--trace <file>', 'write a timeline for ui.perfetto.dev, as `run` does; needs one plan')
    .option(
      '--against <file>',
      'compare with the trace of a run; requests, plan and params are those of the run unless named',
    )
    .option('--html <file>', 'write a page with timeline and charts, to be opened in any browser');
  addJsonOption(command).action(
    action(context, (file: string, options: SimulateCliOptions) => simulateFile(file, options, context)),
  );
};

async function simulateFile(
  file: string,
  options: SimulateCliOptions,
  { terminal }: CommandContext,
): Promise<ExitCode> {
  const both = options.with?.find((name) => options.without?.includes(name));
  if (both !== undefined) {
    const message = `${both} cannot be both --with and --without`;
    return misused(message, terminal).exit;
  }
  refuseUnwritable(options.trace);
  refuseUnwritable(options.html);
  const work = chooseWork(file, options, terminal);
  if (work.kind === 'failed') return work.exit;
  const simulated: SimulatedOne[] = [];
  let workload: NamedWorkload | undefined;
  const sayOnce = saysOnce(terminal);
  for (const compiled of work.compiled) {
    const requests = requestsFor(compiled.plan, file, options, work);
    if (requests.kind !== 'requests') return refuseRequests(terminal, requests);
    if (workload === undefined) {
      workload = { name: requests.name, requests: requests.requests.length };
      err(terminal, describeWorkload(workload));
    }
    for (const warning of requests.warnings) sayOnce(`warning: ${warning}`);
    simulated.push(await simulateOne(compiled, requests, options, work, terminal));
  }
  printFigures(simulated, workload!, work.transitions, options, terminal);
  if (options.html !== undefined) {
    const about = [
      describeWorkload(workload!),
      ...(work.transitions === 'barrier' ? ['transitions with barriers'] : []),
    ];
    const unwritten = writeWhole(options.html, pageOf(file, about, simulated));
    if (unwritten !== undefined) throw unwritten;
    err(terminal, `wrote ${options.html}`);
  }
  const broken = simulated.find(({ brokenTrace }) => brokenTrace !== undefined)?.brokenTrace;
  if (broken !== undefined) throw broken;
  return simulated.every(({ kept }) => kept) ? EXIT.ok : EXIT.diagnostics;
}

function describeWorkload({ name, requests }: NamedWorkload): string {
  return `workload ${name}: ${plural(requests, 'request')}`;
}

/** What a command line asks to simulate. */
interface Work {
  readonly checked: CheckedFile;
  readonly compiled: readonly CompiledPlan[];
  /** The run to compare with. */
  readonly run: TracedRun | undefined;
  readonly transitions: TransitionMode;
  /** Params that are not as in the run. */
  readonly differ?: CheckedAsRun['differ'];
}

/** The command line is wrong. */
function misused(message: string, terminal: Terminal): { kind: 'failed'; exit: ExitCode } {
  fail(terminal, message);
  return { kind: 'failed', exit: EXIT.usage };
}

/** Checks the file and compiles the plans that are to be run. */
function chooseWork(file: string, options: SimulateCliOptions, terminal: Terminal): Loaded<Work> {
  const named = [...new Set(options.plan)];
  const { trace, html, against } = options;
  const run = against === undefined ? undefined : readRun(against);
  const { checked, differ } =
    run === undefined
      ? { checked: checkPlanFile(file, options.set, terminal.colour, named) }
      : checkAsRun(file, options.set, run, terminal, named);
  const compared = against === undefined ? [] : [{ what: 'the run to compare with', path: against }];
  refuseTaken([trace, html], [...filesRead(checked, options.workload), ...compared]);
  const refused = refuseUnsound(terminal, checked);
  if (refused !== undefined) return { kind: 'failed', exit: refused };
  const plans = plansToRun(
    checked.plans,
    named.length === 0 && run?.plan !== undefined ? [run.plan] : named,
    file,
  );
  if ('kind' in plans) return { kind: 'failed', exit: refuseUnchosen(terminal, plans, checked.render) };
  const single = ['trace', 'against'].find((name) => name in options);
  if (single !== undefined && plans.length > 1) {
    const names = plans.map(({ name }) => name).join(', ');
    const message = `--${single} is about one plan: choose it with --plan (${names})`;
    return misused(message, terminal);
  }
  const loaded = compileOrRefuse(terminal, checked, plans);
  if (loaded.kind === 'failed') return loaded;
  const transitions = options.transitions ?? run?.transitions ?? 'dataflow';
  if (options.transitions === undefined && run?.transitions === 'barrier')
    err(terminal, `transitions as in the run of ${run.path}: barrier`);
  const [only] = loaded.compiled;
  if (run !== undefined) refuseUnlikeRun(run, only!, differ !== undefined);
  return { kind: 'loaded', checked, compiled: loaded.compiled, run, transitions, ...(differ && { differ }) };
}

/**
 * Refuses a run that a plan cannot be compared with. Another plan or model, or other params, may have been asked for, and
 * that is told beside the figures.
 */
function refuseUnlikeRun(run: TracedRun, { plan, result }: CompiledPlan, isOther: boolean): void {
  if ((run.model ?? plan.model.name) !== plan.model.name) return;
  refuseBeyondContext(run, plan.model);
  if (!isOther && (run.plan ?? plan.name) === plan.name) refuseOtherRun(run, result.runtime);
}

/** The plans to run, all unless some are named, or why there are none. */
function plansToRun(
  plans: readonly Plan[],
  names: readonly string[],
  file: string,
): readonly Plan[] | Unchosen {
  if (names.length === 0) return plans.length > 0 ? plans : { kind: 'usage', message: `${file} has no plan` };
  const chosen = names.map((name) => choosePlan(plans, name, file));
  return (
    chosen.find((each) => each.kind !== 'plan') ??
    chosen.flatMap((each) => (each.kind === 'plan' ? [each.plan] : []))
  );
}

/** Those of the workload; beside a run those that it had, unless a workload is named. */
function requestsFor(
  plan: Plan,
  file: string,
  { workload }: SimulateCliOptions,
  { checked, run }: Work,
): ChosenRequests {
  return run !== undefined && workload === undefined
    ? { kind: 'requests', name: `of ${run.path}`, requests: run.requests, warnings: [] }
    : chooseRequests(checked, workload, file, plan.model.shape.context);
}

/** What came of simulating one plan. */
interface SimulatedOne {
  readonly report: EngineReport;
  readonly stages: Plan['stages'];
  /** The simulation has shown of no expectation that it is not met. */
  readonly kept: boolean;
  /** Why its trace could not be written to its end. */
  readonly brokenTrace?: RuntimeFailure;
  /** With `--against`. */
  readonly against?: AgainstReport;
  /** With `--html`. */
  readonly page?: SimulatedPlan;
}

/** The lanes of a timeline that something is made of; undefined where nobody looks at more than sums. */
function lanesWanted(
  { trace, against, html, json }: SimulateCliOptions,
  runtime: RuntimeGraph,
  judged: boolean,
): ((lane: TraceLane) => boolean) | undefined {
  if (trace !== undefined || against !== undefined) return () => true;
  const wanted = [
    ...(html === undefined ? [] : [isDrawn(drawnDevices(runtime))]),
    ...(judged ? [tellsOfMoves] : []),
  ];
  // KV over time comes with a timeline, however little that keeps.
  return wanted.length > 0 || json ? (lane) => wanted.some((wants) => wants(lane)) : undefined;
}

/** Runs requests through a plan; rejects with an AbortError when it is interrupted. */
function simulateOrAbort(
  graph: RuntimeGraph,
  plan: Plan,
  requests: readonly SimulatedRequest[],
  options: SimulateOptions,
): Promise<Simulation> {
  return interruptible(async (signal) => {
    const simulation = await listening(
      simulateInParts(graph, plan, requests, options, () => true),
      signal,
    );
    // It may have been too short to be listened to.
    await new Promise<void>((resolve) => void setImmediate(resolve));
    signal.throwIfAborted();
    return simulation!;
  });
}

/** Runs requests through a plan; writes its trace and says which expectations it does not meet. */
async function simulateOne(
  { plan, result: { runtime, transitions } }: CompiledPlan,
  { name: workload, requests }: Extract<ChosenRequests, { kind: 'requests' }>,
  options: SimulateCliOptions,
  { checked, run, transitions: mode, differ }: Work,
  terminal: Terminal,
): Promise<SimulatedOne> {
  const engine = switched(engineOf(plan.topology), options);
  const depths = plan.stages.map(({ mesh }) => mesh.pp);
  if (engine.virtualEngines && engineCount(engine, depths) === 1)
    err(terminal, `plan ${plan.name} has no pipeline of one stage: virtual-engines changes nothing`);
  const judged = expectsOfRuns(plan);
  const wanted = lanesWanted(options, runtime, judged);
  const timeline = wanted && createTimeline(wanted);
  const simulation = await simulateOrAbort(runtime, plan, requests, {
    engine,
    transitions: mode,
    ...(timeline && { timeline }),
  });
  const prompts = requests.map(({ promptTokens }) => promptTokens);
  // What is preempted may be longer than any prompt.
  const passed = simulation.bytes.kvSpilled > 0 ? undefined : passedOver(runtime, prompts);
  const report = {
    ...simulationReport({ plan: plan.name, simulation }),
    engine,
    ...(passed && { passedOver: passed }),
  };
  const instead = options.workload === undefined ? undefined : { name: workload, requests: requests.length };
  for (const undone of describeUndone(report)) err(terminal, `warning: ${undone}`);
  const { stages } = plan;
  if (timeline === undefined) return { report, stages, kept: true };
  const peakMemory = Object.fromEntries(simulation.devices.map(({ device, peak }) => [device, peak.total]));
  const brokenTrace =
    options.trace === undefined
      ? undefined
      : writeSimulatedTrace(options.trace, runtime, timeline, terminal, {
          requests: workload,
          params: plan.params,
          transitions: mode,
          peakMemory,
        });
  const about = { plan, runtime, transitions };
  const alike = { transitions: mode, ...(differ && { differ }) };
  const broken = judged
    ? judgeSimulated(about, {
        name: workload,
        requests,
        slices: timeline.slices(),
        isOf: ({ name }) => name === workload,
      })
    : [];
  return {
    report,
    stages,
    kept: reportDiagnostics(terminal, sift(broken, checked.allowances).kept, checked.render),
    ...(brokenTrace !== undefined && { brokenTrace }),
    ...(run && { against: againstReport(run, plan, flatSlices(timeline), alike, instead) }),
    ...(options.html !== undefined && { page: planPage(report, plan, runtime, timeline) }),
  };
}

function printFigures(
  simulated: readonly SimulatedOne[],
  workload: NamedWorkload,
  transitions: TransitionMode,
  options: SimulateCliOptions,
  terminal: Terminal,
): void {
  const reports = simulated.map(({ report }) => report);
  // Only one plan is compared with a run.
  const against = simulated[0]?.against;
  if (options.json) {
    const effects = effectsInCommon(reports.map((report) => report.engine));
    const engine = { transitions, ...effects };
    const diagnostics = diagnosticsSaid(terminal);
    const fields = { workload, engine, plans: reports, diagnostics, ...(against && { against }) };
    out(terminal, jsonDocument('simulate', fields));
    return;
  }
  out(terminal, describeThroughput(reports));
  for (const { report, stages } of simulated) out(terminal, `\n${describeSimulation(report, stages)}`);
  if (against !== undefined) out(terminal, `\n${describeAgainst(against)}`);
}

/** @param about what was run */
function pageOf(file: string, about: readonly string[], simulated: readonly SimulatedOne[]): string {
  const pages = simulated.flatMap(({ page }) => page ?? []);
  const [only, ...others] = pages;
  const title = others.length > 0 ? file : `${only!.report.plan}: ${only!.about}`;
  return simulationPage({ title, about: about.join('; ') }, pages);
}
