/**
 * Runs a batch file through an engine. Lines are read, checked and tokenised while the engine works on earlier ones;
 * every finished request is written at once. What stops the whole batch (an abort, a lost device) leaves all results
 * written so far in the output file.
 */
import { statSync } from 'node:fs';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Engine } from '../engine/types.js';
import { RuntimeFailure } from '../failure.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';
import { refuseSameFile } from './batch-files.js';
import { customIdOf, parseBatchLine } from './request.js';
import { RequestRefused, type RequestError } from './request-error.js';
import { readRequestLines, type RequestLine } from './request-lines.js';
import { answerLine, errorLine } from './response.js';
import { openResultWriter, type ResultWriter } from './result-writer.js';
import { prepareRequest, submitRequest, type ServedModel } from './submit-request.js';

export interface BatchJob {
  readonly requestsPath: string;
  readonly resultsPath: string;
  readonly engine: Engine;
  readonly tokenizer: TextTokenizer;
  readonly model: ServedModel;
  readonly signal?: AbortSignal;
  /** Called after every line read and every line written. */
  readonly onProgress?: (progress: BatchProgress) => void;
  /** Requests in the engine's hands at once at most; default 16384. */
  readonly window?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface BatchProgress {
  /** Lines read so far; all of them once `readAll`. */
  readonly read: number;
  readonly readAll: boolean;
  readonly answered: number;
  /** Requests that got an error line. */
  readonly failed: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface BatchSummary extends BatchProgress {
  /** Requests read that have no line: the run was cut short. */
  readonly unfinished: number;
  readonly interrupted: boolean;
  /** What ended the run early, if not the signal. */
  readonly failure?: RuntimeFailure;
}

const NOTHING = { read: 0, readAll: false, answered: 0, failed: 0, promptTokens: 0, completionTokens: 0 };

/** Requests submitted before the engine starts, so that small batches are scheduled as one. */
const HEAD_START = 1024;

/** Milliseconds to wait for a line of a pipe before the engine starts with those there are. */
const HEAD_START_WAIT = 50;

/** Milliseconds between looks at a full window. */
const FULL_WINDOW_WAIT = 10;

/**
 * Runs the batch to its end, to an abort or to a failure of the engine, and says which. Rejects with FC0916 when the
 * requests cannot be read and FC0918 when results cannot be written; bugs reject as they are.
 */
export async function runBatch(job: BatchJob): Promise<BatchSummary> {
  // Stops engine and reading for reasons of our own, beside the caller's.
  const stop = new AbortController();
  const signal = job.signal ? AbortSignal.any([job.signal, stop.signal]) : stop.signal;
  const lines = readRequestLines(job.requestsPath, signal);
  // The first line is asked for before the output is touched: neither a wrong request path nor an abort while devices
  // were opened may empty a results file.
  const first = await lines.next();
  if (signal.aborted) return { ...NOTHING, unfinished: 0, interrupted: true };
  refuseSameFile(job.requestsPath, job.resultsPath);
  const writer = openResultWriter(job.resultsPath);
  const state = openBatchState(job, writer, () => stop.abort());
  try {
    if (!first.done) state.take(first.value);
    await drive(job, lines, state, signal, stop);
    state.checkWrites();
    return state.summary(job.signal?.aborted ?? false);
  } catch (error) {
    if (!(error instanceof RuntimeFailure) || isFileFailure(error)) throw error;
    return { ...state.summary(false), failure: error };
  } finally {
    await lines.return(undefined);
    writer.close();
  }
}

/** Feeds lines to the engine and keeps it running until every request is done or the signal aborts. */
async function drive(
  job: BatchJob,
  lines: AsyncGenerator<RequestLine>,
  state: BatchState,
  signal: AbortSignal,
  stop: AbortController,
): Promise<void> {
  const { engine } = job;
  const window = job.window ?? 16384;
  const isFile = statSync(job.requestsPath).isFile();
  let exhausted = false;
  let reading: Promise<void> | undefined;
  /** Takes the next line; the one already asked for, if there is one. */
  const readNext = (): Promise<void> => (reading ??= takeLine().finally(() => (reading = undefined)));
  const takeLine = async (): Promise<void> => {
    const next = await lines.next();
    // An abort ends the lines too, wherever they are.
    if (next.done && signal.aborted) return;
    if (next.done) {
      exhausted = true;
      state.readAll();
    } else state.take(next.value);
  };
  const feed = async (isRunning: () => boolean): Promise<void> => {
    while (isRunning() && !exhausted && !signal.aborted) {
      if (engine.pending() < window) {
        await readNext();
        // Lets the engine's own callbacks in: tokenising a long file must not starve the devices.
        await setImmediate();
      } else await setTimeout(FULL_WINDOW_WAIT);
    }
  };
  while (!exhausted && !signal.aborted && engine.pending() < Math.min(HEAD_START, window)) {
    const next = readNext().then(() => false);
    const isSlow = await (isFile ? next : Promise.race([next, setTimeout(HEAD_START_WAIT, true)]));
    if (isSlow && engine.pending() > 0) break;
  }
  while (!signal.aborted && (engine.pending() > 0 || !exhausted)) {
    if (engine.pending() === 0) {
      await readNext();
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

interface BatchState {
  /** Checks and submits a line, or writes its error line. */
  readonly take: (line: RequestLine) => void;
  readonly readAll: () => void;
  /** Throws what writing a result threw: engine callbacks must not throw themselves. */
  readonly checkWrites: () => void;
  readonly summary: (interrupted: boolean) => BatchSummary;
}

function openBatchState(job: BatchJob, writer: ResultWriter, onBroken: () => void): BatchState {
  const { engine, tokenizer, model } = job;
  const counts = { ...NOTHING };
  /** Line of every custom_id. */
  const seen = new Map<string, number>();
  const now = job.now ?? Date.now;
  let writeFailure: unknown;
  const report = (): void => job.onProgress?.({ ...counts });
  const write = (line: object): void => {
    if (writeFailure !== undefined) return;
    try {
      writer.write(line);
    } catch (error) {
      writeFailure = error;
      onBroken();
    }
  };
  const fail = (line: RequestLine, error: RequestError, status?: number): void => {
    counts.failed++;
    const customId = customIdOf(line.text);
    // Without a name of its own, a request is known by its line.
    const named = customId === null ? { ...error, message: `line ${line.number}: ${error.message}` } : error;
    write(errorLine(lineId(line), customId, named, status));
    report();
  };
  const submit = (line: RequestLine): void => {
    const request = parseBatchLine(line.text);
    const earlier = seen.get(request.customId);
    if (earlier !== undefined) {
      throw new RequestRefused({
        code: 'duplicate_custom_id',
        message: `line ${earlier} has the custom_id ${JSON.stringify(request.customId)} already`,
        param: 'custom_id',
      });
    }
    seen.set(request.customId, line.number);
    const prepared = prepareRequest(request, tokenizer, model);
    const promptTokens = prepared.promptIds.length;
    submitRequest(engine, tokenizer, prepared, {
      onAnswer: (choices) => {
        counts.answered++;
        counts.promptTokens += promptTokens;
        counts.completionTokens += choices.reduce((sum, choice) => sum + choice.tokens, 0);
        const created = Math.floor(now() / 1000);
        const context = { id: lineId(line), model: model.name, created, tokenText: tokenizer.tokenText };
        write(answerLine(request, promptTokens, choices, context));
        report();
      },
      onFailure: (error) => fail(line, { code: failureCode(error), message: error.message }, 500),
    });
  };
  return {
    take: (line) => {
      counts.read++;
      try {
        submit(line);
        report();
      } catch (error) {
        if (error instanceof RequestRefused) fail(line, error.error, 400);
        else if (error instanceof RuntimeFailure && error.code === 'FC0917') {
          fail(line, { code: error.code, message: error.message }, 400);
        } else throw error;
      }
    },
    readAll: () => {
      counts.readAll = true;
      report();
    },
    checkWrites: () => {
      if (writeFailure !== undefined) throw writeFailure;
    },
    summary: (interrupted) => ({
      ...counts,
      unfinished: counts.read - counts.answered - counts.failed,
      interrupted: interrupted && !(counts.readAll && counts.answered + counts.failed === counts.read),
    }),
  };
}

/** Ids follow the line number, so the same batch gives the same ids. */
function lineId(line: RequestLine): string {
  return `batch_req_${String(line.number).padStart(8, '0')}`;
}

function failureCode(error: Error): string {
  return error instanceof RuntimeFailure ? error.code : 'internal_error';
}

function isFileFailure(error: RuntimeFailure): boolean {
  return error.code === 'FC0916' || error.code === 'FC0918';
}
