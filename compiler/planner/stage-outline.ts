/**
 * A stage as far as its speed and its room for KV depend on it: programs and workspace, without weights, moves or pages.
 * Stages that differ in replicas and devices alone share their programs, so that many are outlined in little time.
 */
import type { LogicalGraph } from '../ir/logical.js';
import type { ShardedStage } from '../ir/sharded.js';
import type { Interval } from '../ir/transitions.js';
import { segmentLayers } from '../passes/block-weights.js';
import { buildLogical } from '../passes/build-logical.js';
import { stageKvHeads } from '../passes/holdings.js';
import { assignSlots } from '../passes/liveness.js';
import { lowerProgram } from '../passes/lower-program.js';
import type { DraftProgram } from '../passes/program-builder.js';
import { shardPlan } from '../passes/shard.js';
import { stepSizes, type StepSizes } from '../passes/step-sizes.js';
import type { Plan, Stage } from '../plan/plan.js';
import type { Routes } from '../plan/routes.js';
import { linkedMesh } from '../reshard/linked-mesh.js';

export interface StageOutline {
  /** By pipeline stage. */
  readonly programs: readonly DraftProgram[];
  /** Layers of each pipeline stage, and KV heads of each rank of a tp group. */
  readonly layers: readonly Interval[];
  readonly heads: readonly Interval[];
  /** Slots of each pipeline stage when a step carries as much as it may. */
  readonly slots: readonly (readonly { readonly id: number; readonly bytes: number }[])[];
  readonly sizes: StepSizes;
}

/** Outlines stages of plans for one model over one topology. Undefined where a stage's sharding cannot be. */
export type Outliner = (plan: Plan, stage: Stage) => StageOutline | undefined;

export function createOutliner(routes: Routes): Outliner {
  let logical: LogicalGraph | undefined;
  const known = new Map<string, StageOutline | undefined>();
  const lowered = new Map<string, Lowered>();
  return (plan, stage) => {
    const { mesh, layerSplit, sharding, overrides, phases, microbatchTokens, batchRequests } = stage;
    const parts = overrides.map(({ origin: _origin, ...rest }) => rest);
    const { links } = linkedMesh(plan.topology, stage, routes);
    const { pageTokens, dtype } = plan.kv;
    const key = JSON.stringify([
      ...[mesh.pp, mesh.tp, layerSplit, sharding, parts, links, pageTokens, dtype],
      ...[stepSizes(stage), phases, microbatchTokens, batchRequests],
    ]);
    if (known.has(key)) return known.get(key);
    logical ??= buildLogical(plan.model);
    const outline = outlineStage(logical, plan, stage, routes, lowered);
    known.set(key, outline);
    return outline;
  };
}

type Lowered = Pick<StageOutline, 'programs' | 'layers' | 'heads'>;

function outlineStage(
  logical: LogicalGraph,
  plan: Plan,
  stage: Stage,
  routes: Routes,
  lowered: Map<string, Lowered>,
): StageOutline | undefined {
  const { graph, diagnostics } = shardPlan(logical, { ...plan, stages: [stage] }, routes);
  const [sharded] = graph.stages;
  if (sharded === undefined || diagnostics.length > 0) return undefined;
  // Stages of other phases and step sizes have the same programs as a rule.
  const { embed, layers, head, kvReplicas } = sharded;
  const { pageTokens, dtype } = plan.kv;
  const { tp } = stage.mesh;
  const key = JSON.stringify([tp, stage.layerSplit, embed, layers, head, kvReplicas, pageTokens, dtype]);
  const known = lowered.get(key) ?? lowerStage(plan, stage, sharded);
  lowered.set(key, known);
  const sizes = stepSizes(stage);
  const rows = { tokens: sizes.maxTokens, samples: sizes.maxSequences };
  return {
    ...known,
    sizes,
    slots: known.programs.map(({ values, ops }) => assignSlots(values, ops, rows).slots),
  };
}

function lowerStage({ model, kv }: Plan, { layerSplit, mesh }: Stage, sharded: ShardedStage): Lowered {
  const context = { shape: model.shape, pageTokens: kv.pageTokens, kvDtype: kv.dtype };
  return {
    programs: layerSplit.map((_, pp) => lowerProgram(sharded, pp, context)),
    layers: layerSplit.map((_, pp) => segmentLayers(sharded, pp)),
    heads: Array.from({ length: mesh.tp }, (_, tp) => stageKvHeads(sharded, tp)),
  };
}
