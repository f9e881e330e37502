/** `fulcrum tune`: searches meshes and sizes for a plan's model, devices and workload. */
import { writeFileSync } from 'node:fs';
import { InvalidArgumentError, Option } from 'commander';
import {
  candidatePlans,
  planDevices,
  planSizes,
  STRATEGIES,
  type CandidateSizes,
  type Strategy,
} from '../../compiler/planner/candidates.js';
import { UNITS } from '../../compiler/check/units.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { tune, type Goal, type TuneResult } from '../../runtime/tune/tune.js';
import { action, addJsonOption, collectSettings, type AddCommand, type CommandContext } from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { plural } from '../format.js';
import { jsonDocument } from '../json-document.js';
import { checkPlanFile, choosePlan, refuseErrors } from '../load-plan.js';
import { createProgress } from '../progress.js';
import { describeTuned, tunedReport } from '../tune-report.js';
import { err, out } from '../terminal.js';
import { chooseRequests, refuseRequests } from '../workloads.js';
import { withTunedPlan } from '../write-tuned.js';

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
  readonly top: number;
  readonly write?: boolean;
  readonly json?: boolean;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('expected a whole number above 0');
  return value;
}

const gather = (text: string, gathered: readonly number[] = []): readonly number[] => [
  ...gathered,
  ...text.split(',').map(wholeNumber),
];

function rate(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) throw new InvalidArgumentError('expected a number above 0');
  return value;
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

const gatherBytes = (text: string, gathered: readonly number[] = []): readonly number[] => [
  ...gathered,
  ...text.split(',').map(bytesOf),
];

export const addTuneCommand: AddCommand = (program, context) => {
  const command = program
    .command('tune')
    .description('search meshes and sizes for the best way to run a workload, by simulation')
    .argument('<file>', 'plan file')
    .option('--plan <name>', 'plan whose model, devices and tiers to use; needed when the file has several')
    .option('--workload <name>', 'workload of the plan file, or a .jsonl file of lengths')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings)
    .addOption(
      new Option('--strategy <strategy...>', 'kinds of plans to try, all unless named').choices(STRATEGIES),
    )
    .option(
      '--microbatch <tokens,...>',
      "tokens of a prefill step to try; the plan's own unless given",
      gather,
    )
    .option('--batch <requests,...>', "requests decoding at once to try; the plan's own unless given", gather)
    .option(
      '--kv-cap <size,...>',
      "most KV in the host tier to try, such as 400GiB; the plan's own unless given",
      gatherBytes,
    )
    .option(
      '--floor <requests/s>',
      'look for the least time between tokens, of plans with at least this throughput',
      rate,
    )
    .addOption(
      new Option(
        '--front',
        'look for every plan that no other beats in both throughput and time between tokens',
      ).conflicts('floor'),
    )
    .option('--top <count>', 'how many of the best to find and show', wholeNumber, 1)
    .option('--write', 'put the best into the file, as plan PLAN_tuned');
  addJsonOption(command).action(
    action(context, (file: string, options: TuneCliOptions) => tuneFile(file, options, context)),
  );
};

function tuneFile(file: string, options: TuneCliOptions, { terminal }: CommandContext): ExitCode {
  const checked = checkPlanFile(file, options.set, terminal.colour);
  const refused = refuseErrors(terminal, checked.diagnostics, checked.render);
  if (refused !== undefined) return refused;
  const chosen = choosePlan(checked.plans, options.plan, file);
  if (chosen.kind === 'usage') {
    err(terminal, chosen.message);
    return EXIT.usage;
  }
  const { plan } = chosen;
  const requests = chooseRequests(checked.workloads, options.workload, file, plan.model.shape.context);
  if (requests.kind !== 'requests') return refuseRequests(terminal, requests);
  const devices = plural(planDevices(plan).length, 'device');
  err(
    terminal,
    `${plan.model.name} on ${devices}, workload ${requests.name}: ${plural(requests.requests.length, 'request')}`,
  );
  const candidates = sizesToTry(plan, options).flatMap((sizes) =>
    candidatePlans(plan, options.strategy ?? STRATEGIES, sizes),
  );
  const progress = createProgress(terminal, 'plans');
  progress.start(candidates.length);
  const shown = options.front ? Infinity : Math.max(options.top, SHOWN);
  const result = tune(candidates, requests.requests, {
    keep: options.top,
    goal: goalOf(options),
    onProgress: (done, total) => progress.update(done, total, ''),
  });
  progress.stop();
  if (options.json) out(terminal, jsonDocument('tune', tunedReport(result)));
  else out(terminal, describeTuned(result, shown));
  if (result.ranked.length === 0) return EXIT.diagnostics;
  if (!options.write) return EXIT.ok;
  const text = checked.files.get(plan.origin.file)!;
  return writeWinner(file, plan, result, text, terminal) ? EXIT.ok : EXIT.runtime;
}

/** Lines of the table: those simulated beside the best are worth a look. */
const SHOWN = 5;

function goalOf({ floor, front }: TuneCliOptions): Goal {
  if (front) return { kind: 'front' };
  return floor === undefined ? { kind: 'throughput' } : { kind: 'latency', floor };
}

/** Every combination of the sizes named on the command line, else those of the plan. */
function sizesToTry(plan: Plan, { microbatch, batch, kvCap }: TuneCliOptions): readonly CandidateSizes[] {
  const own = planSizes(plan);
  const caps: readonly Pick<CandidateSizes, 'hostKvBytes'>[] = kvCap?.map((hostKvBytes) => ({
    hostKvBytes,
  })) ?? [{}];
  return (microbatch ?? [own.microbatchTokens]).flatMap((microbatchTokens) =>
    (batch ?? [own.batchRequests]).flatMap((batchRequests) =>
      caps.map((cap) => ({ microbatchTokens, batchRequests, ...cap })),
    ),
  );
}

/** Writes the best plan into the file; false when it cannot be named there. */
function writeWinner(
  file: string,
  plan: Plan,
  { ranked }: TuneResult,
  text: string,
  terminal: CommandContext['terminal'],
): boolean {
  const written = withTunedPlan(text, file, plan, ranked[0]!.candidate.plan);
  if (written.kind === 'unnameable') {
    err(terminal, `error: the devices of stage ${written.stage} are no range that a plan can name`);
    return false;
  }
  writeFileSync(file, written.text);
  err(terminal, `wrote plan ${written.name} to ${file}`);
  return true;
}
