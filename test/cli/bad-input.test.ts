/**
 * Files that a run cannot use: each is refused by name, with its code and exit status, before any device is opened
 * and without touching the results of an earlier run.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeRandomModel } from '../fixtures/random-model.js';
import { runInProcess } from './run-program.js';
import { completionLine } from '../fixtures/batch-lines.js';

const DEVICE_OPENED = 'a device was opened';
vi.mock('../../runtime/device/dawn.js', () => ({
  openDevices: () => Promise.reject(new Error(DEVICE_OPENED)),
}));

const UP = 'model.layers.1.mlp.up_proj.weight';
const REQUEST = completionLine('a', { prompt: 'hello' });

let folder = '';
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-bad-'));
  const sizes = { layers: 2, hidden: 32, heads: 4, kvHeads: 2, ffn: 48, vocab: 300 };
  writeRandomModel(at('model'), { seed: 1, ...sizes });
  writeFileSync(at('good.plan'), planFor('./model'));
  writeFileSync(at('good.jsonl'), `${REQUEST}\n`);
  const compiled = await runInProcess('compile', at('good.plan'), '-o', at('good.json'));
  expect(compiled.status).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function planFor(source: string): string {
  return `import { workstation } from "std/local"
model m { source: "${source}", weights: f32 }
plan serve for m on workstation { stage serve: prefill + decode on gpu { mesh (pp: 2, tp: 2) } }
`;
}

/** A copy of the model with something done to it. */
function spoiled(name: string, spoil: (dir: string) => void): string {
  cpSync(at('model'), at(name), { recursive: true });
  spoil(at(name));
  return at(name);
}

type Json = Record<string, unknown>;

function editJson(path: string, edit: (json: Json) => void): void {
  const json = JSON.parse(readFileSync(path, 'utf8')) as Json;
  edit(json);
  writeFileSync(path, JSON.stringify(json));
}

/** Changes the header of the weights and leaves the data as it is. */
function editHeader(dir: string, edit: (header: Record<string, Json>) => void): void {
  const path = join(dir, 'model.safetensors');
  const file = readFileSync(path);
  const end = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, end)) as Record<string, Json>;
  edit(header);
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, file.subarray(end)]));
}

/** Prepares the input and returns what of the command line differs from a good run. */
type Prepare = () => { readonly file?: string; readonly requests?: string; readonly model?: string };

interface Case {
  readonly name: string;
  readonly prepare: Prepare;
  readonly says: readonly (string | RegExp)[];
  /** Default 3. */
  readonly status?: number;
}

const model = (name: string, spoil: (dir: string) => void): Prepare => {
  return () => ({ model: spoiled(name, spoil) });
};
const config = (name: string, edit: (json: Json) => void): Prepare =>
  model(name, (dir) => editJson(join(dir, 'config.json'), edit));
const graph = (name: string, text: (good: string) => string): Prepare => {
  return () => {
    writeFileSync(at(name), text(readFileSync(at('good.json'), 'utf8')));
    return { file: at(name) };
  };
};

