/**
 * Tokenizers in the forms that the model families ship: word marks with byte fallback (Llama 2, Mistral, TinyLlama,
 * Gemma, Phi-3) and byte-level BPE behind a splitting pattern (Llama 3, Qwen). Vocabularies are a few words; the
 * structure around them is that of the families' files.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadTokenizer, type TextTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { byteAlphabet } from '../../fixtures/byte-tokenizer.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-families-'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Files {
  readonly tokenizer: object;
  readonly config: object;
  readonly generation?: object;
}

function load(name: string, { tokenizer, config, generation = {} }: Files): TextTokenizer {
  const dir = join(scratch, name);
  mkdirSync(dir);
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify(config));
  writeFileSync(join(dir, 'generation_config.json'), JSON.stringify(generation));
  return loadTokenizer(dir);
}

const added = (words: readonly string[], names: readonly string[]): object[] =>
  names.map((content) => ({
    id: words.indexOf(content),
    content,
    special: true,
    normalized: false,
    lstrip: false,
    rstrip: false,
    single_word: false,
  }));

const ids = (words: readonly string[]): object => Object.fromEntries(words.map((word, id) => [word, id]));

const startsWith = (token: string, id: number): object => ({
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
});

// ------------------------------------------------------------ word marks

const BYTES = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);
const REPLACE = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
const MARKS = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };

function marked(
  specials: readonly string[],
  parts: {
    readonly normalizer?: object;
    readonly pre?: object;
    readonly strip: boolean;
    readonly bos: string;
  },
): { readonly words: readonly string[]; readonly tokenizer: object } {
  const words = [...specials, ...BYTES, '▁', 'a', 'b', 'c', 'ab', '▁a', '▁ab', '▁c', '.'];
  const strip = parts.strip ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  return {
    words,
    tokenizer: {
      version: '1.0',
      added_tokens: added(words, specials),
      normalizer: parts.normalizer ?? null,
      pre_tokenizer: parts.pre ?? null,
      post_processor: startsWith(parts.bos, words.indexOf(parts.bos)),
      decoder: {
        type: 'Sequence',
        decoders: [MARKS, { type: 'ByteFallback' }, { type: 'Fuse' }, ...strip],
      },
      model: {
        type: 'BPE',
        unk_token: '<unk>',
        fuse_unk: true,
        byte_fallback: true,
        vocab: ids(words),
        merges: [
          ['a', 'b'],
          ['▁', 'a'],
          ['▁', 'ab'],
          ['▁', 'c'],
        ],
      },
    },
  };
}

const LLAMA2 = marked(['<unk>', '<s>', '</s>'], {
  normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, REPLACE] },
  strip: true,
  bos: '<s>',
});
const METASPACE = marked(['<unk>', '<s>', '</s>'], {
  pre: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
  strip: true,
  bos: '<s>',
});
const GEMMA = marked(['<pad>', '<eos>', '<bos>', '<unk>', '<start_of_turn>', '<end_of_turn>'], {
  normalizer: REPLACE,
  pre: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
  strip: false,
  bos: '<bos>',
});
const PHI3 = marked(
  ['<unk>', '<s>', '</s>', '<|endoftext|>', '<|assistant|>', '<|system|>', '<|end|>', '<|user|>'],
  {
    normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, REPLACE] },
    strip: true,
    bos: '<s>',
  },
);

const texts = (words: readonly string[], found: readonly number[]): string[] => found.map((id) => words[id]!);

describe('word marks with byte fallback', () => {
  it.each([
    ['prepended by a normaliser', LLAMA2],
    ['made by a pre-tokenizer', METASPACE],
  ])('of Llama 2, %s', (name, { words, tokenizer }) => {
    const llama = load(name, { tokenizer, config: { bos_token: '<s>', eos_token: '</s>' } });
    expect(texts(words, llama.encode('ab c', true))).toEqual(['<s>', '▁ab', '▁c']);
    expect(texts(words, llama.encode('ab c', false))).toEqual(['▁ab', '▁c']);
    const unknown = llama.encode('aé', false);
    expect(texts(words, unknown)).toEqual(['▁a', '<0xC3>', '<0xA9>']);
    for (const text of ['ab c', 'a  b', 'aé€.', 'c.a'])
      expect(llama.decode(llama.encode(text, true))).toBe(text);
    expect(llama.stopIds).toEqual([2]);
  });

  it('of Gemma: no mark before the first word', () => {
    const { words, tokenizer } = GEMMA;
    const gemma = load('gemma', {
      tokenizer,
      config: { bos_token: '<bos>', eos_token: '<eos>' },
      generation: { eos_token_id: [1, 5] },
    });
    expect(texts(words, gemma.encode('ab c', true))).toEqual(['<bos>', 'ab', '▁c']);
    for (const text of ['ab c', ' ab', 'aé€.']) expect(gemma.decode(gemma.encode(text, true))).toBe(text);
    expect(gemma.stopIds).toEqual([1, 5]);
  });

  it('of Phi-3: tokens of the chat template are one id each', () => {
    const { words, tokenizer } = PHI3;
    const chat_template =
      "{{ bos_token }}{% for message in messages %}{{'<|' + message['role'] + '|>' + message['content'] + '<|end|>'}}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}";
    const phi = load('phi', {
      tokenizer,
      config: { bos_token: '<s>', eos_token: '<|endoftext|>', chat_template },
      generation: { eos_token_id: [3, 4, 6] },
    });
    const text = phi.renderChat!([{ role: 'user', content: 'ab' }], {
      addGenerationPrompt: true,
      kwargs: {},
    });
    const found = texts(words, phi.encode(text, false));
    expect(found.filter((word) => word.startsWith('<'))).toEqual([
      '<s>',
      '<|user|>',
      '<|end|>',
      '<|assistant|>',
    ]);
    expect(phi.stopIds).toEqual([3, 4, 6]);
  });
});

// ------------------------------------------------------------ byte level

const ALPHABET = byteAlphabet();
/** Letters in runs with what stands before them, digits by threes, signs, spaces. */
const LLAMA3_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/** The same with every digit alone. */
const QWEN_PATTERN = LLAMA3_PATTERN.replace('{1,3}', '');

