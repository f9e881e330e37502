/**
 * Model to logical graph. What the model computes follows from its shape alone: optional parts (biases, norms, caps,
 * tied embeddings) are in the graph exactly when the shape has them; tensor names come from the family's table. In
 * what layers differ (window, rotary table) is not in the graph: `model/attention.ts` tells it to the lowering.
 */
import type {
  DimName,
  Gating,
  LogicalBlock,
  LogicalGraph,
  LogicalOp,
  LogicalOpKind,
  LogicalValue,
  TensorType,
} from '../ir/logical.js';
import { familyNamed, type TensorNames } from '../model/families.js';
import type { Activation, ModelShape, ModelSpec } from '../model/shape.js';
import { tableType, vectorType, type WeightType } from '../model/weight-types.js';

const GATINGS: Readonly<Record<Activation, Gating>> = { silu: 'silu_mul', gelu_tanh: 'gelu_mul' };

/** The logical graph of a checked model. Throws for a family without a table entry: the checker refuses those. */
export function buildLogical(model: ModelSpec): LogicalGraph {
  const family = familyNamed(model.shape.family);
  if (!family) throw new Error(`no model family ${model.shape.family}`);
  return {
    model: model.name,
    shape: model.shape,
    weights: model.weights,
    blocks: [
      embedBlock(model, family.tensors),
      layerBlock(model, family.tensors),
      headBlock(model, family.tensors),
    ],
  };
}

function embedBlock(model: ModelSpec, names: TensorNames): LogicalBlock {
  const block = startBlock(model);
  block.input('ids', 'u32', ['tokens']);
  const table = block.matrix('embed_weight', names.embed, ['vocab'], ['hidden']);
  block.op('embed', 'embed', 'embed', ['ids', table], ['tokens', 'hidden']);
  return block.finish('embed', 1, 'ids', 'embed');
}

function layerBlock(model: ModelSpec, names: TensorNames): LogicalBlock {
  const { shape } = model;
  const block = startBlock(model);
  block.input('x', 'f32', ['tokens', 'hidden']);
  block.kv('kv');

  const norm = (id: string, part: 'attention' | 'mlp', x: string, tensor: string): string => {
    const gain = block.vector(`${id}_weight`, tensor, ['hidden']);
    return block.op(id, 'rms_norm', part, [x, gain], ['tokens', 'hidden']);
  };
  norm('attn_norm', 'attention', 'x', names.attnNorm);
  const project = (
    id: string,
    part: 'attention' | 'mlp',
    x: string,
    tensor: string,
    n: readonly DimName[],
    k: readonly DimName[],
    bias: boolean,
  ): string => {
    const weight = block.matrix(`${id}_weight`, tensor, n, k);
    const biases = bias ? [block.vector(`${id}_bias`, tensor, n, 'bias')] : [];
    return block.op(id, 'linear', part, [x, weight, ...biases], ['tokens', ...n]);
  };
  let q = project('q', 'attention', 'attn_norm', names.q, ['heads', 'head_dim'], ['hidden'], shape.qkvBias);
  let k = project(
    'k',
    'attention',
    'attn_norm',
    names.k,
    ['kv_heads', 'head_dim'],
    ['hidden'],
    shape.qkvBias,
  );
  const v = project(
    'v',
    'attention',
    'attn_norm',
    names.v,
    ['kv_heads', 'head_dim'],
    ['hidden'],
    shape.qkvBias,
  );
  if (shape.qkNorm) {
    const qGain = block.vector('q_norm_weight', names.qNorm, ['head_dim']);
    const kGain = block.vector('k_norm_weight', names.kNorm, ['head_dim']);
    q = block.op('q_norm', 'qk_norm', 'attention', [q, qGain], ['tokens', 'heads', 'head_dim']);
    k = block.op('k_norm', 'qk_norm', 'attention', [k, kGain], ['tokens', 'kv_heads', 'head_dim']);
  }
  block.op('q_rope', 'rope', 'attention', [q], ['tokens', 'heads', 'head_dim']);
  block.op('k_rope', 'rope', 'attention', [k], ['tokens', 'kv_heads', 'head_dim']);
  block.append('kv_next', ['k_rope', v, 'kv']);
  block.op('attended', 'attention', 'attention', ['q_rope', 'kv_next'], ['tokens', 'heads', 'head_dim']);
  project('o', 'attention', 'attended', names.o, ['hidden'], ['heads', 'head_dim'], shape.outputBias);
  const attn = shape.postNorms ? norm('attn_post_norm', 'attention', 'o', names.attnPostNorm) : 'o';
  block.op('attn_residual', 'add', 'attention', ['x', attn], ['tokens', 'hidden']);

  norm('mlp_norm', 'mlp', 'attn_residual', names.mlpNorm);
  project('gate', 'mlp', 'mlp_norm', names.gate, ['ffn'], ['hidden'], shape.mlpBias);
  project('up', 'mlp', 'mlp_norm', names.up, ['ffn'], ['hidden'], shape.mlpBias);
  block.op('gated', GATINGS[shape.activation ?? 'silu'], 'mlp', ['gate', 'up'], ['tokens', 'ffn']);
  project('down', 'mlp', 'gated', names.down, ['hidden'], ['ffn'], shape.mlpBias);
  const mlp = shape.postNorms ? norm('mlp_post_norm', 'mlp', 'down', names.mlpPostNorm) : 'down';
  block.op('mlp_residual', 'add', 'mlp', ['attn_residual', mlp], ['tokens', 'hidden']);
  return block.finish('layer', shape.layers, 'x', 'mlp_residual');
}

