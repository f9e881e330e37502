/**
 * Runs a batch file through an engine. Lines are read, checked and tokenised while the engine works on earlier ones;
 * every finished request is on disk before it counts. What stops the whole batch (an abort, a lost device, the end of
 * the process) leaves the finished results in the output file, and a later run goes on from there.
 */
import { statSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { Engine } from '../engine/types.js';
import { RuntimeFailure } from '../failure.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';
import { refuseSameFile } from './batch-files.js';
import { planStart, type StartMode } from './batch-start.js';
import type { BatchProgress } from './batch-outcomes.js';
import { openBatchState, type BatchState, type PreparedLine } from './batch-state.js';
import type { BatchIdentity } from './journal-format.js';
import { orderToHelp } from './order-requests.js';
import { localEncoder, type PromptEncoder } from './prompt-encoder.js';
import { requestBlocks } from './request-blocks.js';
import { readRequestLines, type RequestLine } from './request-lines.js';
import { lockResults } from './results-lock.js';
import { openResultWriter } from './result-writer.js';
import type { ServedModel } from './submit-request.js';

export interface BatchJob {
  readonly requestsPath: string;
  readonly resultsPath: string;
  /** What the answers depend on: a batch is resumed only with the same. Default: nothing is known of it. */
  readonly batch?: BatchIdentity;
  /** Default: `new`. */
  readonly start?: StartMode;
  readonly engine: Engine;
  readonly tokenizer: TextTokenizer;
  readonly model: ServedModel;
  /** Tokens of one sequence that the plan's KV pools have room for; default: the context of the model. */
  readonly room?: number;
  readonly signal?: AbortSignal;
  /** Called after every line read and every result that is on disk. */
  readonly onProgress?: (progress: BatchProgress) => void;
  /** Requests in the engine's hands at once at most; default 16384. */
  readonly window?: number;
  /** Only the first so many requests of the file. */
  readonly limit?: number;
  /** Submits requests in the order of the file, and not in the one that helps. */
  readonly ordered?: boolean;
  /** Encodes the prompts; default: the tokenizer, in this thread. */
  readonly encoder?: PromptEncoder;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface BatchSummary extends BatchProgress {
  /** Requests read that have no result: the run was cut short. */
  readonly unfinished: number;
  readonly interrupted: boolean;
  /** A later run can go on from the results: they are in a file. */
  readonly resumable: boolean;
  /** How many requests failed, by the code of their error. */
  readonly errors: Readonly<Record<string, number>>;
  /** What ended the run early, if not the signal. */
  readonly failure?: RuntimeFailure;
}

/** The summary of a batch that was interrupted before it began. */
export const NOT_BEGUN: BatchSummary = {
  read: 0,
  readAll: false,
  answered: 0,
  failed: 0,
  cut: 0,
  resumed: 0,
  promptTokens: 0,
  completionTokens: 0,
  unfinished: 0,
  interrupted: true,
  resumable: false,
  errors: {},
};

/** Requests that are encoded, ordered and submitted together. */
const BLOCK = 1024;

/** Milliseconds to wait for more lines of a pipe before those there are go to the engine. */
const PIPE_PATIENCE = 50;

/** Milliseconds between looks at a full window. */
const FULL_WINDOW_WAIT = 10;

/**
 * Runs the batch to its end, to an abort or to a failure of the engine, and says which. Rejects with FC0916 when the
 * requests cannot be read, FC0918 when results cannot be written, and as `planStart` does; bugs reject as they are.
 */
export async function runBatch(job: BatchJob): Promise<BatchSummary> {
  // Stops engine and reading for reasons of our own, beside the caller's.
  const stop = new AbortController();
  const signal = job.signal ? AbortSignal.any([job.signal, stop.signal]) : stop.signal;
  const lines = readRequestLines(job.requestsPath, signal);
  const limit = job.limit ?? Infinity;
  const patience = statSync(job.requestsPath, { throwIfNoEntry: false })?.isFile()
    ? {}
    : { patience: PIPE_PATIENCE };
  const blocks = requestBlocks(lines, { size: BLOCK, limit, ...patience });
  // The first lines are asked for before the output is touched: neither a wrong request path nor an abort while devices
  // were opened may empty a results file.
  const first = await blocks.next();
  if (signal.aborted) return NOT_BEGUN;
  refuseSameFile(job.requestsPath, job.resultsPath);
  const unlock = await lockResults(job.resultsPath);
  try {
    return await runLocked(job, { lines, blocks, first }, signal, stop);
  } finally {
    await unlock();
  }
}

/** The requests of a batch as they are read. */
interface Reading {
  readonly lines: AsyncGenerator<RequestLine>;
  readonly blocks: AsyncGenerator<readonly RequestLine[]>;
  /** The first of the blocks. */
  readonly first: IteratorResult<readonly RequestLine[], unknown>;
}

async function runLocked(
  job: BatchJob,
  reading: Reading,
  signal: AbortSignal,
  stop: AbortController,
): Promise<BatchSummary> {
  const { batch = {}, room = job.model.context } = job;
  const start = await planStart(job.resultsPath, job.start ?? 'new', { batch, room });
  const writer = await openResultWriter(job.resultsPath, start, batch, () => stop.abort());
  const state = openBatchState({
    ...job,
    encoder: job.encoder ?? localEncoder(job.tokenizer, job.model.context),
    writer,
    room,
    finished: start.kind === 'resume' ? start.journal.finished : [],
    now: job.now ?? Date.now,
    onProgress: job.onProgress ?? (() => undefined),
  });
  const isDone = (): boolean => {
    const { readAll, read, answered, failed } = state.progress();
    return readAll && answered + failed === read;
  };
  let failure: RuntimeFailure | undefined;
  try {
    await drive(job, reading, state, signal, stop);
  } catch (error) {
    if (!(error instanceof RuntimeFailure) || isFileFailure(error)) {
      await writer.close(() => false).catch(() => undefined);
      throw error;
    }
    failure = error;
  } finally {
    await reading.lines.return(undefined);
  }
  await writer.close(isDone);
  const progress = state.progress();
  return {
    ...progress,
    unfinished: progress.read - progress.answered - progress.failed,
    interrupted: failure === undefined && (job.signal?.aborted ?? false) && !isDone(),
    resumable: start.kind !== 'stream',
    errors: state.errors(),
    ...(failure === undefined ? {} : { failure }),
  };
}

/** Feeds requests to the engine and keeps it running until every one is done or the signal aborts. */
async function drive(
  job: BatchJob,
  { blocks, first }: Reading,
  state: BatchState,
  signal: AbortSignal,
  stop: AbortController,
): Promise<void> {
  const { engine, limit = Infinity, window = 16384 } = job;
  /** Ready for the engine, in the order to submit them. */
  const ready: PreparedLine[] = [];
  let taken = 0;
  let exhausted = false;
  const loadBlock = async (): Promise<void> => {
    const next = taken === 0 ? first : await blocks.next();
    // An abort ends the blocks too, wherever they are.
    if (next.done && signal.aborted) return;
    if (next.done) {
      exhausted = true;
      return state.readAll(taken === limit);
    }
    taken += next.value.length;
    const prepared = await state.prepare(next.value, signal).catch((error: unknown) => {
      if (signal.aborted) return [];
      throw error;
    });
    ready.push(...(job.ordered ? prepared : orderToHelp(prepared)));
  };
  const submitReady = (): void => {
    const room = Math.max(0, window - engine.pending());
    for (const prepared of ready.splice(0, room)) state.submit(prepared);
  };
  const feed = async (isRunning: () => boolean): Promise<void> => {
    while (isRunning() && !signal.aborted) {
      submitReady();
      if (ready.length > 0) await setTimeout(FULL_WINDOW_WAIT);
      else if (exhausted) return;
      else await loadBlock();
    }
  };
  while (!signal.aborted) {
    submitReady();
    if (engine.pending() === 0) {
      if (exhausted) return;
      await loadBlock();
      continue;
    }
    let running = true;
    const run = engine
      .run(signal)
      .catch((error: unknown) => {
        if (signal.aborted) return;
        // `feed` may be waiting for a line that is long in coming.
        stop.abort();
        throw error;
      })
      .finally(() => (running = false));
    // A rejection is taken up by `await run`; until then it must not count as unhandled.
    run.catch(() => undefined);
    try {
      await feed(() => running);
    } catch (error) {
      stop.abort();
      await run;
      throw error;
    }
    await run;
  }
}

function isFileFailure(error: RuntimeFailure): boolean {
  return error.code === 'FC0916' || error.code === 'FC0918' || error.code === 'FC0931';
}
