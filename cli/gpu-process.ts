/**
 * Keeps results and messages apart from Dawn's log in commands that use a GPU. Dawn writes to file descriptors 1 and
 * 2, below anything that JavaScript could catch, so such a command runs itself again in a child process. What the
 * child has to say travels over the process channel and the parent writes it; what comes out of the child's
 * descriptors is log, shown on standard error without the routine lines.
 *
 * The child leads a process group of its own: signals reach it only through the parent, exactly once, and it is killed
 * when the parent is gone.
 */
import { fork } from 'node:child_process';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import { EXIT } from './exit-codes.js';
import { noteFailure, type Terminal } from './terminal.js';

/** Environment variable that tells the child what it is, and what its messages are shown on. */
const MARK = 'FULCRUM_GPU_PROCESS';
/** File descriptor of the child that nothing is written to: it ends with the parent. */
const LIFELINE = 4;
/** Signals that ask a command to end. */
export const INTERRUPTS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What Dawn and Mesa say on every start of a healthy device. */
const ROUTINE = /artificially reduced from \d+ to \d+ to fit dynamic offset|XDG_RUNTIME_DIR/;

/** What there is to say of a process that was killed, which cannot say so itself. */
const KILLED =
  'the system kills what takes too much memory; what a run has finished is kept, and `--resume` goes on from it';

interface Message {
  readonly to: 'out' | 'err';
  readonly text: string;
}

/** True in the child, where devices may be opened. */
export function inGpuProcess(): boolean {
  return process.env[MARK] !== undefined && process.send !== undefined;
}

let undelivered: Promise<unknown> = Promise.resolve();

function deliver(message: Message): void {
  const sent = new Promise<void>((resolve) => process.send!(message, undefined, undefined, () => resolve()));
  undelivered = Promise.all([undelivered, sent]);
}

/** The terminal of the child: the parent's. */
export function gpuProcessTerminal(): Terminal {
  const shown = JSON.parse(process.env[MARK]!) as Pick<Terminal, 'colour' | 'interactive' | 'columns'>;
  return {
    writeOut: (text) => deliver({ to: 'out', text }),
    writeErr: (text) => deliver({ to: 'err', text }),
    ...shown,
  };
}

/** Resolves when the parent has received everything. */
export async function messagesDelivered(): Promise<void> {
  await undelivered;
}

/**
 * In the child: end when the parent ends, however it ends, and at once. A thread of its own sees to that. The end of the
 * process channel would not do: it may pass before this module listens, and while a device is opened, which takes this
 * thread seconds, nobody listens at all.
 */
export function followParent(): void {
  if (!inGpuProcess()) return;
  const follower = new Worker(new URL('./follow-parent.js', import.meta.url), { workerData: LIFELINE });
  // A finished command does not wait for the parent.
  follower.unref();
}

/** Runs this very command line again in a GPU process and resolves with its exit status. */
export function runInGpuProcess(terminal: Terminal): Promise<number> {
  const { colour, interactive, columns } = terminal;
  const child = fork(process.argv[1]!, process.argv.slice(2), {
    // The last is LIFELINE.
    stdio: ['inherit', 'pipe', 'pipe', 'ipc', 'pipe'],
    detached: true,
    env: {
      ...process.env,
      [MARK]: JSON.stringify({ colour, interactive, columns }),
      // Mesa warns when it is unset.
      XDG_RUNTIME_DIR: process.env['XDG_RUNTIME_DIR'] ?? tmpdir(),
    },
  });
  for (const input of [child.stdout!, child.stderr!]) {
    createInterface({ input }).on('line', (line) => {
      if (!ROUTINE.test(line)) terminal.writeErr(`${line}\n`);
    });
  }
  child.on('message', (message: Message) =>
    message.to === 'out' ? terminal.writeOut(message.text) : terminal.writeErr(message.text),
  );
  const forwards = INTERRUPTS.map((signal) => [signal, () => void child.kill(signal)] as const);
  for (const [signal, forward] of forwards) process.on(signal, forward);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    // `close` comes after the last output; `exit` may come before it.
    child.once('close', (code, signal) => {
      for (const [name, forward] of forwards) process.off(name, forward);
      if (code !== null) return resolve(code);
      if (INTERRUPTS.some((name) => name === signal)) {
        // It had no time to say so itself.
        terminal.writeErr('interrupted\n');
        return resolve(EXIT.interrupted);
      }
      const message = `the GPU process was ended by ${signal ?? 'a signal'}`;
      terminal.writeErr(`fulcrum: ${message}\n`);
      if (signal === 'SIGKILL') terminal.writeErr(`  help: ${KILLED}\n`);
      noteFailure(terminal, { message });
      resolve(EXIT.runtime);
    });
  });
}
