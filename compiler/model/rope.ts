/**
 * Rotary embedding settings of a `config.json`: `rope_theta` with `rope_scaling` as most files have them, or the
 * newer `rope_parameters` that holds both (by layer type in Gemma 3).
 *
 * Scalings that depend on the length of the sequence cannot be: keys in the pages are rotated once and serve steps of
 * any length, and requests of all lengths share steps. So two types mean what they mean at the model's context:
 * - `dynamic` changes frequencies only beyond `max_position_embeddings`, which is the longest sequence here: nothing
 *   is left to scale.
 * - `longrope` has a list of divisors for sequences within the original context and another for longer ones. A model
 *   whose context is within the original takes the short list, any other the long list for all its sequences. (The
 *   transformers library changes lists, and computes all keys anew, when a sequence grows over the boundary.)
 */
import type { ConfigReader } from './config-reader.js';
import type { ModelFamily } from './families.js';
import type { ModelShape, RopeScaling } from './shape.js';

export interface Rope {
  readonly theta: number;
  readonly scaling?: RopeScaling;
  /** Base of the sliding layers, in families that have one. */
  readonly localTheta?: number;
  /** Rotated dimensions of a head; all when absent. */
  readonly rotaryDim?: number;
}

/** What of the model decides its rotary embeddings. */
export interface RopeModel {
  readonly family: ModelFamily;
  readonly headDim: number | undefined;
  /** `max_position_embeddings`, and the context in use: the same or less. */
  readonly positions: number | undefined;
  readonly context: number | undefined;
}

/** `refuse` is told of what is not supported, `problem` of values that cannot be right. */
export function readRope(
  config: ConfigReader,
  model: RopeModel,
  refuse: (feature: string) => void,
  problem: (text: string) => void,
): Rope | undefined {
  const { defaults } = model.family;
  const all = config.object('rope_parameters');
  const byType = all?.object('full_attention');
  const parameters = byType ?? all;
  const scaling = parameters ?? config.object('rope_scaling');
  const theta = (parameters?.has('rope_theta') === true ? parameters : config).positive(
    'rope_theta',
    defaults.theta,
  );
  const localTheta = readLocalTheta(config, all, model.family, refuse);
  const rotaryDim = readRotaryDim(config, scaling, model, refuse, problem);
  if (theta === undefined) return undefined;
  const rope = {
    theta,
    ...(localTheta !== undefined && { localTheta }),
    ...(rotaryDim !== undefined && rotaryDim !== model.headDim && { rotaryDim }),
  };
  if (!scaling) return rope;
  const found = readScaling(config, scaling, model, (rotaryDim ?? 2) / 2, refuse, problem);
  if (found === 'none') return rope;
  // Its pairs are found by the logarithm of the base.
  if (found?.type === 'yarn' && theta <= 1) {
    problem(`\`rope_theta\` (${theta}) must be above 1 for rope scaling of type \`yarn\``);
    return undefined;
  }
  return found && { ...rope, scaling: found };
}

/** What rotated queries and keys are multiplied by. */
export function ropeAmplitude({ ropeScaling }: Pick<ModelShape, 'ropeScaling'>): number {
  return ropeScaling?.type === 'yarn' || ropeScaling?.type === 'longrope' ? ropeScaling.attentionFactor : 1;
}

function readLocalTheta(
  config: ConfigReader,
  parameters: ConfigReader | undefined,
  { defaults }: ModelFamily,
  refuse: (feature: string) => void,
): number | undefined {
  if (defaults.localTheta === undefined) return undefined;
  const local = parameters?.object('sliding_attention');
  const type = local?.word('rope_type', 'default');
  if (type !== undefined && type !== 'default') refuse(`rope scaling of type \`${type}\` in sliding layers`);
  if (local?.has('rope_theta') === true) return local.positive('rope_theta');
  return config.positive('rope_local_base_freq', defaults.localTheta);
}

/** Rotated dimensions of a head: all of them, or the part that `partial_rotary_factor` says. */
function readRotaryDim(
  config: ConfigReader,
  scaling: ConfigReader | undefined,
  { family, headDim }: RopeModel,
  refuse: (feature: string) => void,
  problem: (text: string) => void,
): number | undefined {
  const holder = scaling?.has('partial_rotary_factor') === true ? scaling : config;
  const partial = holder.positive('partial_rotary_factor', 1);
  if (partial === undefined || partial === 1 || headDim === undefined) return headDim;
  if (family.partialRotary !== true) {
    refuse('partial rotary embeddings (`partial_rotary_factor`)');
    return headDim;
  }
  const rotary = Math.trunc(headDim * partial);
  if (rotary >= 2 && rotary <= headDim && rotary % 2 === 0) return rotary;
  problem(`\`partial_rotary_factor\` (${partial}) rotates ${rotary} of ${headDim} dimensions of a head`);
  return headDim;
}

