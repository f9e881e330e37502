/** `response_format`: answers that are JSON, of a schema or any object. */
import { z } from 'zod';
import { jsonAnswers, type JsonAnswers } from '../structured/json-answers.js';
import { readSchema } from '../structured/schema.js';
import type { AnswerShape } from '../structured/shape.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';
import { refuse } from './request-error.js';

/** As a body has it. */
export const responseFormat = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({ type: z.literal('json_schema'), json_schema: z.object({ schema: z.unknown().optional() }) }),
  ],
  { error: '`response_format` must be of type "text", "json_object" or "json_schema"' },
);

/** The shape of the answers; undefined when they may be any text. Throws RequestRefused. */
export function answerShape(format: z.infer<typeof responseFormat>): AnswerShape | undefined {
  if (format.type === 'text') return undefined;
  const answer = readSchema(format.type === 'json_object' ? { type: 'object' } : format.json_schema.schema);
  if (answer.kind === 'accepted') return answer.shape;
  return refuseFormat(`${answer.at === '' ? 'the schema' : `${answer.at} of the schema`}: ${answer.why}`);
}

/** Answers in the tokens of a model with so many ids. Throws RequestRefused when they are no bytes. */
export function answersOf(tokenizer: TextTokenizer, vocab: number): JsonAnswers {
  const found = tokenizer.vocabulary();
  if (found === undefined) {
    return refuseFormat('the tokens of this model are no bytes, so its answers cannot be held to a schema');
  }
  const tokens = Array.from({ length: vocab }, (_, id) => found.tokens[id] ?? '');
  for (const id of tokenizer.stopIds) tokens[id] = '';
  return jsonAnswers({ kind: found.kind, tokens });
}

function refuseFormat(why: string): never {
  return refuse('FC0935', `\`response_format\`: ${why}`, 'response_format');
}
