/**
 * Encodes prompts in worker threads, so that tokenising a large file neither waits for one core nor keeps the engine
 * waiting. Prompts are handed out in small tasks; a worker has the next one in hand while it encodes one, and no more,
 * so what waits, waits here. Answers are put back in the order of the prompts, whichever worker gave them.
 */
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { RuntimeFailure } from '../failure.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';
import type { EncodedTask, EncodeTask, EncodeWorkerData } from './encode-worker.js';
import { localEncoder, type EncodedPrompt, type PromptEncoder, type PromptInput } from './prompt-encoder.js';

export interface EncoderPoolOptions {
  readonly workers: number;
  /** Compiled module of a worker. */
  readonly entry?: URL;
}

/** Prompts of a task: enough that a message costs little, few enough that workers finish together. */
const TASK_PROMPTS = 16;
/** Tasks in a worker's hands: one that it works on and one that waits for it. */
const TASKS_IN_HAND = 2;
/** More than a few tokenise faster than devices compute, and each holds a tokenizer in memory. */
const MOST_WORKERS = 4;
/** Bytes of requests below which starting workers costs more than they save. */
const POOL_FROM_BYTES = 1 << 20;

/** Workers for a request file of this many bytes; 0 where encoding in this thread is as good. */
export function encoderWorkers(requestBytes: number, cores = availableParallelism()): number {
  if (requestBytes < POOL_FROM_BYTES || cores < 2) return 0;
  return Math.min(MOST_WORKERS, cores - 1);
}

/** The encoder for a request file: a pool where the file is large and the model has a tokenizer to share out. */
export function openEncoder(
  requestsPath: string,
  tokenizer: TextTokenizer,
  data: EncodeWorkerData,
): PromptEncoder {
  const hasText = data.modelDirectory !== undefined || data.model.source !== undefined;
  // A stream has no size.
  const workers = hasText ? encoderWorkers(statSync(requestsPath).size) : 0;
  return workers === 0
    ? localEncoder(tokenizer, data.model.shape.context)
    : openEncoderPool(data, { workers });
}

interface Task extends EncodeTask {
  readonly resolve: (prompts: readonly EncodedPrompt[]) => void;
  readonly reject: (failure: RuntimeFailure) => void;
}

/** Starts the workers. A worker that cannot start or ends early fails every call from then on with FC0934. */
export function openEncoderPool(data: EncodeWorkerData, options: EncoderPoolOptions): PromptEncoder {
  const entry = options.entry ?? new URL('./encode-worker.js', import.meta.url);
  const waiting: Task[] = [];
  let nextTask = 0;
  let failure: RuntimeFailure | undefined;
  let closing = false;

  const hands = Array.from({ length: options.workers }, () => {
    const worker = new Worker(entry, { workerData: data });
    const held = new Map<number, Task>();
    worker.on('message', ({ task, prompts }: EncodedTask) => {
      const { resolve } = held.get(task)!;
      held.delete(task);
      handOut();
      resolve(prompts);
    });
    worker.on('error', (error) => lose(error.message, error));
    worker.on('exit', (code) => lose(`it ended with status ${code}`));
    return { worker, held };
  });

  function handOut(): void {
    for (const { worker, held } of hands) {
      while (held.size < TASKS_IN_HAND && waiting.length > 0) {
        const task = waiting.shift()!;
        held.set(task.task, task);
        worker.postMessage({ task: task.task, inputs: task.inputs } satisfies EncodeTask);
      }
    }
  }

  function lose(why: string, cause?: unknown): void {
    if (closing || failure !== undefined) return;
    const lost = new RuntimeFailure('FC0934', `a worker that tokenises requests was lost: ${why}`, {
      help: 'the results written so far are kept; `--resume` runs the other requests',
      cause,
    });
    failure = lost;
    for (const { held } of hands) held.forEach(({ reject }) => reject(lost));
    waiting.forEach(({ reject }) => reject(lost));
  }

  const encodeTask = (inputs: readonly PromptInput[]): Promise<readonly EncodedPrompt[]> =>
    new Promise((resolve, reject) => {
      if (failure !== undefined) return reject(failure);
      waiting.push({ task: nextTask++, inputs, resolve, reject });
      handOut();
    });
  return {
    encode: async (inputs, signal) => {
      const tasks: Promise<readonly EncodedPrompt[]>[] = [];
      for (let at = 0; at < inputs.length; at += TASK_PROMPTS) {
        tasks.push(encodeTask(inputs.slice(at, at + TASK_PROMPTS)));
      }
      // What the workers have in hand by then nobody waits for; `close` ends it.
      return (await unlessAborted(Promise.all(tasks), signal)).flat();
    },
    close: async () => {
      closing = true;
      await Promise.all(hands.map(({ worker }) => worker.terminate()));
    },
  };
}

/** What the work comes to; rejects with the reason of the signal when that aborts first. */
function unlessAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason as Error);
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp);
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}
