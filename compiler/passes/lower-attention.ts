/**
 * Attention of a sharded block to its two kernels: `rope_append`, which has the q/k norms, the rotation and the pages
 * of the op `kv_append`, and `attention`.
 *
 * Query heads and kv heads may be split over tp independently of each other. Each rank attends with its share of the
 * query heads, so where the row has all of them, or the pages all kv heads, the kernel is told where its share begins.
 */
import type { LogicalOp } from '../ir/logical.js';
import type { ShardedOp } from '../ir/sharded.js';
import { layerAttention } from '../model/attention.js';
import {
  emitKernel,
  normParams,
  outputValue,
  valueOf,
  weightOperand,
  type BlockState,
} from './block-state.js';
import type { MatrixWeight } from './block-weights.js';
import { dimSpan, splitsOverTp } from './placement.js';

/** The linear that a value comes from, through q/k norms, rope and a slice of the heads. */
export function sourceLinear(value: string, producers: ReadonlyMap<string, ShardedOp>): LogicalOp {
  const op = producers.get(value);
  if (op?.kind === 'rope' || op?.kind === 'qk_norm' || op?.kind === 'slice')
    return sourceLinear(op.inputs[0], producers);
  if (op?.kind !== 'linear') throw new Error(`${value} does not come from a linear`);
  return op;
}

/** All heads of the row, this rank's share or not: what is not split is computed everywhere. */
export function lowerKvAppend(state: BlockState, op: LogicalOp): void {
  const attention = state.ops.find((other) => other.kind === 'attention' && other.inputs[1] === op.output);
  if (!attention) throw new Error('keys and values are appended but never attended to');
  const qkv = valueOf(state, sourceLinear(op.inputs[0]!, state.producers).output);
  const q = wholeRow(state, attention.inputs[0]!);
  const qNorm = qkNormWeight(state, q);
  const kNorm = qkNormWeight(state, op.inputs[0]!);
  const norms = [qNorm, kNorm].filter((norm) => norm !== undefined);
  if (norms.length === 1) throw new Error('q and k are not normed alike');
  const ids = ['q_norm', 'k_norm'];
  const { rope, rotaryDim, amplitude } = layerAttention(state.context.shape, state.layer);
  const { eps, ...offset } = normParams(state);
  emitKernel(state, op, 'rope_append', qkv, {
    params: {
      ...attentionParams(state, q, op.inputs[0]!),
      qkNorm: norms.length === 0 ? 0 : 1,
      eps,
      ...(norms.length > 0 && offset),
      ...(rotaryDim !== undefined && { rotary: rotaryDim }),
      ...(amplitude !== undefined && { amplitude }),
    },
    operands: [
      { step: 'rows' },
      { constant: rope },
      ...norms.map((norm, index) => weightOperand(state, ids[index]!, [norm])),
      { value: qkv },
      { kv: 0 },
    ],
    dtype: state.context.kvDtype,
  });
}

export function lowerAttention(state: BlockState, op: LogicalOp): void {
  const append = state.producers.get(op.inputs[1]!)!;
  const qkv = valueOf(state, sourceLinear(op.inputs[0]!, state.producers).output);
  const out = outputValue(state, op, 'attended');
  const { scale, window, softcap } = layerAttention(state.context.shape, state.layer);
  emitKernel(state, op, 'attention', out, {
    params: {
      ...attentionParams(state, op.inputs[0]!, append.inputs[0]!),
      scale,
      ...shareOfHeads(state, op.inputs[0]!, append.inputs[0]!),
      ...(window !== undefined && { window }),
      ...(softcap !== undefined && { softcap }),
    },
    operands: [{ step: 'tiles' }, { step: 'table' }, { value: qkv }, { kv: 0 }, { value: out }],
    dtype: state.context.kvDtype,
  });
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

/** The queries as the row has them, before a rank's share is taken. */
function wholeRow(state: BlockState, q: string): string {
  const op = state.producers.get(q);
  return op?.kind === 'slice' ? op.inputs[0] : q;
}

/** Where the row or the pages have heads of all ranks while a rank attends with its share: how many that are. */
function shareOfHeads(state: BlockState, q: string, k: string): Record<string, number> {
  const row = wholeRow(state, q);
  const picks = isSplit(state, q, 'heads') && !isSplit(state, k, 'kv_heads');
  return {
    ...(row !== q && { rowHeads: headCount(state, row, 'heads') }),
    ...(picks && { pageHeads: state.context.shape.heads }),
  };
}

function isSplit(state: BlockState, id: string, name: 'heads' | 'kv_heads'): boolean {
  return splitsOverTp({ name }, state.values.get(id)!.sharding);
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
