/**
 * Model shape from the `config.json` of a Hugging Face directory. What the runtime would compute differently from
 * the model's own code is refused by name, never ignored. Defaults of absent fields are those of the family's row.
 */
import { configReader, type ConfigReader } from './config-reader.js';
import { KNOWN_ARCHITECTURES, MODEL_FAMILIES, type ModelFamily, type Presence } from './families.js';
import { readRope } from './rope.js';
import { MAX_CONTEXT, MAX_LAYERS, MAX_SIZE, type Activation, type DType, type ModelShape } from './shape.js';
import { readSliding } from './sliding.js';

export type ConfigProblem =
  | { readonly kind: 'architecture'; readonly architecture: string; readonly known: readonly string[] }
  | { readonly kind: 'feature'; readonly feature: string }
  | { readonly kind: 'field'; readonly problem: string };

export type ShapeAnswer =
  | { readonly kind: 'shape'; readonly shape: ModelShape; readonly dtype?: DType }
  | { readonly kind: 'problems'; readonly problems: readonly ConfigProblem[] };

const DTYPES: Readonly<Record<string, DType>> = {
  float32: 'f32',
  float: 'f32',
  float16: 'f16',
  half: 'f16',
  bfloat16: 'bf16',
};

/** What `config.json` calls the activations. */
const ACTIVATION_NAMES: Readonly<Record<Activation, string>> = {
  silu: 'silu',
  gelu_tanh: 'gelu_pytorch_tanh',
};

/** Fields of quantised and of mixture-of-experts models, whatever their class. */
const FOREIGN_FIELDS = [
  'quantization_config',
  'num_local_experts',
  'num_experts',
  'n_routed_experts',
  'num_experts_per_tok',
];

/**
 * Reads a parsed `config.json`; all problems are found, not only the first.
 *
 * @param context longest sequence to be served, at most `max_position_embeddings`, which it is when absent
 */
export function shapeFromConfig(json: unknown, context?: number): ShapeAnswer {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return {
      kind: 'problems',
      problems: [{ kind: 'field', problem: 'the file does not hold a JSON object' }],
    };
  const fields = json as Readonly<Record<string, unknown>>;
  const architecture = architectureName(fields);
  const family = MODEL_FAMILIES.find((row) => row.architecture === architecture);
  if (!family)
    return {
      kind: 'problems',
      problems: [{ kind: 'architecture', architecture, known: KNOWN_ARCHITECTURES }],
    };
  const problems: ConfigProblem[] = [];
  const problem = (text: string): void => void problems.push({ kind: 'field', problem: text });
  const refuse = (feature: string): void => void problems.push({ kind: 'feature', feature });
  const config = configReader(fields, problem);
  const shape = readShape(config, family, context, refuse, problem);
  const dtype = DTYPES[config.word('dtype', config.word('torch_dtype', '')) ?? ''];
  if (problems.length > 0 || !shape) return { kind: 'problems', problems };
  return { kind: 'shape', shape, ...(dtype && { dtype }) };
}

