import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runBatch } from '../../../runtime/jobs/run-batch.js';
import { loadTokenizer, type TextTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { fakeEngine } from '../../fixtures/fake-engine.js';
import { completionLine } from '../../fixtures/batch-lines.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-formats-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const clerk = loadTokenizer('plans/models/clerk');
const schema = (of: unknown): object => ({
  type: 'json_schema',
  json_schema: { name: 'answer', schema: of },
});

interface ErrorLine {
  readonly custom_id: string;
  readonly error: null | { readonly code: string; readonly message: string };
}

/** Errors of requests by name, and what was submitted for the others. */
async function run(formats: Readonly<Record<string, unknown>>, tokenizer: TextTokenizer = clerk) {
  const [requestsPath, resultsPath] = [join(scratch, 'in.jsonl'), join(scratch, 'out.jsonl')];
  const lines = Object.entries(formats).map(([custom_id, response_format]) => {
    const body = { prompt: [5], n: 2, response_format };
    return completionLine(custom_id, body);
  });
  writeFileSync(requestsPath, lines.join('\n'));
  const engine = fakeEngine(() => [{ id: 1 }]);
  const model = { name: 'clerk', context: 512, vocab: 512 };
  await runBatch({ requestsPath, resultsPath, engine, tokenizer, model, start: 'overwrite' });
  const results = readFileSync(resultsPath, 'utf8').trim().split('\n');
  const errors = results
    .map((line) => JSON.parse(line) as ErrorLine)
    .map(({ custom_id, error }) => [custom_id, error && `${error.code} ${error.message}`] as const);
  return { errors: Object.fromEntries(errors), submitted: engine.submitted };
}

describe('response_format', () => {
  it('constrains every answer of a request that asks for JSON, each by itself', async () => {
    const { errors, submitted } = await run({
      text: { type: 'text' },
      none: null,
      object: { type: 'json_object' },
      schema: schema({ type: 'array' }),
    });
    expect(errors).toEqual({ text: null, none: null, object: null, schema: null });
    const constraints = submitted.map(({ constraint }) => constraint);
    expect(constraints.map((constraint) => constraint !== undefined)).toEqual(
      [false, true].flatMap((isConstrained) => Array<boolean>(4).fill(isConstrained)),
    );
    expect(new Set(constraints.slice(4)).size).toBe(4);
    const [brace, bracket] = ['{', '['].map((text) => clerk.encode(text, false)[0]!) as [number, number];
    expect(constraints[4]!.accept(brace)).toBe('open');
    expect(constraints[5]!.accept(bracket)).toBe('stuck');
    expect(constraints[6]!.accept(bracket)).toBe('open');
  });

  it('refuses what cannot hold, with the place in the schema', async () => {
    const { errors, submitted } = await run({
      keyword: schema({ type: 'object', properties: { a: { type: 'string', format: 'date' } } }),
      root: schema({ type: 'string', pattern: 'a' }),
      absent: { type: 'json_schema', json_schema: {} },
      other: { type: 'structural_tag' },
    });
    expect(errors).toEqual({
      keyword: 'FC0935 `response_format`: /properties/a of the schema: `format` is not supported here',
      root: 'FC0935 `response_format`: the schema: `pattern` is not supported here',
      absent: 'FC0935 `response_format`: the schema: it must be an object',
      other: 'invalid_request `response_format` must be of type "text", "json_object" or "json_schema"',
    });
    expect(submitted).toEqual([]);
  });

  it('refuses models whose tokens are no bytes', async () => {
    const words = { ...clerk, vocabulary: () => undefined };
    const { errors } = await run({ object: { type: 'json_object' }, text: { type: 'text' } }, words);
    expect(errors).toMatchObject({ object: expect.stringMatching(/^FC0935 .*no bytes/), text: null });
  });
});
