/**
 * Sampled batches on devices, end to end: what a request asks for decides its answer, and neither the plan nor the
 * requests beside it do.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileHost } from '../../runtime/file-host.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { compilePlan } from '../../compiler/compile.js';
import { openEngine } from '../../runtime/engine/open.js';
import { runBatch } from '../../runtime/jobs/run-batch.js';
import { openTokenizer } from '../../runtime/tokenizer/open-tokenizer.js';
import { loadTokenizer } from '../../runtime/tokenizer/tokenizer.js';
import { CLERK } from './support/clerk.js';
import { chatLine, completionLine } from '../fixtures/batch-lines.js';

interface Choice {
  readonly text?: string;
  readonly message?: { readonly role: string; readonly content: string };
  readonly finish_reason: string;
  readonly logprobs: {
    readonly tokens?: readonly string[];
    readonly token_logprobs?: readonly number[];
    readonly top_logprobs?: readonly Record<string, number>[];
    readonly content?: readonly { readonly token: string; readonly logprob: number }[];
  } | null;
}

interface Body {
  readonly object: string;
  readonly choices: readonly Choice[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

type Answers = ReadonlyMap<string, Body>;

const PROMPT =
  'Extract the record as JSON.\nText: The buyer Hohon Systems asked for 520 Aize gloves.' +
  ' Price per unit: EUR 5.90. Delivery date: 06.11.2027.\nJSON:\n';
const tokenizer = loadTokenizer(CLERK);
/** Id of a text that is one token. */
const idOf = (text: string): number => tokenizer.encode(text, false).at(-1)!;
const [A, B, C] = ['a', 'b', 'c'].map(idOf) as [number, number, number];

/** Tokens that the answer begins with. */
const OPENING = tokenizer.encode('{"type":"order","customer":"', false);
/** Hot enough that a model sure of its answers strays from them. */
const HOT = { temperature: 2.5, max_tokens: 24, ignore_eos: true };
const TEMPLATE =
  '{% for m in messages %}{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}JSON:\n{% endif %}';

/** Nothing that the model would write by itself. */
const SCHEMA = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 6 },
    count: { type: 'integer', minimum: 12, maximum: 9999 },
    tags: { type: 'array', items: { enum: ['x', 'xy', null] }, minItems: 1, maxItems: 3 },
  },
  required: ['name', 'count', 'tags'],
};
const response_format = { type: 'json_schema', json_schema: { schema: SCHEMA } };

const completions = {
  greedy: { temperature: 0, max_tokens: 96 },
  seven: { ...HOT, seed: 7 },
  'seven-again': { ...HOT, seed: 7 },
  'seven-with-probs': { ...HOT, seed: 7, logprobs: 3 },
  eight: { ...HOT, seed: 8 },
  'top-k-1': { ...HOT, top_k: 1, ignore_eos: false, max_tokens: 96 },
  'tiny-top-p': { ...HOT, top_p: 1e-6, ignore_eos: false, max_tokens: 96 },
  'full-min-p': { ...HOT, min_p: 1, ignore_eos: false, max_tokens: 96 },
  filtered: { ...HOT, seed: 7, top_k: 20, top_p: 0.9, min_p: 0.01 },
  three: { ...HOT, seed: 7, n: 3 },
  probs: { temperature: 0.7, seed: 3, max_tokens: 12, logprobs: 4 },
  stopped: { temperature: 0, max_tokens: 96, stop: ['"quan', '}'] },
  long: { temperature: 0, max_tokens: 100, ignore_eos: true },
  penalised: {
    ...HOT,
    seed: 7,
    frequency_penalty: 0.8,
    presence_penalty: 0.3,
    repetition_penalty: 1.1,
    logprobs: 2,
  },
  banned: { temperature: 0, max_tokens: 8, logit_bias: { [OPENING[0]!]: -100 } },
  forced: { temperature: 0, max_tokens: 4, logit_bias: { [A]: 100 }, logprobs: 1 },
  chosen: { ...HOT, seed: 7, allowed_token_ids: [A, B, C] },
  'at-least': { temperature: 0, min_tokens: 90, max_tokens: 96, stop: ['"quan'], stop_token_ids: [B] },
  'stop-id': {
    temperature: 0,
    max_tokens: 96,
    stop_token_ids: [OPENING[3]!],
    include_stop_str_in_output: true,
  },
  object: { temperature: 0, max_tokens: 96, response_format: { type: 'json_object' } },
  schema: { temperature: 0, max_tokens: 96, response_format, min_tokens: 90 },
  'schema-hot': { ...HOT, max_tokens: 96, seed: 7, n: 3, response_format },
  'schema-changed': {
    ...HOT,
    max_tokens: 96,
    seed: 7,
    top_p: 0.95,
    ignore_eos: false,
    frequency_penalty: 0.5,
    logit_bias: { [A]: 3 },
    logprobs: 2,
    response_format,
  },
  echoed: { temperature: 0, max_tokens: 96, echo: true },
};

