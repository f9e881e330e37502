/** The `fulcrum` program: its commands, and what becomes of errors. */
import { Command, CommanderError } from 'commander';
import { RuntimeFailure } from '../runtime/failure.js';
import { COMMANDS } from './commands/index.js';
import { refuseRepeats, type AddCommand, type CommandContext } from './command.js';
import { EXIT } from './exit-codes.js';
import { jsonDocument } from './json-document.js';
import { failureJson, renderFailure } from './render-failure.js';
import { settleStreams } from './standard-streams.js';
import { err, fail, noteFailure, out, type Findings, type Terminal } from './terminal.js';
import { VERSION } from './package-root.js';

/** Loads the command that is asked for; all of them for help and for what is misspelt, none for the version. */
function commandsFor(first = ''): readonly (() => Promise<AddCommand>)[] {
  const asked = COMMANDS.get(first);
  if (asked !== undefined) return [asked];
  return first === '-V' || first === '--version' ? [] : [...COMMANDS.values()];
}

/** Without a `help` for what is no command: the word alone is told to be none. */
function withoutVainHelp(args: readonly string[]): readonly string[] {
  const [first, about] = args;
  return first === 'help' && about !== undefined && !COMMANDS.has(about) ? args.slice(1) : args;
}

/**
 * Runs a command line (without the program's own name) and resolves with the exit status. Never rejects.
 * `devicesHere`: commands that use a GPU do so in this process instead of a child of it.
 */
export async function runProgram(
  args: readonly string[],
  terminal: Terminal,
  devicesHere: boolean,
): Promise<number> {
  const findings: Findings = { diagnostics: [] };
  let hasResults = false;
  const kept: Terminal = {
    ...terminal,
    findings,
    writeOut: (text) => {
      hasResults = true;
      terminal.writeOut(text);
    },
  };
  const { status, documentOf } = await runCommand(args, kept, devicesHere);
  const told =
    findings.failure !== undefined || findings.diagnostics.some(({ severity }) => severity === 'error');
  const failed = status === EXIT.diagnostics || status === EXIT.runtime || (status === EXIT.usage && told);
  // Whoever reads the document learns from it why there is nothing else in it.
  if (documentOf !== undefined && failed && !hasResults)
    out(terminal, jsonDocument(documentOf, { ok: false, ...findings }));
  return status;
}

/** An empty word is a variable of a script that is not set: as a path it would be a folder, as a name none. */
function refuseEmpty(command: Command): void {
  const option = command.options.find((each) => isEmpty(command.getOptionValue(each.attributeName())));
  if (option !== undefined) command.error(`error: option '${option.flags}' has an empty value`);
  const argument = command.registeredArguments.find((_, place) => isEmpty(command.processedArgs[place]));
  if (argument !== undefined) command.error(`error: argument '${argument.name()}' is empty`);
}

function isEmpty(value: unknown): boolean {
  return value === '' || (Array.isArray(value) && value.includes(''));
}

interface Ended {
  readonly status: number;
  /** The command, where it has begun and a document was asked for. */
  readonly documentOf?: string | undefined;
}

async function runCommand(args: readonly string[], terminal: Terminal, devicesHere: boolean): Promise<Ended> {
  let status: number = EXIT.ok;
  let documentOf: string | undefined;
  const context: CommandContext = { terminal, devicesHere, exit: (code) => (status = code) };
  const program = new Command('fulcrum')
    .description('Compile and run parallel LLM inference plans.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpCommand(true)
    .showHelpAfterError('(see --help)')
    .exitOverride()
    .configureOutput({
      writeOut: terminal.writeOut,
      writeErr: terminal.writeErr,
    })
    .hook('preAction', (_, command) => {
      refuseEmpty(command);
      settleStreams(command);
      if (command.getOptionValue('json') === true) documentOf = command.name();
    });
  try {
    const wanted = commandsFor(args[0]);
    for (const add of await Promise.all(wanted.map((load) => load()))) add(program, context);
    program.commands.forEach(refuseRepeats);
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return { status: EXIT.usage };
    }
    await program.parseAsync(withoutVainHelp(args), { from: 'user' });
  } catch (error) {
    status = statusOf(error, terminal);
  }
  return { status, documentOf };
}

/** Says what a command was ended by; the result is how it ends then. */
function statusOf(error: unknown, terminal: Terminal): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof Error && error.name === 'AbortError') {
    err(terminal, 'interrupted');
    return EXIT.interrupted;
  }
  if (error instanceof RuntimeFailure) {
    err(terminal, renderFailure(error, terminal.colour));
    noteFailure(terminal, failureJson(error));
    return EXIT.runtime;
  }
  if (error instanceof Error && 'syscall' in error) {
    // The operating system refused something: its message names the file.
    fail(terminal, error.message);
    return EXIT.runtime;
  }
  const message = `internal error, please report it\n${error instanceof Error ? error.stack : String(error)}`;
  err(terminal, `fulcrum: ${message}`);
  noteFailure(terminal, { message });
  return EXIT.runtime;
}
