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

/**
 * Items that the loops of one rendering go through, calls of macros and numbers of `range`s, all together: more than any
 * conversation asks for, and done in seconds. What a filter does with a list or a text is not counted.
 */
const MAX_STEPS = 1_000_000;

/** What counts a step: a template can call nothing so. */
const STEP = ' step';

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
    countSteps(template.parsed);
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
      const take = stepCounter();
      const counted = { [STEP]: () => take(1), bounded_range: boundedRange(take) };
      return template.render({ ...defaults, ...kwargs, messages, ...counted });
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

/** Takes steps of one rendering, and fails when there are no more. */
function stepCounter(): (steps: number) => true {
  let left = MAX_STEPS;
  return (steps) => {
    left -= steps;
    if (left < 0) throw new Error(`its loops and ranges take more than ${MAX_STEPS} steps`);
    return true;
  };
}

/** Jinja's `range` for one rendering. The library's is of any length, and takes the process down. */
function boundedRange(
  take: (steps: number) => true,
): (first: number, last?: number, step?: number) => readonly number[] {
  return (first, last, step = 1) => {
    const [from, to] = last === undefined ? [0, first] : [first, last];
    if (step === 0) throw new Error('range() step must not be zero');
    const length = Math.max(0, Math.ceil((to - from) / step)) || 0;
    take(length);
    return Array.from({ length }, (_, i) => from + i * step);
  };
}

interface Node {
  readonly type: string;
  [part: string]: unknown;
}

/**
 * Has every item of a loop and every call of a macro in a parsed template take a step: a loop asks first whether it goes
 * through an item, whatever its body does.
 */
function countSteps(part: unknown): void {
  if (typeof part !== 'object' || part === null) return;
  Object.values(part).forEach(countSteps);
  const node = part as Node;
  const step: Node = { type: 'CallExpression', callee: { type: 'Identifier', value: STEP }, args: [] };
  if (node.type === 'For') {
    const iterable = node['iterable'] as Node;
    const isFiltered = iterable.type === 'SelectExpression';
    const both = {
      type: 'BinaryExpression',
      operator: { value: 'and' },
      left: step,
      right: iterable['test'],
    };
    node['iterable'] = {
      type: 'SelectExpression',
      lhs: isFiltered ? iterable['lhs'] : iterable,
      test: isFiltered ? both : step,
    };
  } else if (node.type === 'Macro') {
    (node['body'] as Node[]).unshift({ type: 'If', test: step, body: [], alternate: [] });
  }
}

/** A special token is written as text or as `{ "content": text }`. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  if (typeof token === 'object' && token !== null && 'content' in token) return tokenText(token.content);
  return undefined;
}
