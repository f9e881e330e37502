/**
 * One line of a batch file, checked. Everything the answer depends on is read here; defaults are OpenAI's (completions
 * give 16 tokens unless asked, temperature is 1) and a missing seed follows from `custom_id`, so that a batch gives
 * the same answers every time it is run.
 */
import { z } from 'zod';
import type { SamplingParams } from '../engine/types.js';
import type { LogitAdjustments } from '../sampling/adjust.js';
import type { AnswerShape } from '../structured/shape.js';
import type { ChatMessage, ChatOptions } from '../tokenizer/chat-template.js';
import { refuse } from './request-error.js';
import { answerShape, responseFormat } from './response-format.js';
import { refuseUnsupported } from './unsupported-fields.js';

export type Endpoint = '/v1/completions' | '/v1/chat/completions';

export interface BatchRequest {
  readonly customId: string;
  readonly endpoint: Endpoint;
  /** As the request names the model; echoed in the answer. */
  readonly model?: string;
  readonly input:
    | { readonly kind: 'text'; readonly text: string }
    | { readonly kind: 'ids'; readonly ids: readonly number[] }
    | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[]; readonly options: ChatOptions };
  /** Whether the tokenizer's post-processor adds its tokens, a start token usually. */
  readonly addSpecialTokens: boolean;
  /** The answer's text begins with the prompt's. */
  readonly echo: boolean;
  /** Absent: as many as the context leaves. */
  readonly maxTokens?: number;
  /** Answers wanted. */
  readonly n: number;
  readonly stop: readonly string[];
  /** Ids that end the answer, beside the model's own. */
  readonly stopTokenIds: readonly number[];
  readonly ignoreEos: boolean;
  /** Tokens before which nothing ends the answer but `maxTokens`. */
  readonly minTokens: number;
  /** What ended the answer is part of its text. */
  readonly includeStop: boolean;
  /** Special tokens of the answer, its end token apart, are part of its text. */
  readonly keepSpecialTokens: boolean;
  /** Bias and penalties; absent when they change nothing. */
  readonly penalties?: Penalties;
  /** Ids that may come; absent, all. */
  readonly allowedIds?: readonly number[];
  /** Of an answer that is JSON; absent, it is any text. */
  readonly shape?: AnswerShape;
  /** Of the first answer; answer `i` takes `choiceSeed(seed, i)`. */
  readonly sampling: SamplingParams;
}

export type Penalties = Omit<LogitAdjustments, 'minTokens'>;

/** Tokens of a completion that names no `max_tokens`. */
const DEFAULT_COMPLETION_TOKENS = 16;

const envelope = z.object(
  {
    custom_id: z.string({ error: '`custom_id` must be a text' }),
    method: z.literal('POST', { error: '`method` must be "POST"' }),
    url: z.enum(['/v1/completions', '/v1/chat/completions'], {
      error: ({ input }) =>
        `\`url\` must be "/v1/completions" or "/v1/chat/completions", not ${JSON.stringify(input) ?? 'absent'}`,
    }),
    body: z.record(z.string(), z.unknown(), { error: '`body` must be an object' }),
  },
  { error: 'a request is an object: {"custom_id", "method", "url", "body"}' },
);

/** Below it only the best token has a chance; division by what is much smaller leaves the range of f32. */
const GREEDY_BELOW = 1e-5;

const tokenCount = z.int().min(1);
const tokenId = z.int().min(0);
const common = {
  model: z.string().nullish(),
  max_tokens: tokenCount.nullish(),
  max_completion_tokens: tokenCount.nullish(),
  temperature: z.number().min(0).max(100).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(16)]).nullish(),
  stop_token_ids: z.array(tokenId).nullish(),
  ignore_eos: z.boolean().nullish(),
  min_tokens: z.int().min(0).nullish(),
  include_stop_str_in_output: z.boolean().nullish(),
  skip_special_tokens: z.boolean().nullish(),
  add_special_tokens: z.boolean().nullish(),
  // Bounds are OpenAI's; `repetition_penalty` and `allowed_token_ids` are vLLM's, with bounds that keep logits within f32.
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().min(1e-4).max(1e4).nullish(),
  logit_bias: z
    .record(z.string().regex(/^\d{1,9}$/, { error: 'keys are token ids' }), z.number().min(-100).max(100))
    .nullish(),
  allowed_token_ids: z.array(tokenId).min(1).nullish(),
  n: z.int().min(1).max(128).nullish(),
  response_format: responseFormat.nullish(),
};

