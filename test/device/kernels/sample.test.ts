import { describe, expect, it } from 'vitest';
import { SAMPLE_CANDIDATES, SAMPLE_WORDS } from '../../../runtime/kernels/kernel.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { gumbel } from '../../../runtime/kernels/random.js';
import { seededRandom } from '../../fixtures/random.js';
import { activation, kernelBench } from './harness.js';
import type { Activation } from './harness.js';

const bench = kernelBench();
const LOWEST = Math.fround(-3.4028234e38);

interface Row {
  readonly mode: 0 | 1 | 2 | 3;
  readonly seed: number;
  readonly position: number;
  readonly temperature: number;
}

interface Report {
  readonly id: number;
  readonly score: number;
  readonly logit: number;
  readonly max: number;
  readonly tempered: number;
  readonly plain: number;
  readonly ids: readonly number[];
  readonly logits: readonly number[];
}

async function sampled(
  logits: Activation,
  rows: readonly Row[],
  vocabStart: number,
  vocab: number,
): Promise<Report[]> {
  const args = new Uint32Array(rows.length * 8);
  rows.forEach(({ mode, seed, position, temperature }, i) => {
    args.set([i, mode, seed, position], i * 8);
    new Float32Array(args.buffer)[i * 8 + 4] = 1 / temperature;
  });
  const params = { cols: logits.cols, stride: logits.stride, vocab };
  const [variant] = kernelVariants({ kernel: 'sample', params }, bench.limits());
  const out = new Uint32Array(rows.length * SAMPLE_WORDS);
  const bytes = await bench.run(variant!, [args, logits.data, out], [rows.length, vocabStart], 2);
  return rows.map((_, i) => {
    const words = new Uint32Array(bytes.buffer, i * SAMPLE_WORDS * 4, SAMPLE_WORDS);
    const floats = new Float32Array(bytes.buffer, i * SAMPLE_WORDS * 4, SAMPLE_WORDS);
    return {
      id: words[0]!,
      score: floats[1]!,
      logit: floats[2]!,
      max: floats[3]!,
      tempered: floats[4]!,
      plain: floats[5]!,
      ids: Array.from(words.subarray(8, 8 + words[6]!)),
      logits: Array.from(floats.subarray(8 + SAMPLE_CANDIDATES, 8 + SAMPLE_CANDIDATES + words[6]!)),
    };
  });
}

/** The best columns in (logit descending, id ascending) order. */
function ranked(logits: Activation, row: number, valid: number): { id: number; logit: number }[] {
  return Array.from({ length: valid }, (_, id) => ({
    id,
    logit: logits.data[row * logits.stride + id]!,
  })).sort((a, b) => b.logit - a.logit || a.id - b.id);
}

const greedy = (mode: 0 | 2, temperature = 1): Row => ({ mode, seed: 1, position: 1, temperature });

