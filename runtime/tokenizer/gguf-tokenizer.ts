/**
 * The tokenizer within a GGUF file, put as a `tokenizer.json`. There are two kinds.
 *
 * `gpt2` is byte-level BPE: tokens in GPT-2's alphabet, merges, and the name of the pattern that cuts a text into words.
 * `llama` is what SentencePiece calls BPE: tokens with `▁` for a space and a score. It merges the two neighbours whose
 * union scores highest, so the merges follow from the scores: every way to cut a token in two, the best token first.
 */
import { RuntimeFailure } from '../failure.js';
import { readGgufHeader, type GgufValue } from '../weights/gguf/header.js';
import { byteLevel, SPLITTINGS, type Splitting } from './gguf-splittings.js';
import type { TokenizerParts } from './tokenizer-parts.js';

/** What a token is, by its number in `tokenizer.ggml.token_type`. */
const NORMAL = 1;
const CONTROL = 3;
const USER_DEFINED = 4;

type Metadata = ReadonlyMap<string, GgufValue>;
type Json = Readonly<Record<string, unknown>>;

/** What the two kinds differ in. */
interface KindParts {
  readonly model: Json;
  readonly normalizer: Json | null;
  readonly preTokenizer: Json | null;
  readonly decoder: Json;
  readonly addsStart: boolean;
}

/** Reads the tokenizer of a file. Fails with FC0914 when it has none or one of a kind that is not known. */
export function ggufTokenizer(path: string): TokenizerParts {
  const { metadata } = readGgufHeader(path);
  const unusable = (what: string): RuntimeFailure =>
    new RuntimeFailure('FC0914', `cannot use the tokenizer of ${path}: ${what}`, {
      subject: path,
      help: 'a tokenizer.json beside the file goes before the one that is in it',
    });
  const tokens = listOf(metadata, 'tokens', 'string');
  if (tokens === undefined) throw unusable('there is none in it');
  const idNamed = (name: string): number | undefined => idOf(metadata, `${name}_token_id`, tokens.length);
  const tokenNamed = (name: string): string | undefined => tokens[idNamed(name) ?? -1];
  const types = listOf(metadata, 'token_type', 'number') ?? [];
  const parts = partsOf(metadata, tokens, types, tokenNamed('unknown'), unusable);
  const flag = (name: string, otherwise: boolean): boolean => {
    const value = metadata.get(`tokenizer.ggml.add_${name}_token`);
    return typeof value === 'boolean' ? value : otherwise;
  };
  const [start, end] = [tokenNamed('bos'), tokenNamed('eos')];
  const template = metadata.get('tokenizer.chat_template');
  return {
    origin: path,
    json: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(tokens, types),
      normalizer: parts.normalizer,
      pre_tokenizer: parts.preTokenizer,
      post_processor: frame(
        flag('bos', parts.addsStart) ? start : undefined,
        flag('eos', false) ? end : undefined,
        tokens,
      ),
      decoder: parts.decoder,
      model: parts.model,
    },
    config: Object.fromEntries(
      [
        ['bos_token', start],
        ['eos_token', end],
        ['unk_token', tokenNamed('unknown')],
        ['pad_token', tokenNamed('padding')],
      ].filter(([, token]) => token !== undefined),
    ),
    ...(typeof template === 'string' ? { template } : {}),
    // The end of a text, of a turn, and of a message.
    endIds: ['eos', 'eot', 'eom'].flatMap((name) => idNamed(name) ?? []),
  };
}

function partsOf(
  metadata: Metadata,
  tokens: readonly string[],
  types: readonly number[],
  unknown: string | undefined,
  unusable: (what: string) => RuntimeFailure,
): KindParts {
  const kind = metadata.get('tokenizer.ggml.model');
  if (kind !== 'gpt2' && kind !== 'llama') {
    throw unusable(
      `its \`tokenizer.ggml.model\` is ${JSON.stringify(kind) ?? 'absent'}; "gpt2" and "llama" are known`,
    );
  }
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  if (kind === 'gpt2') {
    const name = metadata.get('tokenizer.ggml.pre');
    const splitting =
      typeof name === 'string' && Object.hasOwn(SPLITTINGS, name) ? SPLITTINGS[name] : undefined;
    if (splitting === undefined) {
      const known = Object.keys(SPLITTINGS).join(', ');
      throw unusable(`its \`tokenizer.ggml.pre\` is ${JSON.stringify(name) ?? 'absent'}; known are ${known}`);
    }
    const merges = listOf(metadata, 'merges', 'string');
    if (merges === undefined) throw unusable('it has no merges');
    return byteLevelParts(vocab, merges, splitting);
  }
  const scores = listOf(metadata, 'scores', 'number');
  if (scores?.length !== tokens.length) throw unusable('it has not a score for every token');
  const addsPrefix = metadata.get('tokenizer.ggml.add_space_prefix') !== false;
  const isMade = (id: number): boolean => [NORMAL, USER_DEFINED].includes(types[id] ?? NORMAL);
  return markedParts(vocab, mergesOf(tokens, scores, isMade), unknown, addsPrefix);
}

