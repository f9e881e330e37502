/**
 * What a running batch knows: its counts, and each request's way from its line through the engine to its result. A
 * request counts as answered or failed once its result is on disk; those of earlier runs count from the start.
 */
import type { Engine } from '../engine/types.js';
import { RuntimeFailure } from '../failure.js';
import type { JsonAnswers } from '../structured/json-answers.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';
import { requestDigest } from './batch-identity.js';
import { otherRequest } from './batch-start.js';
import type { FinishedRequest } from './journal-format.js';
import type { PromptEncoder } from './prompt-encoder.js';
import { customIdOf, parseBatchLine, type BatchRequest } from './request.js';
import { refuse, RequestRefused, type RequestError } from './request-error.js';
import type { RequestLine } from './request-lines.js';
import { answersOf } from './response-format.js';
import { answerLine, errorLine } from './response.js';
import type { ResultWriter } from './result-writer.js';
import { prepareRequest, submitRequest, type PreparedRequest, type ServedModel } from './submit-request.js';

export interface BatchProgress {
  /** Requests read so far; all of them once `readAll`. */
  readonly read: number;
  readonly readAll: boolean;
  readonly answered: number;
  /** Requests that got an error line. */
  readonly failed: number;
  /** Of the answered and failed: those that an earlier run finished. */
  readonly resumed: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** A line ready to be submitted. */
export interface PreparedLine extends PreparedRequest {
  readonly line: RequestLine;
}

export interface BatchState {
  /**
   * Checks and encodes lines; those that cannot be served get their error lines, those that an earlier run finished are
   * passed over. Rejects with FC0931 when one is not the line that was answered.
   */
  readonly prepare: (lines: readonly RequestLine[]) => Promise<PreparedLine[]>;
  readonly submit: (prepared: PreparedLine) => void;
  /** No more lines will come. Throws FC0931 when one that was answered never came. */
  readonly readAll: (reachedLimit: boolean) => void;
  readonly progress: () => BatchProgress;
  /** How many requests failed, by the code of their error. */
  readonly errors: () => Readonly<Record<string, number>>;
}

export interface BatchStateOptions {
  readonly engine: Engine;
  readonly tokenizer: TextTokenizer;
  readonly encoder: PromptEncoder;
  readonly model: ServedModel;
  readonly writer: ResultWriter;
  readonly resultsPath: string;
  /** What earlier runs finished. */
  readonly finished: readonly FinishedRequest[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly onProgress: (progress: BatchProgress) => void;
}

/** A batch of which nothing is read yet. */
export function openBatchState(options: BatchStateOptions): BatchState {
  const { engine, tokenizer, encoder, model, writer, resultsPath, now } = options;
  const counts = {
    read: 0,
    readAll: false,
    answered: 0,
    failed: 0,
    resumed: options.finished.length,
    promptTokens: 0,
    completionTokens: 0,
  };
  const errors: Record<string, number> = {};
  let answers: JsonAnswers | undefined;
  /** Finished by earlier runs and not read yet, by line. */
  const earlier = new Map(options.finished.map((request) => [request.line, request]));
  /** Line of every custom_id. */
  const seen = new Map<string, number>();
  const report = (): void => options.onProgress({ ...counts });

  const count = (entry: Omit<FinishedRequest, 'end' | 'crc'>): void => {
    if (entry.error === undefined) counts.answered++;
    else {
      counts.failed++;
      errors[entry.error] = (errors[entry.error] ?? 0) + 1;
    }
    counts.promptTokens += entry.promptTokens;
    counts.completionTokens += entry.completionTokens;
  };
  for (const request of options.finished) {
    counts.read++;
    count(request);
  }

  const write = (
    line: RequestLine,
    result: object,
    outcome: Pick<FinishedRequest, 'promptTokens' | 'completionTokens' | 'error'>,
  ): void => {
    const entry = { line: line.number, request: requestDigest(line.text), ...outcome };
    writer.write(result, entry, () => {
      count(entry);
      report();
    });
  };
  const fail = (line: RequestLine, error: RequestError, status?: number): void => {
    const customId = customIdOf(line.text);
    // Without a name of its own, a request is known by its line.
    const named = customId === null ? { ...error, message: `line ${line.number}: ${error.message}` } : error;
    write(line, errorLine(lineId(line), customId, named, status), {
      promptTokens: 0,
      completionTokens: 0,
      error: error.code,
    });
  };
  const parse = (line: RequestLine): BatchRequest => {
    if (line.damaged) refuse('invalid_json', 'the line is not UTF-8');
    const request = parseBatchLine(line.text);
    const before = seen.get(request.customId);
    if (before !== undefined) {
      throw new RequestRefused({
        code: 'duplicate_custom_id',
        message: `line ${before} has the custom_id ${JSON.stringify(request.customId)} already`,
        param: 'custom_id',
      });
    }
    seen.set(request.customId, line.number);
    return request;
  };
  /** What `action` gives; undefined where it refuses the request, which then gets its error line. */
  const orRefused = <T>(line: RequestLine, action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
      fail(line, error.error, 400);
      return undefined;
    }
  };
  /** Passes over a line that an earlier run finished; its custom_id is taken all the same. */
  const passOver = (line: RequestLine, finished: FinishedRequest): void => {
    if (finished.request !== requestDigest(line.text)) throw otherRequest(resultsPath, line.number);
    earlier.delete(line.number);
    try {
      parse(line);
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
    }
  };
  /** The request of a line that is to be served. */
  const accept = (line: RequestLine): BatchRequest | undefined => {
    const finished = earlier.get(line.number);
    if (finished !== undefined) {
      passOver(line, finished);
      return undefined;
    }
    counts.read++;
    const request = orRefused(line, () => parse(line));
    report();
    return request;
  };
  return {
    prepare: async (lines) => {
      const accepted = lines.flatMap((line) => {
        const request = accept(line);
        return request === undefined ? [] : [{ line, request }];
      });
      const encoded = await encoder.encode(
        accepted.map(({ request: { input, addSpecialTokens } }) => ({ input, addSpecialTokens })),
      );
      return accepted.flatMap(({ line, request }, i) => {
        const prompt = encoded[i]!;
        const prepared = orRefused(line, () => {
          if (prompt.error !== undefined) throw new RequestRefused(prompt.error);
          const ready = prepareRequest(request, prompt.ids, model);
          if (request.shape === undefined) return ready;
          return { ...ready, answers: (answers ??= answersOf(tokenizer, model.vocab)) };
        });
        return prepared === undefined ? [] : [{ ...prepared, line }];
      });
    },
    submit: (prepared) => {
      const { line, request } = prepared;
      const promptTokens = prepared.promptIds.length;
      submitRequest(engine, tokenizer, prepared, {
        onAnswer: (choices) => {
          const created = Math.floor(now() / 1000);
          const context = { id: lineId(line), model: model.name, created, tokenText: tokenizer.tokenText };
          const completionTokens = choices.reduce((sum, choice) => sum + choice.tokens, 0);
          const result = answerLine(request, promptTokens, choices, context);
          write(line, result, { promptTokens, completionTokens });
        },
        onFailure: (error) => fail(line, { code: failureCode(error), message: error.message }, 500),
      });
    },
    readAll: (reachedLimit) => {
      const [missing] = earlier.keys();
      if (missing !== undefined && !reachedLimit) throw otherRequest(resultsPath, missing);
      counts.readAll = true;
      report();
    },
    progress: () => ({ ...counts }),
    errors: () => errors,
  };
}

/** Ids follow the line number, so the same batch gives the same ids. */
function lineId(line: RequestLine): string {
  return `batch_req_${String(line.number).padStart(8, '0')}`;
}

function failureCode(error: Error): string {
  return error instanceof RuntimeFailure ? error.code : 'internal_error';
}
