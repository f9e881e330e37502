/**
 * A stage as far as its speed and its room for KV depend on it: programs and workspace, without weights, moves or pages.
 * Stages that differ in replicas and devices alone share their programs, so that many are outlined in little time.
 */
import type { LogicalGraph } from '../ir/logical.js';
import type { ShardedBlock, ShardedStage, ShardedValue, Sharding } from '../ir/sharded.js';
import type { Interval } from '../ir/transitions.js';
import { numbered } from '../numbered.js';
import { once } from '../once.js';
import { segmentBlocks, segmentLayers } from '../passes/block-weights.js';
import { buildLogical } from '../passes/build-logical.js';
import { checkStageSharding } from '../passes/check-sharding.js';
import { stageKvHeads } from '../passes/holdings.js';
import { dealSlots, lifetimes, type Lifetime } from '../passes/liveness.js';
import { lowerProgram, type LoweringContext } from '../passes/lower-program.js';
import type { DraftProgram } from '../passes/program-builder.js';
import { layoutFinder, pipelineSegments, shardStage } from '../passes/shard.js';
import { stepSizes, type StepSizes } from '../passes/step-sizes.js';
import type { Plan, Stage } from '../plan/plan.js';
import type { Routes } from '../plan/routes.js';
import { linkedMesh } from '../reshard/linked-mesh.js';
import type { LayoutMove, LinkedMesh } from '../reshard/layouts.js';

/** The outline of a stage. */
export interface StageOutline {
  /** The program of each pipeline stage. Pipeline stages that cost the same share one. */
  readonly programs: readonly DraftProgram[];
  /** Layers of each pipeline stage. */
  readonly layers: readonly Interval[];
  /** KV heads of each rank of a tp group. */
  readonly heads: readonly Interval[];
  /** Workspace slots of each pipeline stage and their bytes, when a step carries as much as it may. */
  readonly slots: readonly (readonly { readonly id: number; readonly bytes: number }[])[];
  /** The most that one step of a replica may carry. */
  readonly sizes: StepSizes;
}

/** Outlines stages of plans for one model over one topology. Undefined where a stage's sharding cannot be. */
export type Outliner = (plan: Plan, stage: Stage) => StageOutline | undefined;

