/**
 * Model shape from the `config.json` of a Hugging Face directory. What the runtime would compute differently from
 * the model's own code is refused by name, never ignored. Defaults of absent fields are those of the model's class
 * in the transformers library.
 */
import { configReader, type ConfigReader } from './config-reader.js';
import { readRope } from './rope.js';
import type { DType, ModelShape } from './shape.js';

export type ConfigProblem =
  | { readonly kind: 'architecture'; readonly architecture: string; readonly known: readonly string[] }
  | { readonly kind: 'feature'; readonly feature: string }
  | { readonly kind: 'field'; readonly problem: string };

export type ShapeAnswer =
  | { readonly kind: 'shape'; readonly shape: ModelShape; readonly dtype?: DType }
  | { readonly kind: 'problems'; readonly problems: readonly ConfigProblem[] };

interface Architecture {
  readonly family: string;
  readonly qkvBias: boolean | 'attention_bias';
  readonly outputBias: boolean | 'attention_bias';
  readonly mlpBias: boolean | 'mlp_bias';
  readonly qkNorm: boolean;
  /** head_dim when the file does not say; otherwise hidden / heads. */
  readonly headDim?: number;
  /** Whether the `sliding_window` field is in force. */
  readonly slides: (config: ConfigReader) => boolean;
  /** `sliding_window` of a file that does not mention it; one that says null has none. */
  readonly window?: number;
  readonly theta: number;
  readonly context: number;
}

const never = (): boolean => false;
const whenAsked = (config: ConfigReader): boolean => config.flag('use_sliding_window', false);

/** One row per supported architecture. */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  LlamaForCausalLM: {
    family: 'llama',
    qkvBias: 'attention_bias',
    outputBias: 'attention_bias',
    mlpBias: 'mlp_bias',
    qkNorm: false,
    slides: never,
    theta: 10_000,
    context: 2048,
  },
  MistralForCausalLM: {
    family: 'mistral',
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    qkNorm: false,
    slides: () => true,
    window: 4096,
    theta: 10_000,
    context: 131_072,
  },
  Qwen2ForCausalLM: {
    family: 'qwen2',
    qkvBias: true,
    outputBias: false,
    mlpBias: false,
    qkNorm: false,
    slides: whenAsked,
    theta: 10_000,
    context: 32_768,
  },
  Qwen3ForCausalLM: {
    family: 'qwen3',
    qkvBias: 'attention_bias',
    outputBias: 'attention_bias',
    mlpBias: false,
    qkNorm: true,
    headDim: 128,
    slides: whenAsked,
    theta: 10_000,
    context: 32_768,
  },
};

/** Architectures that can be compiled, as `config.json` names them. */
export const KNOWN_ARCHITECTURES: readonly string[] = Object.keys(ARCHITECTURES);

const DTYPES: Readonly<Record<string, DType>> = {
  float32: 'f32',
  float: 'f32',
  float16: 'f16',
  half: 'f16',
  bfloat16: 'bf16',
};

