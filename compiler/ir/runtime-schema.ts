/** The shape of a runtime graph file, as zod schemas. Types are checked against those of `runtime-graph.ts`. */
import { z } from 'zod';
import { KERNEL_NAMES } from './kernel-table.js';
import {
  RUNTIME_GRAPH_FORMAT,
  RUNTIME_GRAPH_VERSION,
  type DeviceMoves,
  type KvPool,
  type RuntimeGraph,
  type WeightWrite,
} from './runtime-graph.js';
import type { KernelOp } from './runtime-program.js';
import type { KvReshard } from './transitions.js';
import { ACTIVATIONS, type ModelShape, type SlidingAttention } from '../model/shape.js';
import { WEIGHT_TYPES } from '../model/weight-types.js';
import type { Condition, FlowRule } from '../plan/plan.js';

/**
 * Every field of `T`. A schema of objects with optional fields is held to it: one that it lacks would be dropped from
 * every graph that is read, and types alone would not mind.
 */
type Fields<T> = Readonly<Record<keyof T, z.ZodType>>;

const count = z.int().min(0);
const size = z.int().min(1);
const seconds = z.number().min(0);
const interval = z
  .tuple([count, count])
  .refine(([start, end]) => start <= end, 'an interval ends before it starts');
const dtype = z.enum(['f32', 'f16', 'bf16']);
const weightType = z.enum(WEIGHT_TYPES);
const origin = z.object({ file: z.string(), span: z.object({ start: count, end: count }) });
const phases = z.array(z.enum(['prefill', 'decode'])).min(1);

const ropeScaling = z.discriminatedUnion('type', [
  z.object({ type: z.literal('linear'), factor: z.number() }),
  z.object({
    type: z.literal('yarn'),
    factor: z.number(),
    attentionFactor: z.number(),
    betaFast: z.number(),
    betaSlow: z.number(),
    originalContext: z.number(),
    truncate: z.boolean(),
  }),
  z.object({
    type: z.literal('longrope'),
    factor: z.number(),
    attentionFactor: z.number(),
    divisors: z.array(z.number()),
    originalContext: z.number(),
  }),
  z.object({
    type: z.literal('llama3'),
    factor: z.number(),
    lowFreqFactor: z.number(),
    highFreqFactor: z.number(),
    originalContext: z.number(),
  }),
]);

const model = z.object({
  name: z.string(),
  source: z.string().exactOptional(),
  sourceBase: z.string().exactOptional(),
  shape: z.object({
    family: z.string(),
    layers: size,
    hidden: size,
    heads: size,
    kvHeads: size,
    headDim: size,
    ffn: size,
    vocab: size,
    context: size,
    normEps: z.number(),
    ropeTheta: z.number(),
    ropeScaling: ropeScaling.exactOptional(),
    tied: z.boolean(),
    qkvBias: z.boolean(),
    outputBias: z.boolean(),
    mlpBias: z.boolean(),
    qkNorm: z.boolean(),
    rotaryDim: size.exactOptional(),
    sliding: z
      .object({
        window: size,
        layers: z.array(count),
        ropeTheta: z.number().exactOptional(),
      } satisfies Fields<SlidingAttention>)
      .exactOptional(),
    queryScalar: z.number().exactOptional(),
    attentionSoftcap: z.number().exactOptional(),
    logitSoftcap: z.number().exactOptional(),
    activation: z.enum(ACTIVATIONS).exactOptional(),
    scaledEmbedding: z.literal(true).exactOptional(),
    unitNorms: z.literal(true).exactOptional(),
    postNorms: z.literal(true).exactOptional(),
  } satisfies Fields<ModelShape>),
  weights: weightType,
  randomSeed: z.number().exactOptional(),
  origin: origin.exactOptional(),
} satisfies Fields<RuntimeGraph['model']>);

const operand = z.union([
  z.strictObject({ value: count }),
  z.strictObject({ weight: z.string() }),
  z.strictObject({ step: z.enum(['rows', 'table', 'tiles', 'samples']) }),
  z.strictObject({ kv: count }),
  z.strictObject({ constant: z.enum(['rope', 'rope_local']) }),
]);

const opBase = { id: count, after: z.array(count), layer: count.exactOptional(), origin };

const collective = { ...opBase, op: z.literal('collective'), axis: z.literal('tp'), value: count };

const op = z.discriminatedUnion('op', [
  z.object({
    ...opBase,
    op: z.literal('kernel'),
    kernel: z.enum(KERNEL_NAMES),
    params: z.record(z.string(), z.number()),
    rows: z.enum(['tokens', 'samples']),
    operands: z.array(operand),
    dtype: weightType.exactOptional(),
  } satisfies Fields<KernelOp>),
  z.discriminatedUnion('kind', [
    z.object({ ...collective, kind: z.literal('all_reduce') }),
    z.object({ ...collective, kind: z.literal('all_gather'), out: count }),
  ]),
  z.object({ ...opBase, op: z.literal('send'), toPp: count, value: count }),
  z.object({ ...opBase, op: z.literal('recv'), fromPp: count, value: count }),
  z.object({
    ...opBase,
    op: z.literal('sample'),
    logits: count,
    vocabPerRank: size,
    vocab: size,
    split: z.enum(['tp', 'none']),
  }),
]);