function readShape(
  config: ConfigReader,
  family: ModelFamily,
  wanted: number | undefined,
  refuse: (feature: string) => void,
  problem: (text: string) => void,
): ModelShape | undefined {
  const { defaults } = family;
  const hidden = config.count('hidden_size', undefined, MAX_SIZE);
  const heads = config.count('num_attention_heads', undefined, MAX_SIZE);
  const positions = config.count('max_position_embeddings', defaults.context, MAX_CONTEXT);
  const headDim = config.count(
    'head_dim',
    defaults.headDim ?? (hidden !== undefined && heads !== undefined ? hidden / heads : 2),
    MAX_SIZE,
  );
  const kvHeads = config.count('num_key_value_heads', heads ?? 1, MAX_SIZE);
  const layers = config.count('num_hidden_layers', undefined, MAX_LAYERS);
  const ffn = config.count('intermediate_size', undefined, MAX_SIZE);
  const vocab = config.count('vocab_size', undefined, MAX_SIZE);
  const normEps = config.positive('rms_norm_eps', defaults.normEps);
  const context = wanted ?? positions;

  refuseForeign(config, family, refuse);
  if (wanted !== undefined && positions !== undefined && wanted > positions)
    problem(`\`max_position_embeddings\` is ${positions}; the context cannot be ${wanted}`);
  const rope = readRope(config, { family, headDim, positions, context }, refuse, problem);
  const sliding = readSliding(config, family, layers, context, rope?.localTheta, refuse);
  const presence = (rule: Presence): boolean => (typeof rule === 'boolean' ? rule : config.flag(rule, false));
  const optional = (field: string, fallback: number | undefined): number | undefined =>
    config.has(field) || (fallback !== undefined && !config.mentions(field))
      ? config.positive(field, fallback)
      : undefined;
  const ifCapped = (field: string, fallback: number | undefined): number | undefined =>
    family.capped ? optional(field, fallback) : undefined;
  const queryScalar = ifCapped('query_pre_attn_scalar', defaults.queryScalar);
  const attentionSoftcap = ifCapped('attn_logit_softcapping', defaults.attentionSoftcap);
  const logitSoftcap = ifCapped('final_logit_softcapping', defaults.logitSoftcap);

  if (heads !== undefined && kvHeads !== undefined && heads % kvHeads !== 0)
    problem(`\`num_attention_heads\` (${heads}) is no multiple of \`num_key_value_heads\` (${kvHeads})`);
  if (headDim !== undefined && headDim % 2 !== 0)
    problem(`\`head_dim\` (${headDim}) is odd; rotary embeddings need pairs`);
  if (
    [hidden, heads, context, headDim, kvHeads, layers, ffn, vocab, normEps].includes(undefined) ||
    rope === undefined
  )
    return undefined;
  return {
    family: family.name,
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
    tied: config.flag('tie_word_embeddings', defaults.tied),
    qkvBias: presence(family.qkvBias),
    outputBias: presence(family.outputBias),
    mlpBias: presence(family.mlpBias),
    qkNorm: family.qkNorm,
    ...family.parts,
    ...(rope.rotaryDim !== undefined && { rotaryDim: rope.rotaryDim }),
    ...(sliding && { sliding }),
    ...(queryScalar !== undefined && queryScalar !== headDim && { queryScalar }),
    ...(attentionSoftcap !== undefined && { attentionSoftcap }),
    ...(logitSoftcap !== undefined && { logitSoftcap }),
  };
}

/** `architectures[0]`, or the class of `model_type` when the list is absent. */
function architectureName(json: Readonly<Record<string, unknown>>): string {
  const { architectures, model_type: type } = json;
  if (Array.isArray(architectures) && typeof architectures[0] === 'string') return architectures[0];
  const byType = MODEL_FAMILIES.find((family) => family.modelType === type);
  return byType?.architecture ?? (typeof type === 'string' ? type : 'unknown');
}

/** What models of the family cannot have. */
function refuseForeign(config: ConfigReader, family: ModelFamily, refuse: (feature: string) => void): void {
  const known = ACTIVATION_NAMES[family.parts.activation ?? 'silu'];
  const activation = config.word(family.activationField, known);
  if (activation !== undefined && activation !== known) refuse(`the activation \`${activation}\``);
  for (const field of FOREIGN_FIELDS) if (config.has(field)) refuse(`\`${field}\``);
  for (const field of family.refused ?? []) if (config.flag(field, false)) refuse(`\`${field}\``);
  if (family.qkvBias === false && config.flag('attention_bias', false)) refuse('`attention_bias`');
  if (family.mlpBias === false && config.flag('mlp_bias', false)) refuse('`mlp_bias`');
  if (config.has('pretraining_tp') && config.count('pretraining_tp') !== 1)
    refuse('`pretraining_tp` above 1');
}