function headBlock(model: ModelSpec, names: TensorNames): LogicalBlock {
  const block = startBlock(model);
  block.input('x', 'f32', ['tokens', 'hidden']);
  block.op('selected', 'select', 'head', ['x'], ['samples', 'hidden']);
  const gain = block.vector('final_norm_weight', names.finalNorm, ['hidden']);
  block.op('final_norm', 'rms_norm', 'head', ['selected', gain], ['samples', 'hidden']);
  const table = model.shape.tied ? names.embed : names.lmHead;
  const weight = block.matrix('lm_head_weight', table, ['vocab'], ['hidden']);
  let logits = block.op('logits', 'linear', 'head', ['final_norm', weight], ['samples', 'vocab']);
  if (model.shape.logitSoftcap !== undefined)
    logits = block.op('capped', 'soft_cap', 'head', [logits], ['samples', 'vocab']);
  block.op('sampled', 'sample', 'head', [logits], ['samples'], 'u32');
  return block.finish('head', 1, 'x', 'sampled');
}

interface BlockBuilder {
  readonly input: (id: string, dtype: TensorType['dtype'], dims: readonly DimName[]) => string;
  /** `[rows, cols]`; matrices that name one tensor lie in it one after the other. */
  readonly matrix: (id: string, tensor: string, rows: readonly DimName[], cols: readonly DimName[]) => string;
  readonly vector: (id: string, tensor: string, dims: readonly DimName[], what?: 'weight' | 'bias') => string;
  readonly kv: (id: string) => string;
  readonly op: (
    id: string,
    kind: LogicalOpKind,
    part: LogicalOp['part'],
    inputs: readonly string[],
    dims: readonly DimName[],
    dtype?: TensorType['dtype'],
  ) => string;
  /** `kv_append`, whose output is pages, not an activation. */
  readonly append: (id: string, inputs: readonly string[]) => string;
  readonly finish: (
    name: LogicalBlock['name'],
    repeat: number,
    input: string,
    output: string,
  ) => LogicalBlock;
}

function startBlock(model: ModelSpec): BlockBuilder {
  const values: LogicalValue[] = [];
  const ops: LogicalOp[] = [];
  /** Rows of each tensor that matrices have taken. */
  const taken = new Map<string, number>();
  const type = (dtype: TensorType['dtype'], dims: readonly DimName[]): TensorType => ({
    dtype,
    dims: dims.map((name) => {
      const size = dimSize(model.shape, name);
      return size === undefined ? { name } : { name, size };
    }),
  });
  const value = (entry: LogicalValue): string => {
    values.push(entry);
    return entry.id;
  };
  const kv = (id: string): string => value({ id, kind: 'kv', type: type('f32', ['kv_heads', 'head_dim']) });
  return {
    kv,
    input: (id, dtype, dims) => value({ id, kind: 'input', type: type(dtype, dims) }),
    matrix: (id, tensor, rows, cols) => {
      const firstRow = taken.get(tensor) ?? 0;
      const count = rows.reduce((product, dim) => product * dimSize(model.shape, dim)!, 1);
      taken.set(tensor, firstRow + count);
      const weights = rows.includes('vocab') ? tableType(model.weights) : model.weights;
      const dims = type(weights, [...rows, ...cols]);
      const start = firstRow === 0 ? {} : { firstRow };
      const name = `${tensor}.weight`;
      return value({ id, kind: 'weight', type: dims, tensor: name, ...start, ...storedTypes(model, name) });
    },
    vector: (id, tensor, dims, what = 'weight') =>
      value({ id, kind: 'weight', type: type(vectorType(model.weights), dims), tensor: `${tensor}.${what}` }),
    op: (id, kind, part, inputs, dims, dtype = 'f32') => {
      ops.push({ id, kind, inputs, output: id, part });
      return value({ id, kind: 'activation', type: type(dtype, dims) });
    },
    append: (id, inputs) => {
      ops.push({ id, kind: 'kv_append', inputs, output: id, part: 'attention' });
      return kv(id);
    },
    finish: (name, repeat, input, output) => ({ name, repeat, input, output, values, ops }),
  };
}

/** Elements of a named dimension in the whole model; undefined for the run-time sizes. */
export function dimSize(shape: ModelShape, dim: DimName): number | undefined {
  const sizes: Readonly<Record<DimName, number | undefined>> = {
    tokens: undefined,
    samples: undefined,
    hidden: shape.hidden,
    heads: shape.heads,
    kv_heads: shape.kvHeads,
    head_dim: shape.headDim,
    ffn: shape.ffn,
    vocab: shape.vocab,
  };
  return sizes[dim];
}

/** Types that a file has of a tensor, by its name in every layer. */
function storedTypes(
  { stored, shape }: ModelSpec,
  tensor: string,
): { readonly stored?: Readonly<Record<string, WeightType>> } {
  if (stored === undefined) return {};
  const names = Array.from({ length: shape.layers }, (_, layer) => tensor.replace('{layer}', String(layer)));
  const known = [...new Set(names)].flatMap((name) => {
    const type = stored[name];
    return type === undefined ? [] : [[name, type] as const];
  });
  return { stored: Object.fromEntries(known) };
}
