/**
 * Executes a sharded stage for all of its ranks, in f64, and keeps every value of every rank, so that a test can put
 * the parts together and compare them with the logical graph's.
 */
import type { DimName, LogicalGraph } from '../../../compiler/ir/logical.js';
import type {
  CollectiveOp,
  MeshAxis,
  ShardedBlock,
  ShardedOp,
  ShardedStage,
  ShardedValue,
} from '../../../compiler/ir/sharded.js';
import { isCollective } from '../../../compiler/ir/print-sharded.js';
import { coordsOf, rankBlock, REPLICATED, type MeshCoords } from '../../../compiler/ir/sharding-algebra.js';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { originAt } from './make-plan.js';
import * as local from './local-ops.js';
import { tensor, type Pages, type Row, type Tensor } from './local-ops.js';

/** Whole tensors by checkpoint name, flat. */
export type Weights = (name: string) => Float64Array;

/** Rows of one step for each dp replica; every replica has as many rows and samples as the others. */
export interface Step {
  readonly replicas: readonly { readonly rows: readonly Row[]; readonly samples: readonly number[] }[];
}

/** One value as it lay: by rank, only on the ranks of the pipeline stage that computed it. */
export interface Placed {
  readonly value: ShardedValue;
  readonly parts: ReadonlyMap<number, Tensor>;
}

export interface Interpreter {
  /** Runs a step through all layers. Values by `embed.x`, `layer.3.q`, `head.logits`; pages are left out. */
  readonly run: (step: Step) => ReadonlyMap<string, Placed>;
}

type Held = Tensor | Pages;

