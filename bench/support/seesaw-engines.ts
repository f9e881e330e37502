/**
 * What the benchmark of Seesaw varies: the effects of a serving engine, each off and on, and the constants of a machine
 * within what is not known of them.
 */
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import { once } from '../../compiler/once.js';
import type { DeviceKind, Plan } from '../../compiler/plan/plan.js';
import { planDevices } from '../../compiler/planner/candidates.js';

/** Effects of the engine that a static plan is compared on, in the order of the table. */
export const EFFECTS = ['small GEMM', 'host time', 'pipeline'] as const;

export type Effects = Readonly<Record<(typeof EFFECTS)[number], boolean>>;

/** Every combination, from none to all. */
export const EFFECT_SETS: readonly Effects[] = Array.from({ length: 2 ** EFFECTS.length }, (_, bits) => ({
  'small GEMM': (bits & 1) > 0,
  'host time': (bits & 2) > 0,
  pipeline: (bits & 4) > 0,
}));

export const ALL_EFFECTS: Effects = EFFECT_SETS.at(-1)!;

/**
 * An engine with copy engines, as GPUs have, and a host for every replica, as where each is an engine of its own, and of the
 * effects those that are on.
 */
export function engineWith(effects: Effects): EngineModel {
  return {
    hostOverhead: effects['host time'],
    smallGemmLoss: effects['small GEMM'],
    virtualEngines: effects.pipeline,
    copyEngines: true,
    fullReload: false,
    hostPerReplica: true,
  };
}

/**
 * Bytes of a device that vLLM takes beside weights and KV and that the plans do not declare: what its KV room falls short
 * of theirs on L4, for activations and the buffers of NCCL.
 */
const UNDECLARED_RESERVE = 1.8e9;

/** A plan on a machine of which one constant differs. */
export interface Variation {
  readonly name: string;
  readonly plan: Plan;
}

/** The constants that are not known for certain, each at the ends of what is plausible. */
export function variations(plan: Plan): readonly Variation[] {
  const sizes = groupSizes(plan);
  const halfAndDouble = (name: string, vary: (factor: number) => Plan['topology']): readonly Variation[] =>
    [0.5, 2].map((factor) => named(plan, `${name} x${factor}`, vary(factor)));
  const { topology } = plan;
  return [
    ...halfAndDouble('all-reduce', (factor) => scaleAllReduce(topology, sizes, factor)),
    ...sizes.flatMap((ranks) =>
      halfAndDouble(`all-reduce over ${ranks}`, (factor) => scaleAllReduce(topology, [ranks], factor)),
    ),
    ...[0.8, 1.2].map((factor) =>
      named(plan, `sustained compute x${factor}`, scaleCompute(topology, factor)),
    ),
    ...halfAndDouble('all-reduce latency', (factor) => scaleAllReduceLatency(topology, factor)),
    // 20 ms is the upper end of what fits the baseline.
    named(plan, 'host step x4', {
      ...topology,
      overhead: { ...topology.overhead, step: topology.overhead.step * 4 },
    }),
    withReserve(plan),
  ];
}

/**
 * Bandwidths of all-reduce at the two ends that say most of two plans: of the group sizes that one of them alone has they
 * are half, of all that it has not double, and the reverse. Sizes that both have are left as they are.
 *
 * @param fixed ranks of the groups of the static plan
 * @param resharded the same of the re-sharded plan
 */
export function opposedCorners(
  plan: Plan,
  fixed: readonly number[],
  resharded: readonly number[],
): readonly Variation[] {
  const sizes = groupSizes(plan);
  const own = sizes.filter((ranks) => resharded.includes(ranks) && !fixed.includes(ranks));
  const others = sizes.filter((ranks) => !resharded.includes(ranks));
  if (own.length === 0 && others.length === 0) return [];
  return [0.5, 2].map((factor) => {
    const parts = [
      [own, factor],
      [others, 1 / factor],
    ] as const;
    const names = parts
      .filter(([ranks]) => ranks.length > 0)
      .map(([ranks, by]) => `over ${ranks.join(' and ')} x${by}`);
    const topology = parts.reduce((varied, [ranks, by]) => scaleAllReduce(varied, ranks, by), plan.topology);
    return named(plan, `all-reduce ${names.join(', ')}`, topology);
  });
}

/** Numbers of ranks that machines declare figures of, as many as there are devices. */
function groupSizes(plan: Plan): readonly number[] {
  const devices = planDevices(plan).length;
  return [2, 4, 8].filter((ranks) => ranks <= devices);
}

function named(plan: Plan, name: string, topology: Plan['topology']): Variation {
  return { name, plan: { ...plan, topology } };
}

/** Less room for KV. */
function withReserve(plan: Plan): Variation {
  const { memory } = plan.topology.devices[planDevices(plan)[0]!]!.kind;
  const memoryUse = plan.memoryUse - UNDECLARED_RESERVE / memory;
  return { name: `memory less ${UNDECLARED_RESERVE / 1e9} GB`, plan: { ...plan, memoryUse } };
}

function scaleAllReduce(
  topology: Plan['topology'],
  sizes: readonly number[],
  factor: number,
): Plan['topology'] {
  return {
    ...topology,
    links: topology.links.map((link) => ({
      ...link,
      allreduce: Object.fromEntries(
        Object.entries(link.allreduce).map(([ranks, rate]) => [
          ranks,
          sizes.includes(Number(ranks)) ? rate * factor : rate,
        ]),
      ),
    })),
  };
}

function scaleAllReduceLatency(topology: Plan['topology'], factor: number): Plan['topology'] {
  return {
    ...topology,
    links: topology.links.map((link) => ({
      ...link,
      ...(link.allreduceLatency && {
        allreduceLatency: Object.fromEntries(
          Object.entries(link.allreduceLatency).map(([ranks, seconds]) => [ranks, seconds * factor]),
        ),
      }),
    })),
  };
}

/** No more than the peak. */
function scaleCompute(topology: Plan['topology'], factor: number): Plan['topology'] {
  const scale = once((kind: DeviceKind): DeviceKind => {
    const { sustained, gemm } = kind;
    const compute = Math.min(1, sustained.compute * factor);
    return {
      ...kind,
      sustained: { ...sustained, compute },
      ...(gemm && { gemm: scaleProducts(kind, gemm, compute / sustained.compute) }),
    };
  });
  return {
    ...topology,
    devices: topology.devices.map((device) => ({ ...device, kind: scale(device.kind) })),
  };
}

/**
 * What products reach, where compute is what limits them. With so few rows that memory does not bring weights fast enough
 * for what large products reach, it is memory, which does not change; but they do no better than those with more rows.
 */
function scaleProducts(
  { bandwidth, compute, sustained }: DeviceKind,
  gemm: NonNullable<DeviceKind['gemm']>,
  factor: number,
): NonNullable<DeviceKind['gemm']> {
  // Of a weight of 16 bits that is read, a row makes two operations.
  const rowsPerPeak = (compute['f16'] ?? Infinity) / (bandwidth * sustained.bandwidth);
  const isBoundByCompute = (rows: number): boolean => rows / rowsPerPeak >= sustained.compute;
  const entries = Object.entries(gemm).map(([rows, fraction]) => [Number(rows), fraction] as const);
  const scaled = entries.filter(([rows]) => isBoundByCompute(rows)).map(([, fraction]) => fraction * factor);
  return Object.fromEntries(
    entries.map(([rows, fraction]) => [
      rows,
      isBoundByCompute(rows) ? fraction * factor : Math.min(fraction, ...scaled),
    ]),
  );
}
