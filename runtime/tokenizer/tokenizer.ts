/** The tokenizer of a model directory: text to ids and back, where sequences end, chat templates. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { RuntimeFailure } from '../failure.js';
import { readJsonObject } from '../weights/model-dir.js';
import { byteVocabulary, type ByteVocabulary } from './byte-vocabulary.js';
import { chatRenderer, tokenText, type ChatRenderer } from './chat-template.js';
import { textStream, type TextStream } from './text-stream.js';

export interface TextTokenizer {
  /** Path of `tokenizer.json`. */
  readonly origin: string;
  readonly largestId: number;
  /**
   * Ids of a text; `special` adds what the model's post-processor adds (a start token, usually). Characters that the
   * vocabulary cannot express give its unknown token, or nothing when it has none. May fail with FC0917.
   */
  readonly encode: (text: string, special: boolean) => number[];
  /** Text of ids; special tokens and ids that the tokenizer does not know give nothing. */
  readonly decode: (ids: readonly number[]) => string;
  /** Text of ids that come one at a time; `special` keeps special tokens, by their name. */
  readonly stream: (special?: boolean) => TextStream;
  /** One token for people to read, special ones by their name; U+FFFD for a part of a character. */
  readonly tokenText: (id: number) => string;
  /** Ids that end a sequence. */
  readonly stopIds: readonly number[];
  /** Tokens as bytes; undefined when they are none. */
  readonly vocabulary: () => ByteVocabulary | undefined;
  /** Absent when the model has no chat template. */
  readonly renderChat?: ChatRenderer;
}

/** Loads `tokenizer.json` and what stands beside it. Fails with FC0914 when it is missing or cannot be used. */
export function loadTokenizer(dir: string): TextTokenizer {
  const origin = join(dir, 'tokenizer.json');
  if (!existsSync(origin)) {
    throw new RuntimeFailure('FC0914', `there is no ${origin}`, {
      subject: origin,
      help: 'a model needs its tokenizer.json beside its config.json or GGUF file',
    });
  }
  const json = readJsonObject(origin);
  const config = optionalJson(join(dir, 'tokenizer_config.json'));
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(json, config);
  } catch (cause) {
    throw new RuntimeFailure('FC0914', `cannot use ${origin}: ${(cause as Error).message}`, {
      subject: origin,
      cause,
    });
  }
  const special = new Set(
    [...tokenizer.get_added_tokens_decoder()].filter(([, token]) => token.special).map(([id]) => id),
  );
  const known = (id: number): boolean => tokenizer.id_to_token(id) !== undefined;
  const isText = (id: number): boolean => known(id) && !special.has(id);
  const decodeText = (ids: readonly number[]): string =>
    ids.length === 0 ? '' : tokenizer.decode([...ids], { clean_up_tokenization_spaces: false });
  return {
    origin,
    largestId: largest(tokenizer.get_vocab(true).values()),
    encode: (text, withSpecial) => tokenizer.encode(text, { add_special_tokens: withSpecial }).ids,
    decode: (ids) => decodeText(ids.filter(isText)),
    stream: (keepSpecial = false) => textStream(decodeText, keepSpecial ? known : isText),
    tokenText: (id) => (special.has(id) ? tokenizer.id_to_token(id)! : known(id) ? decodeText([id]) : ''),
    stopIds: stopIdsOf(dir, tokenizer, config),
    vocabulary: () => byteVocabulary(tokenizer, json['decoder']),
    renderChat: chatRenderer(dir, config),
  };
}

/** End-of-sequence ids named by the generation config, the model config and the tokenizer config together. */
function stopIdsOf(dir: string, tokenizer: Tokenizer, config: Readonly<Record<string, unknown>>): number[] {
  const named = ['generation_config.json', 'config.json'].flatMap(
    (file) => optionalJson(join(dir, file))['eos_token_id'] ?? [],
  );
  const eos = tokenText(config['eos_token']);
  const fromTokenizer = eos === undefined ? undefined : tokenizer.token_to_id(eos);
  const ids = [...named, fromTokenizer].filter((id): id is number => typeof id === 'number');
  return [...new Set(ids)];
}

function optionalJson(path: string): Readonly<Record<string, unknown>> {
  return existsSync(path) ? readJsonObject(path) : {};
}

function largest(ids: Iterable<number>): number {
  let found = -1;
  for (const id of ids) found = Math.max(found, id);
  return found;
}
