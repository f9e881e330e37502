/** What a tokenizer is made of, as a model directory has it. A GGUF file has the same within: see `gguf-tokenizer.ts`. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RuntimeFailure } from '../failure.js';
import { readJsonObject } from '../weights/model-dir.js';

type Json = Readonly<Record<string, unknown>>;

export interface TokenizerParts {
  /** The file to name where it cannot be used. */
  readonly origin: string;
  /** As in `tokenizer.json`. */
  readonly json: Json;
  /** As in `tokenizer_config.json`. */
  readonly config: Json;
  /** Text of the chat template; absent when there is none. */
  readonly template?: string;
  /** Ids that end a sequence, beside that of the `eos_token` of `config`. */
  readonly endIds: readonly number[];
}

/**
 * Reads `tokenizer.json` and what stands beside it. Fails with FC0914 when it is missing, FC0911 when a file does not hold
 * what it must.
 */
export function directoryTokenizer(dir: string): TokenizerParts {
  const origin = join(dir, 'tokenizer.json');
  if (!existsSync(origin)) {
    throw new RuntimeFailure('FC0914', `there is no ${origin}`, {
      subject: origin,
      help: 'a model needs its tokenizer.json beside its config.json',
    });
  }
  const config = optionalJson(join(dir, 'tokenizer_config.json'));
  const template = templateText(dir, config['chat_template']);
  return {
    origin,
    json: readJsonObject(origin),
    config,
    ...(template === undefined ? {} : { template }),
    endIds: ['generation_config.json', 'config.json'].flatMap((file) => endIdsIn(join(dir, file))),
  };
}

/** Of a config: one id or several. */
function endIdsIn(path: string): readonly number[] {
  const found = optionalJson(path)['eos_token_id'] ?? [];
  const ids: readonly unknown[] = Array.isArray(found) ? found : [found];
  const isId = (id: unknown): id is number => Number.isSafeInteger(id) && (id as number) >= 0;
  if (ids.every(isId)) return ids;
  throw new RuntimeFailure(
    'FC0911',
    `\`eos_token_id\` in ${path} is ${JSON.stringify(found)}; it must be a token id or a list of token ids`,
    { subject: path, help: 'mend the file: answers end with these tokens' },
  );
}

/** `chat_template.jinja`, or `chat_template` of the tokenizer config (the one named `default` where there are several). */
function templateText(dir: string, configured: unknown): string | undefined {
  const file = join(dir, 'chat_template.jinja');
  if (existsSync(file)) return readFileSync(file, 'utf8');
  if (typeof configured === 'string') return configured;
  if (!Array.isArray(configured)) return undefined;
  const named = configured as readonly { readonly name?: unknown; readonly template?: unknown }[];
  const chosen = named.find((entry) => entry.name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : undefined;
}

function optionalJson(path: string): Json {
  return existsSync(path) ? readJsonObject(path) : {};
}
