/**
 * Rotary embeddings of a GGUF file, as a `config.json` would say them. Linear scaling and YaRN mean in both what they
 * mean in the other. Where frequencies are divided one by one, the divisors are tensors: `rope_freqs`, which serves all
 * lengths (Llama 3.1 and later), or `rope_factors_short` and `rope_factors_long` (Phi-3). Both are LongRoPE here.
 */
import { fileWeightSource } from '../weight-source.js';
import type { Architecture } from './architectures.js';
import { givenFields, type Field, type Fields } from './fields.js';
import { damagedGguf, type GgufTensor } from './header.js';

/** More than half of any head. */
const MAX_DIVISORS = 65_536;

/**
 * Fields of a `config.json`. What changes the rotation otherwise has a type that no `config.json` has, by which it is
 * refused. Fails with FC0911 where the divisors are no F32.
 */
export function ropeFields(
  path: string,
  tensors: readonly GgufTensor[],
  headDim: unknown,
  known: Architecture | undefined,
  field: Field,
): Fields {
  const refused = (what: string): Fields => ({ rope_scaling: { rope_type: `${what} of GGUF` } });
  const rotated = field('rope.dimension_count') ?? headDim;
  const isPart = rotated !== headDim;
  if (isPart && known?.class !== 'Phi3ForCausalLM') return refused('rope.dimension_count');
  const part = isPart ? { partial_rotary_factor: Number(rotated) / Number(headDim) } : {};
  const divisors = divisorsOf(path, tensors);
  const type = field('rope.scaling.type') ?? 'none';
  if (divisors !== undefined) {
    if (type !== 'none' && type !== 'longrope') return refused(`${String(type)} with divisors`);
    const attention_factor = divisors.ofAllLengths ? 1 : field('rope.scaling.attn_factor');
    const { short_factor, long_factor } = divisors;
    return {
      ...part,
      rope_scaling: givenFields({ rope_type: 'longrope', short_factor, long_factor, attention_factor }),
    };
  }
  switch (type) {
    case 'none':
      return part;
    case 'linear':
      return {
        ...part,
        rope_scaling: givenFields({ rope_type: type, factor: field('rope.scaling.factor') }),
      };
    case 'yarn':
      return yarnIsUsual(field)
        ? { ...part, rope_scaling: yarn(field) }
        : refused('yarn with factors of its own');
    default:
      return refused(String(type));
  }
}

/** Factors beside those of the paper would have to be multiplied with what a `config.json` leaves to be computed. */
function yarnIsUsual(field: Field): boolean {
  return ['attn_factor', 'yarn_ext_factor', 'yarn_attn_factor', 'yarn_log_multiplier'].every((name) =>
    [undefined, name === 'yarn_log_multiplier' ? 0 : 1].includes(field(`rope.scaling.${name}`) as number),
  );
}

const yarn = (field: Field): Fields =>
  givenFields({
    rope_type: 'yarn',
    factor: field('rope.scaling.factor'),
    original_max_position_embeddings: field('rope.scaling.original_context_length'),
    beta_fast: field('rope.scaling.yarn_beta_fast'),
    beta_slow: field('rope.scaling.yarn_beta_slow'),
  });

interface Divisors {
  readonly short_factor: readonly number[] | undefined;
  readonly long_factor: readonly number[] | undefined;
  readonly ofAllLengths: boolean;
}

function divisorsOf(path: string, tensors: readonly GgufTensor[]): Divisors | undefined {
  const read = (name: string): readonly number[] | undefined => {
    const tensor = tensors.find((candidate) => candidate.name === `${name}.weight`);
    return tensor && readVector(path, tensor);
  };
  const [all, short, long] = ['rope_freqs', 'rope_factors_short', 'rope_factors_long'].map(read);
  if (all !== undefined) return { short_factor: all, long_factor: all, ofAllLengths: true };
  if (short === undefined && long === undefined) return undefined;
  return { short_factor: short, long_factor: long, ofAllLengths: false };
}

function readVector(path: string, tensor: GgufTensor): readonly number[] {
  const { name, type, shape } = tensor;
  const [count] = shape;
  if (type !== 'F32' || shape.length !== 1 || count! > MAX_DIVISORS)
    throw damagedGguf(
      path,
      `${name} is ${type}[${shape.join(', ')}]; divisors of frequencies are a list of F32`,
      name,
    );
  const source = fileWeightSource(new Map([[name, { ...tensor, file: path, dtype: type }]]));
  try {
    const bytes = source.read(name, [0, 1], [0, count!]);
    return [...new Float32Array(bytes.slice().buffer)];
  } finally {
    source.close();
  }
}