/** An outliner that shares programs and outlines between the stages that it is asked for, all of plans for the model. */
export function createOutliner(model: Plan['model'], routes: Routes): Outliner {
  const shard = createSharder(model, routes);
  const known = new Map<string, StageOutline>();
  const lowered = new Map<string, Lowered>();
  const lives = new Map<DraftProgram, readonly Lifetime[]>();
  const livesOf = (program: DraftProgram): readonly Lifetime[] => {
    const found = lives.get(program) ?? lifetimes(program.values, program.ops);
    lives.set(program, found);
    return found;
  };
  return (plan, stage) => {
    const laid = shard(plan, stage);
    if (laid === undefined) return undefined;
    // Stages of other phases and step sizes have the same programs as a rule.
    const programs = [laid.id, stage.mesh.tp, stage.layerSplit, laid.sharded.kvReplicas].join();
    const sizes = stepSizes(stage);
    const key = `${programs} ${sizes.maxTokens} ${sizes.maxSequences}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const parts = lowered.get(programs) ?? lowerStage(plan, stage, laid.sharded);
    lowered.set(programs, parts);
    const rows = { tokens: sizes.maxTokens, samples: sizes.maxSequences };
    const slots = parts.programs.map(
      once((program) => dealSlots(program.values, livesOf(program), rows).slots),
    );
    const outline = { ...parts, sizes, slots };
    known.set(key, outline);
    return outline;
  };
}

/** A sharded stage, and what tells its blocks from those that are not the same. */
interface ShardedBlocks {
  readonly sharded: ShardedStage;
  readonly id: number;
}

/** What sizes and links decide of a sharded stage: by which moves values get into other layouts. */
interface ShardedSo extends ShardedBlocks {
  readonly moved: readonly {
    readonly from: ShardedValue;
    readonly to: Sharding;
    readonly moves: readonly LayoutMove[];
  }[];
}

type Sharder = (plan: Plan, stage: Stage) => ShardedBlocks | undefined;

/** Blocks do not depend on how a mesh is cut along `pp`. */
function createSharder(spec: Plan['model'], routes: Routes): Sharder {
  let logical: LogicalGraph | undefined;
  const known = new Map<string, ShardedBlocks | undefined>();
  /** Of stages whose weights and rows are cut alike, those that are not the same. */
  const alike = new Map<string, ShardedSo[]>();
  let ids = 0;
  const links = new Map<readonly number[], Map<string, LinkedMesh['links']>>();
  const linksOf = (plan: Plan, stage: Stage): LinkedMesh['links'] => {
    const byMesh = links.get(stage.devices) ?? new Map<string, LinkedMesh['links']>();
    links.set(stage.devices, byMesh);
    const { dp, pp, tp } = stage.mesh;
    const key = `${dp} ${pp} ${tp}`;
    const found = byMesh.get(key) ?? linkedMesh(plan.topology, stage, routes).links;
    byMesh.set(key, found);
    return found;
  };
  const shardAs = (model: LogicalGraph, plan: Plan, stage: Stage, cut: string): ShardedBlocks | undefined => {
    if (checkStageSharding(plan.model, stage).length > 0) return undefined;
    const find = layoutFinder(plan, stage, routes);
    const others = alike.get(cut) ?? [];
    alike.set(cut, others);
    const same = others.find(({ moved }) =>
      moved.every(({ from, to, moves }) => sameMoves(moves, find(from, to))),
    );
    if (same !== undefined) return same;
    const moved: ShardedSo['moved'][number][] = [];
    const sharded = shardStage(model, plan, stage, (from, to) => {
      const moves = find(from, to);
      // What stays as it is does so with any sizes and links.
      if (moves !== undefined && moves.length > 0) moved.push({ from, to, moves });
      return moves;
    });
    const found = { sharded, id: ids++, moved };
    others.push(found);
    return found;
  };
  return (plan, stage) => {
    const { mesh, sharding, overrides, microbatchTokens, batchRequests } = stage;
    const parts = overrides.map(({ origin: _origin, ...rest }) => rest);
    const { dp, tp } = linksOf(plan, stage);
    const { pageTokens, dtype } = plan.kv;
    const cut = JSON.stringify([mesh.dp > 1, mesh.tp, sharding, parts, pageTokens, dtype]);
    // Without tp nothing is cut but the rows of a step, and no links or sizes are asked about.
    const ways = [dp, tp].flatMap(({ latency, bandwidth }) => [latency, bandwidth]);
    const key = mesh.tp > 1 ? `${cut} ${ways.join()} ${microbatchTokens} ${batchRequests}` : cut;
    if (!known.has(key)) {
      logical ??= buildLogical(spec);
      known.set(key, shardAs(logical, plan, stage, cut));
    }
    const found = known.get(key);
    return found && { ...found, sharded: { ...found.sharded, segments: pipelineSegments(stage) } };
  };
}

function sameMoves(a: readonly LayoutMove[], b: readonly LayoutMove[] | undefined): boolean {
  return (
    a.length === b?.length &&
    a.every(({ kind, axis, gathers, splits }, index) => {
      const other = b[index]!;
      return (
        kind === other.kind && axis === other.axis && gathers === other.gathers && splits === other.splits
      );
    })
  );
}

type Lowered = Pick<StageOutline, 'programs' | 'layers' | 'heads'>;

function lowerStage({ model, kv }: Plan, { layerSplit, mesh }: Stage, sharded: ShardedStage): Lowered {
  const context = { shape: model.shape, pageTokens: kv.pageTokens, kvDtype: kv.dtype };
  return {
    programs: lowerPrograms(model, sharded, context),
    layers: layerSplit.map((_, pp) => segmentLayers(sharded, pp)),
    heads: Array.from({ length: mesh.tp }, (_, tp) => stageKvHeads(sharded, tp)),
  };
}

/** Pipeline stages with as many of the same layers do the same, unless their weights are stored in types of their own. */
function lowerPrograms(
  model: Plan['model'],
  sharded: ShardedStage,
  context: LoweringContext,
): readonly DraftProgram[] {
  const idOf = numbered<ShardedBlock>();
  const known = new Map<string, DraftProgram>();
  return sharded.segments.map(({ pp, embed, head }) => {
    const blocks = segmentBlocks(sharded, pp).map(({ block }) => idOf(block));
    const key = [embed, head, ...(model.stored ? [pp] : []), ...blocks].join();
    const program = known.get(key) ?? lowerProgram(sharded, pp, context);
    known.set(key, program);
    return program;
  });
}
