/** Tokenizers within GGUF files: the same ids as the tokenizer.json that the file was made from. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { loadTokenizer, type TextTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { ggufBytes, type GgufFixtureMetadata } from '../../fixtures/gguf-file.js';
import { seededRandom } from '../../fixtures/random.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-gguf-tokenizer-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let files = 0;

/** A file without tensors, alone in its folder. */
function fromGguf(metadata: GgufFixtureMetadata): TextTokenizer {
  const dir = join(scratch, String(files++));
  mkdirSync(dir);
  const path = join(dir, 'model.gguf');
  const named = Object.entries(metadata).map(([key, value]) => [
    key.includes('.') ? key : `tokenizer.ggml.${key}`,
    value,
  ]);
  writeFileSync(path, ggufBytes(Object.fromEntries(named) as GgufFixtureMetadata, []));
  return loadTokenizer(path);
}

interface TokenizerJson {
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly string[])[];
  };
  readonly added_tokens: readonly {
    readonly id: number;
    readonly content: string;
    readonly special: boolean;
  }[];
}

const CLERK = JSON.parse(readFileSync('plans/models/clerk/tokenizer.json', 'utf8')) as TokenizerJson;
const words = Object.entries(CLERK.model.vocab).sort(([, a], [, b]) => a - b);
const tokens = words.map(([token]) => token);

/** The same tokens behind another splitting of texts into words, written as tokenizer.json files of such models are. */
function fromJson(
  preTokenizer: object,
  parts: { readonly normalizer?: object; readonly ignoreMerges?: true },
): TextTokenizer {
  const dir = join(scratch, String(files++));
  mkdirSync(dir);
  const { normalizer = null, ignoreMerges = false } = parts;
  const model = { ...CLERK.model, ignore_merges: ignoreMerges };
  const json = { ...CLERK, model, normalizer, pre_tokenizer: preTokenizer };
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(json));
  writeFileSync(
    join(dir, 'tokenizer_config.json'),
    JSON.stringify({ bos_token: '<|bos|>', eos_token: '<|eos|>' }),
  );
  return loadTokenizer(dir);
}

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const bytesOnly = { ...byteLevel, use_regex: false };
const split = (Regex: string): object => ({
  type: 'Split',
  pattern: { Regex },
  behavior: 'Isolated',
  invert: false,
});
const sequence = (...pretokenizers: readonly object[]): object => ({ type: 'Sequence', pretokenizers });
const LLAMA_3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const GPT_4O =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const TEKKEN =
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const digits = { type: 'Digits', individual_digits: true };
const cutAt = (...patterns: readonly string[]): object[] => patterns.map(split);
const HAN = '[一-龥ࠀ-一가-퟿]+';

const PUBLISHED = {
  'gpt-2': fromJson(byteLevel, {}),
  smollm: fromJson(sequence(digits, byteLevel), {}),
  refact: fromJson(sequence(digits, byteLevel), {}),
  dbrx: fromJson(sequence(split(LLAMA_3), bytesOnly), {}),
  'gpt-4o': fromJson(sequence(split(GPT_4O), bytesOnly), {}),
  tekken: fromJson(sequence(split(TEKKEN), bytesOnly), { ignoreMerges: true }),
  'deepseek-coder': fromJson(
    sequence(...cutAt('[\r\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', HAN), digits, bytesOnly),
    {},
  ),
  'deepseek-r1-qwen': fromJson(sequence(split(LLAMA_3.replace('{1,3}', '')), bytesOnly), {}),
  qwen2: fromJson(sequence(split(LLAMA_3.replace('{1,3}', '')), bytesOnly), { normalizer: { type: 'NFC' } }),
  'llama-bpe': fromJson(sequence(split(LLAMA_3), bytesOnly), { ignoreMerges: true }),
};

const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ' ',
        '  ',
        '\n',
        "'s",
        "'LL",
        'order',
        'Price',
        '12.5',
        '2027',
        '\r\n',
        'e\u0301',
        ' ½',
        'iPhone',
        '\n/漢字',
        '<|eos|>',
        '{"a":',
      ),
      fc.string({ unit: 'binary', maxLength: 5 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

const byteLevelMetadata = (pre: string): GgufFixtureMetadata => ({
  model: 'gpt2',
  pre,
  tokens,
  token_type: tokens.map((_, id) => (id < 2 ? 3 : 1)),
  merges: CLERK.model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' '))),
  bos_token_id: 0,
  eos_token_id: 1,
  add_bos_token: true,
});

describe('byte-level BPE within a GGUF file', () => {
  it.each(Object.entries(PUBLISHED))('%s gives the ids of the published form', (pre, published) => {
    const within = fromGguf(byteLevelMetadata(pre));
    fc.assert(
      fc.property(text, fc.boolean(), (written, special) => {
        const ids = published.encode(written, special);
        expect(within.encode(written, special)).toEqual(ids);
        expect(within.decode(ids)).toBe(published.decode(ids));
      }),
      { numRuns: 60 },
    );
    expect(within.stopIds).toEqual([1]);
    expect(within.vocabulary()).toEqual(published.vocabulary());
  });

  it('deepseek-llm cuts words where letters without a small form begin, and at every digit', () => {
    const ids = (written: string): number[] =>
      fromGguf(byteLevelMetadata('deepseek-llm')).encode(written, false);
    const apart = (...words: readonly string[]): number[] => words.flatMap(ids);
    expect(ids('Ärger漢字, 42½')).toEqual(apart('Ärger', '漢字', ',', ' ', '4', '2', '½'));
    expect(ids('price order')).toEqual(apart('price', ' order'));
  });

  it('takes ends of turns and the chat template from the file', () => {
    const within = fromGguf({
      ...byteLevelMetadata('qwen2'),
      add_bos_token: false,
      eot_token_id: 5,
      'tokenizer.chat_template':
        '{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}{{ eos_token }}',
    });
    expect(within.stopIds).toEqual([1, 5]);
    expect(within.encode('', true)).toEqual([]);
    const options = { addGenerationPrompt: false, kwargs: {} };
    expect(within.renderChat!([{ role: 'user', content: 'hi' }], options)).toBe('<|bos|>hi<|eos|>');
    const { add_bos_token: _, ...rest } = byteLevelMetadata('llama-bpe');
    expect(fromGguf(rest).encode('', true)).toEqual([0]);
    expect(fromGguf({ ...rest, add_eos_token: true }).encode('', true)).toEqual([0, 1]);
    expect(fromGguf(rest).renderChat).toBeUndefined();
  });
});