const completionBody = z.object({
  ...common,
  prompt: z.union([z.string(), z.array(tokenId), z.tuple([z.string()]), z.tuple([z.array(tokenId)])], {
    error: '`prompt` must be one text or one list of token ids',
  }),
  logprobs: z.int().min(0).max(20).nullish(),
  echo: z.boolean().nullish(),
});

const textPart = z.object({ type: z.literal('text'), text: z.string() });
const message = z.looseObject({
  role: z.string(),
  content: z.union([z.string(), z.array(textPart)], { error: 'the content of a message must be text' }),
});
const chatBody = z.object({
  ...common,
  messages: z.array(message).min(1),
  add_generation_prompt: z.boolean().nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  echo: z.literal(false, { error: '`echo` is for /v1/completions' }).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
});

/** The `custom_id` of a line that may be no good otherwise, so that its error can be told apart. */
export function customIdOf(line: string): string | null {
  try {
    const value = (JSON.parse(line) as { custom_id?: unknown } | null)?.custom_id;
    return typeof value === 'string' ? value : null;
  } catch {
    return null;
  }
}

/** Parses a line of a batch file. Throws RequestRefused. */
export function parseBatchLine(line: string): BatchRequest {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (error) {
    refuse('invalid_json', `the line is not JSON: ${(error as Error).message}`);
  }
  if (isNestedBeyond(json, MOST_NESTED)) {
    refuse('invalid_json', `values of the line are nested more than ${MOST_NESTED} deep`);
  }
  const { custom_id: customId, url, body } = checked(envelope, json);
  return parseRequest(customId, url, body);
}

/** Objects and lists within each other. Whoever reads a value by calling itself must not run out of stack. */
const MOST_NESTED = 500;

function isNestedBeyond(value: unknown, most: number): boolean {
  const withinOf = (each: unknown): unknown[] =>
    typeof each === 'object' && each !== null ? Object.values(each) : [];
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > most) return true;
    level = level.flatMap(withinOf);
  }
  return false;
}

/** Checks the body of a request to an endpoint. Throws RequestRefused. */
export function parseRequest(
  customId: string,
  endpoint: Endpoint,
  body: Readonly<Record<string, unknown>>,
): BatchRequest {
  refuseUnsupported(body);
  const request =
    endpoint === '/v1/completions' ? completionRequest(customId, body) : chatRequest(customId, body);
  const { minTokens, maxTokens = Infinity } = request;
  if (minTokens > maxTokens) {
    refuse(
      'invalid_request',
      `\`min_tokens\` is ${minTokens}, but the answer ends at ${maxTokens} tokens`,
      'min_tokens',
    );
  }
  return request;
}

/** Seed of one of a request's answers; unsigned 32 bits. */
export function choiceSeed(seed: number, choice: number): number {
  return (seed + Math.imul(choice, 0x9e3779b1)) >>> 0;
}

function completionRequest(customId: string, json: unknown): BatchRequest {
  const body = checked(completionBody, json);
  if (body.echo && typeof body.logprobs === 'number') {
    refuse(
      'unsupported_field',
      '`echo` with `logprobs` asks for log-probabilities of the prompt, which are not supported',
      'echo',
    );
  }
  const prompt = body.prompt;
  const single = typeof prompt === 'string' || prompt.length !== 1 ? prompt : unwrapped(prompt);
  return {
    ...shared(customId, body),
    endpoint: '/v1/completions',
    input:
      typeof single === 'string' ? { kind: 'text', text: single } : { kind: 'ids', ids: single as number[] },
    addSpecialTokens: body.add_special_tokens ?? true,
    echo: body.echo ?? false,
    maxTokens: maxTokensOf(body) ?? DEFAULT_COMPLETION_TOKENS,
    sampling: samplingOf(customId, body, typeof body.logprobs === 'number', body.logprobs ?? 0),
  };
}

