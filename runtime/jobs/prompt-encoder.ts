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
  /** Ids of the prompts, in their order. Rejects with FC0934 when a worker that encodes is lost. */
  readonly encode: (inputs: readonly PromptInput[]) => Promise<readonly EncodedPrompt[]>;
  readonly close: () => Promise<void>;
}

/** Encodes in this thread, a prompt at a time: in between, whatever else waits gets its turn. */
export function localEncoder(tokenizer: TextTokenizer): PromptEncoder {
  return {
    encode: async (inputs) => {
      const prompts: EncodedPrompt[] = [];
      for (const input of inputs) {
        prompts.push(encodePrompt(input, tokenizer));
        await setImmediate();
      }
      return prompts;
    },
    close: () => Promise.resolve(),
  };
}

/** Ids of one prompt; a conversation is put into words by the model's chat template first. */
export function encodePrompt(prompt: PromptInput, tokenizer: TextTokenizer): EncodedPrompt {
  const { input, addSpecialTokens } = prompt;
  try {
    if (input.kind === 'ids') return { ids: input.ids };
    if (input.kind === 'text') return { ids: tokenizer.encode(input.text, addSpecialTokens) };
    if (tokenizer.renderChat) {
      const text = tokenizer.renderChat(input.messages, input.options);
      return { ids: tokenizer.encode(text, addSpecialTokens) };
    }
  } catch (error) {
    if (!(error instanceof RuntimeFailure) || error.code !== 'FC0917') throw error;
    return { error: { code: error.code, message: error.message } };
  }
  const message = 'the model has no chat template; use /v1/completions';
  return { error: { code: 'no_chat_template', message, param: 'messages' } };
}
