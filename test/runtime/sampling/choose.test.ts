import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SamplingParams } from '../../../runtime/engine/types.js';
import { SAMPLE_CANDIDATES, SAMPLE_WORDS } from '../../../runtime/kernels/kernel.js';
import { choose, chooseFromLogits, sampleMode } from '../../../runtime/sampling/choose.js';

const greedy: SamplingParams = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: 1,
  topLogprobs: 0,
  logprobs: false,
};

/** What the sample kernels of `ranks` ranks report for one row of logits (mode 0 or 2), in plain code. */
function reports(logits: Float32Array, ranks: number, temperature: number): Uint8Array[] {
  const cols = Math.ceil(logits.length / ranks);
  return Array.from({ length: ranks }, (_, rank) => {
    const own = Array.from(logits)
      .map((logit, id) => ({ id, logit }))
      .slice(rank * cols, (rank + 1) * cols)
      .sort((a, b) => b.logit - a.logit || a.id - b.id);
    const words = new Uint32Array(SAMPLE_WORDS);
    const floats = new Float32Array(words.buffer);
    const best = own[0] ?? { id: 0, logit: -Infinity };
    const t = temperature > 0 ? temperature : 1;
    words[0] = best.id;
    floats.set([best.logit, best.logit, best.logit], 1);
    floats[4] = own.reduce((sum, { logit }) => sum + Math.exp((logit - best.logit) / t), 0);
    floats[5] = own.reduce((sum, { logit }) => sum + Math.exp(logit - best.logit), 0);
    const listed = own.slice(0, SAMPLE_CANDIDATES);
    words[6] = listed.length;
    listed.forEach(({ id, logit }, i) => {
      words[8 + i] = id;
      floats[8 + SAMPLE_CANDIDATES + i] = logit;
    });
    return new Uint8Array(words.buffer);
  });
}

const rowOfLogits = fc
  .array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 3, maxLength: 400 })
  .map((values) => Float32Array.from(values));

/** Reports carry f32 sums: a nucleus that ends within rounding of `topP` may end one candidate apart. */
function onTheEdge(logits: Float32Array, { temperature, topP, topK, minP }: SamplingParams): boolean {
  const sorted = [...logits].sort((a, b) => b - a);
  const weights = sorted.map((logit) => Math.exp((logit - sorted[0]!) / temperature));
  const left = topK > 0 ? weights.slice(0, topK) : weights;
  const mass = left.reduce((sum, weight) => sum + weight, 0);
  let covered = 0;
  return left.some((weight) => {
    covered += weight;
    return Math.abs(covered / mass - topP) < 1e-5 || Math.abs(weight - minP) < 1e-5;
  });
}

