/**
 * Quantised weights end to end: the demo model under shardings that cut its matrices differently, re-sharded with every
 * move verified, and small models whose sizes end inside blocks, against the f64 reference on the dequantised weights.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import { QUANTISED_TYPES } from '../../compiler/model/weight-types.js';
import { makePlan, type PlanOptions } from '../compiler/support/make-plan.js';
import { writeRandomModel } from '../fixtures/random-model.js';
import { seededRandom } from '../fixtures/random.js';
import type { ReferenceModel } from '../reference/model.js';
import { CLERK, expectReferenceAnswers, type Expected } from './support/clerk.js';
import { quantisedReference } from './support/quantised.js';
import { shapeOf } from './support/shape.js';

const NEW_TOKENS = 24;
const small = { microbatchTokens: 64, batchRequests: 8 };

const STAGES: Readonly<Record<string, PlanOptions['stages']>> = {
  'one device': [{ name: 'serve', mesh: { tp: 1 }, ...small }],
  'pp 4 to tp 4': [
    { name: 'prefill', mesh: { pp: 4 }, ...small },
    { name: 'decode', mesh: { tp: 4 }, ...small },
  ],
  'pp 2 x tp 2': [{ name: 'serve', mesh: { pp: 2, tp: 2 }, ...small }],
};

function answers(reference: ReferenceModel, seed: number, lengths: readonly number[]): Expected[] {
  const random = seededRandom(seed);
  return lengths.map((length) => {
    const prompt = Array.from({ length }, () => random.below(reference.config.vocab));
    return { prompt, steps: reference.greedySteps(prompt, NEW_TOKENS, [1]) };
  });
}

describe.each(QUANTISED_TYPES)('%s weights', (weights) => {
  const root = mkdtempSync(join(tmpdir(), 'fulcrum-quantised-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const expected = answers(quantisedReference(CLERK, weights), 11, [1, 5, 17, 40, 90]);

  it.each(Object.entries(STAGES))('of the demo model on %s', async (_name, stages) => {
    const plan = makePlan({ shape: shapeOf(CLERK), stages, weights, kv: { dtype: 'f32', pageTokens: 8 } });
    const { runtime, diagnostics } = compilePlan(plan);
    expect(diagnostics).toEqual([]);
    await expectReferenceAnswers(runtime, CLERK, expected, { verifyMoves: true });
  });

  it('of a model whose rows end inside a block, with biases', async () => {
    const model = {
      family: 'qwen2',
      layers: 2,
      hidden: 88,
      heads: 4,
      kvHeads: 2,
      headDim: 16,
      ffn: 136,
    } as const;
    const directory = writeRandomModel(join(root, 'odd'), { ...model, vocab: 75, seed: 5, context: 96 });
    const stages = [
      { name: 'prefill', mesh: { pp: 2 }, ...small },
      { name: 'decode', mesh: { tp: 2 }, onTp: ['heads', 'kv_heads', 'vocab'], ...small },
    ] as const;
    const plan = makePlan({
      shape: shapeOf(directory),
      stages,
      weights,
      kv: { dtype: 'f32', pageTokens: 8 },
    });
    const { runtime, diagnostics } = compilePlan(plan);
    expect(diagnostics).toEqual([]);
    const odd = answers(quantisedReference(directory, weights), 12, [1, 9, 33]);
    await expectReferenceAnswers(runtime, directory, odd, { verifyMoves: true });
  });
});
