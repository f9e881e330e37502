import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { trackCompletion, type TrackerOptions } from '../../../runtime/jobs/completion-tracker.js';
import { loadTokenizer } from '../../../runtime/tokenizer/tokenizer.js';

const tokenizer = loadTokenizer('plans/models/clerk');

function follow(
  ids: readonly number[],
  stop: readonly string[],
  keepTokens = false,
  more: Partial<TrackerOptions> = {},
) {
  const tracker = trackCompletion(tokenizer, { stop, stopIds: tokenizer.stopIds, keepTokens, ...more });
  let pushed = 0;
  for (const id of ids) {
    pushed++;
    if (tracker.push({ id, logprob: -pushed })) break;
  }
  return { ...tracker.finish('length'), pushed };
}

describe('completion tracker', () => {
  it('cuts at a stop string that spans tokens and ends the sequence at the token that completes it', () => {
    const ids = tokenizer.encode('amount due END more', false);
    const result = follow(ids, ['due END']);
    expect(result.text).toBe('amount ');
    expect(result.finish).toBe('stop');
    const needed = ids.findIndex((_, i) => tokenizer.decode(ids.slice(0, i + 1)).includes('due END')) + 1;
    expect(result.pushed).toBe(needed);
    expect(result.tokens).toBe(needed);
  });

  it('takes the earliest stop string', () => {
    expect(follow(tokenizer.encode('one, two; three', false), ['three', ';', ', two']).text).toBe('one');
  });

  it('counts an end token but gives it no text', () => {
    const ids = [...tokenizer.encode('city', false), 1];
    expect(follow(ids, [])).toMatchObject({ text: 'city', tokens: ids.length, finish: 'length' });
  });

  it('lets no stop string end within the first min_tokens', () => {
    const ids = tokenizer.encode('a; b; c', false);
    const first = ids.findIndex((_, i) => tokenizer.decode(ids.slice(0, i + 1)).includes(';')) + 1;
    expect(follow(ids, [';'], false, { minTokens: first - 1 }).text).toBe('a');
    expect(follow(ids, [';', 'a long one'], false, { minTokens: first })).toMatchObject({
      text: 'a; b',
      stopReason: ';',
    });
  });

  it('keeps the stop string, the end token or special tokens when asked to', () => {
    const ids = [...tokenizer.encode('one, two', false), 1];
    expect(follow(ids, [','], false, { includeStop: true })).toMatchObject({ text: 'one,', stopReason: ',' });
    const whole = { includeStop: true, keepSpecial: true };
    expect(follow(ids, [], false, whole).text).toBe(`one, two${tokenizer.tokenText(1)}`);
    expect(follow(ids, [], false, { keepSpecial: true }).text).toBe('one, two');
    expect(follow([0, ...ids], [], false, { keepSpecial: true }).text).toBe(
      `${tokenizer.tokenText(0)}one, two`,
    );
  });

  it('names the id that ended the answer when the request had it', () => {
    const ids = tokenizer.encode('ab', false);
    const reported = { stopIds: [1, ids.at(-1)!], reportIds: [ids.at(-1)!] };
    expect(follow(ids, [], false, reported)).toMatchObject({ stopReason: ids.at(-1), tokens: ids.length });
    expect(follow([...ids.slice(0, -1), 1], [], false, reported).stopReason).toBeNull();
  });

  it('finds a stop string completed only by the flush', () => {
    const half = tokenizer.encode('a€', false).slice(0, -1);
    expect(follow(half, ['\ufffd'])).toMatchObject({ text: 'a', finish: 'stop' });
  });

  it('keeps the tokens of the text with their offsets, and none beyond a cut', () => {
    const ids = tokenizer.encode('invoice number END', false);
    const whole = follow(ids, [], true);
    expect(whole.tracked.map(({ token }) => token.id)).toEqual(ids);
    whole.tracked.forEach(({ offset }, i) => expect(offset).toBe(tokenizer.decode(ids.slice(0, i)).length));
    const cut = follow(ids, [' number'], true);
    expect(cut.text).toBe('invoice');
    expect(tokenizer.decode(cut.tracked.map(({ token }) => token.id))).toBe('invoice');
  });

  it('agrees with cutting the whole text, for any ids and stop strings', () => {
    const text = fc
      .array(fc.constantFrom('a', 'b', '€', ' ', '\n'), { maxLength: 30 })
      .map((c) => c.join(''));
    const stop = fc
      .array(fc.constantFrom('a', 'b', '€', ' '), { minLength: 1, maxLength: 4 })
      .map((c) => c.join(''));
    fc.assert(
      fc.property(text, fc.array(stop, { maxLength: 3 }), (full, stops) => {
        const result = follow(tokenizer.encode(full, false), stops);
        // The earliest complete match ends the text; of matches in the same token the earliest beginning wins.
        const ends = stops.map((s) => full.indexOf(s)).filter((at) => at >= 0);
        if (ends.length === 0) expect(result).toMatchObject({ text: full, finish: 'length' });
        else {
          expect(result.finish).toBe('stop');
          expect(full.startsWith(result.text)).toBe(true);
          expect(stops.some((s) => full.startsWith(s, result.text.length))).toBe(true);
          expect(stops.every((s) => !result.text.includes(s))).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});
