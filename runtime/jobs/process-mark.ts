/** The process that has a batch: whether it still runs, and for how long others wait for it. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { RuntimeFailure } from '../failure.js';
import type { ProcessMark } from './journal-format.js';

/** How long to wait for the process that has a batch: one that was killed may take a moment to be gone. */
export const OWNER_WAIT_MS = 5000;
export const OWNER_POLL_MS = 50;

/** The batch is another process's, which did not end while it was waited for. */
export function runInProgress(resultsPath: string, { pid }: ProcessMark): RuntimeFailure {
  return new RuntimeFailure('FC0933', `process ${pid} is writing ${resultsPath} now`, {
    subject: resultsPath,
    help: 'wait for it or end it, or name another file with --out',
  });
}

/** This process. */
export function processMark(): ProcessMark {
  const started = procStat(process.pid)?.started;
  return { pid: process.pid, host: hostname(), ...(started === undefined ? {} : { started }) };
}

/**
 * True while that process runs on this machine. One of another machine cannot be asked, and counts as gone: a batch
 * must be resumable elsewhere after its machine has died. So does this process itself.
 */
export function isRunning(mark: ProcessMark): boolean {
  if (mark.host !== hostname() || mark.pid === process.pid) return false;
  try {
    process.kill(mark.pid, 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = procStat(mark.pid);
  if (now === undefined) return process.platform !== 'linux';
  // A killed process that nobody has waited for is still listed, as Z.
  return now.state !== 'Z' && now.state !== 'X' && (mark.started ?? now.started) === now.started;
}

/** State and start time (ticks since boot) of a process, from Linux's /proc/PID/stat. */
function procStat(pid: number): { readonly state: string; readonly started: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in brackets, may hold anything: fields are counted behind it. The first is field 3, the state.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0]!, started: fields[19]! };
  } catch {
    return undefined;
  }
}
