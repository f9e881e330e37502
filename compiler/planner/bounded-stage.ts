/**
 * What bounds on plans need to know of a stage by itself, whatever other stages are beside it: found once for all plans
 * that have the stage.
 */
import { engineShare, type EngineModel } from '../cost/engine-model.js';
import { groupHardware, hardwareKey, type GroupHardware } from '../cost/group-hardware.js';
import { leastCosts, type LeastCost, type LeastCosts } from '../cost/least-cost.js';
import type { CostedProgram } from '../cost/op-classes.js';
import { programCost, type ProgramCost } from '../cost/program-cost.js';
import { numbered } from '../numbered.js';
import { once, onceForObject } from '../once.js';
import { mostPages } from '../model/kv-window.js';
import type { StepSizes } from '../passes/step-sizes.js';
import type { DeviceKind, Plan, Stage, Topology } from '../plan/plan.js';
import { routesOf, type Routes } from '../plan/routes.js';
import { hostShares, type HostShares } from './between-hosts.js';
import type { HostTimes } from './bounded-plan.js';
import type { SequencesInOrder } from './decode-rounds.js';
import type { Demand } from './demand.js';
import {
  kvRoomAlone,
  stageKv,
  stageNeeds,
  weightsFit,
  type PlanKvRoom,
  type StageKv,
  type StageNeeds,
} from './kv-room.js';
import { mostHeld } from './held-prompts.js';
import { knownFused, type KnownFused } from './known-fused.js';
import type { PromptCourse } from './prompt-course.js';
import { type StageLoad, type StepCostOf } from './stage-load.js';
import { meanOfDealt, pipelineCosts, type PipelineCosts } from './pipeline-costs.js';
import { pageCost, type PageSeconds } from './page-seconds.js';
import { createOutliner, type Outliner, type StageOutline } from './stage-outline.js';

/**
 * Caches that the bounds of plans under one engine share, as candidates of one base plan do: with its model and topology,
 * and all that room for KV and its pages depend on, which are memory use, tiers, page size and type. Nothing in their
 * keys tells other plans apart.
 */
export interface BoundContext {
  readonly engine: EngineModel;
  readonly routes: Routes;
  /** Outlines stages. */
  readonly outline: Outliner;
  /**
   * The least costs of a program that may run on any of some tp groups (see `leastCosts`). Cached by program and
   * hardware.
   */
  readonly costsOf: OnGroups<LeastCosts>;
  /** The exact costs of single steps of a program on a tp group (see `programCost`). Cached likewise. */
  readonly stepsOf: (program: CostedProgram, hardware: GroupHardware) => ProgramCost;
  /** By devices and programs: what stages have in common that differ in the sizes of their steps. */
  readonly laidOut: Map<readonly number[], Map<StageOutline['programs'], LaidOutStage>>;
  /** Stages that were asked for before; undefined where they certainly do not fit, or their sharding cannot be. */
  readonly stages: Map<Stage, BoundedStage | undefined>;
  /**
   * Courses of prefill that were asked for before, by stage and by the seconds of a page from its pipeline stages, as
   * text.
   */
  readonly prefilled: (stage: Stage) => (pageSeconds: string) => Prefilled;
  /** Courses of stages for both phases that were asked for before. */
  readonly fused: KnownFused;
}

/** Courses of prefill by the sequences that are prefilled. */
type Prefilled = Map<SequencesInOrder, readonly PromptCourse[]>;

/**
 * The context of bounds for plans that differ from a base plan in their stages and flow alone, with nothing in its caches
 * but what other contexts share.
 */
export function createBoundContext({ model, topology }: Plan, engine: EngineModel): BoundContext {
  return {
    engine,
    routes: routesOver(topology),
    outline: outlinerOf(model)(topology),
    laidOut: new Map(),
    stages: new Map(),
    prefilled: once(() => once((): Prefilled => new Map())),
    fused: knownFused(),
    ...costsWith(engine),
  };
}

const routesOver = onceForObject(routesOf);

/**
 * Shared by all contexts, such as those of a check that settles meshes and of a search: programs depend on nothing
 * else.
 */
