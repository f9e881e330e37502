/** `fulcrum tune`: searches meshes and sizes for a plan's model, devices and workload. */
import { resolve } from 'node:path';
import { InvalidArgumentError, Option } from 'commander';
import {
  findCandidates,
  hostKvBytes,
  planDevices,
  STRATEGIES,
  type Candidate,
  type SizeChoices,
  type Strategy,
} from '../../compiler/planner/candidates.js';
import { isEstimatedClosely } from '../../compiler/planner/plan-estimate.js';
import { exceedsContext, unheldRequests } from '../../compiler/planner/held-requests.js';
import { sizeChoices } from '../../compiler/planner/size-choices.js';
import { formatBytes, UNITS } from '../../compiler/check/units.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import { decided, type TuneOptions, type TuneResult } from '../../runtime/tune/search.js';
import { trialWorkers } from '../../runtime/tune/trial-pool.js';
import { TOLERANCE, worthEstimating } from '../../runtime/tune/search-effort.js';
import { mostPromisedInParts } from '../../runtime/tune/most-promised.js';
import { createSurvey, type Survey } from '../../runtime/tune/survey.js';
import { tradeOffsInParts } from '../../runtime/tune/trade-offs.js';
import type { Goal } from '../../runtime/tune/trial.js';
import { tuneInParts, tuneOnWorkers } from '../../runtime/tune/tune.js';
import {
  action,
  addJsonOption,
  choicesOption,
  collectSettings,
  gatherEach,
  interruptible,
  listening,
  parseCount,
  type AddCommand,
  type CommandContext,
} from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { formatCount, formatRequestRate, plural } from '../format.js';
import { jsonDocument } from '../json-document.js';
import { loadUncompiled, type CheckedFile } from '../load-plan.js';
import { createProgress } from '../progress.js';
import { ownPlan } from '../own-plan.js';
import { noneFits, tunedReport } from '../tune-report.js';
import { describeTuned } from '../tune-text.js';
import { renderFailure } from '../render-failure.js';
import { diagnosticsSaid, err, out } from '../terminal.js';
import { chooseRequests, refuseRequests } from '../workloads.js';
import { RuntimeFailure } from '../../runtime/failure.js';
import { fileHost } from '../../runtime/file-host.js';
import { whyUnwritable, writeText } from '../write-text.js';
import { planBesideTuned, withTunedPlan } from '../write-tuned.js';

interface TuneCliOptions {
  readonly plan?: string;
  readonly workload?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly strategy?: readonly Strategy[];
  readonly microbatch?: readonly number[];
  readonly batch?: readonly number[];
  readonly kvCap?: readonly number[];
  readonly floor?: number;
  readonly front?: boolean;
  readonly tolerance?: number;
  readonly exhaustive?: boolean;
  readonly top: number;
  readonly write?: boolean;
  readonly json?: boolean;
}

function rate(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) throw new InvalidArgumentError('expected a number above 0');
  return value;
}

/** `1%`, `0.5 %`: a part of the whole. */
function partOf(text: string): number {
  const percent = Number(/^\s*([\d.]+)\s*%?\s*$/.exec(text)?.[1]);
  if (!(percent >= 0 && percent < 100)) throw new InvalidArgumentError('expected a part such as 1%');
  return percent / 100;
}

/** `400GiB`, `400 GiB`: as in a plan file. */
function bytesOf(text: string): number {
  const match = /^\s*([\d.]+)\s*([A-Za-z]+)\s*$/.exec(text);
  const unit = UNITS.get(match?.[2] ?? '');
  const bytes = Math.floor(Number(match?.[1]) * (unit?.factor ?? NaN));
  if (unit?.dimension !== 'bytes' || !(bytes > 0))
    throw new InvalidArgumentError('expected sizes such as 400GiB');
  return bytes;
}