function readScaling(
  config: ConfigReader,
  scaling: ConfigReader,
  model: RopeModel,
  pairs: number,
  refuse: (feature: string) => void,
  problem: (text: string) => void,
): RopeScaling | 'none' | undefined {
  const named = scaling.word('rope_type', scaling.word('type', 'default'));
  // Early Phi-3 files call it by other names.
  const type = model.family.name === 'phi3' && (named === 'su' || named === 'yarn') ? 'longrope' : named;
  switch (type) {
    case undefined:
      return undefined;
    case 'default':
      return 'none';
    case 'linear': {
      const factor = scaling.positive('factor');
      return factor === undefined ? undefined : { type, factor };
    }
    case 'dynamic':
      return readDynamic(scaling, model, refuse);
    case 'llama3':
      return readLlama3(scaling, model);
    case 'yarn':
      return readYarn(scaling, model);
    case 'longrope':
      return readLongrope(config, scaling, model, pairs, problem);
    default:
      refuse(`rope scaling of type \`${type}\``);
      return 'none';
  }
}

/** Nothing to scale within `max_position_embeddings`; a file that was trained on less is refused. */
function readDynamic(
  scaling: ConfigReader,
  { context }: RopeModel,
  refuse: (feature: string) => void,
): 'none' | undefined {
  const factor = scaling.positive('factor');
  const original = scaling.count('original_max_position_embeddings', context);
  if (factor === undefined || original === undefined || context === undefined) return undefined;
  if (original < context)
    refuse(
      `\`dynamic\` rope scaling of sequences beyond ${original} tokens, whose keys would depend on the length of the sequence`,
    );
  return 'none';
}

function readLlama3(scaling: ConfigReader, { positions }: RopeModel): RopeScaling | undefined {
  const factor = scaling.positive('factor');
  const lowFreqFactor = scaling.positive('low_freq_factor');
  const highFreqFactor = scaling.positive('high_freq_factor');
  const originalContext = scaling.count('original_max_position_embeddings', positions);
  if (
    factor === undefined ||
    lowFreqFactor === undefined ||
    highFreqFactor === undefined ||
    originalContext === undefined
  )
    return undefined;
  return { type: 'llama3', factor, lowFreqFactor, highFreqFactor, originalContext };
}

/** The attention factor of YaRN is 0.1 ln(factor) + 1 (arXiv 2309.00071, eq. 22), or a ratio of two such. */
function readYarn(scaling: ConfigReader, { positions }: RopeModel): RopeScaling | undefined {
  const factor = scaling.positive('factor');
  const originalContext = scaling.count('original_max_position_embeddings', positions);
  if (factor === undefined || originalContext === undefined) return undefined;
  const temper = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const scales = ['mscale', 'mscale_all_dim'].map((field) =>
    scaling.has(field) ? scaling.positive(field) : undefined,
  );
  const [over, under] = scales;
  const usual = over !== undefined && under !== undefined ? temper(over) / temper(under) : temper(1);
  const attentionFactor = scaling.positive('attention_factor', usual);
  const betaFast = scaling.positive('beta_fast', 32);
  const betaSlow = scaling.positive('beta_slow', 1);
  if (attentionFactor === undefined || betaFast === undefined || betaSlow === undefined) return undefined;
  const truncate = scaling.flag('truncate', true);
  return { type: 'yarn', factor, attentionFactor, betaFast, betaSlow, originalContext, truncate };
}

/** The attention factor of LongRoPE is the root of 1 + ln(factor) / ln(original context) (arXiv 2402.13753). */
function readLongrope(
  config: ConfigReader,
  scaling: ConfigReader,
  { family, positions, context }: RopeModel,
  pairs: number,
  problem: (text: string) => void,
): RopeScaling | undefined {
  const holder = scaling.has('original_max_position_embeddings') ? scaling : config;
  const originalContext = holder.count(
    'original_max_position_embeddings',
    family.defaults.originalContext ?? positions,
  );
  if (originalContext === undefined || positions === undefined || context === undefined) return undefined;
  const factor = positions / originalContext;
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContext));
  const attentionFactor = scaling.positive('attention_factor', usual);
  const field = context > originalContext ? 'long_factor' : 'short_factor';
  const divisors = scaling.list(field);
  if (divisors.length !== pairs || !divisors.every((value) => typeof value === 'number' && value > 0)) {
    problem(`\`rope_scaling.${field}\` must be ${pairs} numbers above 0, one for each rotary pair`);
    return undefined;
  }
  if (attentionFactor === undefined) return undefined;
  return {
    type: 'longrope',
    factor,
    attentionFactor,
    divisors: divisors as readonly number[],
    originalContext,
  };
}
