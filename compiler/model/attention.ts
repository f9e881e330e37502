/** What the attention of one layer is, beyond its heads: the one place that knows how layers of a model differ. */
import type { RopeTable } from '../ir/runtime-program.js';
import { ropeAmplitude } from './rope.js';
import type { ModelShape } from './shape.js';

export interface LayerAttention {
  /** Scores are multiplied by it. */
  readonly scale: number;
  readonly softcap?: number;
  /** Positions that a row sees, its own included; all before it when absent. */
  readonly window?: number;
  /** Which table of rotary frequencies. */
  readonly rope: RopeTable;
  /** Rotated dimensions of a head; all when absent. */
  readonly rotaryDim?: number;
  /** Factor of rotated queries and keys; 1 when absent. */
  readonly amplitude?: number;
}

/** The attention of a layer of a model. */
export function layerAttention(shape: ModelShape, layer: number): LayerAttention {
  const { sliding, attentionSoftcap, rotaryDim } = shape;
  const slides = sliding?.layers.includes(layer) === true;
  const local = slides && sliding.ropeTheta !== undefined;
  const amplitude = local ? 1 : ropeAmplitude(shape);
  return {
    scale: 1 / Math.sqrt(shape.queryScalar ?? shape.headDim),
    ...(attentionSoftcap !== undefined && { softcap: attentionSoftcap }),
    ...(slides && sliding.window < shape.context && { window: sliding.window }),
    rope: local ? 'rope_local' : 'rope',
    ...(rotaryDim !== undefined && { rotaryDim }),
    ...(amplitude !== 1 && { amplitude }),
  };
}
