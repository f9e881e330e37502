/** `-` in the place of a file: standard input or output where an option can have it, and never a file of that name. */
import type { Command } from 'commander';

export const STANDARD_STREAM = '-';

/** Where standard input can be opened by name. */
const STANDARD_INPUT = '/dev/stdin';

/**
 * By command and option: `in` reads standard input, `out` writes to standard output, as if the option were absent, and
 * `own` is for the command to see to.
 */
const STREAMS: Readonly<Record<string, 'in' | 'out' | 'own'>> = {
  'run --requests': 'in',
  'check --trace': 'in',
  'simulate --against': 'in',
  'compile --output': 'out',
  'devices --out': 'out',
  'graph --out': 'own',
};

/** Options whose value is a file to read or write. */
const TAKES_FILE = /<(file|directory)>$/;

/** Puts streams in the place of `-`; ends the command where an option can have none. */
export function settleStreams(command: Command): void {
  for (const option of command.options) {
    const { flags, long } = option;
    const name = option.attributeName();
    if (!TAKES_FILE.test(flags) || command.getOptionValue(name) !== STANDARD_STREAM) continue;
    const stream = STREAMS[`${command.name()} ${long}`];
    if (stream === 'own') continue;
    if (stream === undefined || (stream === 'in' && process.platform === 'win32'))
      command.error(
        `error: option '${flags}' has no standard stream in place of a file; ./- is a file of that name`,
      );
    command.setOptionValueWithSource(name, stream === 'in' ? STANDARD_INPUT : undefined, 'cli');
  }
}
