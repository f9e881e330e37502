/** Carries out trials in worker threads, each of which has one at a time. */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { SimulatedRequest } from '../clock/simulation.js';
import type { Trial, TrialOutcome, TrialSetting } from './trial.js';
import type { TrialTask } from './trial-worker.js';

export interface TrialPoolOptions {
  readonly workers: number;
  /** Gives up what is under way. */
  readonly signal: AbortSignal;
  /** Compiled module of a worker. */
  readonly entry?: URL;
}

export interface TrialPool {
  readonly workers: number;
  /**
   * What came of some trials, at most as many as there are workers, in their order; undefined when the signal aborts.
   * Rejects when a worker is lost.
   */
  readonly run: (
    trials: readonly Trial[],
    setting: TrialSetting,
  ) => Promise<readonly TrialOutcome[] | undefined>;
  readonly close: () => Promise<void>;
}

/** More have little to do: what is tried is compiled in one thread. */
const MOST_WORKERS = 8;
/** Requests times devices below which starting workers costs more than they save. */
const POOL_FROM = 50_000;

/** Workers for a search over so many devices; 0 where this thread alone is as good. */
export function trialWorkers(
  requests: readonly SimulatedRequest[],
  devices: number,
  cores = availableParallelism(),
): number {
  return requests.length * devices < POOL_FROM || cores < 2 ? 0 : Math.min(MOST_WORKERS, cores);
}

/** Starts the workers. */
export function openTrialPool({ workers: count, signal, entry }: TrialPoolOptions): TrialPool {
  const url = entry ?? new URL('./trial-worker.js', import.meta.url);
  const workers = Array.from({ length: count }, () => new Worker(url));
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  return {
    workers: count,
    run: (trials, { demand: _demand, ...setting }) => {
      const outcomes = trials.map(async ({ bound: _bound, ...trial }, index) => {
        const worker = workers[index]!;
        const answer = once(worker, 'message');
        worker.postMessage({ trial, setting } satisfies TrialTask);
        const [outcome] = (await answer) as [TrialOutcome];
        return outcome;
      });
      return Promise.race([Promise.all(outcomes), aborted]);
    },
    close: async () => void (await Promise.all(workers.map((worker) => worker.terminate()))),
  };
}