function byteLevelBpe(
  specials: readonly string[],
  pattern: string,
  parts: { readonly normalizer?: object; readonly post: object; readonly ignoreMerges: boolean },
): { readonly words: readonly string[]; readonly tokenizer: object } {
  const words = [...ALPHABET, 'ab', 'Ġab', '12', '123', 'Ġw', 'word', ...specials];
  return {
    words,
    tokenizer: {
      version: '1.0',
      added_tokens: added(words, specials),
      normalizer: parts.normalizer ?? null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
          { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      },
      post_processor: parts.post,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        unk_token: null,
        byte_fallback: false,
        ignore_merges: parts.ignoreMerges,
        vocab: ids(words),
        merges: [
          ['a', 'b'],
          ['Ġ', 'ab'],
          ['1', '2'],
          ['12', '3'],
          ['Ġ', 'w'],
        ],
      },
    },
  };
}

const LLAMA3_SPECIALS = [
  '<|begin_of_text|>',
  '<|end_of_text|>',
  '<|start_header_id|>',
  '<|end_header_id|>',
  '<|eot_id|>',
];
const BYTE_POST = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true };

describe('byte-level BPE behind a pattern', () => {
  const first = ALPHABET.length + 6;
  const llama3 = byteLevelBpe(LLAMA3_SPECIALS, LLAMA3_PATTERN, {
    post: { type: 'Sequence', processors: [BYTE_POST, startsWith('<|begin_of_text|>', first)] },
    ignoreMerges: true,
  });
  const chat_template =
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";
  const tokenizer = load('llama3', {
    tokenizer: llama3.tokenizer,
    config: { bos_token: '<|begin_of_text|>', eos_token: '<|eot_id|>', chat_template },
    generation: { eos_token_id: [first + 1, first + 4] },
  });

  it('of Llama 3: digits by threes, whole words before merges', () => {
    expect(texts(llama3.words, tokenizer.encode('ab ab', true))).toEqual(['<|begin_of_text|>', 'ab', 'Ġab']);
    expect(texts(llama3.words, tokenizer.encode('12312', false))).toEqual(['123', '12']);
    // `word` has no merges: it is found because whole pieces are looked up first.
    expect(texts(llama3.words, tokenizer.encode('word', false))).toEqual(['word']);
    for (const text of ['ab ab', 'né €😀\n\n x', "it's 1234"])
      expect(tokenizer.decode(tokenizer.encode(text, true))).toBe(text);
    expect(tokenizer.stopIds).toEqual([first + 1, first + 4]);
  });

  it('of Llama 3: a conversation starts once and ends at the answer', () => {
    const messages = [
      { role: 'system', content: ' ab ' },
      { role: 'user', content: '12' },
    ];
    const text = tokenizer.renderChat!(messages, { addGenerationPrompt: true, kwargs: {} });
    const found = texts(llama3.words, tokenizer.encode(text, false));
    expect(found.filter((word) => word === '<|begin_of_text|>')).toHaveLength(1);
    expect(found.filter((word) => word === '<|eot_id|>')).toHaveLength(2);
    expect(found.slice(found.lastIndexOf('<|end_header_id|>')).slice(1)).toEqual(['Ċ', 'Ċ']);
  });

  it('of Qwen: every digit alone, composed characters, no start token', () => {
    const { words, tokenizer: json } = byteLevelBpe(
      ['<|endoftext|>', '<|im_start|>', '<|im_end|>'],
      QWEN_PATTERN,
      {
        normalizer: { type: 'NFC' },
        post: BYTE_POST,
        ignoreMerges: false,
      },
    );
    const config = { bos_token: null, eos_token: '<|im_end|>', add_bos_token: false };
    const qwen = load('qwen', { tokenizer: json, config, generation: { eos_token_id: [first + 2, first] } });
    expect(texts(words, qwen.encode('12 ab', true))).toEqual(['1', '2', 'Ġab']);
    expect(texts(words, qwen.encode('word', false))).toEqual([...'word']);
    expect(qwen.encode('e\u0301', false)).toEqual(qwen.encode('é', false));
    expect(qwen.stopIds).toEqual([first + 2, first]);
    expect(texts(words, qwen.encode('<|im_start|>ab', false))).toEqual(['<|im_start|>', 'ab']);
  });
});
