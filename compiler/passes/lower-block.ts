/**
 * One sharded block to kernels. A table gives each op kind its lowering; what the kernels take together is fused
 * here by following the graph, never by name:
 * - the linears that feed one `attention` and its `kv_append` become one `qkv` product with rows [q | k | v], and the
 *   q/k norms, rope and `kv_append` between them become one `rope_append`;
 * - the linears that feed one `silu_mul` or `gelu_mul` become one `gate_up` product with rows [gate | up].
 */
import type { LogicalOp, LogicalOpKind } from '../ir/logical.js';
import type { KernelName, Operand } from '../ir/runtime-graph.js';
import type { CollectiveOp, ShardedBlock, ShardedOp, ShardedStage, ShardedValue } from '../ir/sharded.js';
import { layerAttention } from '../model/attention.js';
import type { WeightType } from '../model/weight-types.js';
import { blockWeights, weightType, type MatrixWeight } from './block-weights.js';
import type { LoweringContext } from './lower-program.js';
import { dimSpan, groupSpan, splitsOverTp, type TpLayout } from './placement.js';
import type { ProgramBuilder } from './program-builder.js';

interface BlockState {
  readonly builder: ProgramBuilder;
  readonly context: LoweringContext;
  readonly layout: TpLayout;
  readonly layer: number;
  readonly values: ReadonlyMap<string, ShardedValue>;
  readonly producers: ReadonlyMap<string, ShardedOp>;
  readonly weights: ReadonlyMap<string, MatrixWeight>;
  readonly ops: readonly ShardedOp[];
  /** Linear output -> the group it is computed in. */
  readonly groups: ReadonlyMap<string, LinearGroup>;
  /** Block value -> program value. */
  readonly env: Map<string, number>;
}

interface LinearGroup {
  readonly id: 'qkv' | 'gate_up';
  readonly linears: readonly LogicalOp[];
}

type Lowering = (state: BlockState, op: LogicalOp) => void;

const LOWERINGS: Readonly<Record<LogicalOpKind, Lowering>> = {
  embed: lowerEmbed,
  rms_norm: lowerNorm,
  linear: lowerLinear,
  // Part of `rope_append`, emitted for the `kv_append` that their results reach.
  qk_norm: () => undefined,
  rope: () => undefined,
  kv_append: lowerKvAppend,
  attention: lowerAttention,
  silu_mul: lowerGated,
  gelu_mul: lowerGated,
  add: lowerAdd,
  soft_cap: lowerSoftCap,
  select: lowerSelect,
  sample: lowerSample,
};

/** Appends a block to the program; `input` is the program value that enters it. Returns the value that leaves it. */
export function lowerBlock(
  builder: ProgramBuilder,
  stage: ShardedStage,
  block: ShardedBlock,
  layer: number,
  input: number | undefined,
  context: LoweringContext,
): number | undefined {
  const producers = new Map(block.ops.map((op) => [op.output, op]));
  const state: BlockState = {
    builder,
    context,
    layout: { tp: stage.mesh.tp, kvReplicas: stage.kvReplicas },
    layer,
    values: new Map(block.values.map((value) => [value.id, value])),
    producers,
    weights: blockWeights(block),
    ops: block.ops,
    groups: linearGroups(block.ops, producers),
    env: new Map(input === undefined ? [] : [[block.input, input]]),
  };
  for (const op of block.ops) {
    if ('axis' in op) lowerCollective(state, op);
    else LOWERINGS[op.kind](state, op);
  }
  return state.env.get(block.output);
}

/** Finds the linears that one kernel computes together. */
function linearGroups(
  ops: readonly ShardedOp[],
  producers: ReadonlyMap<string, ShardedOp>,
): ReadonlyMap<string, LinearGroup> {
  const groups = new Map<string, LinearGroup>();
  const add = (id: LinearGroup['id'], ends: readonly string[]): void => {
    const linears = ends.map((end) => sourceLinear(end, producers));
    if (new Set(linears.map((linear) => linear.inputs[0])).size !== 1) {
      throw new Error(`the products of ${id} do not share their input`);
    }
    for (const linear of linears) groups.set(linear.output, { id, linears });
  };
  for (const op of ops) {
    if (op.kind === 'attention') {
      const append = producers.get(op.inputs[1]!)!;
      add('qkv', [op.inputs[0]!, append.inputs[0]!, append.inputs[1]!]);
    } else if (isGating(op.kind)) {
      add('gate_up', op.inputs);
    }
  }
  return groups;
}

