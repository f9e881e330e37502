/** `fulcrum check`: diagnostics of plan files, and what each plan asks of its devices and links. */
import { compilePlan } from '../../compiler/compile.js';
import { action, addJsonOption, collectSettings, type AddCommand } from '../command.js';
import { diagnosticJson } from '../diagnostic-json.js';
import { EXIT } from '../exit-codes.js';
import { plural } from '../format.js';
import { checkPlanFile, countDiagnostics, isError, reportDiagnostics } from '../load-plan.js';
import { describePlan, planReport } from '../plan-report.js';
import { err, out } from '../terminal.js';

interface CheckOptions {
  readonly set?: Readonly<Record<string, string>>;
  readonly json?: boolean;
}

export const addCheckCommand: AddCommand = (program, context) => {
  const command = program
    .command('check')
    .description('report errors in plan files, and the memory and traffic of sound plans')
    .argument('<files...>', 'plan files')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings);
  addJsonOption(command).action(
    action(context, (files: readonly string[], options: CheckOptions) => {
      const { terminal } = context;
      const results = files.map((file) => {
        const checked = checkPlanFile(file, options.set, terminal.colour);
        const compiled = checked.plans.map((plan) => compilePlan(plan));
        const diagnostics = [...checked.diagnostics, ...compiled.flatMap((result) => result.diagnostics)];
        const reports = compiled
          .filter(({ runtime }) => runtime.stages.length > 0)
          .map(({ runtime, transitions }) => planReport(runtime, transitions));
        return { file, checked, reports, diagnostics };
      });
      const all = results.flatMap((result) => result.diagnostics);
      const good = !all.some(isError);
      for (const { diagnostics, checked } of results)
        reportDiagnostics(terminal, diagnostics, checked.render);
      if (options.json) {
        const documents = results.map(({ file, checked, reports, diagnostics }) => ({
          file,
          diagnostics: diagnostics.map((diagnostic) => diagnosticJson(diagnostic, checked.render)),
          plans: reports,
        }));
        out(terminal, JSON.stringify({ command: 'check', ok: good, files: documents }, null, 2));
      } else {
        for (const report of results.flatMap(({ reports }) => reports))
          out(terminal, `${describePlan(report)}\n`);
      }
      const counts = countDiagnostics(all);
      const checkedFiles = plural(files.length, 'file');
      err(
        terminal,
        counts === '' ? `${checkedFiles} checked, no problems` : `${checkedFiles} checked, ${counts}`,
      );
      return good ? EXIT.ok : EXIT.diagnostics;
    }),
  );
};
