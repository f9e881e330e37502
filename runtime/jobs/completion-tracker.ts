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
  readonly keepTokens: boolean;
}

/** Starts following an answer. */
export function trackCompletion(
  tokenizer: Pick<TextTokenizer, 'stream'>,
  options: TrackerOptions,
): CompletionTracker {
  const stream = tokenizer.stream();
  const reach = Math.max(0, ...options.stop.map((stop) => stop.length - 1));
  const tracked: TrackedToken[] = [];
  let text = '';
  let tokens = 0;
  let stopped = false;
  /** Appends text; true when a stop string is in it, the text then ending where the string begins. */
  const append = (piece: string): boolean => {
    if (piece === '' || stopped) return stopped;
    const from = Math.max(0, text.length - reach);
    text += piece;
    const at = firstStop(text, from, options.stop);
    if (at < 0) return false;
    text = text.slice(0, at);
    stopped = true;
    return true;
  };
  return {
    push: (token) => {
      if (stopped) return true;
      tokens++;
      if (options.stopIds.includes(token.id)) return false;
      if (options.keepTokens) tracked.push({ token, offset: text.length });
      return append(stream.push(token.id));
    },
    finish: (reason) => {
      append(stream.flush());
      return {
        text,
        finish: stopped ? 'stop' : reason,
        tokens,
        tracked: stopped ? tracked.filter(({ offset }) => offset < text.length) : tracked,
      };
    },
  };
}

/** Where the earliest stop string at or after `from` begins, or -1. */
function firstStop(text: string, from: number, stops: readonly string[]): number {
  let first = -1;
  for (const stop of stops) {
    const at = text.indexOf(stop, from);
    if (at >= 0 && (first < 0 || at < first)) first = at;
  }
  return first;
}