const program = z.object({
  pp: count,
  layers: interval,
  slots: z.array(z.object({ id: count, bytes: count })),
  values: z.array(
    z.object({ id: count, name: z.string(), rows: z.enum(['tokens', 'samples']), cols: size, slot: count }),
  ),
  ops: z.array(op),
});

const weight = z.object({
  id: z.string(),
  dtype: weightType,
  rows: size,
  cols: size,
  pieces: z.array(
    z.object({ tensor: z.string(), rows: interval, cols: interval, at: z.tuple([count, count]) }),
  ),
  bytes: count,
});

const stage = z.object({
  name: z.string(),
  phases,
  mesh: z.object({ dp: size, pp: size, tp: size }),
  maxTokens: size,
  maxSequences: size,
  batchRequests: size,
  pool: z.string(),
  programs: z.array(program),
  shards: z.array(z.object({ pp: count, tp: count, weights: z.array(weight) })),
  ranks: z.array(
    z.object({ rank: count, device: count, dp: count, pp: count, tp: count, program: count, shard: count }),
  ),
  origin,
});

const pool = z.object({
  id: z.string(),
  stages: z.array(z.string()),
  pages: count,
  within: z.string().exactOptional(),
  ranks: z.array(
    z.object({
      device: count,
      dp: count,
      layers: interval,
      heads: interval,
      groups: z.array(interval),
      pageBytes: count,
    }),
  ),
} satisfies Fields<KvPool>);

const kvSlice = z.object({
  device: count,
  dp: count,
  layers: interval,
  heads: interval,
  bytesPerToken: count,
});

const kvEdge = z.object({
  from: z.string(),
  to: z.string(),
  path: z.enum(['shared', 'tier']),
  tier: z.string().exactOptional(),
  pageOut: z.array(kvSlice),
  pageIn: z.array(kvSlice),
  bytesPerToken: z.object({ out: count, in: count }),
  origin,
} satisfies Fields<KvReshard>);

const condition: z.ZodType<Condition> = z.lazy(() =>
  z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('tier_full'), tier: z.string() }),
    z.object({
      kind: z.literal('tier_used'),
      tier: z.string(),
      op: z.enum(['<', '<=', '>', '>=']),
      fraction: z.number(),
    }),
    z.object({ kind: z.literal('tier_empty'), tier: z.string() }),
    z.object({ kind: z.literal('requests_empty') }),
    z.object({ kind: z.enum(['and', 'or']), left: condition, right: condition }),
    z.object({ kind: z.literal('not'), operand: condition }),
  ]),
);

const copy = z.object({
  weight: z.string(),
  at: count,
  stride: count,
  old: z.string(),
  oldAt: count,
  oldStride: count,
  runBytes: count,
  rows: size,
});

const deviceMoves = z.object({
  keep: z.array(z.object({ weight: z.string(), old: z.string() })),
  copy: z.array(copy),
  receive: z.array(copy.extend({ piece: count, peer: count })).exactOptional(),
  upload: z.array(z.object({ weight: z.string(), pieces: z.array(count) })),
  evict: z.array(z.string()),
  inPlace: z.array(z.object({ weight: z.string(), at: count, bytes: size })).exactOptional(),
  writes: z
    .array(
      z.object({
        weight: z.string(),
        behind: z.string().exactOptional(),
      } satisfies Fields<WeightWrite>),
    )
    .exactOptional(),
  uploadBytes: count,
  receiveBytes: count.exactOptional(),
} satisfies Fields<DeviceMoves>);

const transition = z.object({
  from: z.string(),
  to: z.string(),
  moves: z.array(deviceMoves),
  devices: z.array(z.object({ device: count, moves: count, peers: z.array(count) })),
  origin,
});

/** A whole graph. Unknown fields are dropped. */
export const runtimeGraphSchema: z.ZodType<RuntimeGraph> = z.object({
  format: z.literal(RUNTIME_GRAPH_FORMAT),
  version: z.literal(RUNTIME_GRAPH_VERSION),
  plan: z.string(),
  model,
  devices: z.array(
    z.object({
      id: count,
      path: z.string(),
      budget: count,
      peak: z.object({ weights: count, workspace: count, kv: count, total: count }),
    }),
  ),
  stages: z.array(stage).min(1, 'a graph without stages does nothing'),
  pools: z.array(pool),
  hostTier: z
    .object({
      name: z.string(),
      pageBytes: size,
      pages: count,
      hosts: z.array(z.array(count)).exactOptional(),
    } satisfies Fields<NonNullable<RuntimeGraph['hostTier']>>)
    .exactOptional(),
  diskTier: z
    .object({
      name: z.string(),
      directory: z.string().min(1),
      pages: count,
      origin: origin.exactOptional(),
    } satisfies Fields<NonNullable<RuntimeGraph['diskTier']>>)
    .exactOptional(),
  kv: z.object({
    pageTokens: size,
    dtype,
    edges: z.array(kvEdge),
    costs: z.object({ prefillToken: seconds, hostPage: seconds, diskPage: seconds }),
  }),
  flow: z.object({
    stages: z.array(z.string()),
    rules: z.array(
      z.object({
        to: z.string(),
        when: condition,
        origin: origin.exactOptional(),
      } satisfies Fields<FlowRule>),
    ),
    origin: origin.exactOptional(),
  } satisfies Fields<RuntimeGraph['flow']>),
  transitions: z.array(transition),
} satisfies Fields<RuntimeGraph>);