const CASES: readonly Case[] = [
  {
    name: 'a model directory that is not there',
    prepare: () => ({ model: at('nowhere') }),
    says: ['error[FC0910]: there is no model directory', 'nowhere', /help: .*--model DIRECTORY/],
  },
  {
    name: 'a hub model that is not in the cache',
    prepare: () => ({ model: 'hf:nobody/nothing' }),
    says: ['error[FC0910]: model hf:nobody/nothing is not in the local cache', /help: put .* into .*nothing/],
  },
  {
    name: 'a model without weights',
    prepare: model('bare', (dir) => rmSync(join(dir, 'model.safetensors'))),
    says: ['error[FC0910]', 'bare has neither model.safetensors nor model.safetensors.index.json'],
  },
  {
    name: 'a model without config.json',
    prepare: model('no-config', (dir) => rmSync(join(dir, 'config.json'))),
    says: ['error[FC0910]', /no-config.config\.json: no such file or directory$/m, /help: .*needs this file/],
  },
  {
    name: 'a model without a tokenizer',
    prepare: model('no-words', (dir) => rmSync(join(dir, 'tokenizer.json'))),
    says: ['error[FC0914]: there is no', join('no-words', 'tokenizer.json')],
  },
  {
    name: 'truncated weights',
    prepare: model('cut', (dir) => truncateSync(join(dir, 'model.safetensors'), 20_000)),
    says: ['error[FC0911]', join('cut', 'model.safetensors'), /tensor \S+ ends at byte .* it is truncated/],
  },
  {
    name: 'a shard that is not there',
    prepare: model('torn', (dir) => {
      renameSync(join(dir, 'model.safetensors'), join(dir, 'model-00001-of-00002.safetensors'));
      const index = { weight_map: { [UP]: 'model-00002-of-00002.safetensors' } };
      writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify(index));
    }),
    says: ['error[FC0910]', /model-00002-of-00002\.safetensors: no such file/, /help: fetch the file/],
  },
  ...['generation_config.json', 'tokenizer_config.json', 'tokenizer.json'].map((file) => ({
    name: `a ${file} cut off`,
    prepare: model(`half-${file}`, (dir) => writeFileSync(join(dir, file), '{"a": ')),
    says: ['error[FC0911]', `${file} is not JSON`, 'help: fetch the file again'],
  })),
  {
    name: 'an end token that is no token id',
    prepare: model('endless', (dir) =>
      editJson(join(dir, 'generation_config.json'), (json) => (json['eos_token_id'] = 'x')),
    ),
    says: ['error[FC0911]', /`eos_token_id` in \S+generation_config\.json is "x"/, 'help: mend the file'],
  },
  {
    name: 'weights cut inside their header',
    prepare: model('headless', (dir) => truncateSync(join(dir, 'model.safetensors'), 100)),
    says: ['error[FC0911]', join('headless', 'model.safetensors'), 'it is truncated'],
  },
  {
    name: 'a tensor that is missing',
    prepare: model('gap', (dir) => editHeader(dir, (header) => Reflect.deleteProperty(header, UP))),
    says: ['error[FC0912]', `gap has no tensor ${UP}`],
  },
  {
    name: 'a tensor of another shape',
    prepare: model('turned', (dir) => editHeader(dir, (header) => (header[UP]!['shape'] = [32, 48]))),
    says: [
      'error[FC0913]',
      `tensor ${UP} in `,
      'is [32, 48], config.json asks for [48, 32]',
      /help: .*of different models/,
    ],
  },
  {
    name: 'a tensor of another type',
    prepare: model('typed', (dir) => editHeader(dir, (header) => (header[UP]!['dtype'] = 'I32'))),
    says: [
      'error[FC0913]',
      `tensor ${UP}`,
      'is I32[48, 32]; weights must be F32, F16, BF16, ',
      /help: convert/,
    ],
  },
  {
    name: 'an architecture that is not known',
    prepare: config('gpt', (json) => (json['architectures'] = ['GPT2LMHeadModel'])),
    says: ['error[FC0919]', join('gpt', 'config.json'), 'architecture GPT2LMHeadModel is not supported'],
  },
  {
    name: 'a config of another model that has the same tensors',
    prepare: config('theta', (json) => (json['rope_theta'] = 500_000)),
    says: ['error[FC0919]', join('theta', 'config.json'), 'rope_theta 500000 instead of 10000'],
  },
  {
    name: 'a tokenizer with more ids than the model',
    prepare: model('wordy', (dir) =>
      editJson(join(dir, 'tokenizer.json'), (json) =>
        (json['added_tokens'] as Json[]).push({
          ...(json['added_tokens'] as Json[])[1],
          id: 999,
          content: '<x>',
        }),
      ),
    ),
    says: ['error[FC0915]', join('wordy', 'tokenizer.json'), 'up to 999', 'has 300 entries'],
  },
  {
    name: 'a plan whose model has an unknown architecture',
    prepare: () => {
      config('gpt-plan', (json) => (json['architectures'] = ['GPT2LMHeadModel']))();
      writeFileSync(at('gpt.plan'), planFor('./gpt-plan'));
      return { file: at('gpt.plan') };
    },
    says: [/gpt\.plan:2:19: error\[FC0313\]: .*GPT2LMHeadModel/],
    status: 1,
  },
  {
    name: 'a plan whose model has no config.json',
    prepare: () => {
      spoiled('blank', (dir) => rmSync(join(dir, 'config.json')));
      writeFileSync(at('blank.plan'), planFor('./blank'));
      return { file: at('blank.plan') };
    },
    says: [
      'error[FC0312]',
      'there is no file',
      /help: a model directory holds a config\.json; to plan without/,
    ],
    status: 1,
  },
  {
    name: 'a plan whose model has half a config.json',
    prepare: () => {
      spoiled('half', (dir) => writeFileSync(join(dir, 'config.json'), '{"a": '));
      writeFileSync(at('half.plan'), planFor('./half'));
      return { file: at('half.plan') };
    },
    says: ['error[FC0312]', 'cannot be read', /help: mend the file; to plan without/],
    status: 1,
  },
  {
    name: 'a plan file that is not there',
    prepare: () => ({ file: at('none.plan') }),
    says: ['error[FC0210]', 'none.plan', 'there is no such file'],
    status: 1,
  },
  {
    name: 'a request file that is not there',
    prepare: () => ({ requests: at('none.jsonl') }),
    says: ['error[FC0916]', /none\.jsonl: no such file or directory$/m],
  },
  {
    name: 'a directory in place of requests',
    prepare: () => ({ requests: folder }),
    says: ['error[FC0916]', 'illegal operation on a directory'],
  },
  {
    name: 'an empty request file',
    prepare: () => {
      writeFileSync(at('empty.jsonl'), '\n\n');
      return { requests: at('empty.jsonl') };
    },
    says: ['error[FC0916]', 'empty.jsonl holds no requests'],
  },
  {
    name: 'a graph file that is not there',
    prepare: () => ({ file: at('none.json') }),
    says: ['error[FC0920]', /none\.json: no such file or directory$/m],
  },
  {
    name: 'a truncated graph',
    prepare: graph('cut.json', (good) => good.slice(0, 2000)),
    says: ['error[FC0920]', 'cut.json', 'JSON'],
  },
  {
    name: 'a JSON file that is no graph',
    prepare: graph('other.json', () => '{"a": 1}'),
    says: ['error[FC0920]', 'other.json: this is not a runtime graph'],
  },
  {
    name: 'a graph of another version',
    prepare: graph('future.json', (good) => good.replace(/"version":\d+/, '"version":99')),
    says: ['error[FC0920]', 'future.json: the graph is of version 99', 'compile'],
  },
  {
    name: 'a graph that requires what nobody knows yet',
    prepare: graph('feature.json', (good) => good.replace('{', '{"requires":["teleports"],')),
    says: ['error[FC0920]', 'feature.json: the graph requires "teleports"', 'compile'],
  },
  {
    name: 'a graph that lost an op',
    prepare: graph('short.json', (good) => {
      const value = JSON.parse(good) as { stages: { programs: { ops: unknown[] }[] }[] };
      value.stages[0]!.programs[0]!.ops.splice(3, 1);
      return JSON.stringify(value);
    }),
    says: ['error[FC0920]', 'short.json: stage serve: program 0: op 3', 'and more'],
  },
];

