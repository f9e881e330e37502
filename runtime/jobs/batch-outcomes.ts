/**
 * What has become of the requests of a batch so far: their result lines and how many there are of each kind. A request
 * counts as answered or failed once its result is on disk; those of earlier runs count from the start.
 */
import { requestDigest } from './batch-identity.js';
import type { FinishedRequest } from './journal-format.js';
import type { RequestError } from './request-error.js';
import { customIdOf } from './request.js';
import type { RequestLine } from './request-lines.js';
import { errorLine } from './response.js';
import type { ResultWriter } from './result-writer.js';

export interface BatchProgress {
  /** Requests read so far; all of them once `readAll`. */
  readonly read: number;
  readonly readAll: boolean;
  readonly answered: number;
  /** Requests that got an error line. */
  readonly failed: number;
  /** Of the answered: those with an answer that ended early, as the plan's KV pools had no room for more. */
  readonly cut: number;
  /** Of the answered and failed: those that an earlier run finished. */
  readonly resumed: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface BatchOutcomes {
  /** Another request was read. */
  read(): void;
  /** No more will be. */
  readAll(): void;
  /** Writes the result of a request. */
  answer(line: RequestLine, result: object, outcome: Outcome): void;
  /**
   * Writes an error line.
   *
   * @param status of the response that it stands for
   * @param room as in the journal
   */
  fail(line: RequestLine, error: RequestError, status?: number, room?: number): void;
  readonly progress: () => BatchProgress;
  /** How many requests failed, by the code of their error. */
  readonly errors: () => Readonly<Record<string, number>>;
}

type Outcome = Pick<FinishedRequest, 'promptTokens' | 'completionTokens' | 'room'>;

/** @param finished by earlier runs */
export function createOutcomes(
  writer: ResultWriter,
  finished: readonly FinishedRequest[],
  onProgress: (progress: BatchProgress) => void,
): BatchOutcomes {
  const counts = {
    read: finished.length,
    readAll: false,
    answered: 0,
    failed: 0,
    cut: 0,
    resumed: finished.length,
    promptTokens: 0,
    completionTokens: 0,
  };
  const errors: Record<string, number> = {};
  const report = (): void => onProgress({ ...counts });
  const count = ({
    error,
    promptTokens,
    completionTokens,
    room,
  }: Omit<FinishedRequest, 'end' | 'crc'>): void => {
    if (error === undefined) {
      counts.answered++;
      if (room !== undefined) counts.cut++;
    } else {
      counts.failed++;
      errors[error] = (errors[error] ?? 0) + 1;
    }
    counts.promptTokens += promptTokens;
    counts.completionTokens += completionTokens;
  };
  finished.forEach(count);
  const write = (line: RequestLine, result: object, outcome: Outcome & { readonly error?: string }): void => {
    const entry = { line: line.number, request: requestDigest(line.text), ...outcome };
    writer.write(result, entry, () => {
      count(entry);
      report();
    });
  };
  return {
    read() {
      counts.read++;
      report();
    },
    readAll() {
      counts.readAll = true;
      report();
    },
    answer: write,
    fail(line, error, status, room) {
      const customId = customIdOf(line.text);
      // Without a name of its own, a request is known by its line.
      const named =
        customId === null ? { ...error, message: `line ${line.number}: ${error.message}` } : error;
      const result = errorLine(lineId(line), customId, named, status);
      const tokens = { promptTokens: 0, completionTokens: 0 };
      write(line, result, { ...tokens, error: error.code, ...(room !== undefined && { room }) });
    },
    progress: () => ({ ...counts }),
    errors: () => errors,
  };
}

/** Ids follow the line number, so the same batch gives the same ids. */
export function lineId(line: RequestLine): string {
  return `batch_req_${String(line.number).padStart(8, '0')}`;
}