/** Reads a parsed `config.json`; all problems are found, not only the first. */
export function shapeFromConfig(json: unknown): ShapeAnswer {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return {
      kind: 'problems',
      problems: [{ kind: 'field', problem: 'the file does not hold a JSON object' }],
    };
  const problems: ConfigProblem[] = [];
  const config = configReader(json as Readonly<Record<string, unknown>>, (problem) =>
    problems.push({ kind: 'field', problem }),
  );
  const refuse = (feature: string): void => void problems.push({ kind: 'feature', feature });

  const name = architectureName(json as Readonly<Record<string, unknown>>);
  const row = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (!row)
    return {
      kind: 'problems',
      problems: [{ kind: 'architecture', architecture: name, known: KNOWN_ARCHITECTURES }],
    };

  const hidden = config.count('hidden_size');
  const heads = config.count('num_attention_heads');
  const context = config.count('max_position_embeddings', row.context);
  const headDim = config.count(
    'head_dim',
    row.headDim ?? (hidden !== undefined && heads !== undefined ? hidden / heads : 2),
  );
  const kvHeads = config.count('num_key_value_heads', heads ?? 1);
  const layers = config.count('num_hidden_layers');
  const ffn = config.count('intermediate_size');
  const vocab = config.count('vocab_size');
  const normEps = config.positive('rms_norm_eps', 1e-6);

  const activation = config.word('hidden_act', 'silu');
  if (activation !== undefined && activation !== 'silu') refuse(`the activation \`${activation}\``);
  refuseSliding(config, row, layers, context, refuse);
  for (const field of ['quantization_config', 'num_local_experts', 'num_experts'])
    if (config.has(field)) refuse(`\`${field}\``);
  if (config.has('pretraining_tp') && config.count('pretraining_tp') !== 1)
    refuse('`pretraining_tp` above 1');
  const partial = config.positive('partial_rotary_factor', 1);
  if (partial !== undefined && partial !== 1) refuse('partial rotary embeddings (`partial_rotary_factor`)');
  const rope = readRope(config, row.theta, context, refuse);

  const bias = (rule: boolean | 'attention_bias' | 'mlp_bias'): boolean =>
    typeof rule === 'boolean' ? rule : config.flag(rule, false);
  const tied = config.flag('tie_word_embeddings', false);
  const dtypeWord = config.word('dtype', config.word('torch_dtype', ''));

  if (heads !== undefined && kvHeads !== undefined && heads % kvHeads !== 0)
    problems.push({
      kind: 'field',
      problem: `\`num_attention_heads\` (${heads}) is no multiple of \`num_key_value_heads\` (${kvHeads})`,
    });
  if (headDim !== undefined && headDim % 2 !== 0)
    problems.push({
      kind: 'field',
      problem: `\`head_dim\` (${headDim}) is odd; rotary embeddings need pairs`,
    });
  if (
    problems.length > 0 ||
    [hidden, heads, context, headDim, kvHeads, layers, ffn, vocab, normEps].includes(undefined) ||
    !rope
  )
    return { kind: 'problems', problems };
  const dtype = DTYPES[dtypeWord ?? ''];
  return {
    kind: 'shape',
    shape: {
      family: row.family,
      layers: layers!,
      hidden: hidden!,
      heads: heads!,
      kvHeads: kvHeads!,
      headDim: headDim!,
      ffn: ffn!,
      vocab: vocab!,
      context: context!,
      normEps: normEps!,
      ropeTheta: rope.theta,
      ...(rope.scaling && { ropeScaling: rope.scaling }),
      tied,
      qkvBias: bias(row.qkvBias),
      outputBias: bias(row.outputBias),
      mlpBias: bias(row.mlpBias),
      qkNorm: row.qkNorm,
    },
    ...(dtype && { dtype }),
  };
}

/** `architectures[0]`, or the class of `model_type` when the list is absent. */
function architectureName(json: Readonly<Record<string, unknown>>): string {
  const { architectures, model_type: type } = json;
  if (Array.isArray(architectures) && typeof architectures[0] === 'string') return architectures[0];
  const byType = KNOWN_ARCHITECTURES.find((a) => ARCHITECTURES[a]?.family === type);
  return byType ?? (typeof type === 'string' ? type : 'unknown');
}

/** A window at least as long as the context never slides; a shorter one is refused. */
function refuseSliding(
  config: ConfigReader,
  row: Architecture,
  layers: number | undefined,
  context: number | undefined,
  refuse: (feature: string) => void,
): void {
  const windowed =
    config.has('sliding_window') || (row.window !== undefined && !config.mentions('sliding_window'));
  if (row.slides(config) && windowed) {
    const window = config.count('sliding_window', row.window);
    const firstSliding = row.family === 'mistral' ? 0 : config.size('max_window_layers', 28);
    const reaches = firstSliding === undefined || layers === undefined || firstSliding < layers;
    if (window !== undefined && context !== undefined && window < context && reaches)
      refuse(`sliding-window attention (window ${window}, context ${context})`);
  } else if (config.list('layer_types').includes('sliding_attention')) {
    refuse('sliding-window attention (`layer_types`)');
  }
}
