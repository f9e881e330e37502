import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { byteVocabulary, tokenBytes } from '../../../runtime/tokenizer/byte-vocabulary.js';
import { loadTokenizer } from '../../../runtime/tokenizer/tokenizer.js';

const bytes = (text: string): number[] => [...Buffer.from(text)];

describe('tokens as bytes', () => {
  it('are those of their text, for a byte-level tokenizer', () => {
    const tokenizer = loadTokenizer('plans/models/clerk');
    const vocabulary = tokenizer.vocabulary()!;
    expect(vocabulary.kind).toBe('byte_level');
    expect(vocabulary.tokens.slice(0, 2)).toEqual(['', '']);
    const text = 'Prüfung: 12 €\n\t\u0000{"a": "漢"}';
    const ids = tokenizer.encode(text, false);
    expect(ids.flatMap((id) => [...tokenBytes(vocabulary, id)])).toEqual(bytes(text));
    expect([...tokenBytes({ kind: 'byte_level', tokens: ['<think> ä'] }, 0)]).toEqual(bytes('<think> ä'));
  });

  it('are single bytes where a token of the fallback says so', () => {
    const vocabulary = { kind: 'byte_fallback', tokens: ['▁a▁', '<0x0A>', '<0xE2>', '<0xZZ>', ''] } as const;
    const found = vocabulary.tokens.map((_, id) => [...tokenBytes(vocabulary, id)]);
    expect(found).toEqual([bytes(' a '), [10], [0xe2], bytes('<0xZZ>'), []]);
  });

  it('are none where a decoder joins words', () => {
    const model = { type: 'WordPiece', vocab: { '[UNK]': 0, a: 1 }, unk_token: '[UNK]' };
    const none = { normalizer: null, pre_tokenizer: null, post_processor: null };
    const decoder = { type: 'WordPiece', prefix: '##', cleanup: true };
    const json = { ...none, model, added_tokens: [], decoder };
    const tokenizer = new Tokenizer(json, {});
    expect(byteVocabulary(tokenizer, json.decoder)).toBeUndefined();
    expect(
      byteVocabulary(tokenizer, { type: 'Sequence', decoders: [{ type: 'ByteFallback' }] }),
    ).toMatchObject({
      kind: 'byte_fallback',
      tokens: ['[UNK]', 'a'],
    });
  });
});
