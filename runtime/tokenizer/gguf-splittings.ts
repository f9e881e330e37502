/**
 * How byte-level BPE within GGUF files cuts a text into words. A file has only a name for it (`tokenizer.ggml.pre`);
 * what the name stands for is in the `tokenizer.json` that its model was published with.
 */
type Json = Readonly<Record<string, unknown>>;

/** How texts are cut into words, and what else goes with it. */
export interface Splitting {
  readonly preTokenizer: Json;
  readonly normalizer?: Json;
  /** Words that are tokens are not put together from merges. */
  readonly ignoresMerges?: true;
  /** The start token is added unless the file says otherwise. */
  readonly addsStart?: true;
}

export const byteLevel = (cutsWords: boolean): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: cutsWords,
});

const sequence = (...pretokenizers: readonly Json[]): Json => ({ type: 'Sequence', pretokenizers });

const split = (pattern: string): Json => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});

const digits: Json = { type: 'Digits', individual_digits: true };

/** Pieces that match a pattern, each cut by the pattern after it, then bytes. */
const splitAt = (...patterns: readonly string[]): Json => sequence(...patterns.map(split), byteLevel(false));

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WHITE_SPACE = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** Contractions, letters with a sign before them, so many digits, signs with line ends behind them, white space. */
const wordsWithDigits = (numbers: string): string =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${WHITE_SPACE}`;

/** As before, but a word ends where small letters are followed by a capital, and `ending` may go with it. */
function wordsByCase(ending: string, numbers: string): string {
  const [capital, small] = ['[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]', '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'];
  const sign = '[^\\r\\n\\p{L}\\p{N}]?';
  const words = `${sign}${capital}*${small}+${ending}|${sign}${capital}+${small}*${ending}`;
  return `${words}|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${WHITE_SPACE}`;
}

const GPT_2: Splitting = { preTokenizer: byteLevel(true) };
const SINGLE_DIGITS: Splitting = { preTokenizer: sequence(digits, byteLevel(true)) };
const LLAMA_3: Splitting = {
  preTokenizer: splitAt(wordsWithDigits('\\p{N}{1,3}')),
  ignoresMerges: true,
  addsStart: true,
};
const GPT_4: Splitting = { preTokenizer: splitAt(wordsWithDigits('\\p{N}{1,3}')) };
const GPT_4O: Splitting = { preTokenizer: splitAt(wordsByCase(`${CONTRACTIONS}?`, '\\p{N}{1,3}')) };
const QWEN_2: Splitting = { preTokenizer: splitAt(wordsWithDigits('\\p{N}')) };
/** Letters that have a capital or a small form, in the version of Unicode that DeepSeek's first models were made with. */
const CASED_LETTERS =
  'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃';
const CJK = '[一-龥ࠀ-一가-퟿]+';

/** By the names that `tokenizer.ggml.pre` has for them. */
export const SPLITTINGS: Readonly<Record<string, Splitting>> = {
  'gpt-2': GPT_2,
  'phi-2': GPT_2,
  mellum: GPT_2,
  smollm: SINGLE_DIGITS,
  refact: SINGLE_DIGITS,
  starcoder: SINGLE_DIGITS,
  qwen2: { ...QWEN_2, normalizer: { type: 'NFC' } },
  'deepseek-r1-qwen': QWEN_2,
  megrez: QWEN_2,
  'llama-bpe': LLAMA_3,
  llama3: LLAMA_3,
  'llama-v3': LLAMA_3,
  falcon3: LLAMA_3,
  dbrx: GPT_4,
  'smaug-bpe': GPT_4,
  'gpt-4o': GPT_4O,
  tekken: { preTokenizer: splitAt(wordsByCase('', '\\p{N}')), ignoresMerges: true, addsStart: true },
  'deepseek-coder': {
    preTokenizer: sequence(
      ...['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', CJK].map(split),
      digits,
      byteLevel(false),
    ),
  },
  'deepseek-llm': {
    preTokenizer: sequence(
      ...['[\\r\\n]', `\\s?[${CASED_LETTERS}]+`, '\\s?[!-/:-~！-／：-～‘-‟　-。]+', '\\s+$', CJK].map(split),
      digits,
      byteLevel(false),
    ),
  },
};
