/**
 * Where a command writes. Results go to standard output, everything said to a person beside them to standard error.
 * With `--json` exactly one document goes to standard output, unless the command is interrupted or its command line cannot
 * be read.
 */
import type { WriteStream } from 'node:tty';

/** What a command has said of plan files, and why it fails, as documents have it. */
export interface Findings {
  readonly diagnostics: Readonly<Record<string, unknown>>[];
  /** Where no diagnostic says it. */
  failure?: FailureJson;
}

export interface FailureJson {
  readonly code?: string;
  readonly slug?: string;
  readonly message: string;
  /** File, tensor, request or device that it is about. */
  readonly subject?: string;
  readonly help?: string;
}

export interface Terminal {
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
  /** Messages may be coloured. */
  readonly colour: boolean;
  /** Messages go to a person's terminal, so that a line may be redrawn. */
  readonly interactive: boolean;
  /** Width of that terminal. */
  readonly columns: number;
  /** Where the program keeps what is said, if it does. */
  readonly findings?: Findings;
}

/** Writes results, and a line end. */
export function out(terminal: Terminal, text: string): void {
  terminal.writeOut(`${text}\n`);
}

/** Writes a message, and a line end. */
export function err(terminal: Terminal, text: string): void {
  terminal.writeErr(`${text}\n`);
}

/** Writes each message once, however often it is said. */
export function saysOnce(terminal: Terminal): (message: string) => void {
  const said = new Set<string>();
  return (message) => {
    if (!said.has(message)) err(terminal, message);
    said.add(message);
  };
}

/** Says why the command fails, where no diagnostic does; without a code. */
export function fail(terminal: Terminal, message: string): void {
  err(terminal, `error: ${message}`);
  noteFailure(terminal, { message });
}

/** Keeps for a document why the command fails; a person is told elsewhere. */
export function noteFailure({ findings }: Terminal, failure: FailureJson): void {
  if (findings !== undefined) findings.failure = failure;
}

/** The diagnostics that were printed, as documents have them. */
export function diagnosticsSaid({ findings }: Terminal): Findings['diagnostics'] {
  return findings?.diagnostics ?? [];
}

/** Resolves when the system has taken everything that was written to a stream; a process that ends before loses the rest. */
export function allWritten(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}

/** Colour is for terminals; `NO_COLOR` turns it off and `FORCE_COLOR` on. */
function wantsColour(stream: WriteStream, env: NodeJS.ProcessEnv): boolean {
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  if (env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0') return true;
  return Boolean(stream.isTTY) && env['TERM'] !== 'dumb';
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process;
  return {
    writeOut: (text) => void stdout.write(text),
    writeErr: (text) => void stderr.write(text),
    colour: wantsColour(stderr, env),
    interactive: Boolean(stderr.isTTY) && env['CI'] === undefined,
    columns: stderr.isTTY ? stderr.columns : 80,
  };
}