const outlinerOf = onceForObject((model: Plan['model']) =>
  onceForObject((topology: Topology) => createOutliner(model, routesOver(topology))),
);

type Groups = readonly [GroupHardware, ...GroupHardware[]];
type OnGroups<Costs> = (program: CostedProgram, groups: Groups) => Costs;

const costsWith = onceForObject((engine: EngineModel): Pick<BoundContext, 'costsOf' | 'stepsOf'> => {
  const stepsOf = onGroups((program, [hardware]) => programCost(program, hardware, engine));
  return {
    costsOf: onGroups((program, groups) => leastCosts(program, groups, engine)),
    stepsOf: (program, hardware) => stepsOf(program, [hardware]),
  };
});

function onGroups<Costs>(find: OnGroups<Costs>): OnGroups<Costs> {
  const byProgram = onceForObject((_program: CostedProgram) => ({
    known: new Map<string, Costs>(),
    idOf: numbered<DeviceKind>(),
  }));
  return (program, groups) => {
    const { known, idOf } = byProgram(program);
    const key = groups.map((hardware) => hardwareKey(hardware, idOf)).join('/');
    const costs = known.get(key) ?? find(program, groups);
    known.set(key, costs);
    return costs;
  };
}

/** What bounds know of a stage by itself. */
export interface BoundedStage {
  /** What it needs of memory. */
  readonly needs: StageNeeds;
  /** As in `StageLoad`, with `meanCosts` and `stepSeconds`. */
  readonly costs: PipelineCosts;
  readonly meanCosts: PipelineCosts;
  readonly stepSeconds: StepCostOf;
  /** By pipeline stage, seconds of a KV page to the host tier and from there. */
  readonly moves: readonly PageSeconds[];
  /** How a page is spread over the hosts beside its ranks. */
  readonly hosts: HostShares;
  /** KV pages of a replica if no other stage is on its devices. */
  readonly pagesAlone: number;
}

/** The stage as bounds know it; undefined where it certainly does not fit its devices, or its sharding cannot be. */
export function boundedStage(plan: Plan, stage: Stage, context: BoundContext): BoundedStage | undefined {
  const { stages } = context;
  if (!stages.has(stage)) stages.set(stage, boundStage(plan, stage, context));
  return stages.get(stage);
}

function boundStage(plan: Plan, stage: Stage, context: BoundContext): BoundedStage | undefined {
  if (!weightsFit(plan, stage)) return undefined;
  const outline = context.outline(plan, stage);
  if (outline === undefined) return undefined;
  const { kv, costsFor, moves, hosts, stepSecondsOn } = layOut(plan, stage, outline, context);
  const atWork = replicasAtWork(stage);
  const { least: costs, mean: meanCosts } = costsFor(outline.sizes, atWork);
  const stepSeconds = stepSecondsOn(atWork);
  const needs = stageNeeds(plan, stage, outline, kv);
  const pagesAlone = kvRoomAlone(plan, needs);
  return pagesAlone === undefined
    ? undefined
    : { needs, costs, meanCosts, stepSeconds, moves, hosts, pagesAlone };
}

/**
 * Replicas that have work at once: where fewer sequences decode than there are replicas, as many as these, the
 * quickest.
 */
function replicasAtWork({ phases, mesh, batchRequests }: Stage): number {
  return phases.includes('decode') ? Math.min(mesh.dp, batchRequests) : mesh.dp;
}

/** Costs of replicas that are not alike: `least` for bounds, `mean` for estimates. One object where all are alike. */
interface CostsOfReplicas {
  readonly least: PipelineCosts;
  readonly mean: PipelineCosts;
}

/** The part of a stage that does not depend on the sizes of its steps. */
interface LaidOutStage extends Pick<BoundedStage, 'moves' | 'hosts'> {
  readonly kv: StageKv;
  /** Costs in steps up to a size, with so many replicas at work. Where these make no difference it is one object. */
  readonly costsFor: (sizes: StepSizes, replicas: number) => CostsOfReplicas;
  /** Exact seconds of single steps, with so many replicas at work. */
  readonly stepSecondsOn: (replicas: number) => StepCostOf;
}