export const addTuneCommand: AddCommand = (program, context) => {
  const command = program
    .command('tune')
    .description('search meshes and sizes for the best way to run a workload, by simulation')
    .argument('<file>', 'plan file')
    .option('--plan <name>', 'plan whose model, devices and tiers to use; needed when the file has several')
    .option(
      '--workload <name>',
      'workload that the plan file declares or imports, or a .jsonl file of lengths',
    )
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings)
    .addOption(
      choicesOption('--strategy <strategy,...>', 'kinds of plans to try, all unless named', STRATEGIES),
    )
    .option(
      '--microbatch <tokens,...>',
      "tokens of a prefill step to try (default: the plan's own and powers of two)",
      gatherEach(parseCount),
    )
    .option(
      '--batch <requests,...>',
      "requests decoding at once to try (default: the plan's own and powers of two)",
      gatherEach(parseCount),
    )
    .option(
      '--kv-cap <size,...>',
      'most KV in all host memory together to try, such as 400GiB (default: what the plan allows, and half of it)',
      gatherEach(bytesOf),
    )
    .option(
      '--floor <requests/s>',
      'look for the least time between tokens, of plans with at least this throughput',
      rate,
    )
    .addOption(
      new Option(
        '--front',
        'look for plans that no other beats in both throughput and time between tokens, in steps of some per cent',
      ).conflicts('floor'),
    )
    .addOption(
      new Option(
        '--tolerance <percent>',
        `how much better than the best a plan may be and not be tried (default: ${100 * TOLERANCE}% by estimates, and none with --exhaustive)`,
      )
        .argParser(partOf)
        .conflicts('front'),
    )
    .option(
      '--exhaustive',
      'leave out nothing but what is proven not to be better, or with --tolerance by no more than that',
    )
    .option('--top <count>', 'how many of the best to find and show', parseCount, 1)
    .option('--write', 'put the best into the file, as plan PLAN_tuned (PLAN_tuned_2 if that is your own)');
  addJsonOption(command).action(
    action(context, (file: string, options: TuneCliOptions) => tuneFile(file, options, context)),
  );
};

