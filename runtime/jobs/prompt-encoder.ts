/** Turns prompts into token ids. What one request cannot have is a value, so that prompts may be encoded elsewhere. */
import { setImmediate } from 'node:timers/promises';
import { RuntimeFailure } from '../failure.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';
import type { BatchRequest } from './request.js';
import type { RequestError } from './request-error.js';

/** What of a request decides the ids of its prompt. */
export type PromptInput = Pick<BatchRequest, 'input' | 'addSpecialTokens'>;

export type EncodedPrompt =
  { readonly ids: readonly number[]; readonly error?: undefined } | { readonly error: RequestError };

export interface PromptEncoder {
  /**
   * Ids of the prompts, in their order. Rejects with FC0934 when a worker that encodes is lost, and with the reason of the
   * signal when that aborts.
   */
  readonly encode: (
    inputs: readonly PromptInput[],
    signal?: AbortSignal,
  ) => Promise<readonly EncodedPrompt[]>;
  readonly close: () => Promise<void>;
}

/**
 * Encodes in this thread, a prompt at a time: in between, whatever else waits gets its turn.
 *
 * @param context longest sequence of the model, in tokens
 */
export function localEncoder(tokenizer: TextTokenizer, context: number): PromptEncoder {
  return {
    encode: async (inputs, signal) => {
      const prompts: EncodedPrompt[] = [];
      for (const input of inputs) {
        prompts.push(encodePrompt(input, tokenizer, context));
        await setImmediate();
        signal?.throwIfAborted();
      }
      return prompts;
    },
    close: () => Promise.resolve(),
  };
}

/**
 * Ids of one prompt; a conversation is put into words by the model's chat template first. What is sure to be beyond the
 * context is refused without encoding it: a text of megabytes would hold up the others for a minute.
 */
export function encodePrompt(prompt: PromptInput, tokenizer: TextTokenizer, context: number): EncodedPrompt {
  const { input, addSpecialTokens } = prompt;
  const encodeText = (text: string): EncodedPrompt => {
    const isBeyond = text.length > context && tokenizer.fewestIds(text) > context;
    if (isBeyond) return { error: beyondContext(`more than ${context}`, context, input) };
    return { ids: tokenizer.encode(text, addSpecialTokens) };
  };
  try {
    if (input.kind === 'ids') return { ids: input.ids };
    if (input.kind === 'text') return encodeText(input.text);
    if (tokenizer.renderChat) return encodeText(tokenizer.renderChat(input.messages, input.options));
  } catch (error) {
    if (!(error instanceof RuntimeFailure) || error.code !== 'FC0917') throw error;
    return { error: { code: error.code, message: error.message } };
  }
  const message = 'the model has no chat template; use /v1/completions';
  return { error: { code: 'no_chat_template', message, param: 'messages' } };
}

/** Why a prompt of so many tokens cannot be served. */
export function beyondContext(
  tokens: number | string,
  context: number,
  input: PromptInput['input'],
): RequestError {
  return {
    code: 'context_length_exceeded',
    message: `the prompt has ${tokens} tokens, the context of ${context} leaves no room for an answer`,
    param: input.kind === 'chat' ? 'messages' : 'prompt',
  };
}
