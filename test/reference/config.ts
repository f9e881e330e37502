/** What the reference needs from a Hugging Face `config.json`. Absent parts are those of a plain Llama. */
export interface ReferenceConfig {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffn: number;
  readonly vocab: number;
  readonly context: number;
  readonly normEps: number;
  /** Rotary frequencies after scaling, radians per position, one for each rotated pair of the head. */
  readonly frequencies: Float64Array;
  readonly tied: boolean;
  /** Factor on cosine and sine. */
  readonly ropeFactor?: number;
  /** Positions that the rows of sliding layers see, own included, and which layers those are. */
  readonly window?: number;
  readonly slidingLayers?: readonly number[];
  /** Frequencies of sliding layers, where they have their own; without `ropeFactor`. */
  readonly localFrequencies?: Float64Array;
  /** Factor on attention scores; 1 / sqrt(headDim) when absent. */
  readonly scoreScale?: number;
  readonly scoreCap?: number;
  readonly logitCap?: number;
  /** Of the gate of the MLP; silu when absent. */
  readonly activation?: 'gelu_tanh';
  /** Embeddings times sqrt(hidden), norms by 1 + weight, norms after attention and MLP: Gemma. */
  readonly gemma?: boolean;
  /** q, k, v in one tensor, gate and up in another: Phi-3. */
  readonly fused?: boolean;
}

interface HfRope {
  readonly rope_type?: string;
  readonly type?: string;
  readonly rope_theta?: number;
  readonly factor?: number;
  readonly low_freq_factor?: number;
  readonly high_freq_factor?: number;
  readonly original_max_position_embeddings?: number;
  readonly beta_fast?: number;
  readonly beta_slow?: number;
  readonly truncate?: boolean;
  readonly mscale?: number;
  readonly mscale_all_dim?: number;
  readonly attention_factor?: number;
  readonly short_factor?: readonly number[];
  readonly long_factor?: readonly number[];
}

interface HfConfig {
  readonly model_type: string;
  readonly num_hidden_layers: number;
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads?: number;
  readonly head_dim?: number | null;
  readonly intermediate_size: number;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
  readonly original_max_position_embeddings?: number;
  readonly rms_norm_eps?: number;
  readonly rope_theta?: number;
  readonly rope_local_base_freq?: number;
  readonly rope_scaling?: HfRope | null;
  readonly rope_parameters?: HfRope | null;
  readonly partial_rotary_factor?: number;
  readonly tie_word_embeddings?: boolean;
  readonly hidden_act?: string;
  readonly hidden_activation?: string;
  readonly sliding_window?: number | null;
  readonly use_sliding_window?: boolean;
  readonly max_window_layers?: number;
  readonly layer_types?: readonly string[] | null;
  readonly sliding_window_pattern?: number;
  readonly query_pre_attn_scalar?: number;
  readonly attn_logit_softcapping?: number | null;
  readonly final_logit_softcapping?: number | null;
}

const FAMILIES = ['llama', 'mistral', 'qwen2', 'qwen3', 'gemma2', 'gemma3_text', 'phi3'];

/** Reads the parsed `config.json`; throws for anything this reference does not compute. */
export function referenceConfig(json: unknown): ReferenceConfig {
  const hf = json as HfConfig;
  if (!FAMILIES.includes(hf.model_type)) throw new Error(`reference has no family ${hf.model_type}`);
  const gemma = hf.model_type.startsWith('gemma');
  const activation = gemma ? hf.hidden_activation : hf.hidden_act;
  if (activation !== undefined && activation !== (gemma ? 'gelu_pytorch_tanh' : 'silu'))
    throw new Error(`reference has no activation ${activation}`);
  const headDim = hf.head_dim ?? hf.hidden_size / hf.num_attention_heads;
  const rope = hf.rope_parameters ?? hf.rope_scaling ?? {};
  const rotaryDim = Math.floor(headDim * (hf.partial_rotary_factor ?? 1));
  const theta = hf.rope_parameters?.rope_theta ?? hf.rope_theta ?? 10000;
  const original =
    rope.original_max_position_embeddings ??
    hf.original_max_position_embeddings ??
    hf.max_position_embeddings;
  const lengths = { original, longest: hf.max_position_embeddings };
  const local = hf.model_type === 'gemma3_text';
  return {
    layers: hf.num_hidden_layers,
    hidden: hf.hidden_size,
    heads: hf.num_attention_heads,
    kvHeads: hf.num_key_value_heads ?? hf.num_attention_heads,
    headDim,
    ffn: hf.intermediate_size,
    vocab: hf.vocab_size,
    context: hf.max_position_embeddings,
    normEps: hf.rms_norm_eps ?? 1e-6,
    frequencies: ropeFrequencies(rotaryDim, theta, rope, lengths),
    ropeFactor: ropeFactor(rope, lengths),
    tied: hf.tie_word_embeddings ?? gemma,
    ...slidingOf(hf),
    ...(local && { localFrequencies: ropeFrequencies(headDim, hf.rope_local_base_freq ?? 10000, {}) }),
    ...(gemma && {
      gemma,
      activation: 'gelu_tanh' as const,
      scoreScale: (hf.query_pre_attn_scalar ?? 256) ** -0.5,
      scoreCap: hf.attn_logit_softcapping ?? undefined,
      logitCap: hf.final_logit_softcapping ?? undefined,
    }),
    fused: hf.model_type === 'phi3',
  };
}