/** The linear that a value comes from, through q/k norms and rope. */
function sourceLinear(value: string, producers: ReadonlyMap<string, ShardedOp>): LogicalOp {
  const op = producers.get(value);
  if (op?.kind === 'rope' || op?.kind === 'qk_norm') return sourceLinear(op.inputs[0]!, producers);
  if (op?.kind !== 'linear') throw new Error(`${value} does not come from a linear`);
  return op;
}

function lowerEmbed(state: BlockState, op: LogicalOp): void {
  const { shape } = state.context;
  const table = state.weights.get(op.inputs[1]!)!;
  const out = outputValue(state, op, 'embed');
  const rows = groupSpan(table.rowDims, table.value.sharding, state.layout, 0);
  const split = table.rowDims.some((dim) => splitsOverTp(dim, table.value.sharding)) ? 1 : 0;
  emitKernel(state, op, 'embed', out, {
    params: {
      vocabRows: rows.extent,
      split,
      hidden: state.builder.colsOf(out),
      ...(shape.scaledEmbedding && { scale: Math.sqrt(shape.hidden) }),
    },
    operands: [{ step: 'rows' }, weightOperand(state, 'embed', [table]), { value: out }],
    dtype: weightType(table),
  });
}

function lowerNorm(state: BlockState, op: LogicalOp): void {
  const weight = state.weights.get(op.inputs[1]!)!;
  const input = valueOf(state, op.inputs[0]!);
  const id = op.part === 'head' ? 'norm' : op.id;
  const out = outputValue(state, op, id);
  emitKernel(state, op, 'rms_norm', out, {
    params: { cols: state.builder.colsOf(input), ...normParams(state) },
    operands: [{ value: input }, weightOperand(state, id, [weight]), { value: out }],
    dtype: weightType(weight),
  });
}

function lowerLinear(state: BlockState, op: LogicalOp): void {
  const group = state.groups.get(op.output);
  if (group && group.linears[0] !== op && state.env.has(group.linears[0]!.output)) {
    state.env.set(op.output, valueOf(state, group.linears[0]!.output));
    return;
  }
  const linears = group?.linears ?? [op];
  const id = group?.id ?? soloLinearId(state, op);
  const weights = linears.map((linear) => state.weights.get(linear.inputs[1]!)!);
  const biases = linears.flatMap((linear) =>
    linear.inputs[2] ? [state.weights.get(linear.inputs[2])!] : [],
  );
  if (biases.length !== 0 && biases.length !== linears.length) {
    throw new Error(`only some products of ${id} have a bias`);
  }
  const input = valueOf(state, op.inputs[0]!);
  const n = weights.reduce(
    (sum, weight) => sum + groupSpan(weight.rowDims, weight.value.sharding, state.layout, 0).extent,
    0,
  );
  const out = state.builder.value(valueName(state, id), state.builder.rowsOf(input), n);
  for (const linear of linears) state.env.set(linear.output, out);
  emitKernel(state, op, 'matmul', out, {
    params: { n, k: state.builder.colsOf(input), bias: biases.length === 0 ? 0 : 1 },
    operands: [
      { value: input },
      weightOperand(state, id, weights),
      ...(biases.length === 0 ? [] : [weightOperand(state, `${id}_bias`, biases)]),
      { value: out },
    ],
    dtype: weightType(weights[0]!),
  });
}

