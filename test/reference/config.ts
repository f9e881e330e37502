/** What the reference needs from a Hugging Face `config.json` of the Llama-like families. */
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
  /** Rotary frequencies after scaling, radians per position, one for each pair of the head. */
  readonly frequencies: Float64Array;
  readonly tied: boolean;
}

interface HfRope {
  readonly rope_type?: string;
  readonly type?: string;
  readonly rope_theta?: number;
  readonly factor?: number;
  readonly low_freq_factor?: number;
  readonly high_freq_factor?: number;
  readonly original_max_position_embeddings?: number;
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
  readonly rms_norm_eps?: number;
  readonly rope_theta?: number;
  readonly rope_scaling?: HfRope | null;
  readonly rope_parameters?: HfRope | null;
  readonly tie_word_embeddings?: boolean;
  readonly hidden_act?: string;
}

const FAMILIES = ['llama', 'mistral', 'qwen2', 'qwen3'];

/** Reads the parsed `config.json`; throws for anything this reference does not compute. */
export function referenceConfig(json: unknown): ReferenceConfig {
  const hf = json as HfConfig;
  if (!FAMILIES.includes(hf.model_type)) throw new Error(`reference has no family ${hf.model_type}`);
  if ((hf.hidden_act ?? 'silu') !== 'silu') throw new Error(`reference has no activation ${hf.hidden_act}`);
  const headDim = hf.head_dim ?? hf.hidden_size / hf.num_attention_heads;
  const rope = hf.rope_parameters ?? hf.rope_scaling ?? {};
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
    frequencies: ropeFrequencies(headDim, hf.rope_parameters?.rope_theta ?? hf.rope_theta ?? 10000, rope),
    tied: hf.tie_word_embeddings ?? false,
  };
}

/**
 * Radians per position for pair `i` of a head: `theta^(-2i / headDim)`, then scaled. `llama3` leaves wavelengths
 * shorter than `original / high_freq_factor` alone, divides those longer than `original / low_freq_factor` by
 * `factor`, and blends linearly (in original / wavelength) between.
 */
export function ropeFrequencies(headDim: number, theta: number, scaling: HfRope): Float64Array {
  const kind = scaling.rope_type ?? scaling.type ?? 'default';
  const frequencies = new Float64Array(headDim / 2);
  for (let i = 0; i < frequencies.length; i++) {
    const plain = theta ** ((-2 * i) / headDim);
    if (kind === 'default') frequencies[i] = plain;
    else if (kind === 'linear') frequencies[i] = plain / scaling.factor!;
    else if (kind === 'llama3') {
      const turns = (scaling.original_max_position_embeddings! * plain) / (2 * Math.PI);
      const low = scaling.low_freq_factor!;
      const high = scaling.high_freq_factor!;
      const keep = Math.min(1, Math.max(0, (turns - low) / (high - low)));
      frequencies[i] = keep * plain + (1 - keep) * (plain / scaling.factor!);
    } else throw new Error(`reference has no rope scaling ${kind}`);
  }
  return frequencies;
}
