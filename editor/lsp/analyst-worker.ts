/** The thread of the analyst: see `analyst.ts`. */
import { setImmediate } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { analyse } from './analysis.js';
import { createCompileMemory } from './compile-memory.js';
import { hostOver } from './open-host.js';
import type { AnalystAnswer, AnalystTask } from './analyst.js';

const port = parentPort!;
/** The newest task of every file that waits, in the order they came. */
const waiting = new Map<string, AnalystTask>();
let working = false;
/** Plans that were compiled before, of all files. */
const memory = createCompileMemory();

port.on('message', (task: AnalystTask) => {
  waiting.delete(task.path);
  waiting.set(task.path, task);
  if (!working) void work();
});

async function work(): Promise<void> {
  working = true;
  for (let next = first(); next !== undefined; next = first()) await carryOut(next);
  working = false;
}

function first(): AnalystTask | undefined {
  const [task] = waiting.values();
  if (task !== undefined) waiting.delete(task.path);
  return task;
}

async function carryOut({ task, path, openTexts }: AnalystTask): Promise<void> {
  const answer = (rest: Omit<AnalystAnswer, 'task'>): void =>
    port.postMessage({ task, ...rest } satisfies AnalystAnswer);
  try {
    for (const analysis of analyse(hostOver(openTexts), path, memory)) {
      answer({ analysis, done: false });
      // Lets newer questions in.
      await setImmediate();
      if (waiting.size > 0 && waiting.has(path)) return;
    }
    answer({ done: true });
  } catch (error) {
    answer({ done: true, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
