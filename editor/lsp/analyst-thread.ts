/**
 * A thread that works on one file at a time, in the order in which they were asked for. A task that is given up ends at
 * its next pause; where that is far off, the thread is ended and the next task starts another one.
 */
import { Worker } from 'node:worker_threads';
import type { Analysis } from './analysis.js';

/** A question to the thread: everything that is open, the file to look at, and how far up. */
export interface AnalystTask {
  readonly rungs: 'checked' | 'upper';
  readonly path: string;
  readonly openTexts: ReadonlyMap<string, string>;
}

/** What the thread is told: a task once it has done the one before, or to give up the one in hand. */
export type AnalystOrder = AnalystTask | 'give up';

/** An answer: a rung, or that there are no more. */
export interface AnalystAnswer {
  readonly analysis?: Analysis;
  readonly done: boolean;
  /** A bug of the compiler, as text. */
  readonly failure?: string;
}

export interface AnalystThread {
  /** Asks for a file, in place of what was asked of it before. */
  readonly ask: (task: AnalystTask) => void;
  /** Gives up what was asked of a file. */
  readonly forget: (path: string) => void;
  readonly close: () => Promise<void>;
}

export interface ThreadEvents {
  /** Called for tasks that were not given up. */
  readonly onAnswer: (task: AnalystTask, answer: AnalystAnswer) => void;
  readonly onFailure: (message: string) => void;
}

/** Milliseconds that a task may take to its next pause when it is given up: with the thread goes what it remembers. */
const PATIENCE_MS = 2000;

export function openThread({ onAnswer, onFailure }: ThreadEvents): AnalystThread {
  /** The task of every file that waits, in the order they came. */
  const waiting = new Map<string, AnalystTask>();
  let worker: Worker | undefined;
  let inHand: AnalystTask | undefined;
  /** Runs from when the task in hand was given up. */
  let patience: NodeJS.Timeout | undefined;

  const next = (): void => {
    const [task] = waiting.values();
    if (inHand !== undefined || task === undefined) return;
    waiting.delete(task.path);
    inHand = task;
    worker ??= start();
    worker.postMessage(task satisfies AnalystOrder);
  };
  const finish = (): void => {
    clearTimeout(patience);
    patience = undefined;
    inHand = undefined;
    next();
  };
  const start = (): Worker => {
    const started = new Worker(new URL('./analyst-worker.js', import.meta.url));
    started.on('message', (answer: AnalystAnswer) => {
      if (started !== worker) return;
      if (patience === undefined) onAnswer(inHand!, answer);
      if (answer.done) finish();
    });
    started.on('error', (error) => onFailure(error.stack ?? error.message));
    started.on('exit', (status) => {
      if (started !== worker) return;
      onFailure(`the thread that analyses plans ended with status ${status}`);
      worker = undefined;
      finish();
    });
    return started;
  };
  const end = async (): Promise<void> => {
    const ended = worker;
    worker = undefined;
    await ended?.terminate();
  };
  const forget = (path: string): void => {
    waiting.delete(path);
    if (inHand?.path !== path || patience !== undefined) return;
    worker!.postMessage('give up' satisfies AnalystOrder);
    patience = setTimeout(() => {
      void end();
      finish();
    }, PATIENCE_MS);
  };
  return {
    ask: (task) => {
      forget(task.path);
      waiting.set(task.path, task);
      next();
    },
    forget,
    close: async () => {
      waiting.clear();
      clearTimeout(patience);
      await end();
    },
  };
}
