/** Random models in memory, for tests that execute graphs without files: the same elements for any reader. */
import type { ModelShape } from '../../compiler/model/shape.js';
import { seededRandom } from '../fixtures/random.js';
import { ropeFrequencies } from './config.js';
import { referenceFromTensors, type ReferenceModel } from './model.js';
import type { ReferenceTensor } from './tensors.js';
import type { ElementSource } from './runtime-weights.js';

export interface MemoryModel {
  readonly reference: ReferenceModel;
  readonly source: ElementSource;
  readonly frequencies: Float64Array;
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
  const frequencies = ropeFrequencies(shape.headDim, shape.ropeTheta, {});
  const { layers, hidden, heads, kvHeads, headDim, ffn, vocab, context, normEps, tied } = shape;
  const config = { layers, hidden, heads, kvHeads, headDim, ffn, vocab, context, normEps, tied, frequencies };
  return {
    reference: referenceFromTensors(config, (name) => tensors.get(name)),
    frequencies,
    source: (name) => {
      const { shape: dims, values } = tensors.get(name)!;
      const cols = dims.at(-1)!;
      return (row, col) => values[row * cols + col]!;
    },
  };
}

function tensorShapes(shape: ModelShape): ReadonlyMap<string, readonly number[]> {
  const { hidden, heads, kvHeads, headDim, ffn, vocab } = shape;
  const shapes = new Map<string, readonly number[]>();
  const linear = (name: string, outputs: number, inputs: number, bias: boolean): void => {
    shapes.set(`${name}.weight`, [outputs, inputs]);
    if (bias) shapes.set(`${name}.bias`, [outputs]);
  };
  linear('model.embed_tokens', vocab, hidden, false);
  for (let layer = 0; layer < shape.layers; layer++) {
    const at = `model.layers.${layer}`;
    shapes.set(`${at}.input_layernorm.weight`, [hidden]);
    linear(`${at}.self_attn.q_proj`, heads * headDim, hidden, shape.qkvBias);
    linear(`${at}.self_attn.k_proj`, kvHeads * headDim, hidden, shape.qkvBias);
    linear(`${at}.self_attn.v_proj`, kvHeads * headDim, hidden, shape.qkvBias);
    linear(`${at}.self_attn.o_proj`, hidden, heads * headDim, shape.outputBias);
    if (shape.qkNorm) {
      shapes.set(`${at}.self_attn.q_norm.weight`, [headDim]);
      shapes.set(`${at}.self_attn.k_norm.weight`, [headDim]);
    }
    shapes.set(`${at}.post_attention_layernorm.weight`, [hidden]);
    linear(`${at}.mlp.gate_proj`, ffn, hidden, shape.mlpBias);
    linear(`${at}.mlp.up_proj`, ffn, hidden, shape.mlpBias);
    linear(`${at}.mlp.down_proj`, hidden, ffn, shape.mlpBias);
  }
  shapes.set('model.norm.weight', [hidden]);
  if (!shape.tied) linear('lm_head', vocab, hidden, false);
  return shapes;
}
