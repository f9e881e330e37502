/** Models in GGUF files, re-sharded, give the f64 reference's greedy ids and logits. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import { shapeFromConfig } from '../../compiler/model/config.js';
import { storedTypes } from '../../compiler/model/stored-types.js';
import type { FileType, WeightType } from '../../compiler/model/weight-types.js';
import { openEngine } from '../../runtime/engine/open.js';
import { runBatch } from '../../runtime/jobs/run-batch.js';
import { openTokenizer } from '../../runtime/tokenizer/open-tokenizer.js';
import { openModelDirectory } from '../../runtime/weights/model-dir.js';
import { makePlan, type PlanOptions } from '../compiler/support/make-plan.js';
import { decodeBlocks, fileRows, randomBlocks } from '../fixtures/blocks.js';
import { writeGgufModel, type FileBlocks } from '../fixtures/gguf-file.js';
import { llama3Divisors } from '../fixtures/llama3-divisors.js';
import { writeRandomModel, type RandomModelOptions } from '../fixtures/random-model.js';
import { seededRandom } from '../fixtures/random.js';
import { referenceConfig } from '../reference/config.js';
import { referenceFromTensors, referenceModel, type ReferenceModel } from '../reference/model.js';
import { directoryTensors, type TensorProvider } from '../reference/tensors.js';
import { expectReferenceAnswers } from './support/clerk.js';
import { completionLine } from '../fixtures/batch-lines.js';

const LLAMA_3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 48,
};
const PHI_3 = { short_factor: [1, 1, 1.1, 1.2, 1.5, 2], long_factor: [1, 1.2, 2, 4, 8, 16] };
const small = { microbatchTokens: 33, batchRequests: 6 };

describe('models in GGUF files', () => {
  const root = mkdtempSync(join(tmpdir(), 'fulcrum-gguf-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it.each(['f32', 'f16', 'bf16'] as const)(
    'of llama architecture with divisors of frequencies and %s matrices',
    async (dtype) => {
      const model = { layers: 2, hidden: 48, heads: 4, kvHeads: 2, headDim: 12, ffn: 64, vocab: 90 };
      const directory = writeRandomModel(join(root, dtype), {
        ...model,
        dtype,
        seed: 8,
        context: 96,
        normEps: 2 ** -17,
        ropeScaling: LLAMA_3,
      });
      const json: unknown = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));
      const file = join(directory, 'model.gguf');
      const config = { ...referenceConfig(json as Record<string, unknown>), ropeTheta: 10000 };
      const vectors = { rope_freqs: llama3Divisors(model.headDim, 10000, LLAMA_3) };
      writeGgufModel(file, 'llama', config, directoryTensors(directory), dtype, undefined, {}, vectors);

      const random = seededRandom(4);
      const reference = referenceModel(directory);
      const expected = [1, 9, 40].map((length) => {
        const prompt = Array.from({ length }, () => random.below(model.vocab));
        return { prompt, steps: reference.greedySteps(prompt, 24, [1]) };
      });
      const stages = [
        { name: 'prefill', mesh: { pp: 2 }, ...small },
        { name: 'decode', mesh: { tp: 2 }, ...small },
      ];
      const { runtime, diagnostics } = compilePlan(planOf(file, stages, dtype));
      expect(diagnostics).toEqual([]);
      await expectReferenceAnswers(runtime, file, expected, { verifyMoves: true });
    },
  );

  it.each([
    ['gemma3', { tied: true, config: { sliding_window: 13, query_pre_attn_scalar: 12 } }],
    [
      'phi3',
      {
        config: { sliding_window: 13, original_max_position_embeddings: 24 },
        ropeScaling: { rope_type: 'longrope', ...PHI_3 },
      },
    ],
  ] as const)('of architecture %s', async (family, options) => {
    const model = { layers: 2, hidden: 48, heads: 4, kvHeads: 2, headDim: 12, ffn: 64, vocab: 90 };
    const written = { ...model, family, ...options, seed: 8, context: 96, normEps: 2 ** -17 };
    const directory = writeRandomModel(join(root, family), written);
    const json: unknown = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));
    const file = join(directory, 'model.gguf');
    const config = { ...referenceConfig(json as Record<string, unknown>), ropeTheta: 10000 };
    const isPhi = family === 'phi3';
    const more = {
      'attention.sliding_window': 13,
      ...(isPhi && { 'rope.scaling.original_context_length': 24 }),
    };
    const vectors = isPhi
      ? { rope_factors_short: PHI_3.short_factor, rope_factors_long: PHI_3.long_factor }
      : undefined;
    writeGgufModel(file, family, config, directoryTensors(directory), 'f32', undefined, more, vectors);
    const random = seededRandom(4);
    const reference = referenceModel(directory);
    const expected = [9, 40].map((length) => {
      const prompt = Array.from({ length }, () => random.below(model.vocab));
      return { prompt, steps: reference.greedySteps(prompt, 12, [1]) };
    });
    const { runtime, diagnostics } = compilePlan(planOf(file, onTp2, 'f32'));
    expect(diagnostics).toEqual([]);
    await expectReferenceAnswers(runtime, file, expected, { verifyMoves: true });
  });

  it('alone in a folder, answer texts as the directory does that they were made from', async () => {
    const sizes = { layers: 2, hidden: 48, heads: 4, kvHeads: 2, headDim: 12, ffn: 64, vocab: 300 };
    const directory = writeRandomModel(join(root, 'whole'), {
      ...sizes,
      seed: 8,
      context: 96,
      normEps: 2 ** -17,
    });
    const read = (name: string): unknown => JSON.parse(readFileSync(join(directory, name), 'utf8'));
    const { model } = read('tokenizer.json') as {
      readonly model: { readonly vocab: Readonly<Record<string, number>> };
    };
    const byId = Object.entries(model.vocab).sort(([, a], [, b]) => a - b);
    const tokens = byId.map(([token]) => token);
    const file = join(mkdtempSync(join(root, 'alone-')), 'model.gguf');
    const config = { ...referenceConfig(read('config.json')), ropeTheta: 10000 };
    writeGgufModel(file, 'llama', config, directoryTensors(directory), 'f32', undefined, {
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': 'gpt-2',
      'tokenizer.ggml.tokens': tokens,
      'tokenizer.ggml.token_type': tokens.map((_, id) => (id < 2 ? 3 : 1)),
      'tokenizer.ggml.merges': ['a b'],
      'tokenizer.ggml.bos_token_id': 0,
      'tokenizer.ggml.eos_token_id': 1,
      'tokenizer.ggml.add_bos_token': true,
    });
    const { runtime } = compilePlan(planOf(file, onTp2, 'f32'));
    const [requestsPath, resultsPath] = [join(root, 'in.jsonl'), join(root, 'out.jsonl')];
    const bodies = [{ temperature: 0 }, { seed: 5, response_format: { type: 'json_object' } }];
    const lines = bodies.map((body, i) =>
      completionLine(String(i), { prompt: 'Once upon 2 times', max_tokens: 24, ...body }),
    );
    writeFileSync(requestsPath, lines.join('\n'));
    const textsOf = async (modelDirectory: string): Promise<readonly unknown[]> => {
      const engine = await openEngine(runtime, { modelDirectory });
      const tokenizer = openTokenizer(runtime.model, modelDirectory);
      const served = { name: 'random', context: 96, vocab: sizes.vocab };
      const start = 'overwrite';
      await runBatch({ requestsPath, resultsPath, engine, tokenizer, model: served, start, now: () => 0 });
      await engine.dispose();
      return readFileSync(resultsPath, 'utf8').trim().split('\n').sort();
    };
    const answers = await textsOf(file);
    expect(answers).toHaveLength(2);
    expect(answers.join()).toMatch('"status_code":200');
    expect(answers).toEqual(await textsOf(directory));
  });

  const onTp2 = [
    { name: 'prefill', mesh: { pp: 2 }, ...small },
    { name: 'decode', mesh: { tp: 2 }, ...small },
  ] as const;
  const narrow = { hidden: 96, heads: 4, kvHeads: 2, headDim: 32, ffn: 128 };

  // Rows of 96 or 256 elements are an odd number of blocks of 32 or 256; parts of two ranks end between blocks.
  it.each([
    ['q8_0', narrow, () => 'q8_0'],
    ['q8_0 in fused tensors,', { ...narrow, family: 'phi3', config: { sliding_window: 13 } }, () => 'q8_0'],
    ['q4_0', narrow, (name) => (/lm_head/.test(name) ? 'f16' : 'q4_0')],
    ['q4_k', { hidden: 256, heads: 4, kvHeads: 2, headDim: 128, ffn: 512 }, () => 'q4_k'],
    ['q6_k', { hidden: 256, heads: 8, kvHeads: 2, headDim: 128, ffn: 1024 }, () => 'q6_k'],
    [
      'q4_k and q6_k mixed, with biases,',
      { family: 'qwen2', hidden: 256, heads: 8, kvHeads: 2, headDim: 128, ffn: 1024 },
      // As converters mix them: some layers have finer values and down projections.
      (name) => (/layers.1.*(v_proj|down_proj)|lm_head/.test(name) ? 'q6_k' : 'q4_k'),
    ],
  ] satisfies [string, GgufSizes, (name: string) => FileType | 'f16'][])(
    'with %s blocks kept as they are',
    async (name, sizes, typeOf) => {
      const { file, reference } = quantisedFile(join(root, name), sizes, typeOf);
      const plan = planOf(file, onTp2);
      const { runtime, diagnostics } = compilePlan(plan);
      expect(diagnostics).toEqual([]);
      const weights = runtime.stages.flatMap(({ shards }) => shards.flatMap((shard) => shard.weights));
      const types = new Set(weights.filter(({ rows }) => rows > 1).map(({ dtype }) => dtype));
      const tensors = [...openModelDirectory(file).tensors.values()].filter(({ shape }) => shape.length > 1);
      expect(types).toEqual(new Set(tensors.map(({ dtype }) => dtype.toLowerCase())));
      await expectReferenceAnswers(runtime, file, answersOf(reference, 6), { verifyMoves: true });
    },
  );

  it('with blocks turned into f32 where the plan asks for it, and may then be cut', async () => {
    const { file, reference } = quantisedFile(join(root, 'cut'), { ...narrow, ffn: 96 }, () => 'q8_0');
    const kept = compilePlan(planOf(file, onTp2));
    expect(kept.diagnostics.map(({ code }) => code)).toContain('FC0513');
    const { runtime, diagnostics } = compilePlan(planOf(file, onTp2, 'f32'));
    expect(diagnostics).toEqual([]);
    await expectReferenceAnswers(runtime, file, answersOf(reference, 7));
  });
});

type GgufSizes = Pick<
  RandomModelOptions,
  'family' | 'hidden' | 'heads' | 'kvHeads' | 'headDim' | 'ffn' | 'config'
>;

/** A random model whose matrices have blocks of the given types, and the reference of what they stand for. */
function quantisedFile(
  directory: string,
  sizes: GgufSizes,
  typeOf: (name: string) => FileType | 'f16',
): { readonly file: string; readonly reference: ReferenceModel } {
  writeRandomModel(directory, {
    seed: 8,
    dtype: 'f16',
    layers: 2,
    vocab: 90,
    context: 96,
    normEps: 2 ** -17,
    ...sizes,
  });
  const json: unknown = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));
  const config = { ...referenceConfig(json), ropeTheta: 10000 };
  const random = seededRandom(3);
  const plain = directoryTensors(directory);
  const made = new Map<string, Uint8Array>();
  const blocks = new Map<string, FileBlocks>();
  const tensors: TensorProvider = (name) => {
    const found = plain(name);
    const type = typeOf(name);
    if (found === undefined || found.shape.length === 1 || type === 'f16') return found;
    const [rows, cols] = found.shape as [number, number];
    const packed = made.get(name) ?? randomBlocks(type, rows, cols, random);
    made.set(name, packed);
    blocks.set(name, { type, bytes: fileRows(type, packed, cols) });
    return { shape: found.shape, values: decodeBlocks(type, packed, cols) };
  };
  const file = join(directory, 'model.gguf');
  const window = sizes.config?.['sliding_window'];
  const more: Record<string, number> =
    typeof window === 'number' ? { 'attention.sliding_window': window } : {};
  const family = sizes.family === 'qwen2' || sizes.family === 'phi3' ? sizes.family : 'llama';
  writeGgufModel(file, family, config, tensors, 'f16', (name) => blocks.get(name), more);
  return { file, reference: referenceFromTensors(config, tensors) };
}

function planOf(file: string, stages: PlanOptions['stages'], weights?: WeightType) {
  const { configJson } = openModelDirectory(file);
  const answer = shapeFromConfig(configJson);
  if (answer.kind !== 'shape') throw new Error(JSON.stringify(answer.problems));
  const stored = storedTypes(configJson, answer.shape)!;
  return makePlan({
    shape: answer.shape,
    stages,
    kv: { dtype: 'f32', pageTokens: 8 },
    ...(weights ? { weights } : { weights: stored.smallest, stored: stored.types }),
  });
}

function answersOf(reference: ReferenceModel, seed: number) {
  const random = seededRandom(seed);
  return [1, 20].map((length) => {
    const prompt = Array.from({ length }, () => random.below(reference.config.vocab));
    return { prompt, steps: reference.greedySteps(prompt, 8, [1]) };
  });
}