// ------------------------------------------------------------ SentencePiece

const BYTES = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);
const SPECIALS = ['<unk>', '<s>', '</s>', '<user>', '<plain>'];

/** Pieces of letters that differ from each other, so that no two ways to make one overlap. */
function pieces(): string[] {
  const random = seededRandom(3);
  const letters = Array.from('▁abcdeé漢');
  const found = new Set(letters);
  while (found.size < 90) {
    const shuffled = [...letters].sort(() => random.uniform() - 0.5);
    found.add(shuffled.slice(0, 2 + random.below(3)).join(''));
  }
  return [...found];
}

const PIECES = pieces();
const marked = [...SPECIALS, ...BYTES, ...PIECES];
const scores = marked.map((token) =>
  token.length > 1 && PIECES.includes(token) ? -PIECES.indexOf(token) : -1000,
);
const markedMetadata: GgufFixtureMetadata = {
  model: 'llama',
  tokens: marked,
  scores,
  token_type: marked.map((token, id) =>
    id === 0 ? 2 : id < 4 ? 3 : id === 4 ? 4 : token.startsWith('<0x') ? 6 : 1,
  ),
  bos_token_id: 1,
  eos_token_id: 2,
  unknown_token_id: 0,
};

/** SentencePiece's rule: of all neighbours that make a piece, the two whose piece scores highest are joined first. */
function joined(written: string): number[] {
  let symbols = Array.from(written.replaceAll(' ', '▁'));
  for (;;) {
    const unions = symbols.slice(1).map((symbol, i) => marked.indexOf(symbols[i]! + symbol));
    const best = Math.max(...unions.map((id) => (id < 0 ? -Infinity : scores[id]!)));
    if (best === -Infinity) break;
    const at = unions.findIndex((id) => id >= 0 && scores[id] === best);
    symbols = [...symbols.slice(0, at), symbols[at]! + symbols[at + 1]!, ...symbols.slice(at + 2)];
  }
  return symbols.flatMap((symbol) => {
    const id = marked.indexOf(symbol);
    return id >= 0 ? [id] : [...Buffer.from(symbol)].map((byte) => SPECIALS.length + byte);
  });
}

describe('SentencePiece within a GGUF file', () => {
  const letters = fc
    .array(fc.constantFrom(...'abcdeé漢 x€\n'), { maxLength: 30 })
    .map((parts) => parts.join(''));

  it.each([true, false])(
    'joins what scores highest first, with a space before the text: %s',
    (add_space_prefix) => {
      const within = fromGguf({ ...markedMetadata, add_space_prefix });
      fc.assert(
        fc.property(letters, (written) => {
          const prefix = add_space_prefix && written !== '' ? ' ' : '';
          const ids = joined(prefix + written);
          expect(within.encode(written, false)).toEqual(ids);
          expect(within.encode(written, true)).toEqual([1, ...ids]);
          expect(within.decode([1, ...ids, 2])).toBe(written);
        }),
        { numRuns: 60 },
      );
      expect(within.stopIds).toEqual([2]);
      expect(within.vocabulary()!.kind).toBe('byte_fallback');
    },
  );

  it('finds tokens that control and tokens that were added', () => {
    const within = fromGguf({ ...markedMetadata, add_space_prefix: false });
    expect(within.encode('<user>ab<plain>', false)).toEqual([3, ...joined('ab'), 4]);
    expect(within.decode([3, 4])).toBe('<plain>');
  });
});

describe('a tokenizer within a GGUF file that cannot be used', () => {
  const { tokens: _, ...withoutTokens } = byteLevelMetadata('qwen2');
  const { merges: _merges, ...withoutMerges } = byteLevelMetadata('qwen2');
  it.each([
    [byteLevelMetadata('kimi-k2'), /`tokenizer.ggml.pre` is "kimi-k2"; known are gpt-2, .*llama-bpe.*tekken/],
    [
      { ...byteLevelMetadata('qwen2'), model: 'bert' },
      /`tokenizer.ggml.model` is "bert"; "gpt2" and "llama" are known/,
    ],
    [withoutTokens, /there is none in it/],
    [withoutMerges, /it has no merges/],
    [{ ...markedMetadata, scores: [0] }, /a score for every token/],
  ])('is refused: %#', (metadata, message) => {
    const failure = { code: 'FC0914', message: expect.stringMatching(message) as unknown };
    expect(() => fromGguf(metadata)).toThrow(expect.objectContaining(failure));
  });

  it('gives way to a tokenizer.json beside the file', () => {
    const dir = join(scratch, 'beside');
    mkdirSync(dir);
    writeFileSync(join(dir, 'model.gguf'), ggufBytes({}, []));
    writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(CLERK));
    expect(loadTokenizer(join(dir, 'model.gguf')).largestId).toBe(511);
  });
});
