/**
 * Checked plans made by hand, so that passes are tested without parser or checker. Defaults are a small Llama shape
 * on one host with equal devices, a host tier, and stages that take the first devices in order.
 */
import type { Origin } from '../../../compiler/diagnostics/diagnostic.js';
import type { DType, ModelShape, ModelSpec } from '../../../compiler/model/shape.js';
import type { WeightType } from '../../../compiler/model/weight-types.js';
import type {
  DeviceKind,
  FlowRule,
  KvTier,
  LayerSharding,
  Mesh,
  Phase,
  Plan,
  Stage,
  Topology,
} from '../../../compiler/plan/plan.js';

export interface StageOptions {
  readonly name: string;
  /** From the name when it is `prefill` or `decode`, else both. */
  readonly phases?: readonly Phase[];
  readonly mesh: Partial<Mesh>;
  /** Topology device ids in rank order; the first `dp * pp * tp` by default. */
  readonly devices?: readonly number[];
  readonly layerSplit?: readonly number[];
  /** Dimensions on `tp`; all four by default. */
  readonly onTp?: LayerSharding['onTp'];
  readonly kvReplicas?: number;
  readonly overrides?: readonly {
    readonly firstLayer: number;
    readonly lastLayer: number;
    readonly part: 'attention' | 'mlp';
    readonly onTp: LayerSharding['onTp'];
    readonly kvReplicas?: number;
  }[];
  readonly microbatchTokens?: number;
  readonly batchRequests?: number;
}

export interface PlanOptions {
  readonly name?: string;
  readonly shape?: Partial<ModelShape>;
  readonly weights?: WeightType;
  /** Types of a file's own, by tensor. */
  readonly stored?: ModelSpec['stored'];
  readonly stages: readonly StageOptions[];
  /** Devices of the topology; as many as the stages name by default. */
  readonly deviceCount?: number;
  readonly deviceMemory?: number;
  /** Bytes per second between devices; as much as to the host by default. */
  readonly peerBandwidth?: number;
  readonly memoryUse?: number;
  readonly kv?: {
    readonly pageTokens?: number;
    readonly dtype?: DType;
    readonly tiers?: readonly KvTier[];
    /** Capacity of the default host tier; `null` for no host tier. */
    readonly hostCapacity?: number | null;
  };
  readonly rules?: readonly FlowRule[];
}

/** An origin in a plan file that does not exist. */
export function originAt(start = 0, end = start + 1): Origin {
  return { file: 'test.plan', span: { start, end } };
}

export const SMALL_SHAPE: ModelShape = {
  family: 'llama',
  layers: 4,
  hidden: 32,
  heads: 8,
  kvHeads: 4,
  headDim: 8,
  ffn: 48,
  vocab: 64,
  context: 128,
  normEps: 1e-6,
  ropeTheta: 10000,
  tied: false,
  qkvBias: false,
  outputBias: false,
  mlpBias: false,
  qkNorm: false,
};

export function makeModel(options: Pick<PlanOptions, 'shape' | 'weights' | 'stored'> = {}): ModelSpec {
  return {
    name: 'tiny',
    shape: { ...SMALL_SHAPE, ...options.shape },
    weights: options.weights ?? 'f32',
    ...(options.stored && { stored: options.stored }),
    randomSeed: 1,
  };
}

export function makePlan(options: PlanOptions): Plan {
  const model = makeModel(options);
  const stages = options.stages.map((stage) => makeStage(stage, model.shape.layers));
  const named = Math.max(...stages.flatMap((stage) => stage.devices)) + 1;
  const memory = options.deviceMemory ?? 2 ** 30;
  const hostCapacity = options.kv?.hostCapacity === undefined ? 2 ** 30 : options.kv.hostCapacity;
  const rules = options.rules ?? defaultRules(stages);
  return {
    name: options.name ?? 'test',
    model,
    topology: makeTopology(options.deviceCount ?? named, memory, hostCapacity, options.peerBandwidth),
    stages,
    kv: {
      pageTokens: options.kv?.pageTokens ?? 16,
      dtype: options.kv?.dtype ?? 'f32',
      tiers: options.kv?.tiers ?? makeTiers(hostCapacity),
      origin: originAt(60),
    },
    flow: { stages: stages.map((stage) => stage.name), rules, origin: originAt(70) },
    memoryUse: options.memoryUse ?? 0.9,
    defaults: [],
    params: {},
    origin: originAt(0),
  };
}