function layOut(plan: Plan, stage: Stage, outline: StageOutline, context: BoundContext): LaidOutStage {
  const { programs } = outline;
  const byPrograms = context.laidOut.get(stage.devices) ?? new Map<typeof programs, LaidOutStage>();
  context.laidOut.set(stage.devices, byPrograms);
  const known = byPrograms.get(programs);
  if (known !== undefined) return known;
  const kv = stageKv(plan, stage, outline);
  const moves = programs.map((_, pp) => pageCost(plan, stage, pp, kv.pageBytes, context.routes));
  const laid = {
    kv,
    moves,
    hosts: hostShares(plan, stage, kv.pageBytes),
    costsFor: costsBySize(groupCosts(plan, stage, programs, context)),
    stepSecondsOn: once((replicas: number) => stepSecondsOf(plan, stage, programs, context, replicas)),
  };
  byPrograms.set(programs, laid);
  return laid;
}

/**
 * The most sequences that decode at once by the KV pages of all replicas: each holds those of its prompt, as far as a
 * row sees them. Batches up to that may be reached.
 *
 * @param pages KV pages of a replica
 */
export function sequencesIn(
  { stage: { mesh }, engines }: Pick<StageLoad, 'stage' | 'engines'>,
  pages: number,
  { prompts }: Demand,
): number {
  const held = mostHeld(prompts, mesh.dp * engineShare(pages, engines));
  // A batch that does not divide by the engines is that of the next smaller one that does.
  return engines * held + engines - 1;
}

/** Whether `pages` KV pages of a replica have room for every sequence that the stage may get, one at a time. */
export function holds({ phases }: Stage, pages: number, { longest, longestDecoding, kv }: Demand): boolean {
  const tokens = (phases.includes('prefill') ? longest : longestDecoding) - 1;
  return pages >= mostPages(kv, tokens, 1);
}

/**
 * Whether the host tier has room for every sequence that is handed over through it: each lies there whole, as far as it is
 * still seen, whatever others have in common with it. A disk behind it holds none for longer.
 */
export function holdsOnHost(pages: number, { longestDecoding, kv }: Demand): boolean {
  return pages >= mostPages(kv, longestDecoding - 1, 1);
}

/** The times of the host under an engine; none without `hostOverhead`. */
export function overheadOf({ topology }: Plan, engine: EngineModel): HostTimes {
  const { hostOverhead, hostPerReplica } = engine;
  const { step, request } = hostOverhead ? topology.overhead : { step: 0, request: 0 };
  return { step, request, hostPerReplica };
}

/**
 * The load of a stage in a plan.
 *
 * @param room which stages hand KV over through the host tier, and which take it from there
 * @param engines virtual engines that share the stage's pipeline
 */
export function stageLoad(
  { needs, costs, meanCosts, stepSeconds, moves }: BoundedStage,
  room: Pick<PlanKvRoom, 'handsOver' | 'takesOver'>,
  engines = 1,
): StageLoad {
  const { stage, outline } = needs;
  const none = moves.map(() => 0);
  return {
    stage,
    sizes: outline.sizes,
    costs,
    meanCosts,
    stepSeconds,
    engines,
    // Of the replicas of a head one alone leaves.
    out:
      room.handsOver.has(stage.name) && stage.sharding.kvReplicas === 1
        ? moves.map((each) => each.out)
        : none,
    in: room.takesOver.has(stage.name) ? moves.map((each) => each.in) : none,
  };
}