describe('choose', () => {
  it('takes the lowest id among equal best logits, whatever the sharding', () => {
    const logits = Float32Array.from([0, 3, 1, 3, 2, 3]);
    for (const ranks of [1, 2, 3]) expect(choose(reports(logits, ranks, 0), 0, greedy, 5)).toEqual({ id: 1 });
  });

  it('takes no token where a logit is not finite, whatever the sampling', () => {
    const samplings = [greedy, { ...greedy, temperature: 1 }, { ...greedy, temperature: 1, topK: 2 }];
    const rows = [
      [NaN, NaN, NaN, NaN],
      [1, NaN, 2, 3],
      [1, 2, Infinity, 3],
    ];
    for (const row of rows) {
      for (const sampling of samplings) {
        const logits = Float32Array.from(row);
        for (const ranks of [1, 2]) {
          expect(choose(reports(logits, ranks, sampling.temperature), 0, sampling, 5)).toBe('not_finite');
        }
      }
    }
    // Tokens that may not come have no weight.
    const banned = Float32Array.from([1, -Infinity, 2, -Infinity]);
    expect(choose(reports(banned, 1, 0), 0, greedy, 5)).toEqual({ id: 2 });
  });

  it('draws among equal logits by id, whatever the sharding', () => {
    const logits = new Float32Array(200);
    const sampling = { ...greedy, temperature: 1, topK: 80 };
    for (const ranks of [1, 2, 4]) {
      for (let position = 0; position < 40; position++) {
        const decided = choose(reports(logits, ranks, 1), 0, sampling, position);
        const full = chooseFromLogits(logits, sampling, position);
        if (typeof decided !== 'string') expect(decided.id).toBe(full.id);
      }
    }
  });

  it('draws the same token with and without alternatives', () => {
    const logits = Float32Array.from({ length: 300 }, (_, id) => Math.sin(id));
    const plain = { ...greedy, temperature: 1, logprobs: true };
    const [report] = reports(logits, 1, 1);
    for (const id of [0, 77, 299]) {
      // As if the noise had preferred it.
      new Uint32Array(report!.buffer)[0] = id;
      new Float32Array(report!.buffer)[2] = logits[id]!;
      const drawn = choose([report!], 0, plain, 3);
      const described = choose([report!], 0, { ...plain, topLogprobs: 2 }, 3);
      expect(drawn).toMatchObject({ id });
      expect(described).toMatchObject(drawn as object);
      expect((described as { top: unknown }).top).toHaveLength(2);
    }
  });

  it('agrees with the choice from full logits for truncated sampling, or asks for them', () => {
    const params = fc.record({
      temperature: fc.double({ min: 0.2, max: 2, noNaN: true }),
      topP: fc.constantFrom(1, 0.95, 0.5, 0.1),
      topK: fc.constantFrom(0, 1, 5, 40, 100),
      minP: fc.constantFrom(0, 0.05, 0.3),
      seed: fc.nat(),
      topLogprobs: fc.constantFrom(0, 3),
      logprobs: fc.boolean(),
    });
    fc.assert(
      fc.property(rowOfLogits, params, fc.constantFrom(1, 2, 4), (logits, sampling, ranks) => {
        fc.pre(sampleMode(sampling) === 2 && !onTheEdge(logits, sampling));
        const decided = choose(reports(logits, ranks, sampling.temperature), 0, sampling, 17);
        if (typeof decided === 'string') {
          expect(decided).toBe('needs_logits');
          expect(logits.length).toBeGreaterThanOrEqual(SAMPLE_CANDIDATES);
          return;
        }
        const full = chooseFromLogits(logits, sampling, 17);
        expect(decided.id).toBe(full.id);
        expect(decided.top?.map(({ id }) => id)).toEqual(full.top?.map(({ id }) => id));
        if (full.logprob !== undefined) expect(decided.logprob).toBeCloseTo(full.logprob, 4);
      }),
      { numRuns: 400 },
    );
  });

  it('reports logprobs that sum to one over the vocabulary', () => {
    const logits = Float32Array.from([1, -2, 0.5, 3]);
    const all = chooseFromLogits(logits, { ...greedy, topLogprobs: 4 }, 0).top!;
    expect(all.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 6);
  });

  it('draws from the truncated distribution in its proportions', () => {
    const logits = Float32Array.from([2, 1, 0, -1, -50]);
    const sampling = { ...greedy, temperature: 1, topK: 3 };
    const counts = [0, 0, 0, 0, 0];
    const draws = 20_000;
    for (let position = 0; position < draws; position++) {
      const token = choose(reports(logits, 2, 1), 0, sampling, position);
      if (typeof token === 'string') throw new Error('three candidates suffice');
      counts[token.id]!++;
    }
    const mass = Math.exp(2) + Math.exp(1) + Math.exp(0);
    expect(counts[3]! + counts[4]!).toBe(0);
    [2, 1, 0].forEach((logit, id) => expect(counts[id]! / draws).toBeCloseTo(Math.exp(logit) / mass, 1));
  });

  it('keeps the smallest set whose mass reaches top_p', () => {
    const logits = Float32Array.from([Math.log(0.5), Math.log(0.3), Math.log(0.2)]);
    const seen = (topP: number): Set<number> => {
      const ids = new Set<number>();
      for (let position = 0; position < 300; position++) {
        ids.add(chooseFromLogits(logits, { ...greedy, temperature: 1, topP }, position).id);
      }
      return ids;
    };
    expect(seen(0.45)).toEqual(new Set([0]));
    expect(seen(0.75)).toEqual(new Set([0, 1]));
    expect(seen(0.85)).toEqual(new Set([0, 1, 2]));
  });
});
