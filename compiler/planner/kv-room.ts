/**
 * How many KV pages the stages of a plan have at most, before it is compiled: what weights and workspace leave, dealt
 * out by the rules of compiled plans. What transitions need of memory is known only then, and takes from this.
 */
import { weightBytes } from '../check/plan/capacity.js';
import { overlaidBuffers } from '../ir/workspace.js';
import type { KvPool } from '../ir/runtime-graph.js';
import { intervalLength } from '../ir/rectangles.js';
import type { RankHolding } from '../ir/transitions.js';
import { kvEdges } from '../passes/kv-edges.js';
import { draftPools, layerPageBytes, layOutPools } from '../passes/kv-pools.js';
import { bindingBytes } from '../passes/lower.js';
import { stepArgumentBytes } from '../passes/step-sizes.js';
import type { Plan, Stage } from '../plan/plan.js';
import type { StageOutline } from './stage-outline.js';

/** A stage and its outline. */
export interface OutlinedStage {
  readonly stage: Stage;
  readonly outline: StageOutline;
}

export interface KvRoom {
  /** Pages of a replica by stage, at most. */
  readonly pages: ReadonlyMap<string, number>;
  /** Bytes that a page takes on each rank of a stage, in rank order. */
  readonly pageBytes: ReadonlyMap<string, readonly number[]>;
  /** Stages that hand their KV over through the host tier, and those that get it from there. */
  readonly handsOver: ReadonlySet<string>;
  readonly takesOver: ReadonlySet<string>;
}

/** Undefined where not even the weights fit. Stages in flow order. */
export function kvRoom(plan: Plan, stages: readonly OutlinedStage[]): KvRoom | undefined {
  const room = roomByDevice(plan, stages);
  if (room === undefined) return undefined;
  const holdings = Object.fromEntries(
    stages.map(({ stage, outline }) => [stage.name, holdingsOf(stage, outline)]),
  );
  const edges = kvEdges(plan, holdings).filter(({ path }) => path === 'tier' || path === 'shared');
  const drafts = draftPools(
    plan,
    stages.map(({ stage }) => stage),
    holdings,
    edges,
  );
  const pools = layOutPools(plan, drafts, room, bindingBytes(plan));
  const slack = roundingSlack(pools);
  const overTier = edges.filter(({ path }) => path === 'tier');
  return {
    pages: new Map(pools.flatMap((pool) => pool.stages.map((name) => [name, pool.pages + slack] as const))),
    pageBytes: new Map(
      stages.map(({ stage }) => [
        stage.name,
        holdings[stage.name]!.map(({ kv }) => intervalLength(kv.layers) * layerPageBytes(plan, kv.heads)),
      ]),
    ),
    handsOver: new Set(overTier.map(({ from }) => from)),
    takesOver: new Set(overTier.map(({ to }) => to)),
  };
}

/** Whole pages of another pool on the same devices leave up to one of its pages more or less to this one. */
function roundingSlack(pools: readonly KvPool[]): number {
  const bytes = pools.flatMap(({ ranks }) => ranks.map(({ pageBytes }) => pageBytes));
  return pools.length < 2 ? 0 : Math.ceil(Math.max(...bytes) / Math.min(...bytes));
}

/** Whether the weights of every stage by themselves fit its devices. */
export function weightsFit(plan: Plan): boolean {
  return plan.stages.every((stage) => {
    const { pp, tp } = stage.mesh;
    const bytes = leastWeightBytes(plan, stage);
    return stage.devices.every(
      (device, rank) => bytes[Math.floor(rank / tp) % pp]! <= budgetOf(plan, device),
    );
  });
}

/** Bytes of weights on a rank of every pipeline stage, at least: tensors of a file may have types of their own. */
function leastWeightBytes({ model }: Plan, stage: Stage): readonly number[] {
  return weightBytes(model.shape, model.stored?.smallest ?? model.weights, stage);
}

function budgetOf({ topology, memoryUse }: Plan, device: number): number {
  return Math.floor(topology.devices[device]!.kind.memory * memoryUse);
}

/** Bytes left for KV on each device at most. */
function roomByDevice(plan: Plan, stages: readonly OutlinedStage[]): ReadonlyMap<number, number> | undefined {
  const { shape } = plan.model;
  const held = new Map<number, { weights: number; step: number; slots: StageOutline['slots'][number][] }>();
  for (const { stage, outline } of stages) {
    const bytes = leastWeightBytes(plan, stage);
    const step = stepArgumentBytes(outline.sizes, shape.context, plan.kv.pageTokens, shape.vocab);
    stage.devices.forEach((device, rank) => {
      const pp = Math.floor(rank / stage.mesh.tp) % stage.mesh.pp;
      const known = held.get(device) ?? { weights: 0, step: 0, slots: [] };
      known.weights = Math.max(known.weights, bytes[pp]!);
      known.step += step;
      known.slots.push(outline.slots[pp]!);
      held.set(device, known);
    });
  }
  const room = new Map<number, number>();
  for (const [device, { weights: resident, step, slots }] of held) {
    const workspace = overlaidBuffers(slots).reduce((sum, bytes) => sum + bytes, step);
    const left = budgetOf(plan, device) - resident - workspace;
    if (left < 0) return undefined;
    room.set(device, left);
  }
  return room;
}

function holdingsOf({ mesh, devices }: Stage, { layers, heads }: StageOutline): readonly RankHolding[] {
  return devices.map((device, rank): RankHolding => {
    const tp = rank % mesh.tp;
    const pp = Math.floor(rank / mesh.tp) % mesh.pp;
    const dp = Math.floor(rank / (mesh.tp * mesh.pp));
    return { device, dp, pp, tp, weights: [], kv: { layers: layers[pp]!, heads: heads[tp]! } };
  });
}