const LINES = [
  ...Object.entries(completions).map(([id, body]) => completionLine(id, { prompt: PROMPT, ...body })),
  ...(['chat', 'chat-again'] as const).map((id) =>
    chatLine(id, {
      messages: [{ role: 'user', content: PROMPT.replace('\nJSON:\n', '') }],
      ...(id === 'chat' ? { temperature: 0, logprobs: true } : { ...HOT, seed: 7 }),
    }),
  ),
];

let folder = '';
const answers = new Map<string, Answers>();

/** Runs a batch on a plan of clerk.plan over the copy of the model that has a chat template. */
async function run(plan: string, lines: readonly string[]): Promise<Answers> {
  const checked = checkFile(fileHost(), 'plans/clerk.plan').plans.find(({ name }) => name === plan)!;
  const { runtime: graph } = compilePlan(checked);
  const modelDirectory = join(folder, 'clerk');
  const [requestsPath, resultsPath] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')];
  writeFileSync(requestsPath, lines.join('\n'));
  const { name, shape } = graph.model;
  const tokenizer = openTokenizer(graph.model, modelDirectory);
  const engine = await openEngine(graph, { modelDirectory });
  try {
    const model = { name, context: shape.context, vocab: shape.vocab };
    const start = 'overwrite';
    const summary = await runBatch({ requestsPath, resultsPath, engine, tokenizer, model, start });
    expect(summary).toMatchObject({ answered: lines.length, failed: 0, unfinished: 0 });
  } finally {
    await engine.dispose();
  }
  const results = readFileSync(resultsPath, 'utf8').trim().split('\n');
  return new Map(
    results.map((line) => {
      const { custom_id, response } = JSON.parse(line) as { custom_id: string; response: { body: Body } };
      return [custom_id, response.body];
    }),
  );
}

/** What must not depend on the plan; log-probabilities may in their last digits. */
function texts(batch: Answers): unknown {
  const shown = [...batch].map(([id, body]) => [
    id,
    body.usage.completion_tokens,
    body.choices.map((choice) => [choice.text ?? choice.message?.content, choice.finish_reason]),
  ]);
  return Object.fromEntries(shown.map(([id, ...rest]) => [id, rest]));
}