function lowerKvAppend(state: BlockState, op: LogicalOp): void {
  const attention = state.ops.find((other) => other.kind === 'attention' && other.inputs[1] === op.output);
  if (!attention) throw new Error('keys and values are appended but never attended to');
  const qkv = valueOf(state, sourceLinear(op.inputs[0]!, state.producers).output);
  const qNorm = qkNormWeight(state, attention.inputs[0]!);
  const kNorm = qkNormWeight(state, op.inputs[0]!);
  const norms = [qNorm, kNorm].filter((norm) => norm !== undefined);
  if (norms.length === 1) throw new Error('q and k are not normed alike');
  const ids = ['q_norm', 'k_norm'];
  const { rope, rotaryDim, amplitude } = layerAttention(state.context.shape, state.layer);
  const { eps, ...offset } = normParams(state);
  emitKernel(state, op, 'rope_append', qkv, {
    params: {
      ...attentionParams(state, attention.inputs[0]!, op.inputs[0]!),
      qkNorm: norms.length === 0 ? 0 : 1,
      eps,
      ...(norms.length > 0 && offset),
      ...(rotaryDim !== undefined && { rotary: rotaryDim }),
      ...(amplitude !== undefined && { amplitude }),
    },
    operands: [
      { step: 'rows' },
      { constant: rope },
      ...norms.map((norm, index) => weightOperand(state, ids[index]!, [norm], 'f32')),
      { value: qkv },
      { kv: 0 },
    ],
    dtype: state.context.kvDtype,
  });
}

function lowerAttention(state: BlockState, op: LogicalOp): void {
  const append = state.producers.get(op.inputs[1]!)!;
  const qkv = valueOf(state, sourceLinear(op.inputs[0]!, state.producers).output);
  const out = outputValue(state, op, 'attended');
  const { scale, window, softcap } = layerAttention(state.context.shape, state.layer);
  emitKernel(state, op, 'attention', out, {
    params: {
      ...attentionParams(state, op.inputs[0]!, append.inputs[0]!),
      scale,
      ...(window !== undefined && { window }),
      ...(softcap !== undefined && { softcap }),
    },
    operands: [{ step: 'tiles' }, { step: 'table' }, { value: qkv }, { kv: 0 }, { value: out }],
    dtype: state.context.kvDtype,
  });
}

function isGating(kind: ShardedOp['kind'] | undefined): kind is 'silu_mul' | 'gelu_mul' {
  return kind === 'silu_mul' || kind === 'gelu_mul';
}

function lowerGated(state: BlockState, op: LogicalOp): void {
  if (!isGating(op.kind)) throw new Error(`${op.kind} is no gating`);
  const gateUp = valueOf(state, op.inputs[0]!);
  const out = outputValue(state, op, 'gated');
  emitKernel(state, op, op.kind, out, {
    params: { cols: state.builder.colsOf(out) },
    operands: [{ value: gateUp }, { value: out }],
  });
}

/** In place: the sum takes the buffer of the operand that nothing reads afterwards. */
function lowerAdd(state: BlockState, op: LogicalOp): void {
  const at = state.ops.indexOf(op);
  const lives = (id: string): boolean =>
    state.ops.slice(at + 1).some((other) => (other.inputs as readonly string[]).includes(id));
  const target = op.inputs.find((id) => !lives(id));
  if (target === undefined) throw new Error(`both operands of ${op.id} are needed after it`);
  const delta = op.inputs.find((id) => id !== target) ?? target;
  const x = valueOf(state, target);
  state.env.set(op.output, x);
  emitKernel(state, op, 'add', x, {
    params: { cols: state.builder.colsOf(x) },
    operands: [{ value: x }, { value: valueOf(state, delta) }],
  });
}

/** In place: nothing else reads the logits. */
function lowerSoftCap(state: BlockState, op: LogicalOp): void {
  const x = valueOf(state, op.inputs[0]!);
  state.env.set(op.output, x);
  emitKernel(state, op, 'soft_cap', x, {
    params: { cols: state.builder.colsOf(x), cap: state.context.shape.logitSoftcap! },
    operands: [{ value: x }],
  });
}

function lowerSelect(state: BlockState, op: LogicalOp): void {
  const x = valueOf(state, op.inputs[0]!);
  const out = outputValue(state, op, 'selected');
  emitKernel(state, op, 'gather_rows', out, {
    params: { cols: state.builder.colsOf(x) },
    operands: [{ step: 'samples' }, { value: x }, { value: out }],
  });
}

function lowerSample(state: BlockState, op: LogicalOp): void {
  const logits = state.values.get(op.inputs[0]!)!;
  const dim = logits.type.dims.find((candidate) => candidate.name === 'vocab')!;
  state.builder.emit({
    op: 'sample',
    logits: valueOf(state, op.inputs[0]!),
    vocabPerRank: dimSpan(dim, logits.sharding, state.layout, 0).extent,
    vocab: dim.size!,
    split: splitsOverTp(dim, logits.sharding) ? 'tp' : 'none',
    origin: state.values.get(op.output)!.origin,
  });
}