/** An interpreter with empty KV pages. */
export function interpreter(stage: ShardedStage, shape: ModelShape, weights: Weights): Interpreter {
  const { mesh } = stage;
  const ranks = Array.from({ length: mesh.dp * mesh.pp * mesh.tp }, (_, rank) => ({
    rank,
    coords: coordsOf(mesh, rank),
  }));
  const pages = new Map<string, Pages>();

  const localSize = (
    value: ShardedValue,
    dim: DimName,
    size: number,
    coords: MeshCoords,
  ): [number, number] => {
    const [start, end] = rankBlock(dim, size, value.sharding.dims[dim] ?? [], mesh, coords, stage.kvReplicas);
    return [start, end];
  };

  /** The rows of a weight's tensor that are the weight. */
  const wholeWeight = (value: ShardedValue, layer: number): Float64Array => {
    const data = weights(value.tensor!.replace('{layer}', `${layer}`));
    const size = value.type.dims.reduce((product, dim) => product * dim.size!, 1);
    const start = (value.firstRow ?? 0) * value.type.dims.at(-1)!.size!;
    return data.subarray(start, start + size);
  };

  const localWeight = (value: ShardedValue, layer: number, coords: MeshCoords): Tensor => {
    const whole = tensor(
      value.type.dims.map((dim) => ({ name: dim.name, size: dim.size! })),
      wholeWeight(value, layer),
    );
    const part = value.type.dims.reduce(
      (current, dim) => cut(current, dim.name, localSize(value, dim.name, dim.size!, coords)),
      whole,
    );
    const first = value.sharding.partial.every((axis) => coords[axis] === 0);
    return first ? part : { ...part, data: new Float64Array(part.data.length) };
  };

  const localPages = (value: ShardedValue, key: string, coords: MeshCoords): Pages => {
    const [start, end] = localSize(value, 'kv_heads', shape.kvHeads, coords);
    return pages.get(key) ?? { kvHeads: end - start, headDim: shape.headDim, tokens: new Map() };
  };

  const runBlock = (
    block: ShardedBlock,
    layer: number,
    pp: number,
    step: Step,
    input: ReadonlyMap<number, Tensor> | undefined,
    record: (value: ShardedValue, parts: ReadonlyMap<number, Tensor>) => void,
  ): ReadonlyMap<number, Tensor> => {
    const members = ranks.filter(({ coords }) => coords.pp === pp);
    const values = new Map(block.values.map((value) => [value.id, value]));
    const held = new Map<string, Map<number, Held>>();
    const has = (id: string, rank: number): Held => held.get(id)!.get(rank)!;
    for (const value of block.values) {
      if (value.kind === 'activation' || (value.kind === 'kv' && value.id !== 'kv')) continue;
      const parts = members.map(({ rank, coords }): [number, Held] => {
        if (value.kind === 'weight') return [rank, localWeight(value, layer, coords)];
        if (value.kind === 'kv') return [rank, localPages(value, `${layer}/${rank}`, coords)];
        return [rank, input?.get(rank) ?? idsOf(step.replicas[coords.dp]!.rows)];
      });
      held.set(value.id, new Map(parts));
    }
    for (const op of block.ops) {
      const output = values.get(op.output)!;
      const parts = new Map<number, Held>();
      for (const { rank, coords } of members) {
        const peers = (axis: MeshAxis): Held[] =>
          members
            .filter((other) =>
              (['dp', 'pp', 'tp'] as const).every(
                (name) => name === axis || other.coords[name] === coords[name],
              ),
            )
            .map((other) => has(op.inputs[0]!, other.rank));
        const operands = op.inputs.map((id) => has(id, rank));
        const start = (id: string, dim: DimName, size: number): [number, number] =>
          localSize(values.get(id)!, dim, size, coords);
        parts.set(
          rank,
          isCollective(op)
            ? collective(op, operands[0]!, peers, start)
            : compute(op, layer, operands, step.replicas[coords.dp]!, peers, start),
        );
        if (op.kind === 'kv_append') pages.set(`${layer}/${rank}`, parts.get(rank) as Pages);
      }
      held.set(op.output, parts);
      if (output.kind === 'activation') record(output, parts as Map<number, Tensor>);
    }
    return held.get(block.output) as Map<number, Tensor>;
  };

  const collective = (
    op: CollectiveOp,
    mine: Held,
    peers: (axis: MeshAxis) => Held[],
    start: (id: string, dim: DimName, size: number) => [number, number],
  ): Held => {
    if (op.kind === 'all_reduce') return (peers(op.axis) as Tensor[]).reduce(local.add);
    if (op.kind === 'all_gather') return joined(peers(op.axis) as Tensor[], op.dim!);
    if (op.kind === 'reduce_scatter') throw new Error('no plan scatters');
    const sizes = { heads: shape.heads, kv_heads: shape.kvHeads } as Readonly<Record<string, number>>;
    const range = start(op.output, op.dim!, sizes[op.dim!]!);
    if ('tokens' in mine) throw new Error('no plan slices pages');
    return cut(mine, op.dim!, range);
  };

  const compute = (
    op: Exclude<ShardedOp, CollectiveOp>,
    layer: number,
    operands: readonly Held[],
    { rows, samples }: Step['replicas'][number],
    peers: (axis: MeshAxis) => Held[],
    start: (id: string, dim: DimName, size: number) => [number, number],
  ): Held => {
    const [a, b, c] = operands as [Tensor, Tensor, Tensor | undefined];
    const sliding = shape.sliding?.layers.includes(layer) ? shape.sliding : undefined;
    switch (op.kind) {
      case 'embed':
        return local.embed(
          rows,
          b,
          start(op.inputs[1]!, 'vocab', shape.vocab)[0],
          shape.scaledEmbedding ? Math.sqrt(shape.hidden) : 1,
        );
      case 'rms_norm':
      case 'qk_norm':
        return local.norm(a, b, shape.unitNorms ? 1 : 0, shape.normEps);
      case 'linear':
        return local.linear(a, b, c);
      case 'rope':
        return local.rope(a, rows, shape, sliding?.ropeTheta ?? shape.ropeTheta);
      case 'kv_append':
        return local.append(a, b, operands[2] as Pages, rows);
      case 'attention': {
        const place = {
          first: start(op.inputs[0]!, 'heads', shape.heads)[0],
          firstKv: start(op.inputs[1]!, 'kv_heads', shape.kvHeads)[0],
          perKvHead: shape.heads / shape.kvHeads,
        };
        return local.attention(a, operands[1] as Pages, rows, place, {
          scale: 1 / Math.sqrt(shape.queryScalar ?? shape.headDim),
          cap: shape.attentionSoftcap,
          window: sliding?.window ?? Infinity,
        });
      }
      case 'silu_mul':
        return local.siluMul(a, b);
      case 'gelu_mul':
        return local.geluMul(a, b);
      case 'soft_cap':
        return local.softCap(a, shape.logitSoftcap!);
      case 'add':
        return local.add(a, b);
      case 'select':
        return local.select(a, samples);
      case 'sample': {
        const whole = local.extent(a, 'vocab') === shape.vocab ? a : joined(peers('tp') as Tensor[], 'vocab');
        return argmaxRows(whole);
      }
    }
  };

  return {
    run: (step) => {
      const found = new Map<string, Placed>();
      const recorder =
        (name: string) =>
        (value: ShardedValue, parts: ReadonlyMap<number, Tensor>): void =>
          void found.set(`${name}.${value.id}`, { value, parts });
      let flowing: ReadonlyMap<number, Tensor> | undefined;
      for (const segment of stage.segments) {
        const { pp } = segment;
        if (flowing) flowing = new Map([...flowing].map(([rank, part]) => [rank + mesh.tp, part]));
        if (segment.embed) flowing = runBlock(stage.embed, -1, pp, step, undefined, recorder('embed'));
        for (let layer = segment.firstLayer; layer <= segment.lastLayer; layer++) {
          const { block } = stage.layers.find((run) => run.firstLayer <= layer && layer <= run.lastLayer)!;
          flowing = runBlock(block, layer, pp, step, flowing, recorder(`layer.${layer}`));
        }
        if (segment.head) runBlock(stage.head, -1, pp, step, flowing, recorder('head'));
      }
      return found;
    },
  };
}

