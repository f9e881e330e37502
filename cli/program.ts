/** The `fulcrum` program: its commands, and what becomes of errors. */
import { Command, CommanderError } from 'commander';
import { RuntimeFailure } from '../runtime/failure.js';
import { COMMANDS } from './commands/index.js';
import type { AddCommand, CommandContext } from './command.js';
import { EXIT } from './exit-codes.js';
import { renderFailure } from './render-failure.js';
import { err, type Terminal } from './terminal.js';
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
  let status: number = EXIT.ok;
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
    });
  try {
    const wanted = commandsFor(args[0]);
    for (const add of await Promise.all(wanted.map((load) => load()))) add(program, context);
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return EXIT.usage;
    }
    await program.parseAsync(withoutVainHelp(args), { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (error instanceof Error && error.name === 'AbortError') {
      err(terminal, 'interrupted');
      return EXIT.interrupted;
    }
    if (error instanceof RuntimeFailure) {
      err(terminal, renderFailure(error, terminal.colour));
      return EXIT.runtime;
    }
    if (error instanceof Error && 'syscall' in error) {
      // The operating system refused something: its message names the file.
      err(terminal, `error: ${error.message}`);
      return EXIT.runtime;
    }
    err(
      terminal,
      `fulcrum: internal error, please report it\n${error instanceof Error ? error.stack : String(error)}`,
    );
    return EXIT.runtime;
  }
}
