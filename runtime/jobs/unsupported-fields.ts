/**
 * Fields of an OpenAI-style body that Fulcrum knows, does not implement, and that would change the answer: a request
 * that sets one to anything but a value without effect is refused rather than answered wrongly. Fields absent from
 * this table and from the schema have no effect on the answer and are ignored.
 */
import { refuse } from './request-error.js';

type HasNoEffect = (value: unknown) => boolean;

const unset: HasNoEffect = () => false;
const equals =
  (...neutral: readonly unknown[]): HasNoEffect =>
  (value) =>
    neutral.includes(value);
const empty: HasNoEffect = (value) =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;

/** By field: values that leave the answer as it is (null and absent always do). */
const UNSUPPORTED: Readonly<Record<string, HasNoEffect>> = {
  audio: unset,
  bad_words: empty,
  beam_width: equals(1),
  best_of: equals(1),
  chat_template: unset,
  continue_final_message: equals(false),
  documents: empty,
  function_call: equals('none', 'auto'),
  functions: empty,
  grammar: unset,
  guided_choice: unset,
  guided_grammar: unset,
  guided_json: unset,
  guided_regex: unset,
  length_penalty: equals(1),
  logits_processors: empty,
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  prompt_embeds: unset,
  prompt_logprobs: unset,
  reasoning_effort: unset,
  spaces_between_special_tokens: equals(true),
  stream: equals(false),
  structured_outputs: empty,
  suffix: equals(''),
  tool_choice: equals('none', 'auto'),
  tools: empty,
  truncate_prompt_tokens: unset,
  typical_p: equals(1),
  use_beam_search: equals(false),
  verbosity: equals('medium'),
  web_search_options: unset,
};

/** Refuses a body that sets a field of the table. */
export function refuseUnsupported(body: Readonly<Record<string, unknown>>): void {
  for (const [field, value] of Object.entries(body)) {
    const hasNoEffect = Object.hasOwn(UNSUPPORTED, field) ? UNSUPPORTED[field] : undefined;
    if (hasNoEffect === undefined || value === null || value === undefined || hasNoEffect(value)) continue;
    refuse('unsupported_field', `\`${field}\` is not supported; leave it out`, field);
  }
}
