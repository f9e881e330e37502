/** Each request's way through a running batch: from its line through the engine to its result. */
import type { Engine } from '../engine/types.js';
import { RuntimeFailure } from '../failure.js';
import type { JsonAnswers } from '../structured/json-answers.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';
import { createOutcomes, lineId, type BatchProgress } from './batch-outcomes.js';
import type { FinishedCompletion } from './completion-tracker.js';
import type { FinishedRequest } from './journal-format.js';
import type { PromptEncoder } from './prompt-encoder.js';
import type { BatchRequest } from './request.js';
import { RequestRefused } from './request-error.js';
import { createIntake } from './request-intake.js';
import type { RequestLine } from './request-lines.js';
import { answersOf } from './response-format.js';
import { answerLine } from './response.js';
import type { ResultWriter } from './result-writer.js';
import { prepareRequest, submitRequest, type PreparedRequest, type ServedModel } from './submit-request.js';

/** A line ready to be submitted. */
export interface PreparedLine extends PreparedRequest {
  readonly line: RequestLine;
}

export interface BatchState {
  /**
   * Checks and encodes lines; those that cannot be served get their error lines, those that an earlier run finished are
   * passed over. Rejects with FC0931 when one is not the line that was answered, and with the reason of the signal when
   * that aborts.
   */
  readonly prepare: (lines: readonly RequestLine[], signal: AbortSignal) => Promise<PreparedLine[]>;
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
  /** Tokens of one sequence that the plan's KV pools have room for. */
  readonly room: number;
  /** What earlier runs finished. */
  readonly finished: readonly FinishedRequest[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly onProgress: (progress: BatchProgress) => void;
}

/** A batch of which nothing is read yet. */
export function openBatchState(options: BatchStateOptions): BatchState {
  const { engine, tokenizer, encoder, model, writer, resultsPath, room, now } = options;
  const outcomes = createOutcomes(writer, options.finished, options.onProgress);
  const intake = createIntake(options.finished, resultsPath);
  let answers: JsonAnswers | undefined;

  /** What `action` gives; undefined where it refuses the request, which then gets its error line. */
  const orRefused = <T>(line: RequestLine, action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
      outcomes.fail(line, error.error, 400);
      return undefined;
    }
  };
  /** The request of a line that is to be served. */
  const accept = (line: RequestLine): BatchRequest | undefined => {
    if (intake.passesOver(line)) return undefined;
    const request = orRefused(line, () => intake.parse(line));
    outcomes.read();
    return request;
  };
  return {
    prepare: async (lines, signal) => {
      const accepted = lines.flatMap((line) => {
        const request = accept(line);
        return request === undefined ? [] : [{ line, request }];
      });
      const encoded = await encoder.encode(
        accepted.map(({ request: { input, addSpecialTokens } }) => ({ input, addSpecialTokens })),
        signal,
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
          const isCut = choices.some((choice) => isCutShort(choice, prepared));
          outcomes.answer(line, result, { promptTokens, completionTokens, ...(isCut && { room }) });
        },
        onFailure: (error) => {
          const code = failureCode(error);
          outcomes.fail(line, { code, message: error.message }, 500, code === 'FC0917' ? room : undefined);
        },
      });
    },
    readAll: (reachedLimit) => {
      if (!reachedLimit) intake.end();
      outcomes.readAll();
    },
    progress: outcomes.progress,
    errors: outcomes.errors,
  };
}

/** Whether an answer has fewer tokens than it may have, and nothing of its own that ended it: the KV pools did. */
function isCutShort({ finish, tokens }: FinishedCompletion, { maxNewTokens }: PreparedRequest): boolean {
  return finish === 'length' && tokens < maxNewTokens;
}

function failureCode(error: Error): string {
  return error instanceof RuntimeFailure ? error.code : 'internal_error';
}
