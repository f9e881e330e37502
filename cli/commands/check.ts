/** `fulcrum check`: diagnostics of plan files, and what each plan asks of its devices and links. */
import { resolve } from 'node:path';
import { Option } from 'commander';
import { compileChecked } from '../../compiler/check-and-compile.js';
import { action, addJsonOption, collectSettings, type AddCommand } from '../command.js';
import { diagnosticJson } from '../diagnostic-json.js';
import { EXIT } from '../exit-codes.js';
import { plural } from '../format.js';
import { jsonDocument } from '../json-document.js';
import { checkPlanFile, countDiagnostics, isError, reportDiagnostics } from '../load-plan.js';
import { describePlan, planReport } from '../plan-report.js';
import { sarifLog } from '../sarif.js';
import { err, out } from '../terminal.js';

interface CheckOptions {
  readonly set?: Readonly<Record<string, string>>;
  readonly json?: boolean;
  readonly sarif?: boolean;
}

export const addCheckCommand: AddCommand = (program, context) => {
  const command = program
    .command('check')
    .description('report errors in plan files, and the memory and traffic of sound plans')
    .argument('<files...>', 'plan files')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings)
    .addOption(new Option('--sarif', 'print the diagnostics as SARIF 2.1.0 on stdout').conflicts('json'));
  addJsonOption(command).action(
    action(context, (files: readonly string[], options: CheckOptions) => {
      const { terminal } = context;
      const results = files.map((file) => {
        const checked = checkPlanFile(file, options.set, terminal.colour);
        const { compiled, diagnostics, allowed } = compileChecked(checked, resolve(file));
        const reports = compiled
          .filter(({ result }) => result.runtime.stages.length > 0)
          .map(({ result }) => planReport(result.runtime, result.transitions));
        return { file, checked, reports, diagnostics, allowed, render: checked.render };
      });
      const all = results.flatMap((result) => result.diagnostics);
      const good = !all.some(isError);
      for (const { diagnostics, checked } of results)
        reportDiagnostics(terminal, diagnostics, checked.render);
      if (options.sarif) out(terminal, JSON.stringify(sarifLog(results), null, 2));
      else if (options.json) {
        const documents = results.map(({ file, render, reports, diagnostics, allowed }) => ({
          file,
          diagnostics: diagnostics.map((diagnostic) => diagnosticJson(diagnostic, render)),
          allowed: allowed.map(({ diagnostic, by }) => ({
            ...diagnosticJson(diagnostic, render),
            reason: by.reason,
          })),
          plans: reports,
        }));
        out(terminal, jsonDocument('check', { ok: good, files: documents }));
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
