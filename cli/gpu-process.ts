/**
 * Keeps standard output clean in commands that use a GPU. Dawn writes its log to file descriptor 1, below anything
 * that JavaScript could catch, so such a command runs itself again in a child process whose descriptor 1 the parent
 * copies to its standard error. Results travel over the process channel, and the parent alone writes standard output.
 *
 * The child leads a process group of its own: signals reach it only through the parent, exactly once, and it ends
 * when the parent is gone.
 */
import { fork } from 'node:child_process';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { EXIT } from './exit-codes.js';

const MARK = 'FULCRUM_GPU_PROCESS';
/** What Dawn says on every start of a healthy device. */
const ROUTINE = /artificially reduced from \d+ to \d+ to fit dynamic offset/;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** True in the child, where devices may be opened. */
export function inGpuProcess(): boolean {
  return process.env[MARK] !== undefined && process.send !== undefined;
}

let undelivered: Promise<unknown> = Promise.resolve();

/** Writes to standard output: this process's own, or in the child the parent's. */
export function writeResult(text: string): void {
  const send = process.send?.bind(process);
  if (!inGpuProcess() || send === undefined) {
    process.stdout.write(text);
    return;
  }
  const sent = new Promise<void>((resolve) => send(text, undefined, undefined, () => resolve()));
  undelivered = Promise.all([undelivered, sent]);
}

/** Resolves when the parent has received all results. */
export async function resultsDelivered(): Promise<void> {
  await undelivered;
}

/** In the child: end when the parent ends, however it ends. */
export function followParent(): void {
  if (!inGpuProcess()) return;
  process.once('disconnect', () => process.exit(EXIT.interrupted));
  // Waiting for the parent must not keep a finished command alive.
  process.channel?.unref();
}

/** Runs this very command line again in a GPU process and resolves with its exit status. */
export function runInGpuProcess(): Promise<number> {
  const child = fork(process.argv[1]!, process.argv.slice(2), {
    stdio: ['inherit', 'pipe', 2, 'ipc'],
    detached: true,
    // Mesa prints a warning when XDG_RUNTIME_DIR is unset; Dawn needs nothing from it.
    env: { ...process.env, [MARK]: '1', XDG_RUNTIME_DIR: process.env['XDG_RUNTIME_DIR'] ?? tmpdir() },
  });
  createInterface({ input: child.stdout! }).on('line', (line) => {
    if (!ROUTINE.test(line)) process.stderr.write(`${line}\n`);
  });
  child.on('message', (text) => void process.stdout.write(String(text)));
  const forwards = SIGNALS.map((signal) => [signal, () => void child.kill(signal)] as const);
  for (const [signal, forward] of forwards) process.on(signal, forward);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    // `close` comes after the last message; `exit` may come before it.
    child.once('close', (code, signal) => {
      for (const [name, forward] of forwards) process.off(name, forward);
      if (code === null)
        process.stderr.write(`fulcrum: the GPU process was ended by ${signal ?? 'a signal'}\n`);
      resolve(code ?? EXIT.runtime);
    });
  });
}
