import { describe, expect, it } from 'vitest';
import { choiceSeed, parseBatchLine, type BatchRequest } from '../../../runtime/jobs/request.js';
import { RequestRefused, type RequestError } from '../../../runtime/jobs/request-error.js';
import { completionLine } from '../../fixtures/batch-lines.js';

function completion(body: object): BatchRequest {
  return parseBatchLine(
    JSON.stringify({
      custom_id: 'a',
      method: 'POST',
      url: '/v1/completions',
      body: { prompt: 'p', ...body },
    }),
  );
}

function chat(body: object): BatchRequest {
  const messages = [{ role: 'user', content: 'hi' }];
  return parseBatchLine(
    JSON.stringify({
      custom_id: 'a',
      method: 'POST',
      url: '/v1/chat/completions',
      body: { messages, ...body },
    }),
  );
}

function refusal(action: () => unknown): RequestError {
  try {
    action();
  } catch (error) {
    if (error instanceof RequestRefused) return error.error;
    throw error;
  }
  throw new Error('the request was accepted');
}

describe('accepted requests', () => {
  it('takes OpenAI defaults', () => {
    const request = completion({});
    expect(request).toMatchObject({
      maxTokens: 16,
      n: 1,
      stop: [],
      stopTokenIds: [],
      ignoreEos: false,
      minTokens: 0,
      echo: false,
      addSpecialTokens: true,
      includeStop: false,
      keepSpecialTokens: false,
    });
    expect(request).not.toHaveProperty('penalties');
    expect(chat({}).addSpecialTokens).toBe(false);
    expect(request.sampling).toMatchObject({ temperature: 1, topP: 1, topK: 0, minP: 0, logprobs: false });
    expect(chat({}).maxTokens).toBeUndefined();
  });

  it('is greedy where a temperature leaves no other token a chance', () => {
    const given = [1e-45, 1e-6, 1e-5, 0.5];
    expect(given.map((temperature) => completion({ temperature }).sampling.temperature)).toEqual([
      0, 0, 1e-5, 0.5,
    ]);
  });

  it('reads every honoured field', () => {
    const request = completion({
      max_tokens: 9,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.05,
      seed: 7,
      stop: ['\n', 'END'],
      ignore_eos: true,
      n: 3,
      logprobs: 5,
      model: 'clerk',
    });
    expect(request).toMatchObject({
      maxTokens: 9,
      stop: ['\n', 'END'],
      ignoreEos: true,
      n: 3,
      model: 'clerk',
    });
    expect(request.sampling).toEqual({
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      minP: 0.05,
      seed: 7,
      logprobs: true,
      topLogprobs: 5,
    });
    expect(completion({ stop: 'x' }).stop).toEqual(['x']);
    expect(completion({ stop: null, temperature: null }).sampling.temperature).toBe(1);
    expect(completion({ top_k: -1 }).sampling.topK).toBe(0);
  });

  it.each([
    ['p', { kind: 'text', text: 'p' }],
    [['p'], { kind: 'text', text: 'p' }],
    [[5], { kind: 'ids', ids: [5] }],
    [[5, 6], { kind: 'ids', ids: [5, 6] }],
    [[[5, 6]], { kind: 'ids', ids: [5, 6] }],
  ])('prompt %j', (prompt, input) => {
    expect(completion({ prompt }).input).toEqual(input);
  });

  it('joins text parts, keeps further message fields, prefers max_completion_tokens', () => {
    const content = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ];
    const request = chat({
      messages: [{ role: 'user', name: 'eve', content }],
      max_tokens: 5,
      max_completion_tokens: 4,
      logprobs: true,
      top_logprobs: 2,
    });
    expect(request.input).toEqual({
      kind: 'chat',
      messages: [{ role: 'user', name: 'eve', content: 'ab' }],
      options: { addGenerationPrompt: true, kwargs: {} },
    });
    expect(request.maxTokens).toBe(4);
    expect(request.sampling).toMatchObject({ logprobs: true, topLogprobs: 2 });
  });

  it('reads what changes logits, ends answers and shapes their text', () => {
    const request = completion({
      frequency_penalty: 0.5,
      presence_penalty: -1,
      repetition_penalty: 1.2,
      logit_bias: { 5: -100, 17: 2.5 },
      allowed_token_ids: [5, 17],
      stop_token_ids: [3],
      min_tokens: 2,
      include_stop_str_in_output: true,
      skip_special_tokens: false,
      add_special_tokens: false,
      echo: true,
    });
    expect(request).toMatchObject({
      allowedIds: [5, 17],
      stopTokenIds: [3],
      minTokens: 2,
      includeStop: true,
      keepSpecialTokens: true,
      addSpecialTokens: false,
      echo: true,
    });
    expect(request.penalties).toEqual({
      frequencyPenalty: 0.5,
      presencePenalty: -1,
      repetitionPenalty: 1.2,
      logitBias: new Map([
        [5, -100],
        [17, 2.5],
      ]),
    });
  });

  it('hands a chat template what the request has for it', () => {
    const request = chat({ add_generation_prompt: false, chat_template_kwargs: { enable_thinking: false } });
    expect(request.input).toMatchObject({
      options: { addGenerationPrompt: false, kwargs: { enable_thinking: false } },
    });
  });

  it('derives a seed from custom_id, and one per choice', () => {
    expect(completion({}).sampling.seed).toBe(completion({}).sampling.seed);
    const other = parseBatchLine(completionLine('b', { prompt: 'p' }));
    expect(other.sampling.seed).not.toBe(completion({}).sampling.seed);
    const seeds = [0, 1, 2, 3].map((choice) => choiceSeed(0xffffffff, choice));
    expect(seeds[0]).toBe(0xffffffff);
    expect(new Set(seeds).size).toBe(4);
    expect(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)).toBe(true);
  });

  it('ignores unknown fields and unsupported ones without effect', () => {
    const harmless = {
      user: 'u',
      metadata: {},
      echo: false,
      presence_penalty: 0,
      logit_bias: {},
      suffix: null,
      response_format: { type: 'text' },
      repetition_penalty: 1,
      toString: 'x',
      something_new: 3,
    };
    expect(completion(harmless)).toEqual(completion({}));
  });
});

