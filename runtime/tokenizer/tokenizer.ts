/** The tokenizer of a model directory: text to ids and back, where sequences end, chat templates. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { RuntimeFailure } from '../failure.js';
import { isGguf, modelFolder } from '../weights/model-dir.js';
import { validateVocabulary } from '../weights/validate-model.js';
import { byteVocabulary, type ByteVocabulary } from './byte-vocabulary.js';
import { chatRenderer, tokenText, type ChatRenderer } from './chat-template.js';
import { largestTokenId } from './check-tokens.js';
import { fewestTokens, type FewestTokens } from './fewest-tokens.js';
import { ggufTokenizer } from './gguf-tokenizer.js';
import { withNumericSplits } from './numeric-splits.js';
import { textStream, type TextStream } from './text-stream.js';
import { directoryTokenizer } from './tokenizer-parts.js';

export interface TextTokenizer {
  /** Path of `tokenizer.json`, or of the GGUF file that the tokenizer is in. */
  readonly origin: string;
  readonly largestId: number;
  /**
   * Ids of a text; `special` adds what the model's post-processor adds (a start token, usually). Characters that the
   * vocabulary cannot express give its unknown token, or nothing when it has none. May fail with FC0917.
   */
  readonly encode: (text: string, special: boolean) => number[];
  /** How many ids `encode` gives of a text at least; quick even where encoding is not. */
  readonly fewestIds: FewestTokens;
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

/**
 * Loads the tokenizer of a model directory, or of a GGUF file: that of its directory where there is one, otherwise the one
 * within the file. Fails with FC0914 when it is missing or cannot be used, and with FC0915 when it has ids that a model of
 * `vocab` entries does not have.
 */
export function loadTokenizer(model: string, vocab = Infinity): TextTokenizer {
  const dir = modelFolder(model);
  const isWithin = isGguf(model) && !existsSync(join(dir, 'tokenizer.json'));
  const { origin, json, config, template, endIds } = isWithin
    ? ggufTokenizer(model)
    : directoryTokenizer(dir);
  const largestId = largestTokenId(origin, json);
  validateVocabulary({ origin, largestId }, vocab);
  // The library takes neither null nor nothing for a list.
  const split = withNumericSplits({ ...json, added_tokens: json['added_tokens'] ?? [] });
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(split, config);
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
    largestId,
    encode: (text, withSpecial) => tokenizer.encode(text, { add_special_tokens: withSpecial }).ids,
    fewestIds: fewestTokens(split, config),
    decode: (ids) => decodeText(ids.filter(isText)),
    stream: (keepSpecial = false) => textStream(decodeText, keepSpecial ? known : isText),
    tokenText: (id) => (special.has(id) ? tokenizer.id_to_token(id)! : known(id) ? decodeText([id]) : ''),
    stopIds: stopIdsOf(endIds, tokenizer, config),
    vocabulary: () => byteVocabulary(tokenizer, json['decoder']),
    ...(template === undefined ? {} : { renderChat: chatRenderer(origin, template, config) }),
  };
}

/** `endIds`, and that of the tokenizer config's end token. */
function stopIdsOf(
  endIds: readonly number[],
  tokenizer: Tokenizer,
  config: Readonly<Record<string, unknown>>,
): number[] {
  const eos = tokenText(config['eos_token']);
  const fromTokenizer = eos === undefined ? undefined : tokenizer.token_to_id(eos);
  return [...new Set(fromTokenizer === undefined ? endIds : [...endIds, fromTokenizer])];
}
