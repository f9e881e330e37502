/**
 * What every kernel takes: operands in order, parameters, and how their shapes hang together. Verifiers check
 * runtime graphs against this table; it is the machine-readable form of the comments on `KernelName`.
 */
import type { KernelName } from './runtime-program.js';

/** Kinds of operands. `rows?` names the step region. */
export type OperandSpec =
  | { readonly kind: 'value'; readonly name: string; readonly rows?: 'tokens' | 'samples' }
  | { readonly kind: 'weight'; readonly name: string; readonly when?: string }
  | { readonly kind: 'step'; readonly region: 'rows' | 'table' | 'tiles' | 'samples' }
  | { readonly kind: 'kv' }
  | { readonly kind: 'rope' };

/** Columns of values and shapes `[rows, cols]` of weights by operand name, the parameters, and the ranks of tp. */
export interface KernelFacts {
  readonly cols: Readonly<Record<string, number>>;
  readonly weights: Readonly<Record<string, readonly [rows: number, cols: number]>>;
  readonly params: Readonly<Record<string, number>>;
  readonly tp: number;
}

export interface KernelSpec {
  readonly operands: readonly OperandSpec[];
  readonly params: readonly string[];
  /** Parameters that may be absent. */
  readonly optional?: readonly string[];
  /** What must be equal, as pairs with a name. */
  readonly equal: (facts: KernelFacts) => readonly (readonly [what: string, left: number, right: number])[];
}

const value = (name: string, rows?: 'tokens' | 'samples'): OperandSpec =>
  rows ? { kind: 'value', name, rows } : { kind: 'value', name };
const weight = (name: string, when?: string): OperandSpec =>
  when ? { kind: 'weight', name, when } : { kind: 'weight', name };
const step = (region: 'rows' | 'table' | 'tiles' | 'samples'): OperandSpec => ({ kind: 'step', region });

const HEADS = ['heads', 'kvHeads', 'headDim', 'pageTokens', 'layer', 'groupLayers'];

const qkvCols = ({ params }: KernelFacts): number =>
  ((params['rowHeads'] ?? params['heads']!) + 2 * params['kvHeads']!) * params['headDim']!;

const GATED: KernelSpec = {
  operands: [value('gateUp'), value('out')],
  params: ['cols'],
  equal: ({ cols, params }) => [
    ['input columns', cols['gateUp']!, 2 * params['cols']!],
    ['output columns', cols['out']!, params['cols']!],
  ],
};

