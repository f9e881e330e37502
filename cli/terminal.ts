/**
 * Where a command writes. Results go to `out` (standard output), everything said to a person beside them to `err`
 * (standard error). With `--json` exactly one document goes to `out`.
 */
import type { WriteStream } from 'node:tty';
import { writeResult } from './gpu-process.js';

export interface Terminal {
  /** Writes results; a line end is added. */
  readonly out: (text: string) => void;
  /** Writes messages and progress; a line end is added. */
  readonly err: (text: string) => void;
  /** Messages may be coloured. */
  readonly colour: boolean;
  /** Messages go to a person's terminal, so that a line may be redrawn. */
  readonly interactive: boolean;
}

/** Colour is for terminals; `NO_COLOR` turns it off and `FORCE_COLOR` on. */
function wantsColour(stream: WriteStream, env: NodeJS.ProcessEnv): boolean {
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  if (env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0') return true;
  return stream.isTTY && env['TERM'] !== 'dumb';
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  return {
    out: (text) => writeResult(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    colour: wantsColour(process.stderr, process.env),
    interactive: process.stderr.isTTY && process.env['CI'] === undefined,
  };
}