const body = (id: string): Body => answers.get('single')!.get(id)!;
const text = (id: string): string => body(id).choices[0]!.text!;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-sampling-'));
  const model = join(folder, 'clerk');
  cpSync(CLERK, model, { recursive: true });
  const config = join(model, 'tokenizer_config.json');
  const json = JSON.parse(readFileSync(config, 'utf8')) as object;
  writeFileSync(config, JSON.stringify({ ...json, chat_template: `{{ bos_token }}${TEMPLATE}` }));
  for (const plan of ['single', 'tensor', 'reshard']) answers.set(plan, await run(plan, LINES));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('sampled batches', () => {
  it('answer the same under every plan', () => {
    expect(texts(answers.get('tensor')!)).toEqual(texts(answers.get('single')!));
    expect(texts(answers.get('reshard')!)).toEqual(texts(answers.get('single')!));
  });

  it('answer the same alone and among others', async () => {
    const alone = await run(
      'single',
      LINES.filter((line) => line.includes('"filtered"')),
    );
    expect(alone.get('filtered')!.choices).toEqual(body('filtered').choices);
  });

  it('follow the seed', () => {
    expect(text('seven-again')).toBe(text('seven'));
    expect(text('seven-with-probs')).toBe(text('seven'));
    expect(text('eight')).not.toBe(text('seven'));
    expect(text('filtered')).not.toBe(text('seven'));
  });

  it('are greedy when the filters leave one token', () => {
    expect(text('greedy')).toMatch(/^\{.*Hohon Systems.*\}$/);
    expect(text('greedy').startsWith(text('seven'))).toBe(false);
    for (const id of ['top-k-1', 'tiny-top-p', 'full-min-p']) expect(text(id)).toBe(text('greedy'));
  });

  it('give n different answers, the first as with n of one', () => {
    const { choices, usage } = body('three');
    expect(choices.map((choice) => choice.text)).toHaveLength(3);
    expect(choices[0]!.text).toBe(text('seven'));
    expect(new Set(choices.map((choice) => choice.text)).size).toBe(3);
    expect(usage.completion_tokens).toBe(3 * HOT.max_tokens);
  });

  it('report the log-probability of what was drawn and of the best', () => {
    const { logprobs, text: drawn } = body('probs').choices[0]!;
    expect(logprobs!.tokens!.join('')).toBe(drawn);
    logprobs!.tokens!.forEach((token, i) => {
      const top = Object.values(logprobs!.top_logprobs![i]!);
      expect(top.length).toBeGreaterThanOrEqual(1);
      expect(top.length).toBeLessThanOrEqual(5);
      const logprob = logprobs!.token_logprobs![i]!;
      expect(logprob).toBeLessThanOrEqual(Math.max(...top));
      expect(top.reduce((sum, value) => sum + Math.exp(value), 0)).toBeLessThanOrEqual(1 + 1e-5);
      const listed = logprobs!.top_logprobs![i]![token];
      if (listed !== undefined) expect(logprob).toBeCloseTo(listed, 5);
    });
  });

  it('end at a stop string, at max_tokens, or past the end token', () => {
    expect(text('stopped')).toBe(text('greedy').slice(0, text('stopped').length));
    expect(text('stopped').length).toBeLessThan(text('greedy').length);
    expect(text('stopped')).not.toMatch(/"quan|\}/);
    expect(body('stopped').choices[0]!.finish_reason).toBe('stop');
    expect(body('greedy').choices[0]!.finish_reason).toBe('stop');
    expect(body('seven').choices[0]!.finish_reason).toBe('length');
    expect(body('seven').usage.completion_tokens).toBe(HOT.max_tokens);
    expect(body('long').usage.completion_tokens).toBe(100);
    expect(text('long').startsWith(text('greedy'))).toBe(true);
  });

  it('change logits as asked', () => {
    expect(text('penalised')).not.toBe(text('seven'));
    for (const logprob of body('penalised').choices[0]!.logprobs!.token_logprobs!) {
      expect(logprob).toBeLessThanOrEqual(0);
    }
    expect(text('banned').startsWith(tokenizer.tokenText(OPENING[0]!))).toBe(false);
    // The log-probability is the model's own, which does not think of this token.
    expect(text('forced')).toBe('aaaa');
    for (const logprob of body('forced').choices[0]!.logprobs!.token_logprobs!) {
      expect(logprob).toBeLessThan(-1);
    }
    expect(text('chosen')).toMatch(/^[abc]{24}$/);
  });

  it('end where stop ids, min_tokens and echo say', () => {
    expect(body('at-least').usage.completion_tokens).toBeGreaterThanOrEqual(90);
    const stopped = text('stop-id');
    expect(text('greedy').startsWith(stopped)).toBe(true);
    expect(stopped).toBe(tokenizer.decode(OPENING.slice(0, 4)));
    expect(body('stop-id').choices[0]).toMatchObject({ finish_reason: 'stop', stop_reason: OPENING[3] });
    expect(text('echoed')).toBe(PROMPT + text('greedy'));
  });

  it('are JSON of a schema, however they are drawn', () => {
    expect(text('object')).toBe(text('greedy'));
    const validate = new Ajv2020().compile(SCHEMA);
    const drawn = ['schema', 'schema-hot', 'schema-changed'].flatMap((id) => body(id).choices);
    expect(drawn).toHaveLength(5);
    for (const choice of drawn) {
      expect(validate(JSON.parse(choice.text!)), choice.text).toBe(true);
      expect(choice.finish_reason).toBe('stop');
    }
    expect(new Set(drawn.map((choice) => choice.text)).size).toBeGreaterThan(2);
    const { tokens, token_logprobs } = body('schema-changed').choices[0]!.logprobs!;
    expect(tokens!.join('')).toBe(text('schema-changed'));
    for (const logprob of token_logprobs!) expect(logprob).toBeLessThanOrEqual(0);
  });

  it.each(['replicas', 'split'])('are the same JSON under plan %s', async (plan) => {
    const structured = LINES.filter((line) => line.includes('"response_format"'));
    const expected = texts(answers.get('single')!) as Readonly<Record<string, unknown>>;
    const found = texts(await run(plan, structured)) as Readonly<Record<string, unknown>>;
    expect(Object.keys(found)).toHaveLength(4);
    for (const [id, answer] of Object.entries(found)) expect(answer).toEqual(expected[id]);
  });

  it('take conversations through the chat template', () => {
    const { object, choices, usage } = body('chat');
    expect(object).toBe('chat.completion');
    expect(choices[0]!.message).toEqual({ role: 'assistant', content: text('greedy') });
    expect(usage.prompt_tokens).toBe(body('greedy').usage.prompt_tokens);
    const tokens = choices[0]!.logprobs!.content!;
    expect(tokens.map(({ token }) => token).join('')).toBe(text('greedy'));
    for (const { logprob } of tokens) expect(logprob).toBeLessThanOrEqual(0);
    expect(body('chat-again').choices[0]!.message!.content).toBe(text('seven'));
  });
});