function lowerCollective(state: BlockState, op: CollectiveOp): void {
  if (op.kind !== 'all_reduce' || op.axis !== 'tp') {
    throw new Error(`${op.kind} over ${op.axis} has no runtime op`);
  }
  const value = valueOf(state, op.inputs[0]);
  state.env.set(op.output, value);
  const layer = state.layer < 0 ? {} : { layer: state.layer };
  state.builder.emit({
    op: 'collective',
    kind: 'all_reduce',
    axis: 'tp',
    value,
    ...layer,
    origin: op.origin,
  });
}

function normParams(state: BlockState): { readonly eps: number; readonly offset?: number } {
  const { normEps, unitNorms } = state.context.shape;
  return { eps: normEps, ...(unitNorms && { offset: 1 }) };
}

/** Head counts of this rank. `layer` is that of the model until the KV pools are laid out; see `bindKvGroups`. */
function attentionParams(state: BlockState, q: string, k: string): Record<string, number> {
  return {
    heads: headCount(state, q, 'heads'),
    kvHeads: headCount(state, k, 'kv_heads'),
    headDim: state.context.shape.headDim,
    pageTokens: state.context.pageTokens,
    layer: state.layer,
    groupLayers: 0,
  };
}

function headCount(state: BlockState, id: string, name: 'heads' | 'kv_heads'): number {
  const value = state.values.get(id)!;
  const dim = value.type.dims.find((candidate) => candidate.name === name)!;
  return dimSpan(dim, value.sharding, state.layout, 0).extent;
}

function qkNormWeight(state: BlockState, id: string): MatrixWeight | undefined {
  const op = state.producers.get(id);
  if (op?.kind === 'rope') return qkNormWeight(state, op.inputs[0]!);
  return op?.kind === 'qk_norm' ? state.weights.get(op.inputs[1]!) : undefined;
}

/** What a linear outside the groups is called, by what it reads or what reads it. */
function soloLinearId(state: BlockState, op: LogicalOp): string {
  if (op.part === 'head') return 'lm_head';
  const source = state.producers.get(op.inputs[0]!)?.kind;
  if (source === 'attention') return 'o';
  if (isGating(source)) return 'down';
  return op.id;
}

interface KernelBody {
  readonly params: Readonly<Record<string, number>>;
  readonly operands: readonly Operand[];
  readonly dtype?: WeightType;
}

/** Emits a kernel whose dispatch is sized by the rows of `sizedBy`. */
function emitKernel(
  state: BlockState,
  op: LogicalOp,
  kernel: KernelName,
  sizedBy: number,
  body: KernelBody,
): void {
  const layer = state.layer < 0 ? {} : { layer: state.layer };
  const origin = state.values.get(op.output)!.origin;
  const rows = state.builder.rowsOf(sizedBy);
  state.builder.emit({ op: 'kernel', kernel, rows, ...body, ...layer, origin });
}

/** Makes the program value of an op's output, with this rank's columns. */
function outputValue(state: BlockState, op: LogicalOp, name: string): number {
  const { type, sharding } = state.values.get(op.output)!;
  const sized = type.dims.filter((dim) => dim.size !== undefined);
  const rows = type.dims.some((dim) => dim.name === 'samples') ? 'samples' : 'tokens';
  const cols = groupSpan(sized, sharding, state.layout, 0).extent;
  const value = state.builder.value(valueName(state, name), rows, cols);
  state.env.set(op.output, value);
  return value;
}

function valueOf(state: BlockState, id: string): number {
  const value = state.env.get(id);
  if (value === undefined) throw new Error(`${id} is used before it is computed`);
  return value;
}

function weightOperand(
  state: BlockState,
  name: string,
  parts: readonly MatrixWeight[],
  dtype = weightType(parts[0]!),
): Operand {
  const id = state.layer < 0 ? name : `layers.${state.layer}.${name}`;
  return { weight: state.builder.weight({ id, dtype, layer: state.layer, parts }) };
}

function valueName(state: BlockState, name: string): string {
  return state.layer < 0 ? name : `layers.${state.layer}.${name}`;
}
