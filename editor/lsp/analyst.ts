/**
 * Analyses files in a thread of their own, so that checking and compiling never keep a keystroke waiting. One file is
 * worked on at a time; of requests for the same file only the newest is, and an older one is given up between rungs.
 */
import { Worker } from 'node:worker_threads';
import type { Analysis } from './analysis.js';

/** A question to the thread: everything that is open, and the file to look at. */
export interface AnalystTask {
  readonly task: number;
  readonly path: string;
  readonly openTexts: ReadonlyMap<string, string>;
}

/** An answer: a rung, or that there are no more. */
export interface AnalystAnswer {
  readonly task: number;
  readonly analysis?: Analysis;
  readonly done: boolean;
  /** A bug of the compiler, as text. */
  readonly failure?: string;
}

export interface Analyst {
  /** Asks for a file; answers come through `onAnalysis` until it is asked for again. */
  readonly ask: (path: string, openTexts: ReadonlyMap<string, string>) => void;
  readonly forget: (path: string) => void;
  readonly close: () => Promise<void>;
}

export interface AnalystEvents {
  readonly onAnalysis: (analysis: Analysis) => void;
  readonly onFailure: (message: string) => void;
}

/** Starts the thread. */
export function openAnalyst({ onAnalysis, onFailure }: AnalystEvents): Analyst {
  const worker = new Worker(new URL('./analyst-worker.js', import.meta.url));
  /** The newest task of each file. */
  const newest = new Map<string, number>();
  let tasks = 0;
  let closing = false;
  worker.on('message', ({ task, analysis, failure }: AnalystAnswer) => {
    if (failure !== undefined) onFailure(failure);
    if (analysis !== undefined && newest.get(analysis.path) === task) onAnalysis(analysis);
  });
  worker.on('error', (error) => onFailure(error.stack ?? error.message));
  worker.on('exit', (status) => {
    if (!closing) onFailure(`the thread that analyses plans ended with status ${status}`);
  });
  return {
    ask: (path, openTexts) => {
      newest.set(path, ++tasks);
      worker.postMessage({ task: tasks, path, openTexts } satisfies AnalystTask);
    },
    forget: (path) => void newest.delete(path),
    close: async () => {
      closing = true;
      await worker.terminate();
    },
  };
}