async function tuneFile(
  file: string,
  options: TuneCliOptions,
  { terminal }: CommandContext,
): Promise<ExitCode> {
  const loaded = loadUncompiled(file, { ...options, ...planOf(file, options) }, terminal);
  if (loaded.kind === 'failed') return loaded.exit;
  const { checked, plan } = loaded;
  const requests = chooseRequests(checked, options.workload, file, plan.model.shape.context);
  if (requests.kind !== 'requests') return refuseRequests(terminal, requests);
  for (const warning of requests.warnings) err(terminal, `warning: ${warning}`);
  const unwritable = whyUnwritable(options.write ? file : undefined);
  if (unwritable !== undefined) throw nothingWritten(file, unwritable.message);
  const survey = createSurvey(plan, requests.requests);
  // Answers that the context cuts short fill no tier.
  const sizes = sizesToTry(plan, survey.requests, options);
  const strategies = options.strategy ?? STRATEGIES;
  const candidates = findCandidates(plan, strategies, sizes);
  for (const note of capsNotTried(plan, options.kvCap)) err(terminal, note);
  err(
    terminal,
    [
      `${plan.model.name} on ${plural(planDevices(plan).length, 'device')}`,
      `workload ${requests.name}: ${plural(requests.requests.length, 'request')}`,
      plural(candidates.length, 'plan'),
    ].join(', '),
  );
  const byEstimate = !options.exhaustive && worthEstimating(candidates, survey.requests);
  const goal = goalOf(options);
  const tolerance = options.tolerance ?? (byEstimate ? TOLERANCE : 0);
  const wanted = { keep: options.top, goal, byEstimate, tolerance, survey };
  const { result, tradeOffs, own, roughly, mostPromised, interrupted } = await interruptible(
    async (signal) => {
      const result = await search(candidates, requests.requests, wanted, terminal, signal);
      const [best, ...others] = result.ranked;
      const isOpen = best !== undefined && !signal.aborted && goal.kind === 'throughput';
      const tradeOffs = isOpen
        ? await listening(tradeOffsInParts(candidates, [best, ...others], survey, result.behind), signal)
        : undefined;
      const own =
        signal.aborted || goal.kind === 'front'
          ? undefined
          : await ownPlan(plan, { checked, candidates, survey, goal, byEstimate, tolerance, result, signal });
      const isNone = best === undefined && goal.kind === 'latency' && !noneFits(result.counts);
      const promised =
        isNone && !signal.aborted
          ? await listening(mostPromisedInParts(candidates, survey), signal)
          : undefined;
      return {
        result,
        tradeOffs: tradeOffs ?? [],
        own,
        interrupted: signal.aborted,
        ...(isOpen && !isEstimatedClosely(survey.demand, plan) && { roughly: true }),
        ...(promised !== undefined && { mostPromised: promised }),
      };
    },
  );
  const unheld = noneFits(result.counts) ? unheldRequests(candidates, requests.requests) : undefined;
  const searched = {
    goal,
    top: options.top,
    strategies,
    byEstimate,
    interrupted,
    sizes: { ...sizes, ...capsTried(candidates) },
    ...((byEstimate || tolerance > 0) && goal.kind !== 'front' && { tolerance }),
    ...(roughly && { roughly }),
    cut: answersCut(plan, requests.requests, survey),
    ...(unheld && { unheld }),
    ...(own && { own }),
    ...(mostPromised !== undefined && { mostPromised }),
  };
  const shown = options.front ? Infinity : Math.max(options.top, SHOWN);
  if (options.json) {
    const about = {
      plan: plan.name,
      workload: { name: requests.name, requests: requests.requests.length },
      engine: survey.engine,
    };
    const diagnostics = diagnosticsSaid(terminal);
    out(
      terminal,
      jsonDocument('tune', { ...about, ...tunedReport(result, searched, tradeOffs), diagnostics }),
    );
  } else out(terminal, describeTuned(result, searched, shown, tradeOffs));
  if (interrupted) {
    if (options.write) err(terminal, `nothing is written to ${file}: the search was interrupted`);
    return EXIT.interrupted;
  }
  if (result.ranked.length === 0) return EXIT.diagnostics;
  if (!options.write) return EXIT.ok;
  if (own !== undefined) {
    err(terminal, `nothing is written to ${file}: plan ${plan.name} is better than all that was found`);
    return EXIT.ok;
  }
  return writeWinner(file, plan, result, checked, options, terminal) ? EXIT.ok : EXIT.runtime;
}

/** How many answers the context cuts short, whatever the plan. What can never fit has no answer. */
function answersCut(
  plan: Plan,
  requests: readonly SimulatedRequest[],
  { requests: answered }: Pick<Survey, 'requests'>,
): number {
  return requests.filter(
    (each, id) => !exceedsContext(plan, each) && answered[id]!.outputTokens < each.outputTokens,
  ).length;
}

/** The plan that is named, or else the only one beside those that searches have put there. */
function planOf(file: string, { plan }: TuneCliOptions): Pick<TuneCliOptions, 'plan'> {
  if (plan !== undefined) return { plan };
  const text = fileHost().readText(resolve(file));
  const own = typeof text === 'string' ? planBesideTuned(text, file) : undefined;
  return own === undefined ? {} : { plan: own };
}

/** Searches with progress shown, until it is done or interrupted. */
async function search(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  wanted: TuneOptions,
  terminal: CommandContext['terminal'],
  signal: AbortSignal,
): Promise<TuneResult> {
  const progress = await createProgress(terminal, 'plans');
  progress.start(candidates.length);
  try {
    const devices = candidates[0]?.base.topology.devices.length ?? 0;
    const workers = trialWorkers(requests, devices);
    const parts =
      workers === 0
        ? tuneInParts(candidates, requests, wanted)
        : tuneOnWorkers(candidates, requests, wanted, { workers, signal });
    return await listening<TuneResult, TuneResult>(parts, signal, (found) =>
      progress.update(decided(found.counts), candidates.length, noteOf(found)),
    );
  } finally {
    progress.stop();
  }
}

