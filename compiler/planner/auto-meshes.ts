/**
 * Meshes for stages that leave them open, by workloads: of all combinations those with which the workloads,
 * run one after the other, are estimated to take the shortest time. It is the order in which the tuner tries plans,
 * without their simulation: a file must mean the same to everyone who reads it, and be read at once. The host tier counts
 * with all of its room, as what a copy of the weights takes of it is known once a plan is compiled.
 */
import { engineOf } from '../cost/engine-model.js';
import { countInCommon } from '../in-common.js';
import { mostHostPages } from '../passes/host-room.js';
import type { Mesh, Plan, Stage } from '../plan/plan.js';
import type { DrawnWorkload, Length } from '../plan/workload.js';
import { planBound } from './bound.js';
import { createBoundContext } from './bounded-stage.js';
import { meshesOver } from './candidates.js';
import { kvView } from '../model/kv-window.js';
import { demandOf, repeated, type Demand } from './demand.js';

/** A stage, and with `withMesh` what it would be with another mesh; that is absent where its mesh is settled. */
export interface OpenStage {
  readonly stage: Stage;
  readonly withMesh?: (mesh: Mesh) => Stage;
}

/** More stages than this are left as they are: combinations multiply. */
const MOST_OPEN = 2;

/**
 * The chosen meshes by stage; undefined where no stage or too many are open, without workloads, or where none is known
 * to fit.
 */
export function meshesForWorkloads(
  draft: Plan,
  stages: readonly OpenStage[],
  workloads: readonly DrawnWorkload[],
): ReadonlyMap<string, Mesh> | undefined {
  const open = stages.filter(({ withMesh }) => withMesh !== undefined);
  const demands = workloads.map((workload) => typicalDemand(workload, draft));
  if (open.length === 0 || open.length > MOST_OPEN || demands.length === 0) return undefined;
  const context = createBoundContext(draft, engineOf(draft.topology));
  let best: { readonly seconds: number; readonly stages: readonly Stage[] } | undefined;
  for (const chosen of combinations(draft, stages)) {
    if (!replicasAgree(chosen)) continue;
    const plan = { ...draft, stages: chosen };
    const bound = planBound(plan, context);
    const hostPages = mostHostPages(plan);
    if (bound === undefined || !demands.every((demand) => bound.fits(demand, hostPages))) continue;
    const seconds = demands.reduce((sum, demand) => sum + bound.estimate.roughly(demand), 0);
    if (seconds > 0 && (best === undefined || seconds < best.seconds)) best = { seconds, stages: chosen };
  }
  return best && new Map(best.stages.map(({ name, mesh }) => [name, mesh]));
}

/** Every choice of meshes for the open stages. */
function combinations(draft: Plan, stages: readonly OpenStage[]): readonly (readonly Stage[])[] {
  return stages.reduce<readonly (readonly Stage[])[]>(
    (chosen, { stage, withMesh }) => {
      const choices = withMesh ? meshesOver(draft, stage.devices.length).map(withMesh) : [stage];
      return chosen.flatMap((before) => choices.map((choice) => [...before, choice]));
    },
    [[]],
  );
}

/** Stages that take turns on devices have equally many replicas: requests stay with theirs. */
function replicasAgree(stages: readonly Stage[]): boolean {
  return stages.every((a) =>
    stages.every((b) => a.mesh.dp === b.mesh.dp || countInCommon(a.devices, b.devices) === 0),
  );
}

/** Requests of typical lengths, as many as the workload has. */
function typicalDemand({ requests }: DrawnWorkload, { model, kv }: Plan): Demand {
  const { context } = model.shape;
  const promptTokens = Math.max(1, Math.min(context - 1, Math.round(meanLength(requests.prompt))));
  const outputTokens = Math.max(1, Math.min(context - promptTokens, Math.round(meanLength(requests.output))));
  const prefix = { name: '', tokens: Math.min(requests.prefix ?? 0, promptTokens) };
  const view = kvView(model.shape, kv.pageTokens);
  return repeated(demandOf([{ promptTokens, outputTokens, prefix }], view), requests.count);
}

function meanLength(length: Length): number {
  if (length.kind === 'fixed') return length.tokens;
  return length.kind === 'uniform' ? (length.low + length.high) / 2 : length.mean;
}
