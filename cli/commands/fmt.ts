/** `fulcrum fmt`: puts plan files into the canonical layout. */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createTwoFilesPatch } from 'diff';
import { formatPlan } from '../../grammar/format.js';
import { fromSyntax } from '../../compiler/check/load.js';
import { decodePlanText, NOT_UTF8 } from '../../runtime/plan-text.js';
import { systemReason } from '../../runtime/system-reason.js';
import { action, type AddCommand, type CommandContext } from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { plural } from '../format.js';
import { renderDiagnostic } from '../render-diagnostics.js';
import { shownPath } from '../shown-path.js';
import { STANDARD_STREAM } from '../standard-streams.js';
import { err, fail, out, type Terminal } from '../terminal.js';
import { writeText } from '../write-text.js';

interface FmtOptions {
  readonly check?: boolean;
  readonly diff?: boolean;
}

export const addFmtCommand: AddCommand = (program, context) => {
  program
    .command('fmt')
    .description('put plan files into the one canonical layout')
    .argument('<paths...>', 'plan files, folders to search for them, or - for standard input')
    .option('--check', 'change nothing; exit with 1 when a file would change')
    .option('--diff', 'change nothing; print what would change; exit with 1 when anything would')
    .action(
      action(context, (paths: readonly string[], options: FmtOptions) =>
        formatPaths(paths, options, context),
      ),
    );
};

function formatPaths(paths: readonly string[], options: FmtOptions, { terminal }: CommandContext): ExitCode {
  const counts = { changed: 0, same: 0, failed: 0 };
  for (const path of paths) {
    let files: readonly string[];
    try {
      files = path === STANDARD_STREAM ? [STANDARD_STREAM] : planFiles(path);
    } catch (cause) {
      fail(terminal, `cannot read ${path}: ${systemReason(cause)}`);
      counts.failed++;
      continue;
    }
    for (const file of files) counts[formatOne(file, options, terminal)]++;
  }
  const dry = options.check === true || options.diff === true;
  const said = [
    ...(counts.changed > 0
      ? [`${plural(counts.changed, 'file')} ${dry ? 'would change' : 'formatted'}`]
      : []),
    ...(counts.same > 0
      ? [`${plural(counts.same, 'file')} as ${counts.same === 1 ? 'it' : 'they'} should be`]
      : []),
    ...(counts.failed > 0 ? [`${plural(counts.failed, 'file')} with errors left as they are`] : []),
  ];
  if (said.length === 0) {
    fail(terminal, `no plan file in ${paths.join(', ')}`);
    return EXIT.usage;
  }
  err(terminal, said.join(', '));
  return counts.failed > 0 || (dry && counts.changed > 0) ? EXIT.diagnostics : EXIT.ok;
}

/** The file itself, or every plan file below a folder. */
function planFiles(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true })
    .filter(({ name }) => name !== 'node_modules' && !name.startsWith('.'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const inner = join(path, entry.name);
      if (entry.isDirectory()) return planFiles(inner);
      return entry.name.endsWith('.plan') ? [inner] : [];
    });
}

function formatOne(
  file: string,
  { check, diff }: FmtOptions,
  terminal: Terminal,
): 'changed' | 'same' | 'failed' {
  const stdin = file === STANDARD_STREAM;
  const name = stdin ? '<stdin>' : shownPath(file);
  const failed = (why: string): 'failed' => {
    fail(terminal, why);
    return 'failed';
  };
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(stdin ? 0 : file);
  } catch (cause) {
    return failed(`cannot read ${name}: ${systemReason(cause)}`);
  }
  const text = decodePlanText(bytes);
  if (text === undefined) return failed(`${name} ${NOT_UTF8}`);
  const formatted = formatPlan(text, name);
  if (formatted.kind === 'broken') {
    const render = { textOf: () => text, nameOf: () => name, colour: terminal.colour };
    for (const problem of formatted.errors)
      err(terminal, `${renderDiagnostic(fromSyntax(problem, name, text), render)}\n`);
    if (stdin && check !== true && diff !== true) terminal.writeOut(text);
    return 'failed';
  }
  const changed = formatted.text !== text;
  if (diff === true) {
    if (changed) out(terminal, createTwoFilesPatch(name, name, text, formatted.text, '', '').trimEnd());
  } else if (check === true) {
    if (changed) err(terminal, `${name} would change`);
  } else if (stdin) terminal.writeOut(formatted.text);
  else if (changed) {
    const unwritten = writeText(file, formatted.text);
    if (unwritten !== undefined) return failed(unwritten.message);
  }
  return changed ? 'changed' : 'same';
}