describe('sample', () => {
  it.each([
    [3, 0, 3],
    [65, 0, 65],
    [511, 511, 1017],
    [1000, 0, 1000],
  ])('%i columns from %i of %i: maximum, sums and candidates', async (cols, vocabStart, vocab) => {
    const random = seededRandom(cols);
    const valid = Math.min(cols, vocab - vocabStart);
    // The columns beyond the vocabulary would win if they were looked at.
    const logits = activation(3, cols, (_, c) => (c < valid ? random.normal() * 4 : 1000));
    const temperature = 0.7;
    const reports = await sampled(
      logits,
      [greedy(0, temperature), greedy(2, temperature), greedy(2, temperature)],
      vocabStart,
      vocab,
    );
    reports.forEach((report, row) => {
      const best = ranked(logits, row, valid);
      const sum = (t: number): number =>
        best.reduce((total, { logit }) => total + Math.exp((logit - best[0]!.logit) / t), 0);
      expect(report.id).toBe(best[0]!.id + vocabStart);
      expect(report.logit).toBe(best[0]!.logit);
      expect(report.score).toBe(best[0]!.logit);
      expect(report.max).toBe(best[0]!.logit);
      expect(Math.abs(report.tempered / sum(temperature) - 1)).toBeLessThan(1e-5);
      expect(Math.abs(report.plain / sum(1) - 1)).toBeLessThan(1e-5);
      const wanted = row === 0 ? [] : best.slice(0, SAMPLE_CANDIDATES);
      expect(report.ids).toEqual(wanted.map(({ id }) => id + vocabStart));
      expect(report.logits).toEqual(wanted.map(({ logit }) => logit));
    });
  });

  it('settles ties by id, at the cut and everywhere', async () => {
    const values = [
      (c: number) => (c % 3 === 0 ? 1 : 2),
      () => -5,
      (c: number) => Math.floor(c / 50),
      (c: number) => (c % 2 === 0 ? 0 : -0),
    ];
    const logits = activation(values.length, 400, (r, c) => values[r]!(c));
    const reports = await sampled(
      logits,
      values.map(() => greedy(2)),
      0,
      400,
    );
    reports.forEach((report, row) => {
      expect(report.ids).toEqual(
        ranked(logits, row, 400)
          .slice(0, SAMPLE_CANDIDATES)
          .map(({ id }) => id),
      );
    });
  });

  it('reports nothing for columns that all lie beyond the vocabulary', async () => {
    const [report] = await sampled(
      activation(1, 8, () => 3),
      [greedy(2)],
      16,
      12,
    );
    expect(report).toMatchObject({ score: LOWEST, max: LOWEST, tempered: 0, plain: 0, ids: [] });
  });

  it('adds the same Gumbel noise as the reference', async () => {
    const random = seededRandom(9);
    const [rows, cols, vocabStart, temperature] = [64, 300, 1000, 1.3];
    const logits = activation(rows, cols, () => random.normal());
    const args = Array.from({ length: rows }, (_, i) => ({
      mode: i % 3 === 0 ? (3 as const) : (1 as const),
      seed: i % 2 === 0 ? 0xffffffff - i : i,
      position: i * 17,
      temperature,
    }));
    const reports = await sampled(logits, args, vocabStart, vocabStart + cols);
    let clear = 0;
    reports.forEach((report, row) => {
      const { mode, seed, position } = args[row]!;
      const best = mode === 3 ? ranked(logits, row, cols).slice(0, SAMPLE_CANDIDATES) : [];
      expect(report.ids).toEqual(best.map(({ id }) => id + vocabStart));
      const scores = Array.from({ length: cols }, (_, id) => ({
        id: id + vocabStart,
        score: logits.data[row * logits.stride + id]! / temperature + gumbel(seed, position, id + vocabStart),
      })).sort((a, b) => b.score - a.score);
      expect(Math.abs(report.score - scores[0]!.score)).toBeLessThan(2e-5);
      if (scores[0]!.score - scores[1]!.score > 1e-4) {
        clear++;
        expect(report.id).toBe(scores[0]!.id);
        expect(report.logit).toBe(logits.data[row * logits.stride + report.id - vocabStart]!);
      }
    });
    expect(clear).toBeGreaterThan(rows / 2);
  });

  it('draws from the softmax', async () => {
    const cols = 5;
    const weights = [1, 2, 4, 8, 1];
    const temperature = 2;
    const rows = 4000;
    const logits = activation(rows, cols, (_, c) => temperature * Math.log(weights[c]!));
    const reports = await sampled(
      logits,
      Array.from({ length: rows }, (_, position) => ({ mode: 1 as const, seed: 42, position, temperature })),
      0,
      cols,
    );
    let chi2 = 0;
    weights.forEach((weight, id) => {
      const expected = (rows * weight) / 16;
      chi2 += (reports.filter((report) => report.id === id).length - expected) ** 2 / expected;
    });
    // 99.99th percentile of chi-squared with 4 degrees of freedom.
    expect(chi2).toBeLessThan(23.5);
  });
});