/** Which layers slide, and how far back their rows see. */
function slidingOf(hf: HfConfig): Pick<ReferenceConfig, 'window' | 'slidingLayers'> {
  const window = hf.sliding_window;
  if (window === undefined || window === null) return {};
  const slides = (layer: number): boolean => {
    if (hf.layer_types) return hf.layer_types[layer] === 'sliding_attention';
    switch (hf.model_type) {
      case 'mistral':
      case 'phi3':
        return true;
      case 'qwen2':
      case 'qwen3':
        return hf.use_sliding_window === true && layer >= (hf.max_window_layers ?? 28);
      case 'gemma2':
        return layer % 2 === 0;
      case 'gemma3_text':
        return (layer + 1) % (hf.sliding_window_pattern ?? 6) !== 0;
      default:
        return false;
    }
  };
  const layers = Array.from({ length: hf.num_hidden_layers }, (_, layer) => layer);
  return { window, slidingLayers: layers.filter(slides) };
}

interface Lengths {
  readonly original: number;
  readonly longest: number;
}

function kindOf(scaling: HfRope): string {
  return scaling.rope_type ?? scaling.type ?? 'default';
}

/**
 * Radians per position for pair `i` of `rotaryDim` dimensions: `theta^(-2i / rotaryDim)`, then scaled.
 * - `llama3` leaves wavelengths shorter than `original / high_freq_factor` alone, divides those longer than
 *   `original / low_freq_factor` by `factor`, and blends linearly (in original / wavelength) between.
 * - `yarn` blends by index: all of the plain frequency up to the pair that makes `beta_fast` turns over the original
 *   length, all of the slowed one from the pair that makes `beta_slow` turns, both rounded outwards.
 * - `longrope` divides each pair by a number of its own, from the long list where sequences may outgrow the original.
 * - `dynamic` does nothing up to the longest sequence.
 */
export function ropeFrequencies(
  rotaryDim: number,
  theta: number,
  scaling: HfRope,
  { original, longest }: Lengths = { original: 0, longest: 0 },
): Float64Array {
  const kind = kindOf(scaling);
  const frequencies = new Float64Array(rotaryDim / 2);
  for (let i = 0; i < frequencies.length; i++) {
    const plain = theta ** ((-2 * i) / rotaryDim);
    if (kind === 'default' || kind === 'dynamic') frequencies[i] = plain;
    else if (kind === 'linear') frequencies[i] = plain / scaling.factor!;
    else if (kind === 'llama3') {
      const turns = (scaling.original_max_position_embeddings! * plain) / (2 * Math.PI);
      const low = scaling.low_freq_factor!;
      const high = scaling.high_freq_factor!;
      const keep = Math.min(1, Math.max(0, (turns - low) / (high - low)));
      frequencies[i] = keep * plain + (1 - keep) * (plain / scaling.factor!);
    } else if (kind === 'yarn') {
      const pair = (turns: number): number =>
        (rotaryDim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const exact = scaling.truncate === false;
      const fast = pair(scaling.beta_fast ?? 32);
      const slow = pair(scaling.beta_slow ?? 1);
      const low = Math.max(0, exact ? fast : Math.floor(fast));
      const high = Math.min(rotaryDim - 1, exact ? slow : Math.ceil(slow));
      const ramp = Math.min(1, Math.max(0, (i - low) / (high - low || 0.001)));
      frequencies[i] = plain * (1 - ramp) + (plain / scaling.factor!) * ramp;
    } else if (kind === 'longrope' || kind === 'su') {
      const list = longest > original ? scaling.long_factor! : scaling.short_factor!;
      frequencies[i] = plain / list[i]!;
    } else throw new Error(`reference has no rope scaling ${kind}`);
  }
  return frequencies;
}

/** What cosine and sine are multiplied by. */
function ropeFactor(scaling: HfRope, { original, longest }: Lengths): number {
  const kind = kindOf(scaling);
  if (kind === 'yarn') {
    const temper = (scale: number): number => 0.1 * scale * Math.log(scaling.factor!) + 1;
    if (scaling.attention_factor !== undefined) return scaling.attention_factor;
    const { mscale, mscale_all_dim: all } = scaling;
    return mscale !== undefined && all !== undefined ? temper(mscale) / temper(all) : temper(1);
  }
  if (kind === 'longrope' || kind === 'su') {
    const grown = longest / original;
    return grown <= 1 ? 1 : Math.sqrt(1 + Math.log(grown) / Math.log(original));
  }
  return 1;
}