describe('refused requests', () => {
  it.each([
    ['bad_words', ['x']],
    ['prompt_logprobs', 1],
    ['best_of', 4],
    ['suffix', 'tail'],
    ['stream', true],
    ['tools', [{ type: 'function' }]],
    ['guided_regex', 'a+'],
    ['guided_json', {}],
  ])('%s = %j changes the answer and is refused', (field, value) => {
    expect(refusal(() => completion({ [field]: value }))).toMatchObject({
      code: 'unsupported_field',
      param: field,
    });
  });

  it.each([
    ['temperature', -1],
    ['temperature', 'hot'],
    ['top_p', 0],
    ['max_tokens', 0],
    ['max_tokens', 2.5],
    ['n', 0],
    ['frequency_penalty', 2.5],
    ['presence_penalty', -3],
    ['repetition_penalty', 0],
    ['logit_bias', { 5: 101 }],
    ['logit_bias', { five: 1 }],
    ['allowed_token_ids', []],
    ['stop_token_ids', [-1]],
    ['min_tokens', 17],
    ['stop', 5],
    ['logprobs', 21],
    ['prompt', ['a', 'b']],
    ['prompt', undefined],
    ['prompt', [-1]],
  ])('%s = %j is invalid and named', (field, value) => {
    const error = refusal(() => completion({ [field]: value }));
    expect(error.code).toBe('invalid_request');
    expect(error.param).toMatch(new RegExp(`^${field}`));
    expect(error.message).toContain(field);
  });

  it('refuses log-probabilities of the prompt, and echo in a chat', () => {
    expect(refusal(() => completion({ echo: true, logprobs: 0 }))).toMatchObject({
      code: 'unsupported_field',
      param: 'echo',
    });
    expect(refusal(() => chat({ echo: true }))).toMatchObject({ code: 'invalid_request', param: 'echo' });
  });

  it('refuses values nested so deep that whoever reads them would run out of stack', () => {
    const line = (prompt: string, depth: number): string =>
      JSON.stringify({
        custom_id: 'a',
        method: 'POST',
        url: '/v1/completions',
        body: { prompt, x: null },
      }).replace('null', '['.repeat(depth) + ']'.repeat(depth));
    expect(parseBatchLine(line('p', 400)).input).toEqual({ kind: 'text', text: 'p' });
    expect(refusal(() => parseBatchLine(line('p', 100_000)))).toEqual({
      code: 'invalid_json',
      message: 'values of the line are nested more than 500 deep',
    });
    const schema = '{"items":'.repeat(100_000) + '{}' + '}'.repeat(100_000);
    const body = `{"prompt":"p","response_format":{"type":"json_schema","json_schema":{"schema":${schema}}}}`;
    const asks = `{"custom_id":"a","method":"POST","url":"/v1/completions","body":${body}}`;
    expect(refusal(() => parseBatchLine(asks)).code).toBe('invalid_json');
  });

  it('refuses images, empty conversations and broken envelopes', () => {
    const image = { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'x' }] }] };
    expect(refusal(() => chat(image)).message).toMatch(/must be text/);
    expect(refusal(() => chat({ messages: [] })).param).toBe('messages');
    expect(refusal(() => parseBatchLine('{"custom_id"')).code).toBe('invalid_json');
    expect(refusal(() => parseBatchLine('[]')).code).toBe('invalid_request');
    const envelope = { custom_id: 'a', method: 'GET', url: '/v1/completions', body: { prompt: 'p' } };
    expect(refusal(() => parseBatchLine(JSON.stringify(envelope))).param).toBe('method');
    const url = { ...envelope, method: 'POST', url: '/v1/embeddings' };
    expect(refusal(() => parseBatchLine(JSON.stringify(url)))).toMatchObject({
      param: 'url',
      message: '`url` must be "/v1/completions" or "/v1/chat/completions", not "/v1/embeddings"',
    });
    expect(refusal(() => parseBatchLine('{"url": "/v1/completions"}')).message).toBe(
      '`custom_id` must be a text',
    );
    expect(refusal(() => parseBatchLine('[]')).message).toMatch(/^a request is an object/);
  });
});
