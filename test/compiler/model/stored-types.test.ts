import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { storedTypes, withWeights } from '../../../compiler/model/stored-types.js';
import type { WeightType } from '../../../compiler/model/weight-types.js';
import { clerkConfig, checkText } from '../check/memory-host.js';
import { WORLD } from '../check/marked.js';
import { makeModel, makePlan, SMALL_SHAPE } from '../support/make-plan.js';

const PARTS = {
  self_attn: ['q', 'k', 'v', 'o'],
  mlp: ['gate', 'up', 'down'],
};

/** `tensor_types` of a model of two layers with the same type everywhere, but for some. */
function listed(type: string, but: Readonly<Record<string, string>> = {}) {
  const names = [0, 1].flatMap((layer) =>
    Object.entries(PARTS).flatMap(([block, parts]) =>
      parts.map((part) => `model.layers.${layer}.${block}.${part}_proj.weight`),
    ),
  );
  const all = ['model.embed_tokens.weight', 'lm_head.weight', ...names];
  return { tensor_types: { ...Object.fromEntries(all.map((name) => [name, type])), ...but } };
}

const shape = { ...SMALL_SHAPE, layers: 2, hidden: 256, headDim: 64, ffn: 512 };

describe('types of a file', () => {
  it('are those that have blocks, with the smallest of them', () => {
    expect(storedTypes({ hidden_size: 4 }, shape)).toBeUndefined();
    expect(storedTypes(null, shape)).toBeUndefined();
    expect(storedTypes(listed('Q5_K'), shape)).toBeUndefined();
    const found = storedTypes(listed('Q4_K', { 'lm_head.weight': 'Q6_K' }), shape)!;
    expect(found).toMatchObject({ smallest: 'q4_k', shown: 'q4_k, q6_k' });
    expect(found.types['lm_head.weight']).toBe('q6_k');
    expect(found.types['model.layers.1.mlp.down_proj.weight']).toBe('q4_k');
  });

  it('become f32 where parts of one output could not begin with a quad of columns', () => {
    const odd = {
      'model.layers.1.self_attn.v_proj.weight': 'Q8_0',
      'model.layers.0.mlp.up_proj.weight': 'F16',
    };
    const whole = storedTypes(listed('Q4_0', odd), shape)!.types;
    expect(whole['model.layers.1.self_attn.v_proj.weight']).toBe('q8_0');
    expect(whole['model.layers.0.mlp.gate_proj.weight']).toBe('f32');
    const narrow = storedTypes(listed('Q4_0', odd), { ...shape, headDim: 6 })!.types;
    expect(narrow['model.layers.1.self_attn.q_proj.weight']).toBe('f32');
    expect(narrow['model.layers.0.self_attn.q_proj.weight']).toBe('q4_0');
  });

  it('split a product whose parts differ, and nothing else', () => {
    const stored = storedTypes(listed('Q4_K', { 'model.layers.1.self_attn.v_proj.weight': 'Q6_K' }), shape)!;
    const plan = makePlan({
      shape,
      weights: stored.smallest,
      stored: stored.types,
      stages: [{ name: 'serve', mesh: { tp: 1 } }],
    });
    const { runtime, diagnostics } = compilePlan(plan);
    expect(diagnostics).toEqual([]);
    const { weights } = runtime.stages[0]!.shards[0]!;
    const qkv = weights.filter(({ id }) => id.includes('qkv')).map(({ id, dtype }) => [id, dtype]);
    expect(qkv).toEqual([
      ['layers.0.qkv', 'q4_k'],
      ['layers.1.qkv.q', 'q4_k'],
      ['layers.1.qkv.v', 'q6_k'],
    ]);
    const products = runtime.stages[0]!.programs[0]!.ops.filter(
      (op) => op.op === 'kernel' && op.kernel === 'matmul' && op.params['outCols'] !== undefined,
    );
    expect(products.map((op) => 'params' in op && op.params)).toMatchObject([
      { n: 512 + 256, outStart: 0, outCols: 1024 },
      { n: 256, outStart: 768, outCols: 1024 },
    ]);
  });

  it('count by the tensors that a rank would cut', () => {
    const cut = (down: WeightType) => {
      const types = { 'model.layers.0.mlp.down_proj.weight': down } as const;
      const stages = [{ name: 'serve', mesh: { tp: 2 } }];
      const plan = makePlan({ shape: { ...shape, layers: 1 }, weights: 'q8_0', stored: types, stages });
      return compilePlan(plan).diagnostics.map(({ code }) => code);
    };
    // A rank has 256 columns: a block of q4_k, and half of one of q6_k.
    expect(cut('q4_k')).toEqual([]);
    expect(cut('q6_k')).toEqual(['FC0513']);
  });

  it('do not matter where a plan names one type', () => {
    const model = { ...makeModel({ shape, weights: 'q4_k' }), stored: { 'lm_head.weight': 'q6_k' } } as const;
    expect(withWeights(model, 'bf16')).toEqual({ ...makeModel({ shape }), weights: 'bf16' });
  });

  it('are those of a plan that names none', () => {
    const json = { ...clerkConfig, ...listed('Q8_0', { 'lm_head.weight': 'Q6_K' }) };
    const planOf = (model: string, more = '') => {
      const text = `${WORLD}model mine { source: "./m.gguf"${model} }\nplan p for mine on t { ${more}
stage serve: prefill + decode on gpu { mesh (tp: 2, dp: 4) }\nflow requests -> serve -> results }`;
      const { plans, diagnostics } = checkText(text, { models: { './m.gguf': json } });
      expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
      return plans.find(({ name }) => name === 'p')!;
    };
    const kept = planOf('');
    expect(kept.model).toMatchObject({ weights: 'q6_k', stored: { 'lm_head.weight': 'q6_k' } });
    expect(kept.defaults).toContainEqual({
      what: 'weights',
      value: 'q8_0, q6_k',
      why: 'blocks of the file are kept as they are',
    });
    for (const plan of [planOf(', weights: f16'), planOf('', 'weights: f16')]) {
      expect(plan.model.weights).toBe('f16');
      expect(plan.model.stored).toBeUndefined();
    }
  });
});