/** As even as possible, earlier stages larger. */
export function evenSplit(layers: number, parts: number): number[] {
  return Array.from({ length: parts }, (_, part) =>
    part < layers % parts ? Math.floor(layers / parts) + 1 : Math.floor(layers / parts),
  );
}

function makeStage(options: StageOptions, layers: number): Stage {
  const mesh: Mesh = { dp: options.mesh.dp ?? 1, pp: options.mesh.pp ?? 1, tp: options.mesh.tp ?? 1 };
  const count = mesh.dp * mesh.pp * mesh.tp;
  const phases: readonly Phase[] =
    options.phases ??
    (options.name === 'prefill' || options.name === 'decode' ? [options.name] : ['prefill', 'decode']);
  return {
    name: options.name,
    phases,
    devices: options.devices ?? Array.from({ length: count }, (_, id) => id),
    mesh,
    layerSplit: options.layerSplit ?? evenSplit(layers, mesh.pp),
    sharding: makeSharding(options),
    overrides: (options.overrides ?? []).map((override, index) => ({
      firstLayer: override.firstLayer,
      lastLayer: override.lastLayer,
      part: override.part,
      sharding: makeSharding(override),
      origin: originAt(40 + index),
    })),
    microbatchTokens: options.microbatchTokens ?? 32,
    batchRequests: options.batchRequests ?? 8,
    origin: originAt(10),
    meshOrigin: originAt(20),
  };
}

function makeSharding(options: Pick<StageOptions, 'onTp' | 'kvReplicas'>): LayerSharding {
  return {
    onTp: options.onTp ?? ['heads', 'kv_heads', 'ffn', 'vocab'],
    kvReplicas: options.kvReplicas ?? 1,
  };
}

function makeTopology(
  count: number,
  memory: number,
  hostCapacity: number | null,
  peerBandwidth = 5e9,
): Topology {
  const kind: DeviceKind = {
    name: 'chip',
    memory,
    bandwidth: 20e9,
    compute: { f32: 1e12, f16: 2e12 },
    sustained: { compute: 0.5, bandwidth: 0.8 },
    origin: originAt(1),
  };
  const link = { scope: '', bandwidth: 5e9, latency: 1e-5, allreduce: {}, origin: originAt(3) };
  return {
    name: 'bench',
    devices: Array.from({ length: count }, (_, id) => ({ id, path: `gpu[${id}]`, group: '', kind })),
    tiers:
      hostCapacity === null
        ? []
        : [
            {
              path: 'host',
              name: 'host',
              group: '',
              medium: 'host',
              capacity: hostCapacity,
              origin: originAt(2),
            },
          ],
    links: [
      { ...link, from: 'gpu', to: 'gpu', bandwidth: peerBandwidth },
      ...(hostCapacity === null ? [] : [{ ...link, from: 'gpu', to: 'host' }]),
    ],
    overhead: { step: 0, layer: 0, request: 0, kernel: 0 },
    origin: originAt(1),
  };
}

function makeTiers(hostCapacity: number | null): KvTier[] {
  const device: KvTier = { name: 'gpu', medium: 'device', origin: originAt(61) };
  if (hostCapacity === null) return [device];
  return [device, { name: 'host', medium: 'host', origin: originAt(62) }];
}

/** Decode when the host tier is full or no request waits; prefill when it is empty. */
function defaultRules(stages: readonly Stage[]): FlowRule[] {
  const prefill = stages.find((stage) => stage.phases.join() === 'prefill');
  const decode = stages.find((stage) => stage.phases.join() === 'decode');
  if (!prefill || !decode) return [];
  return [
    {
      to: decode.name,
      when: {
        kind: 'or',
        left: { kind: 'tier_full', tier: 'host' },
        right: { kind: 'requests_empty' },
      },
    },
    { to: prefill.name, when: { kind: 'tier_empty', tier: 'host' } },
  ];
}