describe('fulcrum run with bad input', () => {
  it.each(CASES)('refuses $name', async ({ prepare, says, status = 3 }) => {
    const results = at('earlier.jsonl');
    writeFileSync(results, 'kept\n');
    const { file = at('good.plan'), requests = at('good.jsonl'), model: directory } = prepare();
    const run = await runInProcess(
      ...['run', file, '--requests', requests, '--out', results, '--overwrite'],
      ...(directory === undefined ? [] : ['--model', directory]),
    );
    for (const text of says) expect(run.err).toMatch(text);
    expect(run.err).not.toContain(DEVICE_OPENED);
    expect(run).toMatchObject({ status, out: '' });
    expect(readFileSync(results, 'utf8')).toBe('kept\n');
  });

  it('refuses results that cannot be written', async () => {
    mkdirSync(at('folder'), { recursive: true });
    const run = (out: string) =>
      runInProcess('run', at('good.plan'), '--requests', at('good.jsonl'), '--out', out);
    const lost = await run(at('no/where.jsonl'));
    expect(lost).toMatchObject({ status: 3, out: '' });
    expect(lost.err).toMatch(
      /error\[FC0918\]: cannot write results to .*where\.jsonl: there is no directory/,
    );
    const directory = await run(at('folder'));
    expect(directory).toMatchObject({ status: 3, out: '' });
    expect(directory.err).toMatch(/error\[FC0918\]: .*it is a directory/);
    const same = await run(at('good.jsonl'));
    expect(same.err).toMatch('error[FC0918]: the results would overwrite the requests');
    expect(readFileSync(at('good.jsonl'), 'utf8')).toBe(`${REQUEST}\n`);
    for (const { err } of [lost, directory, same]) expect(err).not.toContain(DEVICE_OPENED);
  });

  it('opens devices when nothing is wrong', async () => {
    const run = await runInProcess(
      ...['run', at('good.json'), '--requests', at('good.jsonl'), '--out', at('fresh.jsonl')],
    );
    expect(run.err).toContain(DEVICE_OPENED);
    expect(existsSync(at('fresh.jsonl'))).toBe(false);
  });

  it('has no plan to choose in a compiled graph', async () => {
    const run = await runInProcess(
      ...['run', at('good.json'), '--plan', 'serve', '--requests', at('good.jsonl'), '--out', at('x.jsonl')],
    );
    expect(run).toMatchObject({ status: 2, out: '' });
    expect(run.err).toMatch('--plan and --set have no meaning for it');
  });
});
