import { describe, expect, it } from 'vitest';
import { shapeFromConfig, type ConfigProblem } from '../../../compiler/model/config.js';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { clerkConfig } from '../check/memory-host.js';

const shapeOf = (fields: object): ModelShape => {
  const answer = shapeFromConfig({ ...clerkConfig, ...fields });
  if (answer.kind !== 'shape') throw new Error(JSON.stringify(answer.problems));
  return answer.shape;
};

const problemsOf = (json: unknown): readonly ConfigProblem[] => {
  const answer = shapeFromConfig(json);
  return answer.kind === 'problems' ? answer.problems : [];
};

const featuresOf = (fields: object): readonly string[] =>
  problemsOf({ ...clerkConfig, ...fields }).map((p) => (p.kind === 'feature' ? p.feature : p.kind));

const gemma = (generation: 2 | 3): object => ({
  architectures: [`Gemma${generation}ForCausalLM`],
  rope_theta: undefined,
  hidden_act: undefined,
});

describe('shape from config.json', () => {
  it('of the demo model', () => {
    expect(shapeFromConfig(clerkConfig)).toEqual({
      kind: 'shape',
      dtype: 'bf16',
      shape: {
        family: 'llama',
        layers: 8,
        hidden: 128,
        heads: 8,
        kvHeads: 4,
        headDim: 16,
        ffn: 256,
        vocab: 512,
        context: 512,
        normEps: 1e-5,
        ropeTheta: 10_000,
        tied: true,
        qkvBias: false,
        outputBias: false,
        mlpBias: false,
        qkNorm: false,
      },
    });
  });

  it('has no more layers than can be listed', () => {
    const problems = problemsOf({ ...clerkConfig, num_hidden_layers: 99_999_999_999 });
    expect(JSON.stringify(problems)).toContain('at most 10000');
  });

  it.each(['hidden_size', 'num_attention_heads', 'num_key_value_heads', 'intermediate_size', 'vocab_size'])(
    'has no `%s` beyond all reason',
    (field) => {
      expect(JSON.stringify(problemsOf({ ...clerkConfig, [field]: 4_000_000_000_001 }))).toContain(
        `\`${field}\` is 4000000000001; it must be a whole number of at least 1 and at most 10000000`,
      );
    },
  );

  it('fills absent fields as the model classes do', () => {
    const { head_dim: _, num_key_value_heads: __, ...rest } = clerkConfig;
    const answer = shapeFromConfig(rest);
    expect(answer).toMatchObject({ shape: { headDim: 16, kvHeads: 8 } });
    expect(shapeFromConfig({ ...rest, architectures: ['Qwen3ForCausalLM'] })).toMatchObject({
      shape: { headDim: 128, qkNorm: true },
    });
  });

  it('knows the biases and norms of each family', () => {
    expect(shapeOf({ architectures: ['Qwen2ForCausalLM'] })).toMatchObject({
      family: 'qwen2',
      qkvBias: true,
      outputBias: false,
    });
    expect(shapeOf({ attention_bias: true, mlp_bias: true })).toMatchObject({
      qkvBias: true,
      outputBias: true,
      mlpBias: true,
    });
    expect(shapeOf({ architectures: undefined, model_type: 'mistral' })).toMatchObject({ family: 'mistral' });
  });

  it('reads rope scaling in the old place and the new', () => {
    const llama3 = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 128,
    };
    const scaling = { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 128 };
    expect(shapeOf({ rope_scaling: llama3 }).ropeScaling).toEqual(scaling);
    const newer = shapeOf({ rope_theta: undefined, rope_parameters: { ...llama3, rope_theta: 5e5 } });
    expect(newer).toMatchObject({ ropeTheta: 5e5, ropeScaling: scaling });
    expect(shapeOf({ rope_scaling: { type: 'linear', factor: 2 } }).ropeScaling).toEqual({
      type: 'linear',
      factor: 2,
    });
    expect(shapeOf({ rope_scaling: { rope_type: 'default' } }).ropeScaling).toBeUndefined();
  });

  it('refuses by name what it would compute wrongly', () => {
    expect(featuresOf({ hidden_act: 'gelu' })).toEqual(['the activation `gelu`']);
    expect(featuresOf({ rope_scaling: { type: 'xpos', factor: 2 } })).toEqual([
      'rope scaling of type `xpos`',
    ]);
    expect(featuresOf({ partial_rotary_factor: 0.5 })).toEqual([
      'partial rotary embeddings (`partial_rotary_factor`)',
    ]);
    expect(featuresOf({ quantization_config: { bits: 4 } })).toEqual(['`quantization_config`']);
    expect(featuresOf({ num_experts: 8, num_experts_per_tok: 2 })).toEqual([
      '`num_experts`',
      '`num_experts_per_tok`',
    ]);
    for (const architecture of ['MistralForCausalLM', 'Qwen3ForCausalLM', 'Phi3ForCausalLM'])
      expect(featuresOf({ architectures: [architecture], mlp_bias: true })).toEqual(['`mlp_bias`']);
    expect(featuresOf({ architectures: ['MistralForCausalLM'], attention_bias: true })).toEqual([
      '`attention_bias`',
    ]);
    expect(featuresOf({ ...gemma(3), use_bidirectional_attention: true })).toEqual([
      '`use_bidirectional_attention`',
    ]);
    expect(featuresOf({ ...gemma(2), hidden_activation: 'gelu' })).toEqual(['the activation `gelu`']);
    expect(featuresOf({ layer_types: Array(8).fill('sliding_attention') })).toEqual([
      'sliding-window attention (`layer_types`)',
    ]);
    expect(featuresOf({ ...gemma(3), layer_types: ['chunked_attention'] })).toEqual([
      'layers of type "chunked_attention" (`layer_types`)',
      '`layer_types` of 1 layers in a model of 8',
    ]);
  });

  it('reads which layers slide', () => {
    const all = [0, 1, 2, 3, 4, 5, 6, 7];
    const mistral = { architectures: ['MistralForCausalLM'] };
    expect(shapeOf({ ...mistral, sliding_window: 256 }).sliding).toEqual({ window: 256, layers: all });
    const { sliding_window: _, ...absent } = { ...clerkConfig, max_position_embeddings: 8192 } as Readonly<
      Record<string, unknown>
    >;
    expect(shapeFromConfig({ ...absent, ...mistral })).toMatchObject({
      shape: { sliding: { window: 4096, layers: all } },
    });
    const qwen = { architectures: ['Qwen2ForCausalLM'], sliding_window: 64, max_window_layers: 6 };
    expect(shapeOf(qwen).sliding).toBeUndefined();
    expect(shapeOf({ ...qwen, use_sliding_window: true }).sliding).toEqual({ window: 64, layers: [6, 7] });
    expect(shapeOf({ ...gemma(2), sliding_window: 32 }).sliding).toEqual({
      window: 32,
      layers: [0, 2, 4, 6],
    });
    const local = { window: 32, ropeTheta: 10_000 };
    expect(shapeOf({ ...gemma(3), sliding_window: 32 }).sliding).toEqual({
      ...local,
      layers: [0, 1, 2, 3, 4, 6, 7],
    });
    const types = all.map((layer) => (layer === 3 ? 'sliding_attention' : 'full_attention'));
    const listed = shapeOf({ ...gemma(3), sliding_window: 32, layer_types: types });
    expect(listed.sliding).toEqual({ ...local, layers: [3] });
  });

  it('leaves out a window that never slides, but not a rotary base of its layers', () => {
    const mistral = { architectures: ['MistralForCausalLM'] };
    for (const window of [null, 512, 4096])
      expect(shapeOf({ ...mistral, sliding_window: window }).sliding).toBeUndefined();
    expect(shapeOf({ ...gemma(3), sliding_window: 4096 }).sliding).toMatchObject({ window: 512 });
  });

  it('knows what Gemma does otherwise', () => {
    const parts = { activation: 'gelu_tanh', scaledEmbedding: true, unitNorms: true, postNorms: true };
    expect(shapeOf({ ...gemma(2), query_pre_attn_scalar: 144 })).toMatchObject({
      ...parts,
      family: 'gemma2',
      queryScalar: 144,
      attentionSoftcap: 50,
      logitSoftcap: 30,
    });
    const uncapped = shapeOf({ ...gemma(2), attn_logit_softcapping: null, final_logit_softcapping: 20 });
    expect(uncapped.attentionSoftcap).toBeUndefined();
    expect(uncapped.logitSoftcap).toBe(20);
    const third = shapeOf(gemma(3));
    expect(third).toMatchObject({ ...parts, family: 'gemma3', ropeTheta: 1e6, qkNorm: true });
    expect(third.logitSoftcap).toBeUndefined();
    const { tie_word_embeddings: _, ...silent } = clerkConfig;
    expect(shapeFromConfig({ ...silent, ...gemma(2) })).toMatchObject({ shape: { tied: true } });
    const typed = { ...clerkConfig, ...gemma(3), architectures: undefined, model_type: 'gemma3_text' };
    expect(shapeFromConfig(typed)).toMatchObject({ shape: { family: 'gemma3' } });
    const newer = { ...gemma(3), rope_theta: undefined, rope_local_base_freq: undefined };
    const rope_parameters = {
      full_attention: { rope_type: 'linear', factor: 8, rope_theta: 2e6 },
      sliding_attention: { rope_type: 'default', rope_theta: 5000 },
    };
    expect(shapeOf({ ...newer, rope_parameters, sliding_window: 32 })).toMatchObject({
      ropeTheta: 2e6,
      ropeScaling: { type: 'linear', factor: 8 },
      sliding: { ropeTheta: 5000 },
    });
  });

  it('reads yarn with its attention factor', () => {
    const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 };
    const usual = {
      type: 'yarn',
      factor: 4,
      attentionFactor: 0.1 * Math.log(4) + 1,
      betaFast: 32,
      betaSlow: 1,
      originalContext: 128,
      truncate: true,
    };
    expect(shapeOf({ rope_scaling: yarn }).ropeScaling).toEqual(usual);
    expect(shapeOf({ rope_scaling: { ...yarn, attention_factor: 1.5 } }).ropeScaling).toMatchObject({
      attentionFactor: 1.5,
    });
    const scales = { mscale: 2, mscale_all_dim: 0.5, beta_fast: 16, truncate: false };
    expect(shapeOf({ rope_scaling: { ...yarn, ...scales } }).ropeScaling).toMatchObject({
      attentionFactor: (0.2 * Math.log(4) + 1) / (0.05 * Math.log(4) + 1),
      betaFast: 16,
      truncate: false,
    });
  });

  it('refuses yarn with a base whose logarithm is none to divide by', () => {
    const rope_scaling = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 };
    for (const rope_theta of [1, 0.5]) {
      expect(problemsOf({ ...clerkConfig, rope_theta, rope_scaling })).toMatchObject([
        { problem: `\`rope_theta\` (${rope_theta}) must be above 1 for rope scaling of type \`yarn\`` },
      ]);
    }
    expect(shapeOf({ rope_theta: 1 }).ropeTheta).toBe(1);
  });

  it('takes dynamic scaling for what it is up to the longest sequence: nothing', () => {
    const dynamic = { type: 'dynamic', factor: 2 };
    expect(shapeOf({ rope_scaling: dynamic }).ropeScaling).toBeUndefined();
    expect(featuresOf({ rope_scaling: { ...dynamic, original_max_position_embeddings: 128 } })[0]).toMatch(
      /^`dynamic` rope scaling of sequences beyond 128 tokens/,
    );
  });

  it('chooses the divisors of longrope by the context', () => {
    const scaling = { type: 'longrope', short_factor: Array(8).fill(1), long_factor: Array(8).fill(3) };
    const phi = {
      ...clerkConfig,
      architectures: ['Phi3ForCausalLM'],
      original_max_position_embeddings: 128,
      rope_scaling: scaling,
    };
    const attentionFactor = Math.sqrt(1 + Math.log(4) / Math.log(128));
    const read = { type: 'longrope', factor: 4, attentionFactor, originalContext: 128 };
    expect(shapeFromConfig(phi)).toMatchObject({
      shape: { family: 'phi3', ropeScaling: { ...read, divisors: scaling.long_factor } },
    });
    // The attention factor is of the whole model, whatever part of its context is used.
    expect(shapeFromConfig(phi, 128)).toMatchObject({
      shape: { context: 128, ropeScaling: { ...read, divisors: scaling.short_factor } },
    });
    for (const type of ['su', 'yarn'])
      expect(shapeFromConfig({ ...phi, rope_scaling: { ...scaling, type } })).toMatchObject({
        shape: { ropeScaling: read },
      });
    expect(shapeFromConfig({ ...phi, partial_rotary_factor: 0.5 })).toMatchObject({
      problems: [{ problem: expect.stringContaining('must be 4 numbers') as unknown }],
    });
    const half = { ...scaling, long_factor: [1, 2, 3, 4] };
    expect(shapeFromConfig({ ...phi, rope_scaling: half, partial_rotary_factor: 0.5 })).toMatchObject({
      shape: { rotaryDim: 8 },
    });
    expect(shapeFromConfig({ ...phi, partial_rotary_factor: 0.05 })).toMatchObject({
      problems: [{ problem: '`partial_rotary_factor` (0.05) rotates 0 of 16 dimensions of a head' }],
    });
  });

  it('narrows the context, never widens it', () => {
    expect(shapeFromConfig(clerkConfig, 100)).toMatchObject({ shape: { context: 100 } });
    expect(shapeFromConfig(clerkConfig, 513)).toMatchObject({
      problems: [{ problem: '`max_position_embeddings` is 512; the context cannot be 513' }],
    });
  });

  it('finds every bad field, whatever the file holds', () => {
    expect(problemsOf({ architectures: ['LlamaForCausalLM'] })).toHaveLength(5);
    for (const json of [null, 3, 'x', [], {}]) expect(problemsOf(json)).toHaveLength(1);
    expect(problemsOf({ ...clerkConfig, num_key_value_heads: 3 })).toEqual([
      {
        kind: 'field',
        problem: '`num_attention_heads` (8) is no multiple of `num_key_value_heads` (3)',
      },
    ]);
  });
});
