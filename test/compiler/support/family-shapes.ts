/** What families other than Llama add to a shape, for models small enough to execute. */
import type { ModelShape } from '../../../compiler/model/shape.js';

const GEMMA = {
  activation: 'gelu_tanh',
  scaledEmbedding: true,
  unitNorms: true,
  postNorms: true,
  queryScalar: 5,
} as const;

/** By family; every window is short enough that rows of a few positions do not see everything. */
export const FAMILY_PARTS: Readonly<Record<string, Partial<ModelShape>>> = {
  llama: {},
  mistral: { family: 'mistral', sliding: { window: 3, layers: [0, 1, 2] } },
  gemma2: {
    ...GEMMA,
    family: 'gemma2',
    sliding: { window: 2, layers: [0, 2] },
    attentionSoftcap: 1.5,
    logitSoftcap: 2,
  },
  gemma3: { ...GEMMA, family: 'gemma3', qkNorm: true, sliding: { window: 3, layers: [0, 1], ropeTheta: 50 } },
  phi3: { family: 'phi3', qkvBias: false, mlpBias: false, outputBias: false },
};
