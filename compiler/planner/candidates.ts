/**
 * Every way to lay a plan's model over its devices that the planner considers: one fused stage; two stages that take
 * turns on all devices with meshes of their own and equal `dp`; two stages on disjoint parts of the devices.
 */
import { defaultRules } from '../check/plan/flow.js';
import { divisors, showMesh, tpWidths } from '../check/plan/mesh.js';
import { evenSplit, TP_DIMS } from '../check/plan/sharding.js';
import type { Mesh, Phase, Plan, Stage } from '../plan/plan.js';

export type Strategy = 'static' | 're-sharded' | 'disaggregated';

export const STRATEGIES: readonly Strategy[] = ['static', 're-sharded', 'disaggregated'];

export interface Candidate {
  readonly strategy: Strategy;
  /** `(pp: 4, tp: 2)`, `(pp: 8) -> (tp: 8)`; with the number of devices of each stage where they are disjoint. */
  readonly label: string;
  readonly plan: Plan;
}

export interface CandidateSizes {
  readonly microbatchTokens: number;
  readonly batchRequests: number;
  /** Bytes of KV in the host tier at most; what the plan itself allows where that is absent or less. */
  readonly hostKvBytes?: number;
}

/** The devices a plan uses, in order. */
export function planDevices(plan: Plan): readonly number[] {
  return [...new Set(plan.stages.flatMap((stage) => stage.devices))].sort((a, b) => a - b);
}

/** The sizes of a plan's own stages. */
export function planSizes(plan: Plan): CandidateSizes {
  const size = (phase: Phase, pick: (stage: Stage) => number): number =>
    pick(plan.stages.find((stage) => stage.phases.includes(phase))!);
  return {
    microbatchTokens: size('prefill', (stage) => stage.microbatchTokens),
    batchRequests: size('decode', (stage) => stage.batchRequests),
  };
}

/** All candidates for the model, devices and KV tiers of a plan. Whether each fits is for compiling to say. */
export function candidatePlans(
  base: Plan,
  strategies: readonly Strategy[] = STRATEGIES,
  sizes: CandidateSizes = planSizes(base),
): readonly Candidate[] {
  const plan = withHostCap(base, sizes.hostKvBytes);
  const devices = planDevices(plan);
  const meshes = meshesOver(plan, devices.length);
  const handsOver = plan.kv.tiers.some((tier) => tier.medium !== 'device');
  const pairs = handsOver ? meshes.flatMap((prefill) => meshes.map((decode) => ({ prefill, decode }))) : [];
  const found: Candidate[] = [];
  if (strategies.includes('static')) {
    for (const mesh of meshes) {
      const stage = makeStage(plan, 'serve', ['prefill', 'decode'], devices, mesh, sizes);
      found.push(candidate(plan, 'static', `(${showMesh(mesh)})`, [stage]));
    }
  }
  if (strategies.includes('re-sharded')) {
    for (const { prefill, decode } of pairs) {
      if (prefill.dp !== decode.dp || sameMesh(prefill, decode)) continue;
      const label = `(${showMesh(prefill)}) -> (${showMesh(decode)})`;
      const stages = twoStages(plan, [devices, prefill], [devices, decode], sizes);
      found.push(candidate(plan, 're-sharded', label, stages));
    }
  }
  if (strategies.includes('disaggregated') && handsOver) {
    for (let first = 1; first < devices.length; first++) {
      const [left, right] = [devices.slice(0, first), devices.slice(first)];
      for (const prefill of meshesOver(plan, left.length)) {
        for (const decode of meshesOver(plan, right.length)) {
          const label = `${left.length} (${showMesh(prefill)}) + ${right.length} (${showMesh(decode)})`;
          const stages = twoStages(plan, [left, prefill], [right, decode], sizes);
          found.push(candidate(plan, 'disaggregated', label, stages));
        }
      }
    }
  }
  return found;
}

/** Bytes of KV that the plan keeps in the host tier at most; undefined where it has none. */
export function hostKvBytes({ kv }: Plan): number | undefined {
  return kv.tiers.find(({ medium }) => medium === 'host')?.capacity;
}

function withHostCap(plan: Plan, bytes: number | undefined): Plan {
  const own = hostKvBytes(plan);
  if (bytes === undefined || own === undefined || own <= bytes) return plan;
  const tiers = plan.kv.tiers.map((tier) => (tier.medium === 'host' ? { ...tier, capacity: bytes } : tier));
  return { ...plan, kv: { ...plan.kv, tiers } };
}

/** Meshes over exactly so many devices that the model's dimensions allow. */
export function meshesOver({ model }: Plan, devices: number): readonly Mesh[] {
  return tpWidths(model)
    .filter((tp) => devices % tp === 0)
    .flatMap((tp) =>
      divisors(devices / tp)
        .filter((pp) => pp <= model.shape.layers)
        .map((pp): Mesh => ({ dp: devices / tp / pp, pp, tp })),
    );
}

function sameMesh(a: Mesh, b: Mesh): boolean {
  return a.dp === b.dp && a.pp === b.pp && a.tp === b.tp;
}

type Placed = readonly [devices: readonly number[], mesh: Mesh];

function twoStages(
  plan: Plan,
  [prefillDevices, prefill]: Placed,
  [decodeDevices, decode]: Placed,
  sizes: CandidateSizes,
): readonly Stage[] {
  return [
    makeStage(plan, 'prefill', ['prefill'], prefillDevices, prefill, sizes),
    makeStage(plan, 'decode', ['decode'], decodeDevices, decode, sizes),
  ];
}

function makeStage(
  { model, origin }: Plan,
  name: string,
  phases: readonly Phase[],
  devices: readonly number[],
  mesh: Mesh,
  { microbatchTokens, batchRequests }: CandidateSizes,
): Stage {
  return {
    name,
    phases,
    devices,
    mesh,
    layerSplit: evenSplit(model.shape.layers, mesh.pp),
    sharding: { onTp: TP_DIMS, kvReplicas: 1 },
    overrides: [],
    microbatchTokens: phases.includes('prefill')
      ? microbatchTokens
      : Math.ceil(batchRequests / (mesh.dp * mesh.pp)),
    batchRequests,
    origin,
    meshOrigin: origin,
  };
}

function candidate(plan: Plan, strategy: Strategy, label: string, stages: readonly Stage[]): Candidate {
  const order = stages.map(({ name }) => name);
  const rules = defaultRules(order, [], { stages, kv: plan.kv });
  // What the plan expects of its own stages does not hold for others.
  const { expectations: _expectations, residence: _residence, ...rest } = plan;
  return {
    strategy,
    label,
    plan: {
      ...rest,
      name: `${plan.name} ${label}`,
      stages,
      flow: { stages: order, rules, origin: plan.flow.origin },
      ...(strategy === 're-sharded' && { residence: plan.residence ?? 'auto' }),
      defaults: [],
    },
  };
}
