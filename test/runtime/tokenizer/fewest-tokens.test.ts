import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fewestTokens } from '../../../runtime/tokenizer/fewest-tokens.js';
import { byteTokenizer } from '../../fixtures/byte-tokenizer.js';

type Json = Readonly<Record<string, unknown>>;

const CLERK = JSON.parse(readFileSync('plans/models/clerk/tokenizer.json', 'utf8')) as Json;
const BYTES = byteTokenizer(300, 512).tokenizer as Json;
const ADDED = { normalized: false, lstrip: false, rstrip: false, single_word: false, special: true };
const REPLACE = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
const WORDS = ['<unk>', '▁', '▁▁', '▁▁▁▁', 'a', 'é', '▁a', '▁aa', 'aa'];
/** Word marks; what is no `a`, `é` or blank is unknown. */
const MARKED: Json = {
  added_tokens: [{ id: 0, content: '<unk>', ...ADDED }],
  normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, REPLACE] },
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  model: {
    type: 'BPE',
    unk_token: '<unk>',
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
    merges: [
      ['▁', '▁'],
      ['▁▁', '▁▁'],
      ['a', 'a'],
      ['▁', 'aa'],
      ['▁', 'a'],
    ],
  },
};
const METASPACE = { ...MARKED, normalizer: null, pre_tokenizer: { type: 'Metaspace', replacement: '▁' } };
const composing = (json: Json): Json => ({ ...json, normalizer: { type: 'NFC' } });

const model = (json: Json, changes: Json): Json => ({
  ...json,
  model: { ...(json['model'] as Json), ...changes },
});
const pieces = fc.constantFrom(
  'a',
  'aa',
  ' ',
  '    ',
  '▁',
  'e\u0301',
  'é',
  '\u212b',
  '😀',
  '<|eos|>',
  '<unk>',
  'shipment',
);

describe('the fewest tokens of a text', () => {
  it.each([
    ['byte-level BPE', CLERK],
    ['single bytes', BYTES],
    ['composed characters', composing(CLERK)],
    ['word marks of a normaliser', MARKED],
    ['word marks of a pre-tokenizer', METASPACE],
    ['composed characters beside unknown ones', composing(MARKED)],
    ['unknown characters as their bytes', model(CLERK, { unk_token: '<unk>', fuse_unk: true })],
  ])('are never more than it has: %s', (_, json) => {
    const tokenizer = new Tokenizer(json, {});
    const fewest = fewestTokens(json, {});
    const texts = fc.oneof(
      fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.tuple(pieces, fc.nat(50)).map(([piece, times]) => piece.repeat(times)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const { ids } = tokenizer.encode(text, { add_special_tokens: false });
        expect(fewest(text)).toBeLessThanOrEqual(ids.length);
      }),
    );
    expect(fewest('a'.repeat(100_000))).toBeGreaterThan(1000);
  });

  it('follow from the longest token', () => {
    expect(fewestTokens(BYTES, {})('x'.repeat(70_000))).toBe(10_000);
    expect(fewestTokens(MARKED, {})('x'.repeat(120_000))).toBe(10_000);
  });

  const split = (changes: Json): Json => ({ type: 'Split', pattern: { String: ' ' }, ...changes });
  it.each<[string, Json, Json?]>([
    [
      'a blank beside a token goes with it',
      { ...BYTES, added_tokens: [{ id: 0, content: 'x', ...ADDED, rstrip: true }] },
    ],
    [
      'characters go in normalising',
      { ...BYTES, normalizer: { type: 'Strip', strip_left: true, strip_right: true } },
    ],
    ['characters become shorter', { ...BYTES, normalizer: { ...REPLACE, content: '' } }],
    ['a pattern is replaced', { ...BYTES, normalizer: { ...REPLACE, pattern: { Regex: ' +' } } }],
    ['blanks go in splitting', { ...MARKED, pre_tokenizer: { type: 'WhitespaceSplit' } }],
    ['what is between goes', { ...MARKED, pre_tokenizer: split({ behavior: 'Removed' }) }],
    ['what does not match goes', { ...MARKED, pre_tokenizer: split({ behavior: 'Isolated', invert: true }) }],
    ['an unknown character has no token', model(MARKED, { unk_token: null })],
    ['all unknown characters in a row have one token', model(MARKED, { fuse_unk: true })],
    ['a byte has no token', model(BYTES, { vocab: { a: 0 } })],
    ['an unknown word is one token', model(MARKED, { type: 'WordPiece' })],
    ['blanks go beforehand', BYTES, { remove_space: true }],
    ['accents go beforehand', BYTES, { do_lowercase_and_remove_accent: true }],
  ])('are not known where %s', (_, json, config = {}) => {
    expect(fewestTokens(json, config)('x'.repeat(100_000))).toBe(0);
  });
});