function unwrapped(prompt: readonly (string | number | number[])[]): string | number[] {
  const [only] = prompt;
  return typeof only === 'number' ? [only] : only!;
}

function chatRequest(customId: string, json: unknown): BatchRequest {
  const body = checked(chatBody, json);
  const messages = body.messages.map((entry) => ({
    ...entry,
    content:
      typeof entry.content === 'string' ? entry.content : entry.content.map((part) => part.text).join(''),
  }));
  return {
    ...shared(customId, body),
    endpoint: '/v1/chat/completions',
    input: {
      kind: 'chat',
      messages,
      options: {
        addGenerationPrompt: body.add_generation_prompt ?? true,
        kwargs: body.chat_template_kwargs ?? {},
      },
    },
    // A chat template writes the start token itself.
    addSpecialTokens: body.add_special_tokens ?? false,
    echo: false,
    maxTokens: maxTokensOf(body),
    sampling: samplingOf(
      customId,
      body,
      body.logprobs ?? false,
      body.logprobs ? (body.top_logprobs ?? 0) : 0,
    ),
  };
}

type CommonBody = z.infer<z.ZodObject<typeof common>>;

type SharedFields =
  | 'customId'
  | 'model'
  | 'n'
  | 'stop'
  | 'stopTokenIds'
  | 'ignoreEos'
  | 'minTokens'
  | 'includeStop'
  | 'keepSpecialTokens'
  | 'penalties'
  | 'allowedIds'
  | 'shape';

function shared(customId: string, body: CommonBody): Pick<BatchRequest, SharedFields> {
  const stop = body.stop ?? [];
  const penalties = penaltiesOf(body);
  const shape = body.response_format ? answerShape(body.response_format) : undefined;
  return {
    customId,
    model: body.model ?? undefined,
    n: body.n ?? 1,
    stop: (typeof stop === 'string' ? [stop] : stop).filter((text) => text !== ''),
    stopTokenIds: body.stop_token_ids ?? [],
    ignoreEos: body.ignore_eos ?? false,
    minTokens: body.min_tokens ?? 0,
    includeStop: body.include_stop_str_in_output ?? false,
    keepSpecialTokens: !(body.skip_special_tokens ?? true),
    ...(penalties === undefined ? {} : { penalties }),
    ...(body.allowed_token_ids ? { allowedIds: body.allowed_token_ids } : {}),
    ...(shape === undefined ? {} : { shape }),
  };
}

function penaltiesOf(body: CommonBody): Penalties | undefined {
  const penalties = {
    frequencyPenalty: body.frequency_penalty ?? 0,
    presencePenalty: body.presence_penalty ?? 0,
    repetitionPenalty: body.repetition_penalty ?? 1,
    logitBias: new Map(Object.entries(body.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias])),
  };
  const { frequencyPenalty, presencePenalty, repetitionPenalty, logitBias } = penalties;
  const isNeutral =
    frequencyPenalty === 0 && presencePenalty === 0 && repetitionPenalty === 1 && logitBias.size === 0;
  return isNeutral ? undefined : penalties;
}

/** The newer name wins where a request gives both. */
function maxTokensOf(body: CommonBody): number | undefined {
  return body.max_completion_tokens ?? body.max_tokens ?? undefined;
}

function samplingOf(
  customId: string,
  body: CommonBody,
  logprobs: boolean,
  topLogprobs: number,
): SamplingParams {
  const temperature = body.temperature ?? 1;
  return {
    temperature: temperature < GREEDY_BELOW ? 0 : temperature,
    topP: body.top_p ?? 1,
    topK: Math.max(0, body.top_k ?? 0),
    minP: body.min_p ?? 0,
    seed: (body.seed ?? hashText(customId)) >>> 0,
    logprobs,
    topLogprobs,
  };
}

/** FNV-1a. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const param = issue.path.length > 0 ? issue.path.join('.') : undefined;
  const what =
    issue.message.includes('`') || param === undefined ? issue.message : `\`${param}\`: ${issue.message}`;
  return refuse('invalid_request', what, param);
}
