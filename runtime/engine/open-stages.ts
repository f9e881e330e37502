/** Stages ready to run: all kernels of all their ranks compiled and bound to weights, pages and workspaces. */
import type { RuntimeGraph, RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { StageResidence } from '../../compiler/ir/residences.js';
import { tableEntries } from '../../compiler/passes/step-sizes.js';
import { createPipeline } from '../exec/pipeline.js';
import type { Pipeline, PipelineContext } from '../exec/pipeline.js';
import { openRank } from '../exec/rank.js';
import type { ResidentWeights } from '../exec/resident-weights.js';
import { ropeBuffers } from '../exec/rope.js';
import { stepArgsLayout } from '../exec/step-args.js';
import type { StepArgsLayout } from '../exec/step-args.js';
import { createWorkspace } from '../exec/workspace.js';
import type { WorkspaceStage } from '../exec/workspace.js';
import { createCopyPage, openPageCopies } from '../kv/page-copies.js';
import type { PagePool } from '../kv/pool.js';
import type { ExposureClock } from './clock.js';
import type { PrepareOptions } from './prepare.js';

export interface PreparedStage {
  readonly stage: RuntimeStage;
  readonly layout: StepArgsLayout;
  readonly pipeline: Pipeline;
}

/** What stages stand on. */
export interface StageGround extends Omit<PipelineContext, 'residence' | 'computing'> {
  readonly residences: ReadonlyMap<string, StageResidence>;
  /** By topology device id. */
  readonly weights: ReadonlyMap<number, ResidentWeights>;
  readonly pools: ReadonlyMap<string, PagePool>;
  /** By residence group. */
  readonly exposures: ReadonlyMap<string, ExposureClock>;
}

/** Stages by name. */
export async function openStages(
  { graph, devices, library }: PrepareOptions,
  { residences, weights, pools, exposures, ...context }: StageGround,
): Promise<ReadonlyMap<string, PreparedStage>> {
  const { shape } = graph.model;
  const ropes = new Map([...devices].map(([id, device]) => [id, ropeBuffers(shape, device)]));
  const workspaces = new Map(
    [...devices].map(([id, device]) => [id, createWorkspace(device, workspaceStages(graph, residences, id))]),
  );
  const copying = new Map(
    await Promise.all([...devices].map(async ([id, device]) => [id, await openPageCopies(device)] as const)),
  );
  const stages = new Map<string, PreparedStage>();
  for (const stage of graph.stages) {
    const entries = tableEntries(stage, shape, graph.kv.pageTokens);
    const layout = stepArgsLayout(stage.maxTokens, stage.maxSequences, entries);
    const { residence, group } = residences.get(stage.name)!;
    const pool = pools.get(stage.pool)!;
    const ranks = await Promise.all(
      stage.ranks.map((rank) => {
        const device = devices.get(rank.device)!;
        const resident = weights.get(rank.device)!;
        return openRank(stage, rank, {
          device,
          library,
          layout,
          weightPlace: (weight) => resident.place(residence, weight),
          weightArrival: (weight) => resident.arrival(residence, weight),
          kvBuffer: (layers) => pool.buffer(rank.device, layers),
          copyPage: createCopyPage(device, copying.get(rank.device)!, pool.groups(rank.device)),
          rope: (table) => ropes.get(rank.device)!.get(table)!,
          slot: (id) => workspaces.get(rank.device)!(stage.name, id),
        });
      }),
    );
    const computing = exposures.get(group)!.compute;
    const pipeline = createPipeline(stage, ranks, { ...context, residence, computing });
    stages.set(stage.name, { stage, layout, pipeline });
  }
  return stages;
}

/** The stages on a device, with the slots of the programs they run there. */
function workspaceStages(
  graph: RuntimeGraph,
  residences: ReadonlyMap<string, StageResidence>,
  device: number,
): readonly WorkspaceStage[] {
  return graph.stages.flatMap(({ name, programs, ranks }) => {
    const rank = ranks.find((candidate) => candidate.device === device);
    if (rank === undefined) return [];
    return [{ name, residence: residences.get(name)!.residence, slots: programs[rank.program]!.slots }];
  });
}
