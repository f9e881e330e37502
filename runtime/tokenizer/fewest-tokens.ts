/**
 * How many tokens a text has at least, found without encoding it: no token stands for more bytes than the longest one.
 * That holds where a tokenizer leaves nothing of a text out; where it may, nothing is known.
 */
import { alphabetOfBytes } from './byte-vocabulary.js';

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A number of tokens that no encoding of the text is below; 0 where nothing is known. */
export type FewestTokens = (text: string) => number;

/**
 * For the tokenizer of these files. The vocabulary is looked through at the first text, and not before.
 *
 * @param json tokenizer.json
 * @param config tokenizer_config.json
 */
export function fewestTokens(json: Json, config: Json): FewestTokens {
  let longest: number | undefined;
  const normalizers = partsOf(json['normalizer'], 'normalizers');
  const composes = normalizers.some(({ type }) => type === 'NFC');
  return (text) => {
    longest ??= keepsText(json, config) ? longestToken(json) : Infinity;
    if (longest === Infinity) return 0;
    // Composed characters have fewer bytes than their parts.
    return Math.ceil(Buffer.byteLength(composes ? text.normalize('NFC') : text) / longest);
  };
}

/** Whether every character of a text is in some token. */
function keepsText(json: Json, config: Json): boolean {
  const added = Array.isArray(json['added_tokens']) ? json['added_tokens'].filter(isObject) : [];
  return (
    config['remove_space'] !== true &&
    config['do_lowercase_and_remove_accent'] !== true &&
    // They take the blanks beside them along.
    added.every(({ lstrip, rstrip }) => lstrip !== true && rstrip !== true) &&
    partsOf(json['normalizer'], 'normalizers').every(keepsInNormalizing) &&
    partsOf(json['pre_tokenizer'], 'pretokenizers').every(keepsInSplitting) &&
    expressesAll(json)
  );
}

function keepsInNormalizing({ type, pattern, content }: Json): boolean {
  if (type !== 'Replace') return type === 'NFC' || type === 'Prepend';
  const replaced = isObject(pattern) ? pattern['String'] : undefined;
  return (
    typeof replaced === 'string' &&
    typeof content === 'string' &&
    Buffer.byteLength(content) >= Buffer.byteLength(replaced)
  );
}

function keepsInSplitting({ type, behavior, invert }: Json): boolean {
  if (type !== 'Split') return ['ByteLevel', 'Metaspace', 'Punctuation'].includes(type as string);
  return invert !== true && typeof behavior === 'string' && behavior.toLowerCase() !== 'removed';
}

/**
 * Whether each character has tokens: its own, those of its bytes, or the one for what has none, if that stands for no run
 * of such characters.
 */
function expressesAll(json: Json): boolean {
  const { model } = json;
  if (!isObject(model) || model['type'] !== 'BPE' || !isObject(model['vocab'])) return false;
  const vocab = model['vocab'];
  const has = (token: string): boolean => Object.hasOwn(vocab, token);
  if (isByteLevel(json) && alphabetOfBytes().every(has)) return true;
  if (model['byte_fallback'] === true && BYTE_TOKENS.every(has)) return true;
  return typeof model['unk_token'] === 'string' && has(model['unk_token']) && model['fuse_unk'] !== true;
}

const BYTE_TOKENS = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);

/** Bytes of a character, which the token for what has none stands for. */
const BYTES_OF_CHARACTER = 4;

/** Bytes of the longest token. */
function longestToken(json: Json): number {
  const { vocab } = json['model'] as { readonly vocab: Json };
  const bytesOf = isByteLevel(json) ? (token: string) => token.length : Buffer.byteLength;
  let longest = BYTES_OF_CHARACTER;
  for (const token of Object.keys(vocab)) longest = Math.max(longest, bytesOf(token));
  for (const added of (json['added_tokens'] ?? []) as readonly Json[]) {
    if (typeof added['content'] === 'string')
      longest = Math.max(longest, Buffer.byteLength(added['content']));
  }
  return longest;
}

/** Whether texts are written in GPT-2's alphabet, a character for every byte, before tokens are found. */
function isByteLevel(json: Json): boolean {
  return partsOf(json['pre_tokenizer'], 'pretokenizers').some(({ type }) => type === 'ByteLevel');
}

/** What a step is made of; none where it is absent. */
function partsOf(step: unknown, within: string): readonly Json[] {
  if (!isObject(step)) return [];
  const parts = step[within];
  return Array.isArray(parts) ? parts.flatMap((part) => partsOf(part, within)) : [step];
}
