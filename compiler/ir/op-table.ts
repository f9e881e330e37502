/**
 * The logical ops, one entry each: operands, result type, and what becomes of every named dimension. Propagation and
 * both verifiers read this table; none of them knows an op by name.
 *
 * A dimension of an op is
 * - parallel: in the output too, computed independently: any split passes through;
 * - whole: the op mixes its elements, so no rank may hold a part only;
 * - lost: in an input but not in the output. `contracted` ones are summed, so a split makes the output partial over
 *   its axes; `absorbed` ones are dealt with by the op itself (`sample` combines the candidates of each vocabulary
 *   slice, `kv_append` files tokens into pages), so a split leaves no trace.
 * Two `tied` dimensions are one dimension under two names or block sizes, and must be split alike: every block of
 * query heads lies with the kv heads it reads. A tied dimension that is `picked` from may be whole instead: the op takes
 * what belongs to its part of the other, as query heads find theirs among all kv heads.
 */
import type { DimName, Gating, LogicalOpKind, LogicalValue, TensorType } from './logical.js';

export interface OperandRule {
  readonly name: string;
  readonly kinds: readonly LogicalValue['kind'][];
  readonly optional?: true;
}

export interface OpRule {
  readonly operands: readonly OperandRule[];
  readonly whole: readonly DimName[];
  readonly lost: 'contracted' | 'absorbed';
  readonly tied?: readonly [DimName, DimName];
  readonly picked?: DimName;
  /** Whether partial sums pass through it unreduced; all other ops need finished sums. */
  readonly linearInInput: boolean;
  readonly outputKind: 'activation' | 'kv';
  /** Type of the output, or what is wrong with the operands. */
  readonly type: (inputs: readonly TensorType[]) => TensorType | string;
}

const ACTIVATION: readonly LogicalValue['kind'][] = ['activation', 'input'];
const x: OperandRule = { name: 'x', kinds: ACTIVATION };
const weight: OperandRule = { name: 'weight', kinds: ['weight'] };
const PLAIN = { whole: [], lost: 'contracted', linearInInput: false, outputKind: 'activation' } as const;

const GATING: OpRule = { ...PLAIN, operands: [x, { ...x, name: 'up' }], type: elementwise };
const GATINGS: Readonly<Record<Gating, OpRule>> = { silu_mul: GATING, gelu_mul: GATING };

