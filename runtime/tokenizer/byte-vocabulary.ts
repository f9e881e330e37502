/** Tokens as the bytes that they stand for, which whatever looks into tokens needs. */
import type { Tokenizer } from '@huggingface/tokenizers';

/** The vocabulary of a model as text of bytes. */
export interface ByteVocabulary {
  /** How tokens write bytes: by GPT-2's alphabet, or as UTF-8 with `▁` for a space and `<0x0A>` for a byte without a token. */
  readonly kind: 'byte_level' | 'byte_fallback';
  /** Token by id; empty for those that are no text. */
  readonly tokens: readonly string[];
}

/**
 * The vocabulary of a tokenizer; undefined when its tokens are no bytes that follow each other (pieces of words, for
 * example, that are joined with or without a space).
 *
 * @param decoder `decoder` of its tokenizer.json
 */
export function byteVocabulary(tokenizer: Tokenizer, decoder: unknown): ByteVocabulary | undefined {
  const types = decoderTypes(decoder);
  const isByteLevel = types.includes('ByteLevel');
  if (!isByteLevel && !types.includes('ByteFallback')) return undefined;
  const special = tokenizer.get_added_tokens_decoder();
  const tokens: string[] = [];
  for (const [token, id] of tokenizer.get_vocab(true)) tokens[id] = special.get(id)?.special ? '' : token;
  return {
    kind: isByteLevel ? 'byte_level' : 'byte_fallback',
    tokens: Array.from(tokens, (token) => token ?? ''),
  };
}

/** The byte that each character of GPT-2's alphabet stands for: printable ones for themselves, then the others in order. */
const BYTE_OF_CHARACTER = new Map(
  (() => {
    const isPrintable = (byte: number): boolean =>
      (byte > 32 && byte < 127) || (byte > 160 && byte < 256 && byte !== 173);
    let next = 256;
    return Array.from({ length: 256 }, (_, byte) => [isPrintable(byte) ? byte : next++, byte] as const);
  })(),
);

/** GPT-2's alphabet. */
export function alphabetOfBytes(): readonly string[] {
  return [...BYTE_OF_CHARACTER.keys()].map((code) => String.fromCodePoint(code));
}

/** The bytes that a token stands for. */
export function tokenBytes({ kind, tokens }: ByteVocabulary, id: number): Uint8Array {
  const token = tokens[id] ?? '';
  if (kind === 'byte_fallback') {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
    return byte === undefined ? Buffer.from(token.replaceAll('▁', ' ')) : Uint8Array.of(parseInt(byte, 16));
  }
  const bytes = Array.from(token, (character) => BYTE_OF_CHARACTER.get(character.codePointAt(0)!));
  // Added tokens are written as they are.
  return bytes.includes(undefined) ? Buffer.from(token) : Uint8Array.from(bytes as number[]);
}

function decoderTypes(decoder: unknown): readonly unknown[] {
  if (typeof decoder !== 'object' || decoder === null) return [];
  const { type, decoders } = decoder as { readonly type?: unknown; readonly decoders?: unknown };
  return [type, ...(Array.isArray(decoders) ? decoders.flatMap(decoderTypes) : [])];
}
