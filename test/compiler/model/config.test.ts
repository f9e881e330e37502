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
    expect(featuresOf({ rope_scaling: { type: 'dynamic', factor: 2 } })).toEqual([
      'rope scaling of type `dynamic`',
    ]);
    expect(featuresOf({ partial_rotary_factor: 0.5 })).toEqual([
      'partial rotary embeddings (`partial_rotary_factor`)',
    ]);
    expect(featuresOf({ architectures: ['MistralForCausalLM'], sliding_window: 256 })).toEqual([
      'sliding-window attention (window 256, context 512)',
    ]);
    expect(featuresOf({ quantization_config: { bits: 4 } })).toEqual(['`quantization_config`']);
  });

  it('accepts a window that never slides', () => {
    expect(shapeOf({ architectures: ['MistralForCausalLM'], sliding_window: null }).family).toBe('mistral');
    expect(shapeOf({ architectures: ['MistralForCausalLM'], sliding_window: 512 }).family).toBe('mistral');
    expect(shapeOf({ architectures: ['Qwen2ForCausalLM'], sliding_window: 64 }).family).toBe('qwen2');
    const long = { max_position_embeddings: 8192, sliding_window: undefined };
    const { sliding_window: _, ...absent } = { ...clerkConfig, ...long };
    expect(problemsOf({ ...absent, architectures: ['MistralForCausalLM'] })).toHaveLength(1);
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
