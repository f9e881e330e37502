/**
 * Logical graph to sharded graph: every stage of a plan lays the same model over its own mesh. Layers whose weights
 * lie alike share one block; `pp` cuts the layers into segments and appears in no value's sharding.
 *
 * Promises: every value has a sharding, neighbours agree on it, and every inserted op names the plan token that
 * caused it and why. What cannot be laid out is a diagnostic, and that stage is left out of the graph.
 */
import type { Diagnostic, Origin } from '../diagnostics/diagnostic.js';
import type { DimName, LogicalGraph, LogicalOp } from '../ir/logical.js';
import type {
  LayerClass,
  MeshAxis,
  PipelineSegment,
  ShardedBlock,
  ShardedGraph,
  ShardedStage,
  Sharding,
} from '../ir/sharded.js';
import type { LayerSharding, Plan, Stage, TpDim } from '../plan/plan.js';
import { routesOf, type Routes } from '../plan/routes.js';
import { linkedMesh } from '../reshard/linked-mesh.js';
import { layoutPlanner } from '../reshard/search.js';
import { bytesPerElement } from '../model/weight-types.js';
import { checkStageSharding } from './check-sharding.js';
import { shardBlock, type BlockLayout } from './shard-block.js';

export interface ShardResult {
  readonly graph: ShardedGraph;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Shards the model for every stage of the plan.
 *
 * @param routes those of the plan's topology, where they are at hand
 */
export function shardPlan(
  logical: LogicalGraph,
  plan: Plan,
  routes: Routes = routesOf(plan.topology),
): ShardResult {
  const checked = plan.stages.map((stage) => ({
    stage,
    diagnostics: checkStageSharding(plan.model, stage),
  }));
  return {
    graph: {
      model: logical.model,
      stages: checked
        .filter(({ diagnostics }) => diagnostics.length === 0)
        .map(({ stage }) => {
          return shardStage(logical, plan, stage, layoutFinder(plan, stage, routes));
        }),
    },
    diagnostics: checked.flatMap(({ diagnostics }) => diagnostics),
  };
}

/** A stage whose sharding can be, with ways between layouts that are found so. */
export function shardStage(
  model: LogicalGraph,
  plan: Plan,
  stage: Stage,
  findLayout: FindLayout,
): ShardedStage {
  const logical = withPageType(model, plan);
  const block = (name: ShardedBlock['name'], layer: number): ShardedBlock =>
    shardBlock(
      logical.blocks.find((candidate) => candidate.name === name)!,
      blockLayout(stage, layer, findLayout),
    );
  return {
    name: stage.name,
    phases: stage.phases,
    mesh: stage.mesh,
    devices: stage.devices,
    embed: block('embed', -1),
    layers: layerClasses(logical.shape.layers, stage, (layer) => block('layer', layer)),
    head: block('head', -1),
    segments: pipelineSegments(stage),
    kvReplicas: stage.sharding.kvReplicas,
    microbatchTokens: stage.microbatchTokens,
    batchRequests: stage.batchRequests,
  };
}

/** The logical graph with the plan's element type for KV pages. */
function withPageType(logical: LogicalGraph, plan: Plan): LogicalGraph {
  const blocks = logical.blocks.map((block) => ({
    ...block,
    values: block.values.map((value) =>
      value.kind === 'kv' ? { ...value, type: { ...value.type, dtype: plan.kv.dtype } } : value,
    ),
  }));
  return { ...logical, blocks };
}

/** Runs of layers that no override tells apart; runs with the same overrides share one block value. */
function layerClasses(
  layers: number,
  stage: Stage,
  makeBlock: (layer: number) => ShardedBlock,
): readonly LayerClass[] {
  const classes: LayerClass[] = [];
  const blocks = new Map<string, ShardedBlock>();
  for (let layer = 0; layer < layers; layer++) {
    const key = (['attention', 'mlp'] as const).map((part) => overrideIndex(stage, layer, part)).join();
    const block = blocks.get(key) ?? makeBlock(layer);
    blocks.set(key, block);
    const last = classes.at(-1);
    if (last?.block === block) classes[classes.length - 1] = { ...last, lastLayer: layer };
    else classes.push({ firstLayer: layer, lastLayer: layer, block });
  }
  return classes;
}

/** The override in force for a part of a layer: the last one that names it, -1 when there is none. */
function overrideIndex(stage: Stage, layer: number, part: LogicalOp['part']): number {
  return stage.overrides.findLastIndex(
    (override) => override.part === part && override.firstLayer <= layer && layer <= override.lastLayer,
  );
}

function blockLayout(stage: Stage, layer: number, findLayout: FindLayout): BlockLayout {
  const sharding = (part: LogicalOp['part']): LayerSharding =>
    stage.overrides[overrideIndex(stage, layer, part)]?.sharding ?? stage.sharding;
  const origin = (part: LogicalOp['part']): Origin =>
    stage.overrides[overrideIndex(stage, layer, part)]?.origin ?? stage.meshOrigin;
  const tpAxes = (dim: DimName, on: LayerSharding): readonly MeshAxis[] =>
    stage.mesh.tp > 1 && on.onTp.includes(dim as TpDim) ? ['tp'] : [];
  return {
    weightAxes: (dim, part) => tpAxes(dim, sharding(part)),
    kvAxes: (dim) => tpAxes(dim, stage.sharding),
    rowAxes: stage.mesh.dp > 1 ? ['dp'] : [],
    findLayout,
    origin,
  };
}

type FindLayout = BlockLayout['findLayout'];

/**
 * Ways between layouts of a stage's values, for the rows of a full step; searched once for each kind of value. Only ranks
 * along `tp` take part: those along `pp` are at other layers meanwhile, and replicas at steps of their own.
 */
export function layoutFinder({ topology }: Plan, stage: Stage, routes: Routes): FindLayout {
  const { mesh, microbatchTokens, batchRequests } = stage;
  const linked = linkedMesh(topology, stage, routes);
  const planner = layoutPlanner({ ...linked, mesh: { ...mesh, dp: 1, pp: 1 } });
  const samples = Math.ceil(batchRequests / mesh.dp);
  const rows = (dim: DimName): number => (dim === 'samples' ? samples : microbatchTokens);
  return ({ type, sharding }, target) => {
    const dims = type.dims.map(({ name, size }) => ({ name, size: size ?? rows(name) }));
    const elementBytes = type.dtype === 'u32' ? 4 : bytesPerElement(type.dtype);
    return planner.path({ dims, elementBytes }, inReplica(sharding), inReplica(target))?.moves;
  };
}

/** How a value lies among the ranks of one replica, which has some of the rows to itself. */
function inReplica({ dims, partial }: Sharding): Sharding {
  const others = Object.entries(dims).map(([dim, axes]) => [dim, axes.filter((axis) => axis !== 'dp')]);
  return { dims: Object.fromEntries(others) as Sharding['dims'], partial };
}

/** What each pipeline stage holds: its run of layers, the first also the embedding, the last also the head. */
export function pipelineSegments(stage: Stage): readonly PipelineSegment[] {
  let next = 0;
  return stage.layerSplit.map((count, pp) => {
    const firstLayer = next;
    next += count;
    const last = pp === stage.mesh.pp - 1;
    return {
      pp,
      firstLayer,
      lastLayer: next - 1,
      embed: pp === 0,
      head: last,
      ...(!last && { sendsTo: pp + 1 }),
      origin: stage.meshOrigin,
    };
  });
}