function noteOf({ ranked: [best], counts }: TuneResult): string {
  if (best === undefined) return '';
  const { requests, makespan } = best.simulation;
  const tried = counts.simulated + counts.givenUp;
  return `${formatCount(tried)} simulated, best ${formatRequestRate(requests.finished / makespan)} requests/s`;
}

/** Lines of the table: those simulated beside the best are worth a look. */
const SHOWN = 5;

function goalOf({ floor, front }: TuneCliOptions): Goal {
  if (front) return { kind: 'front' };
  return floor === undefined ? { kind: 'throughput' } : { kind: 'latency', floor };
}

/** Sizes named on the command line, else those that may make a difference. */
function sizesToTry(
  plan: Plan,
  requests: readonly SimulatedRequest[],
  { microbatch, batch, kvCap }: TuneCliOptions,
): SizeChoices {
  const usual = sizeChoices(plan, requests);
  return {
    ...usual,
    ...(microbatch && { microbatchTokens: microbatch }),
    ...(batch && { batchRequests: batch }),
    ...(kvCap && hostKvBytes(plan) !== undefined && { hostKvBytes: kvCap }),
  };
}

/** Says of caps of KV in the host tier what keeps them from being tried. */
function capsNotTried(plan: Plan, caps: readonly number[] = []): readonly string[] {
  const { name } = plan;
  const own = hostKvBytes(plan);
  if (own === undefined)
    return caps.length === 0 ? [] : [`plan ${name} keeps no KV in a host tier: --kv-cap changes nothing`];
  const above = caps.filter((cap) => cap > own).map((cap) => formatBytes(cap));
  if (above.length === 0) return [];
  return [
    `plan ${name} keeps at most ${formatBytes(own)} of KV in the host tier: that is tried in place of ${above.join(', ')}`,
  ];
}

/** Caps of KV in the host tier that candidates have, from the largest on. */
function capsTried(candidates: readonly Candidate[]): Pick<SizeChoices, 'hostKvBytes'> {
  const bases = new Set(candidates.map(({ base }) => base));
  const caps = new Set([...bases].flatMap((base) => hostKvBytes(base) ?? []));
  return caps.size === 0 ? {} : { hostKvBytes: [...caps].sort((a, b) => b - a) };
}

function nothingWritten(file: string, why: string): RuntimeFailure {
  return new RuntimeFailure('FC0940', `nothing is written: ${why}`, { subject: file });
}

/** Writes the best plan into the file, as that is by now; false when the file cannot say it or be written. */
function writeWinner(
  file: string,
  plan: Plan,
  { ranked }: TuneResult,
  { path, files }: CheckedFile,
  { set }: TuneCliOptions,
  terminal: CommandContext['terminal'],
): boolean {
  const nothing = (why: string, declaration?: string): boolean => {
    err(terminal, renderFailure(nothingWritten(file, why), terminal.colour));
    // What took long to find is there to be put somewhere by hand.
    if (declaration !== undefined) err(terminal, declaration);
    return false;
  };
  const host = fileHost();
  // Searches are long: somebody may have worked on the file meanwhile.
  const text = host.readText(path);
  if (typeof text !== 'string') return nothing(`${file} ${text?.why ?? 'is gone'}`);
  const written = withTunedPlan({ host, path, text, set }, plan, ranked[0]!.plan);
  const { declaration } = written;
  if (written.kind === 'unsound') return nothing(written.why, declaration);
  if (written.kind === 'unsayable') {
    const changed = `${file} has changed since, and in it the plan would be another`;
    return nothing(text === files.get(path) ? written.why : changed, declaration);
  }
  const unwritten = writeText(file, written.text);
  if (unwritten !== undefined) return nothing(unwritten.message, declaration);
  const { name, taken } = written;
  err(
    terminal,
    taken === undefined
      ? `wrote plan ${name} to ${file}`
      : `wrote plan ${name} to ${file}: ${taken} there is none that tune wrote, and stays as it is`,
  );
  return true;
}
