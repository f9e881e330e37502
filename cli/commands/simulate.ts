/** `fulcrum simulate`: runs a workload through plans on the virtual clock. */
import { Option } from 'commander';
import { FULCRUM_ENGINE, type EngineModel } from '../../compiler/cost/engine-model.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { sift } from '../../compiler/check/allowances.js';
import { simulate } from '../../runtime/clock/simulate.js';
import { expectsOfRuns, judgeSimulated } from '../../runtime/expectations/simulate-expectations.js';
import { createTimeline, flatSlices } from '../../runtime/clock/timeline.js';
import type { TransitionMode } from '../../runtime/scheduler/types.js';
import { againstReport, describeAgainst, readRun, type AgainstReport } from '../against.js';
import { action, addJsonOption, collectSettings, type AddCommand, type CommandContext } from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { plural } from '../format.js';
import { jsonDocument } from '../json-document.js';
import {
  checkPlanFile,
  choosePlan,
  compileOrRefuse,
  refuseUnsound,
  reportDiagnostics,
} from '../load-plan.js';
import { describeSimulation, describeThroughput, simulationReport } from '../simulation-report.js';
import { err, out } from '../terminal.js';
import { simulationPage, type SimulatedPlan } from '../page/page.js';
import { timelineData } from '../page/timeline-data.js';
import { writeSimulatedTrace } from '../trace.js';
import { writeText } from '../write-text.js';
import { chooseRequests, refuseRequests, type ChosenRequests } from '../workloads.js';

interface SimulateCliOptions {
  readonly plan?: string;
  readonly workload?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly transitions: TransitionMode;
  readonly without?: readonly string[];
  readonly with?: readonly string[];
  readonly trace?: string;
  readonly html?: string;
  readonly against?: string;
  readonly json?: boolean;
}

/** Switches of the engine model by the name they have on the command line. */
const SWITCHES: Readonly<Record<string, keyof EngineModel>> = {
  'host-overhead': 'hostOverhead',
  'small-gemm-loss': 'smallGemmLoss',
  'virtual-engines': 'virtualEngines',
  'copy-engines': 'copyEngines',
  'full-reload': 'fullReload',
};

export const addSimulateCommand: AddCommand = (program, context) => {
  const names = Object.keys(SWITCHES);
  const command = program
    .command('simulate')
    .description('run a workload through plans on a virtual clock: throughput, time by category, link use')
    .argument('<file>', 'plan file')
    .option('--plan <name>', 'plan of the file; all of them unless named')
    .option('--workload <name>', 'workload of the plan file, or a .jsonl file of lengths')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings)
    .addOption(
      new Option('--transitions <mode>', 'how devices change stage')
        .choices(['dataflow', 'barrier'])
        .default('dataflow'),
    )
    .addOption(new Option('--with <switch...>', 'engine effects to add').choices(names))
    .addOption(new Option('--without <switch...>', 'engine effects to leave out').choices(names))
    .option('--trace <file>', 'write a timeline for ui.perfetto.dev, as `run` does; needs one plan')
    .option('--against <file>', 'compare with the trace of a run; requests and plan are those of the run')
    .option('--html <file>', 'write a page with timeline and charts, to be opened in any browser');
  addJsonOption(command).action(
    action(context, (file: string, options: SimulateCliOptions) => simulateFile(file, options, context)),
  );
};

function engineOf(options: SimulateCliOptions): EngineModel {
  const set = (names: readonly string[] | undefined, value: boolean): Partial<EngineModel> =>
    Object.fromEntries((names ?? []).map((name) => [SWITCHES[name]!, value]));
  return { ...FULCRUM_ENGINE, ...set(options.with, true), ...set(options.without, false) };
}

/** What is not as it is by default. */
function describeEngine({ transitions, with: added, without }: SimulateCliOptions): readonly string[] {
  return [
    ...(transitions === 'barrier' ? ['transitions with barriers'] : []),
    ...(added === undefined ? [] : [`with ${added.join(', ')}`]),
    ...(without === undefined ? [] : [`without ${without.join(', ')}`]),
  ];
}

/** Options that want more of a simulation than its sums. */
const looks: readonly (keyof SimulateCliOptions)[] = ['trace', 'html', 'against'];

