/**
 * Which lines of a batch are still to be served: those that an earlier run has not finished, of which each names its
 * request otherwise than the lines before.
 */
import { requestDigest } from './batch-identity.js';
import { otherRequest } from './batch-start.js';
import type { FinishedRequest } from './journal-format.js';
import { RequestRefused } from './request-error.js';
import { parseBatchLine, type BatchRequest } from './request.js';
import type { RequestLine } from './request-lines.js';

export interface RequestIntake {
  /** Whether an earlier run finished the line. Throws FC0931 when the line is not the one that was answered then. */
  passesOver(line: RequestLine): boolean;
  /** The request of a line that it does not pass over. Throws RequestRefused. */
  parse(line: RequestLine): BatchRequest;
  /** Throws FC0931 when a line that was answered never came. */
  end(): void;
}

export function createIntake(finished: readonly FinishedRequest[], resultsPath: string): RequestIntake {
  /** Finished by earlier runs and not read yet, by line. */
  const earlier = new Map(finished.map((request) => [request.line, request]));
  /** Line of every custom_id. */
  const seen = new Map<string, number>();
  const parse = (line: RequestLine): BatchRequest => {
    if (line.unreadable !== undefined) throw new RequestRefused(line.unreadable);
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
  return {
    passesOver(line) {
      const before = earlier.get(line.number);
      if (before === undefined) return false;
      if (before.request !== requestDigest(line.text)) throw otherRequest(resultsPath, line.number);
      earlier.delete(line.number);
      // Its custom_id is taken all the same.
      try {
        parse(line);
      } catch (error) {
        if (!(error instanceof RequestRefused)) throw error;
      }
      return true;
    },
    parse,
    end() {
      const [missing] = earlier.keys();
      if (missing !== undefined) throw otherRequest(resultsPath, missing);
    },
  };
}