function byteLevelParts(vocab: Json, merges: readonly string[], splitting: Splitting): KindParts {
  const { preTokenizer, normalizer = null, ignoresMerges = false, addsStart = false } = splitting;
  // Tokens of the alphabet have no spaces.
  const pairs = merges.map((merge) => merge.split(' '));
  return {
    model: {
      type: 'BPE',
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoresMerges,
      vocab,
      merges: pairs,
    },
    normalizer,
    preTokenizer,
    decoder: { ...byteLevel(true), add_prefix_space: true },
    addsStart,
  };
}

function markedParts(
  vocab: Json,
  merges: readonly (readonly [string, string])[],
  unknown: string | undefined,
  addsPrefix: boolean,
): KindParts {
  const marks = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const spaces = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };
  const strip = addsPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  return {
    model: {
      type: 'BPE',
      unk_token: unknown ?? null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab,
      merges,
    },
    normalizer: addsPrefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, marks] }
      : marks,
    preTokenizer: null,
    decoder: { type: 'Sequence', decoders: [spaces, { type: 'ByteFallback' }, { type: 'Fuse' }, ...strip] },
    addsStart: true,
  };
}

/** Every way to put a token together from two, those of the highest score first, then by the scores of the two. */
function mergesOf(
  tokens: readonly string[],
  scores: readonly number[],
  isMade: (id: number) => boolean,
): readonly (readonly [string, string])[] {
  const scoreOf = new Map(tokens.map((token, id) => [token, scores[id]!]));
  const made = new Set(tokens.filter((_, id) => isMade(id)));
  const ways = [...made].flatMap((token) => {
    const characters = Array.from(token);
    return characters.slice(1).flatMap((_, i) => {
      const [left, right] = [characters.slice(0, i + 1).join(''), characters.slice(i + 1).join('')];
      if (!made.has(left) || !made.has(right)) return [];
      return [
        { pair: [left, right] as const, ranks: [token, left, right].map((part) => scoreOf.get(part)!) },
      ];
    });
  });
  ways.sort(
    (a, b) => a.ranks.map((rank, i) => b.ranks[i]! - rank).find((difference) => difference !== 0) ?? 0,
  );
  return ways.map(({ pair }) => pair);
}

/** Tokens that are found in a text before anything else: those that control the model, and what the model's makers added. */
function addedTokens(tokens: readonly string[], types: readonly number[]): readonly Json[] {
  return tokens.flatMap((content, id) =>
    types[id] === CONTROL || types[id] === USER_DEFINED
      ? [
          {
            id,
            content,
            special: types[id] === CONTROL,
            normalized: false,
            lstrip: false,
            rstrip: false,
            single_word: false,
          },
        ]
      : [],
  );
}

/** Puts a text between a start and an end token. */
function frame(start: string | undefined, end: string | undefined, tokens: readonly string[]): Json | null {
  if (start === undefined && end === undefined) return null;
  const token = (id: string | undefined): Json[] =>
    id === undefined ? [] : [{ SpecialToken: { id, type_id: 0 } }];
  const around = (...texts: readonly Json[]): Json[] => [...token(start), ...texts, ...token(end)];
  const [a, b] = [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 0 } }];
  const special = [start, end].filter((id) => id !== undefined);
  return {
    type: 'TemplateProcessing',
    single: around(a),
    pair: [...around(a), ...around(b)],
    special_tokens: Object.fromEntries(
      special.map((id) => [id, { id, ids: [tokens.indexOf(id)], tokens: [id] }]),
    ),
  };
}

/** An array of the metadata whose elements all are of a type. */
function listOf<T extends 'string' | 'number'>(
  metadata: Metadata,
  name: string,
  type: T,
): readonly (T extends 'string' ? string : number)[] | undefined {
  const value = metadata.get(`tokenizer.ggml.${name}`);
  const isList = Array.isArray(value) && value.every((element) => typeof element === type);
  return isList ? (value as readonly (T extends 'string' ? string : number)[]) : undefined;
}

function idOf(metadata: Metadata, name: string, tokens: number): number | undefined {
  const value = metadata.get(`tokenizer.ggml.${name}`);
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < tokens
    ? value
    : undefined;
}
