/**
 * Every way to lay a plan's model over its devices that the planner considers: one fused stage on all devices; two stages
 * that take turns on them with meshes of their own and equal `dp`; two stages on disjoint parts of the devices. Where
 * devices are not alike, the former two go over those of each kind alone as well, which slower ones would hold back, and
 * either of the disjoint parts may be the first. Meshes go over devices in the order of the topology.
 */
import { defaultRules } from '../check/plan/flow.js';
import { divisors, showMesh, tpWidths } from '../check/plan/mesh.js';
import { evenSplit, TP_DIMS } from '../check/plan/sharding.js';
import { defaultBatch } from '../check/plan/stages.js';
import { groupBy } from '../group-by.js';
import { carryingTier } from '../passes/kv-edges.js';
import type { Mesh, Phase, Plan, Stage, Tier } from '../plan/plan.js';
import { tiersFor } from '../plan/routes.js';

/**
 * `fused`: one stage for both phases; `re-sharded`: a stage for each phase, in turn on all devices; `disaggregated`: a
 * stage for each phase, on devices of its own.
 */
export type Strategy = 'fused' | 're-sharded' | 'disaggregated';

/** All strategies. */
export const STRATEGIES: readonly Strategy[] = ['fused', 're-sharded', 'disaggregated'];

/** A way to run a plan's model, not yet a plan: searches look at hundreds of thousands and make plans of few. */
export interface Candidate {
  readonly strategy: Strategy;
  /** What it is a plan for: model, devices and settings, with the KV that its tiers may hold. */
  readonly base: Plan;
  /** One for both phases, or prefill and decode. Candidates that have a stage in common share the value. */
  readonly stages: readonly Stage[];
}

/** Tokens of a prefill step, and requests that decode at once. */
export interface CandidateSizes {
  readonly microbatchTokens: number;
  readonly batchRequests: number;
}

