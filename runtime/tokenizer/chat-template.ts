/** Turns chat messages into prompt text with the model's own Jinja template. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { RuntimeFailure } from '../failure.js';

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly [extra: string]: unknown;
}

/** What a request may say about the rendering; names and defaults are those of transformers' `apply_chat_template`. */
export interface ChatOptions {
  /** The prompt ends where the assistant's answer begins. */
  readonly addGenerationPrompt: boolean;
  /** Further variables of the template; they go before all but the messages. */
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** Prompt text of a conversation. Fails with FC0917. */
export type ChatRenderer = (messages: readonly ChatMessage[], options: ChatOptions) => string;

const SPECIAL_TOKENS = ['bos_token', 'eos_token', 'unk_token', 'pad_token'];

/**
 * The renderer of a model directory: `chat_template.jinja`, or `chat_template` of the tokenizer config (the one
 * named `default` where there are several). Undefined when the model has none. Fails with FC0914 when the template
 * cannot be parsed.
 */
export function chatRenderer(
  dir: string,
  tokenizerConfig: Readonly<Record<string, unknown>>,
): ChatRenderer | undefined {
  const text = templateText(dir, tokenizerConfig['chat_template']);
  if (text === undefined) return undefined;
  let template: Template;
  try {
    template = new Template(text);
  } catch (cause) {
    throw new RuntimeFailure(
      'FC0914',
      `cannot parse the chat template of ${dir}: ${(cause as Error).message}`,
      {
        subject: dir,
        cause,
      },
    );
  }
  const special = Object.fromEntries(SPECIAL_TOKENS.map((name) => [name, tokenText(tokenizerConfig[name])]));
  return (messages, { addGenerationPrompt, kwargs }) => {
    try {
      const defaults = { ...special, tools: null, add_generation_prompt: addGenerationPrompt };
      return template.render({ ...defaults, ...kwargs, messages });
    } catch (cause) {
      throw new RuntimeFailure(
        'FC0917',
        `the chat template refuses the messages: ${(cause as Error).message}`,
        {
          cause,
        },
      );
    }
  };
}

/** A special token is written as text or as `{ "content": text }`. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  if (typeof token === 'object' && token !== null && 'content' in token) return tokenText(token.content);
  return undefined;
}

function templateText(dir: string, configured: unknown): string | undefined {
  const file = join(dir, 'chat_template.jinja');
  if (existsSync(file)) return readFileSync(file, 'utf8');
  if (typeof configured === 'string') return configured;
  if (!Array.isArray(configured)) return undefined;
  const named = configured as readonly { readonly name?: unknown; readonly template?: unknown }[];
  const chosen = named.find((entry) => entry.name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : undefined;
}
