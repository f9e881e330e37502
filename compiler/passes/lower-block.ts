/**
 * One sharded block to kernels. A table gives each op kind its lowering; what the kernels take together is fused
 * here by following the graph, never by name:
 * - the linears that feed one `attention` and its `kv_append` become one `qkv` product with rows [q | k | v], and the
 *   q/k norms, rope and `kv_append` between them become one `rope_append`;
 * - the linears that feed one gating become one `gate_up` product with rows [gate | up].
 */
import type { LogicalOp, LogicalOpKind } from '../ir/logical.js';
import { isGating } from '../ir/op-table.js';
import type { CollectiveOp, ShardedBlock, ShardedOp } from '../ir/sharded.js';
import { once } from '../once.js';
import {
  emitKernel,
  normParams,
  outputValue,
  shapeOf,
  valueName,
  valueOf,
  weightOperand,
  type BlockState,
  type LinearGroup,
} from './block-state.js';
import { blockWeights, weightType, type MatrixWeight } from './block-weights.js';
import { lowerAttention, lowerKvAppend, sourceLinear } from './lower-attention.js';
import type { LoweringContext } from './lower-program.js';
import { dimSpan, groupSpan, splitsOverTp, type TpLayout } from './placement.js';
import type { ProgramBuilder } from './program-builder.js';

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

/** What is the same for all layers of a block. */
export type BlockFacts = Pick<
  BlockState,
  'layout' | 'values' | 'producers' | 'weights' | 'ops' | 'groups' | 'shapeOf' | 'rowsOf'
> &
  Pick<ShardedBlock, 'input' | 'output'>;

export function blockFacts(block: ShardedBlock, layout: TpLayout): BlockFacts {
  const { ops, input, output } = block;
  const producers = new Map(ops.map((op) => [op.output, op]));
  const values = new Map(block.values.map((value) => [value.id, value]));
  return {
    layout,
    values,
    shapeOf: once((id: string) => shapeOf(values.get(id)!, layout)),
    rowsOf: once(({ rowDims, value }: MatrixWeight) => groupSpan(rowDims, value.sharding, layout, 0).extent),
    producers,
    weights: blockWeights(block),
    ops,
    groups: linearGroups(ops, producers),
    input,
    output,
  };
}

/** Appends a block to the program; `input` is the program value that enters it. Returns the value that leaves it. */
export function lowerBlock(
  builder: ProgramBuilder,
  block: BlockFacts,
  layer: number,
  input: number | undefined,
  context: LoweringContext,
): number | undefined {
  const state: BlockState = {
    builder,
    context,
    layer,
    ...block,
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
    dtype: weightType(table, state.layer),
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
    dtype: weightType(weight, state.layer),
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
  const rowExtent = (of: readonly MatrixWeight[]): number =>
    of.reduce((sum, weight) => sum + state.rowsOf(weight), 0);
  const n = rowExtent(weights);
  const out = state.builder.value(valueName(state, id), state.builder.rowsOf(input), n);
  for (const linear of linears) state.env.set(linear.output, out);
  const k = state.builder.colsOf(input);
  const runs = equalTypes(weights, state.layer);
  let start = 0;
  for (const { first, end } of runs) {
    const part = weights.slice(first, end);
    const cols = rowExtent(part);
    // A part of the output has the name of its first product.
    const name = runs.length === 1 ? id : `${id}.${linears[first]!.id}`;
    emitKernel(state, op, 'matmul', out, {
      params: {
        n: cols,
        k,
        bias: biases.length === 0 ? 0 : 1,
        ...(runs.length > 1 && { outStart: start, outCols: n }),
      },
      operands: [
        { value: input },
        weightOperand(state, name, part),
        ...(biases.length === 0 ? [] : [weightOperand(state, `${name}_bias`, biases.slice(first, end))]),
        { value: out },
      ],
      dtype: weightType(part[0]!, state.layer),
    });
    start += cols;
  }
}

/** Neighbours of one element type, which share a buffer. */
function equalTypes(
  weights: readonly MatrixWeight[],
  layer: number,
): readonly { readonly first: number; readonly end: number }[] {
  const types = weights.map((weight) => weightType(weight, layer));
  const firsts = types.flatMap((type, i) => (type === types[i - 1] ? [] : [i]));
  return firsts.map((first, i) => ({ first, end: firsts[i + 1] ?? types.length }));
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

/**
 * A sum in place or a gather into a value of its own. A slice is no op at this level: `attention`, the only reader of
 * one, takes its share of the row. No plan makes sharding insert another kind.
 */
function lowerCollective(state: BlockState, op: CollectiveOp): void {
  const { kind, axis, origin } = op;
  const layer = state.layer < 0 ? {} : { layer: state.layer };
  if (kind === 'slice' && readersOf(state, op.output).every((reader) => reader.kind === 'attention')) return;
  if (axis !== 'tp' || (kind !== 'all_reduce' && kind !== 'all_gather'))
    throw new Error(`${kind} over ${axis} has no runtime op`);
  const value = valueOf(state, op.inputs[0]);
  const shared = { op: 'collective', axis, value, ...layer, origin } as const;
  if (kind === 'all_reduce') {
    state.env.set(op.output, value);
    state.builder.emit({ ...shared, kind });
    return;
  }
  const out = outputValue(state, op, op.output);
  if (state.builder.colsOf(out) !== state.builder.colsOf(value) * state.layout.tp)
    throw new Error(`the ranks' columns of ${op.inputs[0]} are not equal parts of ${op.output}`);
  state.builder.emit({ ...shared, kind, out });
}

function readersOf(state: BlockState, id: string): readonly ShardedOp[] {
  return state.ops.filter((op) => (op.inputs as readonly string[]).includes(id));
}

/** What a linear outside the groups is called, by what it reads or what reads it. */
function soloLinearId(state: BlockState, op: LogicalOp): string {
  if (op.part === 'head') return 'lm_head';
  const source = computedBy(state, op.inputs[0]!)?.kind;
  if (source === 'attention') return 'o';
  if (isGating(source)) return 'down';
  return op.id;
}

/** The op that computes a value, which collectives may have laid out anew since. */
function computedBy(state: BlockState, id: string): ShardedOp | undefined {
  const op = state.producers.get(id);
  return op && 'axis' in op ? computedBy(state, op.inputs[0]) : op;
}