export const OPS: Readonly<Record<LogicalOpKind, OpRule>> = {
  embed: {
    ...PLAIN,
    operands: [
      { name: 'ids', kinds: ACTIVATION },
      { name: 'table', kinds: ['weight'] },
    ],
    type: ([ids, table]) => f32([...ids!.dims, ...table!.dims.filter((dim) => dim.name !== 'vocab')]),
  },
  rms_norm: {
    ...PLAIN,
    whole: ['hidden'],
    operands: [x, weight],
    type: ([value, gain]) => sameInner(value!, gain!, 'hidden'),
  },
  linear: {
    ...PLAIN,
    operands: [x, weight, { name: 'bias', kinds: ['weight'], optional: true }],
    type: ([value, matrix, bias]) => linearType(value!, matrix!, bias),
  },
  qk_norm: {
    ...PLAIN,
    whole: ['head_dim'],
    operands: [x, weight],
    type: ([value, gain]) => sameInner(value!, gain!, 'head_dim'),
  },
  rope: { ...PLAIN, whole: ['head_dim'], operands: [x], type: ([value]) => value! },
  kv_append: {
    whole: ['head_dim'],
    lost: 'absorbed',
    linearInInput: false,
    outputKind: 'kv',
    operands: [
      { name: 'k', kinds: ACTIVATION },
      { name: 'v', kinds: ACTIVATION },
      { name: 'kv', kinds: ['kv'] },
    ],
    type: ([k, v, kv]) => {
      if (!sameDims(k!, v!)) return 'k and v differ in shape';
      const perToken = { ...k!, dims: k!.dims.filter((dim) => dim.name !== 'tokens') };
      return sameDims(perToken, kv!) ? kv! : 'k and v do not fit the pages';
    },
  },
  attention: {
    ...PLAIN,
    whole: ['head_dim'],
    tied: ['heads', 'kv_heads'],
    picked: 'kv_heads',
    operands: [
      { name: 'q', kinds: ACTIVATION },
      { name: 'kv', kinds: ['kv'] },
    ],
    type: ([q, kv]) => {
      const heads = sizeOf(q!, 'heads');
      const kvHeads = sizeOf(kv!, 'kv_heads');
      if (heads === undefined || kvHeads === undefined) return 'attention needs heads and kv_heads';
      if (heads % kvHeads !== 0) return `${heads} heads do not divide among ${kvHeads} kv_heads`;
      if (sizeOf(q!, 'head_dim') !== sizeOf(kv!, 'head_dim')) return 'head_dim of q and kv differ';
      return q!;
    },
  },
  ...GATINGS,
  add: { ...PLAIN, operands: [x, { ...x, name: 'delta' }], type: elementwise },
  soft_cap: { ...PLAIN, operands: [x], type: ([value]) => value! },
  select: {
    ...PLAIN,
    tied: ['tokens', 'samples'],
    linearInInput: true,
    operands: [x],
    type: ([value]) => ({
      ...value!,
      dims: value!.dims.map((dim) => (dim.name === 'tokens' ? { name: 'samples' } : dim)),
    }),
  },
  sample: {
    ...PLAIN,
    lost: 'absorbed',
    operands: [{ name: 'logits', kinds: ['activation'] }],
    type: ([logits]) => ({ dtype: 'u32', dims: logits!.dims.filter((dim) => dim.name !== 'vocab') }),
  },
};

export function isGating(kind: string | undefined): kind is Gating {
  return kind !== undefined && Object.hasOwn(GATINGS, kind);
}

/** Size of a dimension of a type; undefined when it has none. */
export function sizeOf(type: TensorType, dim: DimName): number | undefined {
  return type.dims.find((entry) => entry.name === dim)?.size;
}

export function hasDim(type: TensorType, dim: DimName): boolean {
  return type.dims.some((entry) => entry.name === dim);
}

/** Same dimensions of the same sizes in the same order; element types may differ. */
export function sameDims(a: TensorType, b: TensorType): boolean {
  return (
    a.dims.length === b.dims.length &&
    a.dims.every((dim, index) => dim.name === b.dims[index]!.name && dim.size === b.dims[index]!.size)
  );
}

function f32(dims: TensorType['dims']): TensorType {
  return { dtype: 'f32', dims };
}

function elementwise([a, b]: readonly TensorType[]): TensorType | string {
  return sameDims(a!, b!) ? a! : 'operands differ in shape';
}

function sameInner(value: TensorType, gain: TensorType, dim: DimName): TensorType | string {
  const inner = value.dims.at(-1);
  const fits = inner?.name === dim && sameDims({ ...value, dims: [inner] }, gain);
  return fits ? value : `the weight is not one ${dim} vector`;
}

/** Contracts the dimensions that `x` and the weight share; the weight's others become the output's columns. */
function linearType(
  value: TensorType,
  matrix: TensorType,
  bias: TensorType | undefined,
): TensorType | string {
  const inner = matrix.dims.filter((dim) => hasDim(value, dim.name));
  const outer = matrix.dims.filter((dim) => !hasDim(value, dim.name));
  if (inner.length === 0) return 'x and the weight share no dimension';
  const unequal = inner.find((dim) => sizeOf(value, dim.name) !== dim.size);
  if (unequal) return `${unequal.name} of x and of the weight differ`;
  if (bias && !sameDims(f32(outer), bias)) return 'the bias is not one value per output column';
  return f32([...value.dims.filter((dim) => !hasDim(matrix, dim.name)), ...outer]);
}