export const KERNELS: Readonly<Record<KernelName, KernelSpec>> = {
  embed: {
    operands: [step('rows'), weight('table'), value('out', 'tokens')],
    params: ['vocabRows', 'split', 'hidden'],
    optional: ['scale'],
    equal: ({ cols, weights, params }) => [
      ['table rows', weights['table']![0], params['vocabRows']!],
      ['table columns', weights['table']![1], params['hidden']!],
      ['output columns', cols['out']!, params['hidden']!],
    ],
  },
  rms_norm: {
    operands: [value('x'), weight('gain'), value('out')],
    params: ['cols', 'eps'],
    optional: ['offset'],
    equal: ({ cols, weights, params }) => [
      ['input columns', cols['x']!, params['cols']!],
      ['output columns', cols['out']!, params['cols']!],
      ['gain rows', weights['gain']![0], 1],
      ['gain columns', weights['gain']![1], params['cols']!],
    ],
  },
  add_rms_norm: {
    operands: [value('x'), value('delta'), weight('gain'), value('out')],
    params: ['cols', 'eps'],
    optional: ['offset'],
    equal: ({ cols, weights, params }) => [
      ['input columns', cols['x']!, params['cols']!],
      ['delta columns', cols['delta']!, params['cols']!],
      ['output columns', cols['out']!, params['cols']!],
      ['gain rows', weights['gain']![0], 1],
      ['gain columns', weights['gain']![1], params['cols']!],
    ],
  },
  add: {
    operands: [value('x'), value('delta')],
    params: ['cols'],
    equal: ({ cols, params }) => [
      ['input columns', cols['x']!, params['cols']!],
      ['delta columns', cols['delta']!, params['cols']!],
    ],
  },
  matmul: {
    operands: [value('a'), weight('weight'), weight('bias', 'bias'), value('out')],
    params: ['n', 'k', 'bias'],
    optional: ['outStart', 'outCols'],
    equal: ({ cols, weights, params }) => [
      ['input columns', cols['a']!, params['k']!],
      ['output columns', cols['out']!, params['outCols'] ?? params['n']!],
      ['columns beyond the output', Math.max(0, (params['outStart'] ?? 0) + params['n']! - cols['out']!), 0],
      ['columns from the start of a quad', (params['outStart'] ?? 0) % 4, 0],
      ['weight rows', weights['weight']![0], params['n']!],
      ['weight columns', weights['weight']![1], params['k']!],
      ...(weights['bias']
        ? ([
            ['bias rows', weights['bias'][0], 1],
            ['bias columns', weights['bias'][1], params['n']!],
          ] as const)
        : []),
    ],
  },
  rope_append: {
    operands: [
      step('rows'),
      { kind: 'rope' },
      weight('qNorm', 'qkNorm'),
      weight('kNorm', 'qkNorm'),
      value('qkv', 'tokens'),
      { kind: 'kv' },
    ],
    params: [...HEADS, 'qkNorm', 'eps'],
    optional: ['rotary', 'amplitude', 'offset'],
    equal: (facts) => [
      ['qkv columns', facts.cols['qkv']!, qkvCols(facts)],
      ...(facts.weights['qNorm']
        ? ([
            ['q norm columns', facts.weights['qNorm'][1], facts.params['headDim']!],
            ['k norm columns', facts.weights['kNorm']![1], facts.params['headDim']!],
          ] as const)
        : []),
    ],
  },
  attention: {
    operands: [step('tiles'), step('table'), value('qkv', 'tokens'), { kind: 'kv' }, value('out', 'tokens')],
    params: [...HEADS, 'scale'],
    optional: ['window', 'softcap', 'rowHeads', 'pageHeads'],
    equal: (facts) => [
      ['qkv columns', facts.cols['qkv']!, qkvCols(facts)],
      ['output columns', facts.cols['out']!, facts.params['heads']! * facts.params['headDim']!],
      [
        'heads per kv head',
        (facts.params['pageHeads'] ?? facts.params['heads']!) % facts.params['kvHeads']!,
        0,
      ],
      ...(['rowHeads', 'pageHeads'] as const).flatMap((name) =>
        facts.params[name] === undefined
          ? []
          : ([[name, facts.params[name], facts.params['heads']! * facts.tp]] as const),
      ),
    ],
  },
  silu_mul: GATED,
  gelu_mul: GATED,
  soft_cap: {
    operands: [value('x')],
    params: ['cols', 'cap'],
    equal: ({ cols, params }) => [['columns', cols['x']!, params['cols']!]],
  },
  gather_rows: {
    operands: [step('samples'), value('x', 'tokens'), value('out', 'samples')],
    params: ['cols'],
    equal: ({ cols, params }) => [
      ['input columns', cols['x']!, params['cols']!],
      ['output columns', cols['out']!, params['cols']!],
    ],
  },
};

export const KERNEL_NAMES = Object.keys(KERNELS) as readonly KernelName[];

/** Operands a kernel has with these parameters: conditional weights only when their parameter is 1. */
export function kernelOperands(
  kernel: KernelName,
  params: Readonly<Record<string, number>>,
): readonly OperandSpec[] {
  return KERNELS[kernel].operands.filter(
    (operand) => operand.kind !== 'weight' || operand.when === undefined || params[operand.when] === 1,
  );
}
