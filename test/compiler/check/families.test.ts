/** Models of every family declared by shape: what a plan gets from the family's row, and what it can change. */
import { describe, expect, it } from 'vitest';
import { printLogical } from '../../../compiler/ir/print-logical.js';
import { MODEL_FAMILIES } from '../../../compiler/model/families.js';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { buildLogical } from '../../../compiler/passes/build-logical.js';
import { printPlan } from '../../../compiler/plan/print-plan.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { clerkConfig, checkText } from './memory-host.js';
import { WORLD } from './marked.js';

const SIZES = 'layers: 8, hidden: 64, heads: 4, head_dim: 16, ffn: 96, vocab: 99, context: 8192 tokens';

function planOf(model: string, models: Readonly<Record<string, unknown>> = {}): Plan {
  const source = `${WORLD}model mine { ${model} }\nplan p for mine on t { stage serve: prefill + decode on gpu { mesh (tp: 2, dp: 4) }\nflow requests -> serve -> results }`;
  const { plans, diagnostics } = checkText(source, { models });
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  return plans.find((plan) => plan.name === 'p')!;
}

const shapeOf = (model: string): ModelShape => planOf(model).model.shape;

describe('declared shapes', () => {
  it.each(MODEL_FAMILIES.map((family) => [family.name, family] as const))(
    '%s: parts and defaults of the family',
    (name, { parts, qkNorm, defaults }) => {
      const shape = shapeOf(`family: ${name}, ${SIZES}`);
      expect(shape).toMatchObject({ ...parts, family: name, qkNorm, tied: defaults.tied });
      expect(shape.sliding?.window).toBe(name === 'llama' ? undefined : defaults.window);
      expect(shape.attentionSoftcap).toBe(defaults.attentionSoftcap);
      expect(shape.logitSoftcap).toBe(defaults.logitSoftcap);
    },
  );

  it('take what is given instead', () => {
    const gemma = `family: gemma2, ${SIZES}, window: 100 tokens, attention_softcap: 7, logit_softcap: 8, tied: false`;
    expect(shapeOf(gemma)).toMatchObject({
      sliding: { window: 100, layers: [0, 2, 4, 6] },
      attentionSoftcap: 7,
      logitSoftcap: 8,
      tied: false,
    });
    expect(shapeOf(`family: mistral, ${SIZES}, window: 8192`).sliding).toBeUndefined();
  });

  it('print what they have, and why', () => {
    const text = printPlan(planOf(`family: gemma3, ${SIZES}`));
    expect(text).toContain(
      'tied, q/k norm, post norms, norms of 1 + weight, scaled embedding, gelu, window 4096 in 7 layers with rope_theta 10000\n',
    );
    expect(text).toContain('window = 4096 tokens (as in the family gemma3)');
  });
});

describe('room for KV', () => {
  const slugsOf = (model: string, memory: string): readonly string[] => {
    const world = WORLD.replace('memory: 16 GB', `memory: ${memory}`);
    const source = `${world}model mine { ${model} }\nplan p for mine on t { stage serve: prefill + decode on gpu { mesh (tp: 2, dp: 4)\nmicrobatch: 512 tokens }\nflow requests -> serve -> results }`;
    return checkText(source).diagnostics.map(({ slug }) => slug);
  };

  it('is that of the window where every layer slides, and of the context where one does not', () => {
    // 8192 tokens take 8 MiB on a rank, 1024 take one.
    expect(slugsOf(`family: mistral, ${SIZES}, window: 1024 tokens`, '5 MB')).toEqual([]);
    expect(slugsOf(`family: mistral, ${SIZES}, window: 8000 tokens`, '5 MB')).toEqual(['kv-tight']);
    expect(slugsOf(`family: gemma2, ${SIZES}, window: 1024 tokens`, '5 MB')).toEqual(['kv-tight']);
    expect(slugsOf(`family: llama, ${SIZES}`, '5 MB')).toEqual(['kv-tight']);
  });
});

describe('a model with a source', () => {
  it('can serve less of its context', () => {
    const narrow = planOf('source: "m", context: 100 tokens', { m: clerkConfig });
    expect(narrow.model.shape.context).toBe(100);
  });
});

describe('logical graphs', () => {
  const graphOf = (model: string): string => printLogical(buildLogical(planOf(model).model));

  it('cut matrices that share a tensor out of it by rows', () => {
    const text = graphOf(`family: phi3, ${SIZES}, kv_heads: 2`);
    const tensor = 'model.layers.{layer}.self_attn.qkv_proj.weight';
    expect(text).toMatch(new RegExp(`q_weight .*${tensor}\n`));
    expect(text).toMatch(new RegExp(`k_weight .*${tensor} from row 64\n`));
    expect(text).toMatch(new RegExp(`v_weight .*${tensor} from row 96\n`));
    expect(text).toMatch(/up_weight .*gate_up_proj.weight from row 96\n/);
  });

  it('have norms after attention and mlp, and a cap, where the family has them', () => {
    const text = graphOf(`family: gemma2, ${SIZES}`);
    for (const op of [
      '= rms_norm(o, attn_post_norm_weight)',
      '= add(x, attn_post_norm)',
      '= rms_norm(down, mlp_post_norm_weight)',
      '= gelu_mul(gate, up)',
      '= soft_cap(logits)',
      '= sample(capped)',
    ])
      expect(text).toContain(op);
    expect(text).toMatch(/mlp_norm_weight .*pre_feedforward_layernorm/);
  });
});
