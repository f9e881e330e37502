/** `fulcrum explain`: a code at length, or what the compiler decided about the plans of a file and why. */
import { compileAllowing } from '../../compiler/check-and-compile.js';
import { action, addJsonOption, collectSettings, type AddCommand, type CommandContext } from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { describeCode, findCode } from '../explain/codes.js';
import { describeExplanation } from '../explain/describe-plan.js';
import { explainPlan } from '../explain/explain-plan.js';
import { jsonDocument } from '../json-document.js';
import { checkPlanFile, choosePlan, countDiagnostics, isError, reportDiagnostics } from '../load-plan.js';
import { readPage } from '../explain/pages.js';
import { err, out } from '../terminal.js';

interface ExplainOptions {
  readonly plan?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly json?: boolean;
}

/** What is asked about is a code unless it looks like a file. */
function isFileName(what: string): boolean {
  return /[./\\]/.test(what);
}

export const addExplainCommand: AddCommand = (program, context) => {
  const command = program
    .command('explain')
    .description('explain a code such as FC0503, or what the compiler decided about a plan and why')
    .argument('<what>', 'a code, or a plan file')
    .option('--plan <name>', 'plan of the file; all of them unless named')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings);
  addJsonOption(command).action(
    action(context, (what: string, options: ExplainOptions) =>
      isFileName(what) ? explainFile(what, options, context) : explainCode(what, options, context),
    ),
  );
};

function explainCode(name: string, { json }: ExplainOptions, { terminal }: CommandContext): ExitCode {
  const found = findCode(name);
  if (found === undefined) {
    err(
      terminal,
      `error: there is no code ${name}; a plan file is named by its path, such as ./${name}.plan`,
    );
    return EXIT.usage;
  }
  const text = json ? jsonDocument('explain', { ...found, page: readPage(found.code) }) : describeCode(found);
  out(terminal, text);
  return EXIT.ok;
}

function explainFile(file: string, options: ExplainOptions, { terminal }: CommandContext): ExitCode {
  const checked = checkPlanFile(file, options.set, terminal.colour);
  const failed = (diagnostics: typeof checked.diagnostics): ExitCode => {
    err(terminal, countDiagnostics(diagnostics));
    return EXIT.diagnostics;
  };
  if (!reportDiagnostics(terminal, checked.diagnostics, checked.render)) return failed(checked.diagnostics);
  const chosen = options.plan === undefined ? undefined : choosePlan(checked.plans, options.plan, file);
  if (chosen?.kind === 'usage') {
    err(terminal, chosen.message);
    return EXIT.usage;
  }
  const compiled = (chosen === undefined ? checked.plans : [chosen.plan]).map((plan) => ({
    plan,
    result: compileAllowing(plan, checked),
  }));
  const diagnostics = compiled.flatMap(({ result }) => result.diagnostics);
  reportDiagnostics(terminal, diagnostics, checked.render);
  if (diagnostics.some(isError)) return failed(diagnostics);
  const plans = compiled.map(({ plan, result }) => explainPlan(plan, result));
  if (options.json) out(terminal, jsonDocument('explain', { file, plans }));
  else out(terminal, plans.map(describeExplanation).join('\n\n'));
  return EXIT.ok;
}
