/** `fulcrum compile`: a plan at any level of the compiler; the runtime graph unless asked for another. */
import { Option } from 'commander';
import { fromSyntax } from '../../compiler/check/load.js';
import type { PrintOptions } from '../../compiler/ir/print.js';
import { printLogical } from '../../compiler/ir/print-logical.js';
import { printRuntime } from '../../compiler/ir/print-runtime.js';
import { printSharded } from '../../compiler/ir/print-sharded.js';
import { printTransitions } from '../../compiler/ir/print-transitions.js';
import { serialiseRuntimeGraph } from '../../compiler/ir/runtime-json.js';
import type { CompileResult } from '../../compiler/compile.js';
import { printPlan } from '../../compiler/plan/print-plan.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { parse } from '../../grammar/parse.js';
import { printSyntax } from '../../grammar/print-syntax.js';
import { refuseTaken } from '../../runtime/refuse-taken.js';
import { action, collectSettings, type AddCommand } from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { simulateExpectations } from '../expectations.js';
import { checkPlanFile, filesRead, loadPlan, refuseErrors, reportDiagnostics } from '../load-plan.js';
import { placeName } from '../render-diagnostics.js';
import { err, fail, out, type Terminal } from '../terminal.js';
import { refuseUnwritable, writeText } from '../write-text.js';

/** Printed levels, in the order of the pipeline; `syntax` needs no sound plan and stands apart. */
const LEVELS: Readonly<
  Record<string, (plan: Plan, compiled: CompileResult, options: PrintOptions) => string>
> = {
  plan: (plan) => printPlan(plan),
  logical: (_, { logical }) => printLogical(logical),
  sharded: (_, { sharded }, options) => printSharded(sharded, options),
  transitions: (_, { transitions }, options) => printTransitions(transitions, options),
  runtime: (_, { runtime }, options) => printRuntime(runtime, options),
};

/** Levels whose ops and moves say where they come from. */
const WITH_ORIGINS: readonly string[] = ['sharded', 'transitions', 'runtime'];

interface CompileOptions {
  readonly plan?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly emit?: string;
  readonly output?: string;
  readonly origins?: boolean;
}

export const addCompileCommand: AddCommand = (program, context) => {
  program
    .command('compile')
    .description('lower a plan; prints the runtime graph as JSON unless --emit asks for the text of a level')
    .argument('<file>', 'plan file')
    .option('--plan <name>', 'plan of the file; needed when it has several')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings)
    .addOption(
      new Option('--emit <level>', 'print a level as text').choices(['syntax', ...Object.keys(LEVELS)]),
    )
    .option(
      '--origins',
      `with --emit ${WITH_ORIGINS.join(' | ')}: say behind every op and move which place of the plan caused it`,
    )
    .option('-o, --output <file>', 'write to a file instead of stdout, which is -')
    .action(
      action(context, (file: string, options: CompileOptions) => {
        const { terminal } = context;
        refuseUnwritable(options.output);
        if (options.origins && (options.emit === undefined || !WITH_ORIGINS.includes(options.emit))) {
          const levels = WITH_ORIGINS.map((level) => `--emit ${level}`).join(', ');
          fail(terminal, `--origins goes with ${levels}`);
          return EXIT.usage;
        }
        if (options.emit === 'syntax') return emitSyntax(file, options, terminal);
        const loaded = loadPlan(
          file,
          { ...options, written: [options.output] },
          terminal,
          (plans, { workloads }) => simulateExpectations(plans, workloads, terminal),
        );
        if (loaded.kind === 'failed') return loaded.exit;
        const { plan, compiled, checked } = loaded;
        const origins: PrintOptions = options.origins
          ? { origin: (origin) => placeName(origin, checked.render) }
          : {};
        const text =
          options.emit === undefined
            ? serialiseRuntimeGraph(compiled.runtime)
            : LEVELS[options.emit]!(plan, compiled, origins);
        emit(text, options, terminal);
        return EXIT.ok;
      }),
    );
};

/** The syntax tree of whatever the file holds; its errors besides. */
function emitSyntax(file: string, options: CompileOptions, terminal: Terminal): ExitCode {
  const checked = checkPlanFile(file, undefined, terminal.colour);
  refuseTaken([options.output], filesRead(checked));
  const { path, files, diagnostics, render } = checked;
  const text = files.get(path);
  if (text === undefined) return refuseErrors(terminal, diagnostics, render) ?? EXIT.diagnostics;
  const { file: tree, errors } = parse(text, file);
  emit(printSyntax(tree), options, terminal);
  const problems = errors.map((problem) => fromSyntax(problem, path, text));
  return reportDiagnostics(terminal, problems, render) ? EXIT.ok : EXIT.diagnostics;
}

function emit(text: string, { output }: CompileOptions, terminal: Terminal): void {
  if (output === undefined) {
    out(terminal, text.replace(/\n$/, ''));
    return;
  }
  const unwritten = writeText(output, text.endsWith('\n') ? text : `${text}\n`);
  if (unwritten !== undefined) throw unwritten;
  err(terminal, `wrote ${output}`);
}
