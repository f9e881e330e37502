import { runProgram } from '../../cli/program.js';
import type { Terminal } from '../../cli/terminal.js';

export interface ProgramRun {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process and gathers what it says. */
export async function runInProcess(...args: readonly string[]): Promise<ProgramRun> {
  const text = { out: '', err: '' };
  const terminal: Terminal = {
    writeOut: (piece) => (text.out += piece),
    writeErr: (piece) => (text.err += piece),
    colour: false,
    interactive: false,
    columns: 80,
  };
  const status = await runProgram(args, terminal, true);
  return { status, ...text };
}

/** Runs a command that can be interrupted, and does something while it works. */
export async function duringWork(act: () => void, ...args: readonly string[]): Promise<ProgramRun> {
  const before = process.listenerCount('SIGINT');
  let over = false;
  const look = (): void => {
    if (process.listenerCount('SIGINT') > before) act();
    else if (!over) setImmediate(look);
  };
  setImmediate(look);
  const run = await runInProcess(...args);
  over = true;
  return run;
}
