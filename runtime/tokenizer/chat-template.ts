/** Turns chat messages into prompt text with the model's own Jinja template. */
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

/** Numbers of all `range`s of one rendering: more than any conversation asks for, and gone through in seconds. */
const MAX_RANGES = 100_000;

const SPECIAL_TOKENS = ['bos_token', 'eos_token', 'unk_token', 'pad_token'];

/**
 * The renderer of a chat template; `origin` is where it is from. Fails with FC0914 when it cannot be parsed.
 *
 * @param tokenizerConfig names the special tokens
 */
export function chatRenderer(
  origin: string,
  text: string,
  tokenizerConfig: Readonly<Record<string, unknown>>,
): ChatRenderer {
  let template: Template;
  try {
    template = new Template(text);
    template.parsed.body.unshift(...new Template('{% set range = bounded_range %}').parsed.body);
  } catch (cause) {
    throw new RuntimeFailure(
      'FC0914',
      `cannot parse the chat template of ${origin}: ${(cause as Error).message}`,
      {
        subject: origin,
        cause,
      },
    );
  }
  const special = Object.fromEntries(SPECIAL_TOKENS.map((name) => [name, tokenText(tokenizerConfig[name])]));
  return (messages, { addGenerationPrompt, kwargs }) => {
    try {
      const defaults = { ...special, tools: null, add_generation_prompt: addGenerationPrompt };
      return template.render({ ...defaults, ...kwargs, messages, bounded_range: boundedRange() });
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

/** Jinja's `range` for one rendering. The library's is of any length, and a loop over it takes the process down. */
function boundedRange(): (first: number, last?: number, step?: number) => readonly number[] {
  let left = MAX_RANGES;
  return (first, last, step = 1) => {
    const [from, to] = last === undefined ? [0, first] : [first, last];
    if (step === 0) throw new Error('range() step must not be zero');
    const length = Math.max(0, Math.ceil((to - from) / step)) || 0;
    left -= length;
    if (left < 0) throw new Error(`its ranges are of more than ${MAX_RANGES} numbers`);
    return Array.from({ length }, (_, i) => from + i * step);
  };
}

/** A special token is written as text or as `{ "content": text }`. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  if (typeof token === 'object' && token !== null && 'content' in token) return tokenText(token.content);
  return undefined;
}
