/**
 * Meshes for stages that leave them open, by workloads: of all combinations those with which the workloads, run one after
 * the other, are estimated to take the shortest time, the quickest by close estimates. No plan is simulated: a file must
 * mean the same to everyone who reads it, and be read at once. The host tier counts with all of its room, as what a copy
 * of the weights takes of it is known once a plan is compiled.
 */
import { engineOf } from '../cost/engine-model.js';
import { countInCommon } from '../in-common.js';
import { diskPages, mostHostPages } from '../passes/host-room.js';
import type { Mesh, Plan, Stage } from '../plan/plan.js';
import type { DrawnWorkload, Length } from '../plan/workload.js';
import { planBound } from './bound.js';
import { createBoundContext, type BoundContext } from './bounded-stage.js';
import { meshesOver } from './candidates.js';
import { kvView } from '../model/kv-window.js';
import { demandOf, type Demand } from './demand.js';

/** A stage, and with `withMesh` what it would be with another mesh; that is absent where its mesh is settled. */
export interface OpenStage {
  readonly stage: Stage;
  readonly withMesh?: (mesh: Mesh) => Stage;
}

/** More stages than this are left as they are: combinations multiply. */
const MOST_OPEN = 2;

/**
 * The most requests of a workload that are estimated: with more of the same lengths the same meshes are best, but for
 * what the first and the last of them take.
 */
const MOST_REQUESTS = 512;

/** Part by which a rough estimate may be above the least one for a close one to be made. */
const NEAR = 0.05;
/** The most choices that are estimated closely, the quickest by rough estimates first: each takes some milliseconds. */
const MOST_CLOSELY = 4;

/** Some requests of a workload, all of typical lengths. */
interface Typical {
  readonly demand: Demand;
  /** How many times as many the workload has. */
  readonly times: number;
}

/** Meshes for all stages, with the seconds that the workloads are estimated to take. */
interface Choice {
  readonly stages: readonly Stage[];
  readonly roughly: number;
  /** Undefined where there are no close estimates. */
  readonly closely: () => number | undefined;
}

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
  if (open.length === 0 || open.length > MOST_OPEN || workloads.length === 0) return undefined;
  const context = createBoundContext(draft, engineOf(draft.topology));
  const all = workloads.map((workload) => typicalRequests(workload, draft));
  const choices = combinations(draft, stages).flatMap((chosen) => choiceOf(draft, chosen, all, context));
  const best = quickest(choices);
  return best && new Map(best.stages.map(({ name, mesh }) => [name, mesh]));
}

/** A choice of meshes, unless it is known not to fit. */
function choiceOf(
  draft: Plan,
  stages: readonly Stage[],
  all: readonly Typical[],
  context: BoundContext,
): readonly Choice[] {
  if (!replicasAgree(stages)) return [];
  const plan = { ...draft, stages };
  const bound = planBound(plan, context);
  const hostPages = mostHostPages(plan);
  if (bound === undefined || !all.every(({ demand }) => bound.fits(demand, hostPages))) return [];
  const { estimate } = bound;
  const pages = hostPages + diskPages(plan);
  const roughly = all.reduce((sum, { demand, times }) => sum + times * estimate.roughly(demand), 0);
  if (roughly === 0) return [];
  const closely = (): number | undefined => {
    const each = all.map(({ demand, times }) => {
      const close = estimate.closely(demand, false, pages);
      return close && times * close.seconds;
    });
    return each.reduce(
      (sum, seconds) => (sum === undefined || seconds === undefined ? undefined : sum + seconds),
      0,
    );
  };
  return [{ stages, roughly, closely }];
}

/** The quickest by close estimates, of those that are near the quickest by rough ones; of equals the first. */
function quickest(choices: readonly Choice[]): Choice | undefined {
  const inOrder = choices.toSorted((a, b) => a.roughly - b.roughly);
  const [first] = inOrder;
  if (first === undefined) return undefined;
  const near = inOrder.filter(({ roughly }) => roughly <= first.roughly * (1 + NEAR)).slice(0, MOST_CLOSELY);
  if (near.length === 1) return first;
  let best: { readonly choice: Choice; readonly seconds: number } | undefined;
  for (const choice of near) {
    const seconds = choice.closely();
    if (seconds === undefined) return first;
    if (best === undefined || seconds < best.seconds) best = { choice, seconds };
  }
  return best!.choice;
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

/** Requests of typical lengths, as many as the workload has, or as are estimated. */
function typicalRequests({ requests }: DrawnWorkload, { model, kv }: Plan): Typical {
  const { context } = model.shape;
  const promptTokens = Math.max(1, Math.min(context - 1, Math.round(meanLength(requests.prompt))));
  const outputTokens = Math.max(1, Math.min(context - promptTokens, Math.round(meanLength(requests.output))));
  const prefix = { name: '', tokens: Math.min(requests.prefix ?? 0, promptTokens) };
  const count = Math.min(requests.count, MOST_REQUESTS);
  const each = { promptTokens, outputTokens, prefix };
  const demand = demandOf(
    Array.from({ length: count }, () => each),
    kvView(model.shape, kv.pageTokens),
  );
  return { demand, times: requests.count / count };
}

function meanLength(length: Length): number {
  if (length.kind === 'fixed') return length.tokens;
  return length.kind === 'uniform' ? (length.low + length.high) / 2 : length.mean;
}