/** Sizes to try, every combination of them. */
export interface SizeChoices {
  readonly microbatchTokens: readonly number[];
  readonly batchRequests: readonly number[];
  /**
   * Bytes of KV in the host tier at most; those that are more than the plan allows count as what it allows. Fused
   * candidates take the largest alone.
   */
  readonly hostKvBytes?: readonly number[];
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

function ownChoices(plan: Plan): SizeChoices {
  const { microbatchTokens, batchRequests } = planSizes(plan);
  return { microbatchTokens: [microbatchTokens], batchRequests: [batchRequests] };
}

/**
 * All candidates for the model, devices and KV tiers of a plan. Whether each fits is for compiling to say. Of one call those
 * that have a base, a stage, or the mesh and devices of a stage in common share the value: searches tell them apart by that.
 */
export function findCandidates(
  plan: Plan,
  strategies: readonly Strategy[] = STRATEGIES,
  sizes: SizeChoices = ownChoices(plan),
): readonly Candidate[] {
  const devices = planDevices(plan);
  const parts = sharedParts(plan, devices);
  const rooms = hostRooms(plan) ?? [];
  const allowed = [...new Set((sizes.hostKvBytes ?? [Infinity]).map((bytes) => hostCap(rooms, bytes)))];
  const bases = allowed.map((cap) => withHostCap(plan, rooms, cap));
  const found: Candidate[] = [];
  const make = (strategy: Strategy, ...stages: readonly Stage[]): void => {
    for (const base of bases) found.push({ strategy, base, stages });
  };
  if (strategies.includes('fused')) {
    // They use the host tier for what they evict alone: a smaller cap would be one more trial for hardly anything.
    const base = bases[allowed.indexOf(Math.max(...allowed))]!;
    for (const { part, meshes } of parts)
      for (const stage of fusedStages(plan, part, meshes, sizes))
        found.push({ strategy: 'fused', base, stages: [stage] });
  }
  if (!plan.kv.tiers.some((tier) => tier.medium !== 'device')) return found;
  if (strategies.includes('re-sharded')) {
    for (const { part, meshes } of parts) {
      const decodes = decodeStages(plan, part, meshes, sizes);
      for (const prefill of prefillStages(plan, part, meshes, sizes))
        for (const decode of decodes) {
          if (prefill.mesh.dp === decode.mesh.dp && prefill.mesh !== decode.mesh)
            make('re-sharded', prefill, decode);
        }
    }
  }
  if (strategies.includes('disaggregated')) {
    const alike = byKind(plan, devices).length === 1;
    for (let first = 1; first < devices.length; first++) {
      const [left, right] = [devices.slice(0, first), devices.slice(first)];
      const ways = [[left, right] as const, ...(alike ? [] : [[right, left] as const])];
      for (const [forPrefill, forDecode] of ways) {
        const decodes = decodeStages(plan, forDecode, meshesOver(plan, forDecode.length), sizes);
        for (const prefill of prefillStages(plan, forPrefill, meshesOver(plan, forPrefill.length), sizes))
          for (const decode of decodes) make('disaggregated', prefill, decode);
      }
    }
  }
  return found;
}

/** Devices of each kind, in order. */
function byKind({ topology }: Plan, devices: readonly number[]): readonly (readonly number[])[] {
  return [...groupBy(devices, (device) => topology.devices[device]!.kind).values()];
}

/** Devices for stages that share theirs, and the meshes over them: all devices, and those of each kind where there are several. */
function sharedParts(
  plan: Plan,
  devices: readonly number[],
): readonly { readonly part: readonly number[]; readonly meshes: readonly Mesh[] }[] {
  const kinds = byKind(plan, devices);
  const parts = kinds.length === 1 ? [devices] : [devices, ...kinds];
  return parts.map((part) => ({ part, meshes: meshesOver(plan, part.length) }));
}

/**
 * `(pp: 4, tp: 2)`, `(pp: 8) -> (tp: 8)`; with the number of devices of each stage where they are disjoint, and how many of
 * each kind where the plan's devices are not alike and these are not all of them: `2 (tp: 2) + 6 (pp: 6)`,
 * `2 l4, 2 a10 (pp: 4) + 2 a100 (tp: 2)`, `2 a100 (tp: 2)`.
 */
export function candidateLabel({ strategy, base, stages }: Candidate): string {
  const all = planDevices(base);
  const alike = byKind(base, all).length === 1;
  const onDevices = (devices: readonly number[]): string =>
    alike
      ? String(devices.length)
      : byKind(base, devices)
          .map((kind) => `${kind.length} ${base.topology.devices[kind[0]!]!.kind.name}`)
          .join(', ');
  const meshOf = ({ mesh }: Stage): string => `(${showMesh(mesh)})`;
  if (strategy === 'disaggregated')
    return stages.map((stage) => `${onDevices(stage.devices)} ${meshOf(stage)}`).join(' + ');
  const { devices } = stages[0]!;
  const meshes = stages.map(meshOf).join(' -> ');
  return devices.length === all.length ? meshes : `${onDevices(devices)} ${meshes}`;
}

/** The candidate as a plan. */
export function candidatePlan(candidate: Candidate): Plan {
  const { strategy, base, stages } = candidate;
  const order = stages.map(({ name }) => name);
  const rules = defaultRules(order, [], { stages, kv: base.kv });
  // What the plan expects of its own stages does not hold for others.
  const { expectations: _expectations, residence: _residence, ...rest } = base;
  return {
    ...rest,
    name: `${base.name} ${candidateLabel(candidate)}`,
    stages,
    flow: { stages: order, rules, origin: base.flow.origin },
    ...(strategy === 're-sharded' && { residence: base.residence ?? 'auto' }),
    defaults: [],
  };
}

/** Bytes of KV that the plan allows in the host memory beside all of its devices; undefined where it has no host tier. */
export function hostKvBytes(plan: Plan): number | undefined {
  return hostRooms(plan)?.reduce((sum, each) => sum + each, 0);
}

/** The same of each host. */
function hostRooms(plan: Plan): readonly number[] | undefined {
  const tier = carryingTier(plan);
  if (tier === undefined) return undefined;
  const { name, cap = Infinity } = tier;
  return tierInstances(plan, name).map(({ capacity }) => Math.min(cap, capacity));
}

/** The tiers of a name that the devices of the plan use. */
export function tierInstances(plan: Plan, name: string): readonly Tier[] {
  const groups = planDevices(plan).map((device) => plan.topology.devices[device]!.group);
  return tiersFor(plan.topology, groups, name);
}

/**
 * The most whole bytes in each host with which all of them have no more than `bytes`; infinite where that caps none.
 *
 *     rooms of 70 and 10: 60 bytes are 50 and 10, so that each may have 50
 */
function hostCap(rooms: readonly number[], bytes: number): number {
  let left = bytes;
  const ascending = rooms.toSorted((a, b) => a - b);
  for (const [place, room] of ascending.entries()) {
    const share = Math.floor(left / (ascending.length - place));
    if (share < room) return share;
    left -= room;
  }
  return Infinity;
}

function withHostCap(plan: Plan, rooms: readonly number[], cap: number): Plan {
  if (rooms.every((room) => room <= cap)) return plan;
  const host = carryingTier(plan);
  const tiers = plan.kv.tiers.map((tier) => (tier === host ? { ...tier, cap } : tier));
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

type StagesOver = (
  plan: Plan,
  devices: readonly number[],
  meshes: readonly Mesh[],
  sizes: SizeChoices,
) => readonly Stage[];

const fusedStages: StagesOver = (plan, devices, meshes, { microbatchTokens, batchRequests }) =>
  meshes.flatMap((mesh) =>
    microbatchTokens.flatMap((tokens) =>
      batchRequests.map((batch) =>
        makeStage(plan, 'serve', ['prefill', 'decode'], devices, mesh, {
          microbatchTokens: tokens,
          batchRequests: batch,
        }),
      ),
    ),
  );

const prefillStages: StagesOver = (plan, devices, meshes, { microbatchTokens }) =>
  meshes.flatMap((mesh) =>
    microbatchTokens.map((tokens) =>
      makeStage(plan, 'prefill', ['prefill'], devices, mesh, {
        microbatchTokens: tokens,
        batchRequests: defaultBatch(mesh),
      }),
    ),
  );

const decodeStages: StagesOver = (plan, devices, meshes, { batchRequests }) =>
  meshes.flatMap((mesh) =>
    batchRequests.map((batch) =>
      makeStage(plan, 'decode', ['decode'], devices, mesh, {
        microbatchTokens: Math.ceil(batch / (mesh.dp * mesh.pp)),
        batchRequests: batch,
      }),
    ),
  );

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
    microbatchTokens,
    batchRequests,
    origin,
    meshOrigin: origin,
  };
}