function simulateFile(file: string, options: SimulateCliOptions, { terminal }: CommandContext): ExitCode {
  const checked = checkPlanFile(file, options.set, terminal.colour);
  const failed = (message: string, exit: ExitCode): ExitCode => {
    err(terminal, message);
    return exit;
  };
  const refused = refuseUnsound(terminal, checked);
  if (refused !== undefined) return refused;
  const run = options.against === undefined ? undefined : readRun(options.against);
  if (typeof run === 'string') return failed(`error: ${run}`, EXIT.runtime);
  const chosen = plansToRun(checked.plans, options.plan ?? run?.plan ?? 'all', file);
  if (typeof chosen === 'string') return failed(chosen, EXIT.usage);
  const single = ['trace', 'against'].find((name) => name in options);
  if (single !== undefined && chosen.length > 1)
    return failed(
      `error: --${single} is about one plan: choose it with --plan (${names(chosen)})`,
      EXIT.usage,
    );
  const pages: SimulatedPlan[] = [];
  const reports = [];
  let workload = '';
  /** No simulation has shown that an expectation is not met. */
  let kept = true;
  let against: AgainstReport | undefined;
  const loaded = compileOrRefuse(terminal, checked, chosen);
  if (loaded.kind === 'failed') return loaded.exit;
  for (const { plan, result: compiled } of loaded.compiled) {
    const requests: ChosenRequests =
      run !== undefined && options.workload === undefined
        ? { kind: 'requests', name: `of ${run.path}`, requests: run.requests }
        : chooseRequests(checked.workloads, options.workload, file, plan.model.shape.context);
    if (requests.kind !== 'requests') return refuseRequests(terminal, requests);
    workload = `workload ${requests.name}: ${plural(requests.requests.length, 'request')}`;
    if (reports.length === 0) err(terminal, workload);
    const judged = expectsOfRuns(plan);
    const timeline = judged || looks.some((name) => name in options) ? createTimeline() : undefined;
    const simulation = simulate(compiled.runtime, plan, requests.requests, {
      engine: engineOf(options),
      transitions: options.transitions,
      ...(timeline && { timeline }),
    });
    if (options.trace !== undefined && timeline)
      writeSimulatedTrace(options.trace, compiled.runtime, timeline, terminal, {
        requests: requests.name,
        peakMemory: Object.fromEntries(simulation.devices.map(({ device, peak }) => [device, peak.total])),
      });
    if (judged && timeline) {
      const { runtime, transitions } = compiled;
      const broken = judgeSimulated(
        { plan, runtime, transitions },
        timeline.slices(),
        requests.name,
        ({ name }) => name === requests.name,
      );
      const told = reportDiagnostics(terminal, sift(broken, checked.allowances).kept, checked.render);
      kept &&= told;
    }
    const report = simulationReport({ plan: plan.name, simulation });
    reports.push(report);
    if (run !== undefined && timeline) against = againstReport(run, plan.name, flatSlices(timeline));
    if (options.html !== undefined && timeline)
      pages.push({
        report,
        about: `${plan.model.name} on ${plan.topology.name}`,
        timeline: timelineData(
          timeline,
          simulation.kv,
          simulation.makespan,
          simulation.devices.map(({ device }) => device),
        ),
      });
  }
  if (options.json) out(terminal, jsonDocument('simulate', { plans: reports, ...(against && { against }) }));
  else {
    out(terminal, describeThroughput(reports));
    for (const report of reports) out(terminal, `\n${describeSimulation(report)}`);
    if (against !== undefined) out(terminal, `\n${describeAgainst(against)}`);
  }
  if (options.html !== undefined) {
    const [only, ...others] = pages;
    const title = others.length > 0 ? file : `${only!.report.plan}: ${only!.about}`;
    const about = [workload, ...describeEngine(options)].join('; ');
    const written = writeText(options.html, simulationPage({ title, about }, pages));
    if (written !== undefined) return failed(`error: ${written}`, EXIT.runtime);
    err(terminal, `wrote ${options.html}`);
  }
  return kept ? EXIT.ok : EXIT.diagnostics;
}

const names = (plans: readonly Plan[]): string => plans.map(({ name }) => name).join(', ');

/** The plans to run, or why there are none. */
function plansToRun(plans: readonly Plan[], name: string, file: string): readonly Plan[] | string {
  if (name === 'all') return plans.length > 0 ? plans : `error: ${file} has no plan`;
  const chosen = choosePlan(plans, name, file);
  return chosen.kind === 'plan' ? [chosen.plan] : chosen.message;
}
