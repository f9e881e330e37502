/** `fulcrum check`: diagnostics of plan files, and what each plan asks of its devices and links. */
import { Option } from 'commander';
import { compileChecked, withSimulated } from '../../compiler/check-and-compile.js';
import { unreadableWorkloads } from '../../runtime/clock/lengths-file.js';
import { readTraceFile } from '../../runtime/trace/read-trace.js';
import { action, addJsonOption, collectSettings, type AddCommand } from '../command.js';
import { diagnosticJson } from '../diagnostic-json.js';
import { EXIT } from '../exit-codes.js';
import {
  brokenBy,
  describeVerdicts,
  judgeTrace,
  simulateExpectations,
  verdictsJson,
  type JudgedTrace,
} from '../expectations.js';
import { plural } from '../format.js';
import { jsonDocument } from '../json-document.js';
import {
  checkPlanFile,
  countDiagnostics,
  isError,
  reportDiagnostics,
  type CheckedFile,
} from '../load-plan.js';
import { describePlan, planReport } from '../plan-report.js';
import { failureJson, renderFailure } from '../render-failure.js';
import { checkAsRun, settingsOf } from '../run-settings.js';
import { sarifLog } from '../sarif.js';
import { shownPath } from '../shown-path.js';
import { err, fail, out, type FailureJson, type Terminal } from '../terminal.js';

interface CheckOptions {
  readonly set?: Readonly<Record<string, string>>;
  readonly json?: boolean;
  readonly sarif?: boolean;
  readonly trace?: string;
  readonly plan?: string;
}

export const addCheckCommand: AddCommand = (program, context) => {
  const command = program
    .command('check')
    .description('report errors in plan files, and the memory and traffic of sound plans')
    .argument('<files...>', 'plan files')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings)
    .option(
      '--trace <file>',
      'hold what the plan expects against a run, or a simulation, that left this trace',
    )
    .option('--plan <name>', 'with --trace: the plan, where it is not the one that the trace names')
    .addOption(new Option('--sarif', 'print the diagnostics as SARIF 2.1.0 on stdout').conflicts('json'));
  addJsonOption(command).action(
    action(context, (files: readonly string[], options: CheckOptions) => {
      const { terminal } = context;
      const problem = misuse(files, options);
      if (problem !== undefined) {
        fail(terminal, problem);
        return EXIT.usage;
      }
      const results = files.map((file) => checkOne(file, options, terminal));
      const unjudged = results.flatMap(({ trace }) => (trace && trace.kind !== 'judged' ? trace : [])).at(0);
      const all = results.flatMap((result) => result.diagnostics);
      const good = !all.some(isError) && unjudged === undefined;
      for (const { diagnostics, checked } of results)
        reportDiagnostics(terminal, diagnostics, checked.render);
      if (options.sarif) out(terminal, JSON.stringify(sarifLog(results), null, 2));
      else if (options.json) {
        const documents = results.map(({ file, render, reports, diagnostics, allowed, trace }) => ({
          file,
          diagnostics: diagnostics.map((diagnostic) => diagnosticJson(diagnostic, render)),
          allowed: allowed.map(({ diagnostic, by }) => ({
            ...diagnosticJson(diagnostic, render),
            reason: by.reason,
          })),
          plans: reports,
          ...(trace?.kind === 'judged' && {
            run: { trace: options.trace, plan: trace.plan, expectations: verdictsJson(trace.verdicts) },
          }),
        }));
        const failure = unjudged && { failure: whyUnjudged(unjudged) };
        out(terminal, jsonDocument('check', { ok: good, files: documents, ...failure }));
      } else {
        for (const report of results.flatMap(({ reports }) => reports))
          out(terminal, `${describePlan(report)}\n`);
        for (const { trace } of results)
          if (trace?.kind === 'judged')
            out(terminal, `plan ${trace.plan} in ${options.trace}\n${describeVerdicts(trace.verdicts)}\n`);
      }
      // What keeps the trace from being judged comes after these counts, and is a problem of its own.
      const counts = countDiagnostics(all) || (unjudged === undefined ? 'no problems' : undefined);
      const checkedFiles = `${plural(files.length, 'file')} checked`;
      err(terminal, counts === undefined ? checkedFiles : `${checkedFiles}, ${counts}`);
      if (unjudged?.kind === 'usage') {
        fail(terminal, unjudged.message);
        return EXIT.usage;
      }
      if (unjudged !== undefined) {
        err(terminal, renderFailure(unjudged.failure, terminal.colour));
        return EXIT.runtime;
      }
      return good ? EXIT.ok : EXIT.diagnostics;
    }),
  );
};

/** As the document has it. */
function whyUnjudged(unjudged: Exclude<JudgedTrace, { kind: 'judged' }>): FailureJson {
  return unjudged.kind === 'usage' ? { message: unjudged.message } : failureJson(unjudged.failure);
}

function misuse(files: readonly string[], { trace, plan }: CheckOptions): string | undefined {
  if (trace !== undefined && files.length > 1) return '--trace is about one file';
  return plan !== undefined && trace === undefined ? '--plan is about the run that --trace names' : undefined;
}

/** Whether a plan stands in the file, which then has errors that are to be told if it is not sound, or none can be read. */
function isDeclared({ file }: Pick<CheckedFile, 'file'>, name: unknown): boolean {
  return file === undefined || file.items.some((item) => item.kind === 'plan' && item.name.text === name);
}

function checkOne(file: string, options: CheckOptions, terminal: Terminal) {
  const read = options.trace === undefined ? undefined : readTraceFile(options.trace);
  const { checked, differ } =
    read?.kind === 'trace'
      ? checkAsRun(file, options.set, { path: options.trace!, ...settingsOf(read.trace.about) }, terminal)
      : { checked: checkPlanFile(file, options.set, terminal.colour), differ: undefined };
  if (differ !== undefined)
    err(terminal, `params are not as in the run of ${options.trace}: ${differ.here}, there ${differ.run}`);
  const compiled = compileChecked(checked, checked.path, { everyValue: true });
  const sound = compiled.compiled.filter(({ result }) => result.runtime.stages.length > 0);
  const judged = read && judgeTrace(options.trace!, read, sound, options.plan);
  const trace = judged?.kind === 'usage' && isDeclared(checked, judged.wanted) ? undefined : judged;
  const observed =
    trace?.kind === 'judged'
      ? brokenBy(trace.verdicts)
      : simulateExpectations(compiled.compiled, checked.workloads, terminal);
  const found = [...unreadableWorkloads(checked.workloads, shownPath), ...observed];
  const { diagnostics, allowed } = withSimulated(checked, checked.path, compiled, found);
  const reports = sound.map(({ plan, result }) =>
    planReport(result.runtime, result.transitions, plan.topology),
  );
  return { file, checked, reports, diagnostics, allowed, trace, render: checked.render };
}