/** The logical graph as a stage of one rank per replica-less mesh: what every sharding must agree with. */
export function logicalStage(logical: LogicalGraph): ShardedStage {
  const block = (name: ShardedBlock['name']): ShardedBlock => {
    const found = logical.blocks.find((candidate) => candidate.name === name)!;
    const values = found.values.map((value) => ({ ...value, sharding: REPLICATED, origin: originAt() }));
    return { ...found, values };
  };
  const last = logical.shape.layers - 1;
  return {
    name: 'logical',
    phases: ['prefill', 'decode'],
    mesh: { dp: 1, pp: 1, tp: 1 },
    devices: [0],
    embed: block('embed'),
    layers: [{ firstLayer: 0, lastLayer: last, block: block('layer') }],
    head: block('head'),
    segments: [{ pp: 0, firstLayer: 0, lastLayer: last, embed: true, head: true, origin: originAt() }],
    kvReplicas: 1,
    microbatchTokens: 1,
    batchRequests: 1,
  };
}

/**
 * The whole value from its parts: blocks laid side by side, sums taken over partial axes. Throws where two ranks that
 * should hold the same elements do not, or where an element is held by nobody.
 */
export function assemble({ value, parts }: Placed, stage: ShardedStage): Tensor {
  const { mesh } = stage;
  const [, any] = [...parts][0]!;
  const sizes = value.type.dims.map(
    (dim) => dim.size ?? local.extent(any, dim.name) * (value.sharding.dims[dim.name] ? mesh.dp : 1),
  );
  const whole = tensor(value.type.dims.map((dim, index) => ({ name: dim.name, size: sizes[index]! })));
  const written = new Uint32Array(whole.data.length);
  for (const [rank, part] of parts) {
    const coords = coordsOf(mesh, rank);
    const starts = value.type.dims.map((dim, index) => {
      const axes = value.sharding.dims[dim.name] ?? [];
      return rankBlock(dim.name, sizes[index]!, axes, mesh, coords, stage.kvReplicas)[0];
    });
    const term = 1 << value.sharding.partial.reduce((index, axis) => index * mesh[axis] + coords[axis], 0);
    for (let flat = 0; flat < part.data.length; flat++) {
      let rest = flat;
      let at = 0;
      let stride = 1;
      for (let dim = part.dims.length - 1; dim >= 0; dim--) {
        at += ((rest % part.dims[dim]!.size) + starts[dim]!) * stride;
        rest = Math.floor(rest / part.dims[dim]!.size);
        stride *= sizes[dim]!;
      }
      if ((written[at]! & term) === 0) whole.data[at]! += part.data[flat]!;
      else if (value.sharding.partial.length === 0 && whole.data[at] !== part.data[flat])
        throw new Error(`${value.id}: ranks that should hold the same element do not`);
      written[at]! |= term;
    }
  }
  if (written.includes(0)) throw new Error(`${value.id}: an element is held by no rank`);
  return whole;
}

function idsOf(rows: readonly Row[]): Tensor {
  return tensor(
    [{ name: 'tokens', size: rows.length }],
    Float64Array.from(rows, (row) => row.token),
  );
}

/** Elements `start` to `end` of one dimension. */
function cut(value: Tensor, dim: DimName, [start, end]: readonly [number, number]): Tensor {
  const at = value.dims.findIndex((entry) => entry.name === dim);
  const inner = value.dims.slice(at + 1).reduce((product, entry) => product * entry.size, 1);
  const size = value.dims[at]!.size;
  const out = tensor(value.dims.map((entry, i) => (i === at ? { ...entry, size: end - start } : entry)));
  const run = (end - start) * inner;
  for (let outer = 0; run > 0 && outer * run < out.data.length; outer++) {
    const from = (outer * size + start) * inner;
    out.data.set(value.data.subarray(from, from + run), outer * run);
  }
  return out;
}

/** Parts side by side along one dimension. */
function joined(parts: readonly Tensor[], dim: DimName): Tensor {
  const first = parts[0]!;
  const at = first.dims.findIndex((entry) => entry.name === dim);
  const size = parts.reduce((sum, part) => sum + part.dims[at]!.size, 0);
  const inner = first.dims.slice(at + 1).reduce((product, entry) => product * entry.size, 1);
  const outers = first.dims.slice(0, at).reduce((product, entry) => product * entry.size, 1);
  const out = tensor(first.dims.map((entry, i) => (i === at ? { ...entry, size } : entry)));
  let column = 0;
  for (const part of parts) {
    const run = part.dims[at]!.size * inner;
    for (let outer = 0; outer < outers; outer++) {
      out.data.set(part.data.subarray(outer * run, (outer + 1) * run), outer * size * inner + column);
    }
    column += run;
  }
  return out;
}

function argmaxRows(logits: Tensor): Tensor {
  const [samples, vocab] = logits.dims;
  const ids = Float64Array.from({ length: samples!.size }, (_, row) => {
    const line = logits.data.subarray(row * vocab!.size, (row + 1) * vocab!.size);
    return line.indexOf(line.reduce((best, value) => Math.max(best, value), -Infinity));
  });
  return tensor([samples!], ids);
}
