/**
 * Follows one answer while it is generated: text, token count, log-probabilities and stop strings. A stop string may
 * begin in one token and end in a later one; the text is cut where it begins and everything after is dropped.
 */
import type { FinishReason, GeneratedToken } from '../engine/types.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';

/** A token with its place in the answer's text, for the `logprobs` of an answer. */
export interface TrackedToken {
  readonly token: GeneratedToken;
  /** UTF-16 offset of the token's first character in the text. */
  readonly offset: number;
}

export interface FinishedCompletion {
  readonly text: string;
  readonly finish: FinishReason;
  /** The stop string or the id of `reportIds` that ended the answer, if one did. */
  readonly stopReason: string | number | null;
  /** Ids generated, the one that ended the sequence included. */
  readonly tokens: number;
  /** Tokens of the text; kept only when asked for. */
  readonly tracked: readonly TrackedToken[];
}

export interface CompletionTracker {
  /** Takes the next id; true when a stop string is complete and the sequence must end. */
  readonly push: (token: GeneratedToken) => boolean;
  readonly finish: (reason: FinishReason) => FinishedCompletion;
}

export interface TrackerOptions {
  readonly stop: readonly string[];
  /** Ids that end the sequence: counted, but not part of the text. */
  readonly stopIds: readonly number[];
  /** Those of them that an answer names as its reason to stop. */
  readonly reportIds?: readonly number[];
  readonly keepTokens: boolean;
  /** Tokens within which no stop string may end; default 0. */
  readonly minTokens?: number;
  /** Stop strings and ids are part of the text. */
  readonly includeStop?: boolean;
  /** Special tokens are part of the text. */
  readonly keepSpecial?: boolean;
}

/** Starts following an answer. */
export function trackCompletion(
  tokenizer: Pick<TextTokenizer, 'stream'>,
  options: TrackerOptions,
): CompletionTracker {
  const { minTokens = 0, includeStop = false, reportIds = [] } = options;
  const stream = tokenizer.stream(options.keepSpecial);
  const tracked: TrackedToken[] = [];
  let text = '';
  let tokens = 0;
  let stopReason: string | number | null = null;
  let stopped = false;
  /** Appends text; true when a stop string is in it, the text then ending where the string begins or ends. */
  const append = (piece: string): boolean => {
    if (piece === '' || stopped) return stopped;
    const before = text.length;
    text += piece;
    const found = tokens > minTokens ? firstStop(text, before, options.stop) : undefined;
    if (found === undefined) return false;
    text = text.slice(0, found.at + (includeStop ? found.stop.length : 0));
    stopReason = found.stop;
    stopped = true;
    return true;
  };
  return {
    push: (token) => {
      if (stopped) return true;
      tokens++;
      if (options.stopIds.includes(token.id)) {
        if (reportIds.includes(token.id)) stopReason = token.id;
        if (!includeStop) return false;
      }
      if (options.keepTokens) tracked.push({ token, offset: text.length });
      return append(stream.push(token.id));
    },
    finish: (reason) => {
      append(stream.flush());
      return {
        text,
        finish: stopped ? 'stop' : reason,
        stopReason,
        tokens,
        tracked: stopped ? tracked.filter(({ offset }) => offset < text.length) : tracked,
      };
    },
  };
}

/** The stop string that begins first among those that end beyond `before`. */
function firstStop(
  text: string,
  before: number,
  stops: readonly string[],
): { readonly stop: string; readonly at: number } | undefined {
  let first: { readonly stop: string; readonly at: number } | undefined;
  for (const stop of stops) {
    const at = text.indexOf(stop, Math.max(0, before - stop.length + 1));
    if (at >= 0 && (first === undefined || at < first.at)) first = { stop, at };
  }
  return first;
}
