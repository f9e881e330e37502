/** Carries out trials in worker threads, each of which has one at a time. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { SimulatedRequest } from '../clock/simulation.js';
import type { EndedTrial, Trial, TrialEnd, TrialSetting } from './trial.js';
import type { TrialTask } from './trial-worker.js';

/** How many workers carry out trials, and until when. */
export interface TrialPoolOptions {
  readonly workers: number;
  /** Gives up what is under way. */
  readonly signal: AbortSignal;
  /** Compiled module of a worker. */
  readonly entry?: URL;
}

/** Worker threads that carry out trials. */
export interface TrialPool {
  readonly workers: number;
  /** Begins a trial on a worker that has none: no more may be under way than there are workers. */
  readonly start: (trial: Trial, setting: TrialSetting) => void;
  /** Trials that are known to have ended since this was last asked. */
  readonly ended: () => readonly EndedTrial[];
  /** As `ended`, once there are any; undefined when the signal aborts. Rejects when a worker is lost. */
  readonly someEnded: () => Promise<readonly EndedTrial[] | undefined>;
  /** Ends the workers. */
  readonly close: () => Promise<void>;
}

/** The most workers. More have little to do: all that is tried is compiled in one thread. */
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
  const idle = [...workers];
  let ended: EndedTrial[] = [];
  let lost: Error | undefined;
  let wake = (): void => {};
  for (const worker of workers)
    worker.on('error', (error) => {
      lost = error;
      wake();
    });
  signal.addEventListener('abort', () => wake(), { once: true });
  const takeEnded = (): readonly EndedTrial[] => {
    const taken = ended;
    ended = [];
    return taken;
  };
  return {
    workers: count,
    start(trial, setting) {
      const worker = idle.pop()!;
      worker.once('message', (end: TrialEnd) => {
        idle.push(worker);
        ended.push({ trial, ...end });
        wake();
      });
      const { bound: _bound, ...sent } = trial;
      worker.postMessage({ trial: sent, setting } satisfies TrialTask);
    },
    ended: takeEnded,
    async someEnded() {
      while (ended.length === 0 && lost === undefined && !signal.aborted)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      if (lost !== undefined) throw lost;
      return signal.aborted ? undefined : takeEnded();
    },
    close: async () => void (await Promise.all(workers.map((worker) => worker.terminate()))),
  };
}
