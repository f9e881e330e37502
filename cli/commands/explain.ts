/** `fulcrum explain`: a code at length, or what the compiler decided about the plans of a file and why. */
import { action, addJsonOption, collectSettings, type AddCommand } from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { describeCode, findCode } from '../explain/codes.js';
import type { ExplainOptions } from '../explain/explain-file.js';
import { readPage } from '../explain/pages.js';
import { jsonDocument } from '../json-document.js';
import { fail, out, type Terminal } from '../terminal.js';

/** What is asked about is a code unless it looks like a file. */
function isFileName(what: string): boolean {
  return /[./\\]/.test(what);
}

export const addExplainCommand: AddCommand = (program, context) => {
  const command = program
    .command('explain')
    .description('explain a code such as FC0503, or what the compiler decided about a plan and why')
    .argument('<what>', 'a code, a plan file, or FILE:LINE for what that line caused')
    .option('--op <id>', 'the line that caused this op; FILE:LINE prints ids')
    .option('--plan <name>', 'plan of the file; all of them unless named')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings);
  addJsonOption(command).action(
    action(context, async (what: string, options: ExplainOptions) => {
      if (!isFileName(what)) return explainCode(what, options, context.terminal);
      // Codes are explained without the compiler, which takes longer to load.
      const { explainFile } = await import('../explain/explain-file.js');
      return explainFile(what, options, context);
    }),
  );
};

function explainCode(name: string, options: ExplainOptions, terminal: Terminal): ExitCode {
  const found = findCode(name);
  if (found === undefined) {
    fail(terminal, `there is no code ${name}; a plan file is named by its path, such as ./${name}.plan`);
    return EXIT.usage;
  }
  const ofPlans = (['op', 'plan', 'set'] as const).find((option) => options[option] !== undefined);
  if (ofPlans !== undefined) {
    fail(terminal, `--${ofPlans} is about a plan file, and ${name} is a code`);
    return EXIT.usage;
  }
  const text = options.json
    ? jsonDocument('explain', { ...found, page: readPage(found.code) })
    : describeCode(found);
  out(terminal, text);
  return EXIT.ok;
}
