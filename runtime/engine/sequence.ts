/** A sequence as the engine knows it: its tokens, and how far steps have come with them. */
import { RuntimeFailure } from '../failure.js';
import type { LogitAdjuster } from '../sampling/adjust.js';
import type { StepItem } from '../scheduler/types.js';
import type { EngineRequest, FinishReason, GeneratedToken } from './types.js';

export interface Sequence {
  readonly request: EngineRequest;
  /** Prompt, then what was generated. */
  readonly tokens: number[];
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  /** Present when the request changes its logits. */
  readonly adjuster?: LogitAdjuster;
  /** Stage of its latest step. */
  stage?: string;
  /** Tokens up to the end of what steps were given out for, and prompt tokens up to the end of what they have done. */
  begun: number;
  prefilled: number;
}

/** Tokens of a prompt that an item computes. */
export function promptRows({ promptTokens }: Sequence, { start, count }: StepItem): number {
  return Math.max(0, Math.min(start + count, promptTokens) - start);
}

/**
 * Notes that a step is done; says how many prompt tokens it has brought the sequence on, those that were passed over among
 * them. Tokens that preemption throws away go through another step and count once.
 */
export function finishRows(sequence: Sequence, { start, count }: StepItem): number {
  const reached = Math.min(start + count, sequence.promptTokens);
  const gained = Math.max(0, reached - sequence.prefilled);
  sequence.prefilled += gained;
  return gained;
}

/**
 * Hands a token to its request. Says what ended the sequence with it: a reason, or `stuck` where no token of the model may
 * come; then the token is not of the answer.
 */
export function takeToken(sequence: Sequence, token: GeneratedToken): FinishReason | 'stuck' | 'open' {
  const { request, tokens, promptTokens, maxNewTokens, adjuster } = sequence;
  if (adjuster?.bans(token.id)) return 'stuck';
  const after = request.constraint?.accept(token.id);
  if (after === 'stuck') return after;
  tokens.push(token.id);
  adjuster?.push(token.id);
  const stopped = request.stopIds.includes(token.id);
  if (request.onToken(token) || stopped || after === 'complete') return 'stop';
  return tokens.length - promptTokens < maxNewTokens ? 'open' : 'length';
}

/** Why an answer cannot go on. */
export function stuckAnswer({ tokens, promptTokens }: Sequence): RuntimeFailure {
  const after = tokens.length - promptTokens;
  return new RuntimeFailure(
    'FC0936',
    `no token of the model may come after ${after} of the answer: what the request allows leaves none`,
  );
}

/** Why an answer has no next token. */
export function withoutLogits({ tokens, promptTokens }: Sequence): RuntimeFailure {
  const after = tokens.length - promptTokens;
  return new RuntimeFailure(
    'FC0937',
    `after ${after} of the answer the logits of the model are not finite, so that no token can be chosen`,
    { help: 'weights or config.json of the model may be damaged' },
  );
}
