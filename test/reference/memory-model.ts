/** Random models in memory, for tests that execute graphs without files: the same elements for any reader. */
import type { ModelShape } from '../../compiler/model/shape.js';
import { seededRandom } from '../fixtures/random.js';
import { ropeFrequencies, type ReferenceConfig } from './config.js';
import { referenceFromTensors, type ReferenceModel } from './model.js';
import type { ReferenceTensor } from './tensors.js';
import type { Frequencies } from './interpreter-kernels.js';
import type { ElementSource } from './runtime-weights.js';

export interface MemoryModel {
  readonly reference: ReferenceModel;
  readonly source: ElementSource;
  readonly frequencies: Frequencies;
}

/** What the reference computes for a shape without rope scaling. */
export function referenceConfigOf(shape: ModelShape): ReferenceConfig {
  const { sliding, ropeScaling } = shape;
  if (ropeScaling) throw new Error('models in memory have no rope scaling');
  return {
    ...shape,
    frequencies: ropeFrequencies(shape.rotaryDim ?? shape.headDim, shape.ropeTheta, {}),
    gemma: shape.unitNorms === true,
    fused: shape.family === 'phi3',
    scoreScale: (shape.queryScalar ?? shape.headDim) ** -0.5,
    ...(shape.attentionSoftcap !== undefined && { scoreCap: shape.attentionSoftcap }),
    ...(shape.logitSoftcap !== undefined && { logitCap: shape.logitSoftcap }),
    ...(sliding && { window: sliding.window, slidingLayers: sliding.layers }),
    ...(sliding?.ropeTheta !== undefined && {
      localFrequencies: ropeFrequencies(shape.headDim, sliding.ropeTheta, {}),
    }),
  };
}

/** A model of a shape with seeded random weights. */
export function memoryModel(shape: ModelShape, seed: number): MemoryModel {
  const random = seededRandom(seed);
  const tensors = new Map<string, ReferenceTensor>();
  for (const [name, dims] of tensorShapes(shape)) {
    const size = dims.reduce((product, dim) => product * dim, 1);
    const norm = /norm\.weight$/.test(name);
    const deviation = norm || dims.length === 1 ? 0.3 : 1.5 / Math.sqrt(dims[1]!);
    const values = Float64Array.from({ length: size }, () => (norm ? 1 : 0) + deviation * random.normal());
    tensors.set(name, { shape: dims, values });
  }
  const config = referenceConfigOf(shape);
  const { frequencies } = config;
  return {
    reference: referenceFromTensors(config, (name) => tensors.get(name)),
    frequencies: { rope: frequencies, rope_local: config.localFrequencies ?? frequencies },
    source: (name) => {
      const { shape: dims, values } = tensors.get(name)!;
      const cols = dims.at(-1)!;
      return (row, col) => values[row * cols + col]!;
    },
  };
}

function tensorShapes(shape: ModelShape): ReadonlyMap<string, readonly number[]> {
  const { hidden, heads, kvHeads, headDim, ffn, vocab } = shape;
  const fused = shape.family === 'phi3';
  const shapes = new Map<string, readonly number[]>();
  const linear = (name: string, outputs: number, inputs: number, bias: boolean): void => {
    shapes.set(`${name}.weight`, [outputs, inputs]);
    if (bias) shapes.set(`${name}.bias`, [outputs]);
  };
  linear('model.embed_tokens', vocab, hidden, false);
  for (let layer = 0; layer < shape.layers; layer++) {
    const at = `model.layers.${layer}`;
    shapes.set(`${at}.input_layernorm.weight`, [hidden]);
    if (fused) linear(`${at}.self_attn.qkv_proj`, (heads + 2 * kvHeads) * headDim, hidden, false);
    else {
      linear(`${at}.self_attn.q_proj`, heads * headDim, hidden, shape.qkvBias);
      linear(`${at}.self_attn.k_proj`, kvHeads * headDim, hidden, shape.qkvBias);
      linear(`${at}.self_attn.v_proj`, kvHeads * headDim, hidden, shape.qkvBias);
    }
    linear(`${at}.self_attn.o_proj`, hidden, heads * headDim, shape.outputBias);
    if (shape.qkNorm) {
      shapes.set(`${at}.self_attn.q_norm.weight`, [headDim]);
      shapes.set(`${at}.self_attn.k_norm.weight`, [headDim]);
    }
    shapes.set(`${at}.post_attention_layernorm.weight`, [hidden]);
    if (shape.postNorms) {
      shapes.set(`${at}.pre_feedforward_layernorm.weight`, [hidden]);
      shapes.set(`${at}.post_feedforward_layernorm.weight`, [hidden]);
    }
    if (fused) linear(`${at}.mlp.gate_up_proj`, 2 * ffn, hidden, false);
    else {
      linear(`${at}.mlp.gate_proj`, ffn, hidden, shape.mlpBias);
      linear(`${at}.mlp.up_proj`, ffn, hidden, shape.mlpBias);
    }
    linear(`${at}.mlp.down_proj`, hidden, ffn, shape.mlpBias);
  }
  shapes.set('model.norm.weight', [hidden]);
  if (!shape.tied) linear('lm_head', vocab, hidden, false);
  return shapes;
}
