import { describe, expect, it } from 'vitest';
import { ADJUST_WORDS, BANNED_LOGIT, maskWords } from '../../../runtime/kernels/kernel.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { seededRandom } from '../../fixtures/random.js';
import { activation, kernelBench } from './harness.js';

const bench = kernelBench();

/** Columns of a rank, its first id, and the vocabulary: slices that end inside, at and beyond the vocabulary. */
const SLICES = [
  [13, 0, 13],
  [65, 65, 130],
  [70, 70, 101],
] as const;

describe('adjust', () => {
  it.each(SLICES)('%i columns from %i of %i: changes its own ids alone', async (cols, vocabStart, vocab) => {
    const random = seededRandom(cols);
    const [rows, count] = [5, 200];
    const logits = activation(rows, cols, () => random.normal() * 5);
    const changes = new Map<string, { row: number; id: number; floats: readonly number[] }>();
    for (let i = 0; i < count; i++) {
      const [row, id] = [random.below(rows), random.below(vocab)];
      const floats = [
        random.normal() * 3,
        0.5 + random.uniform(),
        i % 20 === 0 ? -BANNED_LOGIT : random.normal(),
      ];
      changes.set(`${row}:${id}`, { row, id, floats });
    }
    const entries = new Uint32Array(changes.size * ADJUST_WORDS);
    [...changes.values()].forEach(({ row, id, floats }, i) => {
      entries.set([row, id], i * ADJUST_WORDS);
      new Float32Array(entries.buffer).set(floats, i * ADJUST_WORDS + 2);
    });
    const [variant] = kernelVariants({ kernel: 'adjust', params: { cols, vocab } }, bench.limits());
    const bytes = await bench.run(variant!, [entries, logits.data], [changes.size, vocabStart], 1);
    const out = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    logits.data.forEach((before, at) => {
      const [row, column] = [Math.floor(at / logits.stride), at % logits.stride];
      const change = column < cols ? changes.get(`${row}:${vocabStart + column}`) : undefined;
      if (change === undefined) return expect(out[at]).toBe(before);
      const [bias, repetition, penalty] = change.floats as [number, number, number];
      const biased = before + bias;
      const expected = (biased > 0 ? biased / repetition : biased * repetition) - penalty;
      expect(Math.abs(out[at]! - expected)).toBeLessThan(1e-5 * Math.max(10, Math.abs(expected)));
    });
  });
});

describe('mask', () => {
  it.each(SLICES)('%i columns from %i of %i: rules out what is not set', async (cols, vocabStart, vocab) => {
    const random = seededRandom(cols + 1);
    const logits = activation(4, cols, () => random.normal());
    const words = maskWords(vocab);
    const masked = [3, 1];
    const masks = Uint32Array.from({ length: masked.length * words }, () =>
      Math.floor(random.uniform() * 2 ** 32),
    );
    masked.forEach((row, i) => (masks[i * words] = row));
    const allowed = (row: number, id: number): boolean => {
      const i = masked.indexOf(row);
      return i < 0 || ((masks[i * words + 1 + Math.floor(id / 32)]! >>> (id % 32)) & 1) === 1;
    };
    const [variant] = kernelVariants({ kernel: 'mask', params: { cols, vocab } }, bench.limits());
    const bytes = await bench.run(variant!, [masks, logits.data], [masked.length, vocabStart], 1);
    const out = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    logits.data.forEach((before, at) => {
      const [row, id] = [Math.floor(at / logits.stride), vocabStart + (at % logits.stride)];
      const isOwn = at % logits.stride < cols && id < vocab;
      expect(out[at]).toBe(!isOwn || allowed(row, id) ? before : Math.fround(BANNED_LOGIT));
    });
  });
});
