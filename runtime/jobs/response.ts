/** Lines of a batch output file, in the shapes of the OpenAI batch API. */
import type { GeneratedToken } from '../engine/types.js';
import type { FinishedCompletion } from './completion-tracker.js';
import type { BatchRequest } from './request.js';
import type { RequestError } from './request-error.js';

export interface ResponseContext {
  /** Unique in the output file. */
  readonly id: string;
  /** Name to give where the request names no model. */
  readonly model: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly tokenText: (id: number) => string;
}

/** The line of an answered request. */
export function answerLine(
  request: BatchRequest,
  promptTokens: number,
  choices: readonly FinishedCompletion[],
  context: ResponseContext,
): object {
  return {
    id: context.id,
    custom_id: request.customId,
    response: {
      status_code: 200,
      request_id: context.id,
      body: answerBody(request, promptTokens, choices, context),
    },
    error: null,
  };
}

/** The body of a completion or chat completion. */
export function answerBody(
  request: BatchRequest,
  promptTokens: number,
  choices: readonly FinishedCompletion[],
  context: ResponseContext,
): object {
  const isChat = request.endpoint === '/v1/chat/completions';
  const completionTokens = choices.reduce((sum, choice) => sum + choice.tokens, 0);
  return {
    id: `${isChat ? 'chatcmpl' : 'cmpl'}-${context.id}`,
    object: isChat ? 'chat.completion' : 'text_completion',
    created: context.created,
    model: request.model ?? context.model,
    choices: choices.map((choice, index) => ({
      index,
      ...(isChat ? { message: { role: 'assistant', content: choice.text } } : { text: choice.text }),
      logprobs: request.sampling.logprobs
        ? (isChat ? chatLogprobs : completionLogprobs)(choice, request, context)
        : null,
      finish_reason: choice.finish,
      stop_reason: choice.stopReason,
    })),
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    },
  };
}

/** The line of a request that was refused or failed. `status` is absent when it never got as far as an answer. */
export function errorLine(id: string, customId: string | null, error: RequestError, status?: number): object {
  const { code, message, param } = error;
  const type = status === 500 ? 'server_error' : 'invalid_request_error';
  return {
    id,
    custom_id: customId,
    response:
      status === undefined
        ? null
        : {
            status_code: status,
            request_id: id,
            body: { error: { message, type, param: param ?? null, code } },
          },
    error: { code, message },
  };
}

function completionLogprobs(
  choice: FinishedCompletion,
  request: BatchRequest,
  context: ResponseContext,
): object {
  const wantsTop = request.sampling.topLogprobs > 0;
  return {
    tokens: choice.tracked.map(({ token }) => context.tokenText(token.id)),
    token_logprobs: choice.tracked.map(({ token }) => token.logprob ?? null),
    top_logprobs: wantsTop
      ? choice.tracked.map(({ token }) =>
          Object.fromEntries((token.top ?? []).map((entry) => [context.tokenText(entry.id), entry.logprob])),
        )
      : null,
    text_offset: choice.tracked.map(({ offset }) => offset),
  };
}

function chatLogprobs(choice: FinishedCompletion, _request: BatchRequest, context: ResponseContext): object {
  const described = (entry: Pick<GeneratedToken, 'id' | 'logprob'>): object => {
    const token = context.tokenText(entry.id);
    return {
      token,
      logprob: entry.logprob ?? null,
      bytes: token.includes('\ufffd') ? null : [...new TextEncoder().encode(token)],
    };
  };
  return {
    content: choice.tracked.map(({ token }) => ({
      ...described(token),
      top_logprobs: (token.top ?? []).map(described),
    })),
  };
}
