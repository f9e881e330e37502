/**
 * Rotary embedding settings of a `config.json`: `rope_theta` with `rope_scaling` as most files have them, or the
 * newer `rope_parameters` that holds both.
 */
import type { ConfigReader } from './config-reader.js';
import type { RopeScaling } from './shape.js';

export interface Rope {
  readonly theta: number;
  readonly scaling?: RopeScaling;
}

/** `refuse` is told of types of scaling that are not supported; a field of the wrong type is the reader's to tell. */
export function readRope(
  config: ConfigReader,
  defaultTheta: number,
  context: number | undefined,
  refuse: (feature: string) => void,
): Rope | undefined {
  const parameters = config.object('rope_parameters');
  const scaling = parameters ?? config.object('rope_scaling');
  const theta = (parameters?.has('rope_theta') === true ? parameters : config).positive(
    'rope_theta',
    defaultTheta,
  );
  if (theta === undefined) return undefined;
  if (!scaling) return { theta };
  const partial = scaling.positive('partial_rotary_factor', 1);
  if (partial !== undefined && partial !== 1) refuse('partial rotary embeddings (`partial_rotary_factor`)');
  const type = scaling.word('rope_type', scaling.word('type', 'default'));
  switch (type) {
    case undefined:
      return undefined;
    case 'default':
      return { theta };
    case 'linear': {
      const factor = scaling.positive('factor');
      return factor === undefined ? undefined : { theta, scaling: { type, factor } };
    }
    case 'llama3': {
      const factor = scaling.positive('factor');
      const lowFreqFactor = scaling.positive('low_freq_factor');
      const highFreqFactor = scaling.positive('high_freq_factor');
      const originalContext = scaling.count('original_max_position_embeddings', context);
      if (
        factor === undefined ||
        lowFreqFactor === undefined ||
        highFreqFactor === undefined ||
        originalContext === undefined
      )
        return undefined;
      return { theta, scaling: { type, factor, lowFreqFactor, highFreqFactor, originalContext } };
    }
    default:
      refuse(`rope scaling of type \`${type}\``);
      return { theta };
  }
}
