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
  add_generation_prompt: equals(true),
  add_special_tokens: equals(true),
  allowed_token_ids: unset,
  audio: unset,
  bad_words: empty,
  beam_width: equals(1),
  best_of: equals(1),
  chat_template: unset,
  chat_template_kwargs: empty,
  continue_final_message: equals(false),
  documents: empty,
  echo: equals(false),
  frequency_penalty: equals(0),
  function_call: equals('none', 'auto'),
  functions: empty,
  grammar: unset,
  guided_choice: unset,
  guided_grammar: unset,
  guided_json: unset,
  guided_regex: unset,
  include_stop_str_in_output: equals(false),
  length_penalty: equals(1),
  logit_bias: empty,
  logits_processors: empty,
  min_tokens: equals(0),
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  presence_penalty: equals(0),
  prompt_embeds: unset,
  prompt_logprobs: unset,
  reasoning_effort: unset,
  repetition_penalty: equals(1),
  response_format: (value) => (value as { type?: unknown }).type === 'text',
  skip_special_tokens: equals(true),
  spaces_between_special_tokens: equals(true),
  stop_token_ids: empty,
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