function costsBySize(groups: readonly ReplicaCosts[]): LaidOutStage['costsFor'] {
  const idOf = numbered<LeastCost>();
  const known = new Map<string, CostsOfReplicas>();
  return ({ maxTokens, maxSequences }, replicas) => {
    const upTo = once(({ least, each }: ReplicaCosts) => {
      const ofSize = (costs: LeastCosts): LeastCost => costs({ tokens: maxTokens, samples: maxSequences });
      return { least: [ofSize(least)], each: each.map(ofSize) };
    });
    const lists = groups.map(upTo);
    const alike = groups.every(({ each }) => each.length === 1);
    const ids = lists.map(({ least, each }) => [...least, ...each].map(idOf).join()).join(';');
    const key = alike ? ids : `${replicas} ${ids}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const least = pipelineCosts(lists.map((list) => list.least));
    const mean = alike
      ? least
      : pipelineCosts(
          lists.map(({ each }) => each),
          replicas,
        );
    const found = { least, mean };
    known.set(key, found);
    return found;
  };
}

/** Least costs of the replicas of a pipeline stage. */
interface ReplicaCosts {
  /** No more than any of them takes. */
  readonly least: LeastCosts;
  /** Those of each replica; a single one where all are alike. */
  readonly each: readonly LeastCosts[];
}

/** By pipeline stage the costs of its replicas; one object where pipeline stages have the same. */
function groupCosts(
  plan: Plan,
  stage: Stage,
  programs: readonly CostedProgram[],
  { routes, costsOf }: BoundContext,
): readonly ReplicaCosts[] {
  const idOf = numbered<LeastCosts>();
  const known = new Map<string, ReplicaCosts>();
  return programs.map((program, pp) => {
    const replicas = Array.from({ length: stage.mesh.dp }, (_, dp) => {
      const hardware = hardwareAt(plan, stage, routes, dp, pp);
      return { hardware, costs: costsOf(program, [hardware]) };
    });
    const costs = replicas.map((each) => each.costs);
    const others = new Map(replicas.map(({ costs, hardware }) => [costs, hardware]));
    const each = others.size === 1 ? costs.slice(0, 1) : costs;
    const key = each.map(idOf).join();
    const [first, ...rest] = others.values();
    const found = known.get(key) ?? { least: costsOf(program, [first!, ...rest]), each };
    known.set(key, found);
    return found;
  });
}

/** The tp group of a replica at a pipeline stage. */
function hardwareAt(
  { topology }: Plan,
  { mesh, devices }: Stage,
  routes: Routes,
  dp: number,
  pp: number,
): GroupHardware {
  const groupAt = (at: number): readonly number[] => {
    const first = (dp * mesh.pp + at) * mesh.tp;
    return devices.slice(first, first + mesh.tp);
  };
  return groupHardware(topology, routes, groupAt(pp), pp + 1 < mesh.pp ? groupAt(pp + 1) : undefined);
}

/**
 * The seconds of single steps, in the mean over replicas, which are alike as a rule (see `meanOfDealt`). Courses ask
 * for hundreds of thousands of steps.
 *
 * @param atWork how many replicas have anything to do
 */
function stepSecondsOf(
  plan: Plan,
  stage: Stage,
  programs: readonly CostedProgram[],
  { routes, stepsOf }: BoundContext,
  atWork: number,
): StepCostOf {
  interface Costs {
    readonly each: readonly ProgramCost[];
    /** By pipeline stage the indices of its replicas' costs in `each`; a single one where these are alike. */
    readonly byPp: readonly (readonly [number, ...number[]])[];
  }
  let costs: Costs | undefined;
  const find = (): Costs => {
    const replicas = Array.from({ length: stage.mesh.dp }, (_, dp) => dp);
    const groups = programs.map((program, pp) =>
      replicas.map((dp) => stepsOf(program, hardwareAt(plan, stage, routes, dp, pp))),
    );
    const each = [...new Set(groups.flat())];
    const byPp = groups.map((own) => {
      const ids = own.map((cost) => each.indexOf(cost));
      return (new Set(ids).size === 1 ? ids.slice(0, 1) : ids) as [number, ...number[]];
    });
    return { each, byPp };
  };
  return (size) => {
    costs ??= find();
    const seconds = costs.each.map((cost) => cost.seconds(size));
    return costs.byPp.map((own) =>
      own.length === 1
        ? seconds[own[0]]!
        : meanOfDealt(
            own.map((cost) => seconds[cost]!),
            atWork,
          ),
    );
  };
}
