/** Models in GGUF files, re-sharded, give the f64 reference's greedy ids and logits. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import { makePlan } from '../compiler/support/make-plan.js';
import { writeGgufModel } from '../fixtures/gguf-file.js';
import { writeRandomModel } from '../fixtures/random-model.js';
import { seededRandom } from '../fixtures/random.js';
import { referenceConfig } from '../reference/config.js';
import { referenceModel } from '../reference/model.js';
import { directoryTensors } from '../reference/tensors.js';
import { expectReferenceAnswers } from './support/clerk.js';
import { shapeOf } from './support/shape.js';

const small = { microbatchTokens: 33, batchRequests: 6 };

describe('models in GGUF files', () => {
  const root = mkdtempSync(join(tmpdir(), 'fulcrum-gguf-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it.each(['f32', 'f16', 'bf16'] as const)('of llama architecture with %s matrices', async (dtype) => {
    const model = { layers: 2, hidden: 48, heads: 4, kvHeads: 2, headDim: 12, ffn: 64, vocab: 90 };
    const directory = writeRandomModel(join(root, dtype), {
      ...model,
      dtype,
      seed: 8,
      context: 96,
      normEps: 2 ** -17,
    });
    const json: unknown = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));
    const file = join(directory, 'model.gguf');
    const config = { ...referenceConfig(json as Record<string, unknown>), ropeTheta: 10000 };
    writeGgufModel(file, 'llama', config, directoryTensors(directory), dtype);

    const random = seededRandom(4);
    const reference = referenceModel(directory);
    const expected = [1, 9, 40].map((length) => {
      const prompt = Array.from({ length }, () => random.below(model.vocab));
      return { prompt, steps: reference.greedySteps(prompt, 24, [1]) };
    });
    const plan = makePlan({
      shape: shapeOf(directory),
      stages: [
        { name: 'prefill', mesh: { pp: 2 }, ...small },
        { name: 'decode', mesh: { tp: 2 }, ...small },
      ],
      weights: dtype,
      kv: { dtype: 'f32', pageTokens: 8 },
    });
    const { runtime, diagnostics } = compilePlan(plan);
    expect(diagnostics).toEqual([]);
    await expectReferenceAnswers(runtime, file, expected, { verifyMoves: true });
  });
});
