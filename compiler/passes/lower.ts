/**
 * Sharded graph and transition graph to the runtime graph.
 *
 * Order matters once: programs fix their workspace, workspace and weights fix the room for KV, the room fixes pages,
 * what packing them takes, and layer groups, and only then can the attention kernels name their group.
 */
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import type { DraftOp } from '../ir/op-access.js';
import {
  RUNTIME_GRAPH_FORMAT,
  RUNTIME_GRAPH_VERSION,
  type KvPool,
  type RuntimeGraph,
  type RuntimeRank,
  type RuntimeStage,
  type RuntimeTransition,
  type WeightShard,
} from '../ir/runtime-graph.js';
import type { Program, RuntimeOp } from '../ir/runtime-program.js';
import type { ShardedGraph, ShardedStage } from '../ir/sharded.js';
import { lastReads, type LastReads } from '../ir/weight-writes.js';
import type { TransitionGraph } from '../ir/transitions.js';
import type { Plan, Stage } from '../plan/plan.js';
import { once } from '../once.js';
import { bindKvGroups } from './bind-kv.js';
import { segmentLayers } from './block-weights.js';
import { layoutKey, type SearchMemory } from './search-memory.js';
import { dependencies } from './dependencies.js';
import { carryingTier, flowStages, spillTier } from './kv-edges.js';
import { copyBytesOf, diskPages, handOverProblems, hostKvRoom, hostsOf } from './host-room.js';
import { loadCosts } from './kv-costs.js';
import { draftPools, neutralPageBytes } from './kv-pools.js';
import { bindingBytes } from './largest-binding.js';
import { assignSlots, lifetimes, type Lifetime, type SlotAssignment } from './liveness.js';
import { factsOfBlocks, lowerProgram, type LoweringContext } from './lower-program.js';
import { planWeightMoves, type PlannedMoves } from './foresee-moves.js';
import { lowerMoves, type LoweredMoves } from './lower-moves.js';
import type { StagePlacement } from './lower-transitions.js';
import { shardLowering } from './lower-weights.js';
import { devicePeaks, fixedMemory, memoryProblems, type KnownWeights, type RankMemory } from './memory.js';
import { whyUnfit, type MemoryLayout } from './residence.js';
import {
  renameOp,
  weightSizes,
  type Renaming,
  type StageWeights,
  type WeightSizes,
} from './resident-weights.js';
import { settleResidence, type Settled } from './settle-residence.js';
import type { DraftProgram } from './program-builder.js';
import { layOutPackedPools } from './page-packing.js';
import { placedRanks, stageRanks } from './stage-ranks.js';
import { stepArgumentBytes, stepSizes, type StepSizes } from './step-sizes.js';
import {
  estimateChanges,
  secondsWithout,
  stageChanges,
  type ChangeEstimate,
  type WeightPlanning,
} from './transitions.js';

export interface LowerOptions {
  /** Largest range of a buffer that a kernel can see; a KV layer group never outgrows it. Default `bindingBytes`. */
  readonly maxBindingBytes?: number;
  /** Of plans for the same model over the same topology that were compiled before. */
  readonly memory?: SearchMemory;
  /**
   * Whether the transition graph gets its re-shards. Verifiers, expectations and people look at them, executors do not.
   * Default true.
   */
  readonly reshards?: boolean;
}

export interface LowerResult {
  readonly graph: RuntimeGraph;
  /** The transition graph of what was lowered: with the re-shards of stages that take turns. */
  readonly transitions: TransitionGraph;
  /** Problems of capacity. */
  readonly diagnostics: readonly Diagnostic[];
}

/** A change of stage that a transition carries out. */
export interface LaidOutTransition extends Pick<RuntimeTransition, 'from' | 'to'> {
  /** About the fewest seconds that its moves can take: what stays takes its part off by its bytes. */
  readonly seconds: number;
}

/** A plan of which is known what it takes of memory. */
export interface LaidOutPlan {
  readonly pools: readonly KvPool[];
  readonly transitions: readonly LaidOutTransition[];
  /** KV pages of the host tier; 0 where there is none. */
  readonly hostPages: number;
  /** Problems of capacity. */
  readonly diagnostics: readonly Diagnostic[];
  /** Lowers the rest. */
  readonly lower: () => LowerResult;
}

/**
 * Lays out the memory of a plan, and lowers it when asked to. The graph is complete also when something does not fit.
 *
 * With a memory of other plans, of which most are never lowered, moves are not lowered either where it is known without
 * that what they need.
 *
 * @param planning that of the sharded graph
 */
export function layOutPlan(
  sharded: ShardedGraph,
  planned: TransitionGraph,
  plan: Plan,
  planning: WeightPlanning,
  { maxBindingBytes = bindingBytes(plan), memory, reshards = true }: LowerOptions = {},
): LaidOutPlan {
  const stages = flowStages(plan);
  const drafts = stages.map((stage) =>
    draftStage(
      stage,
      sharded.stages.find((candidate) => candidate.name === stage.name)!,
      plan,
      memory,
    ),
  );
  const changes = stageChanges(plan, planned.holdings);
  const poolDrafts = draftPools(plan, stages, planned.holdings, planned.kv);
  const layOut = (sizes: readonly WeightSizes[], known?: KnownWeights): MemoryLayout => {
    const ranks = new Map<number, RankMemory[]>();
    drafts.forEach((draft, index) => addRankMemory(ranks, draft, sizes[index]!, plan));
    const fixed = fixedMemory(plan, ranks, changes, known);
    const room = new Map(
      fixed.map((memory) => [memory.device, Math.max(0, memory.budget - memory.weights - memory.workspace)]),
    );
    const pools = layOutPackedPools(plan, poolDrafts, room, maxBindingBytes);
    return { pools, devices: devicePeaks(plan, fixed, pools) };
  };
  const weights = drafts.map(stageWeights);
  const inTurns = { transitions: planned, layout: layOut(weights.map(weightSizes)), held: weights };
  const planMoves = ({ held, transitions: { residence, resident = [] } }: Settled): PlannedMoves => {
    const both = residence?.both ?? false;
    const key = memory && JSON.stringify([layoutKey(plan), both, resident]);
    const stay = new Set(resident);
    const moves =
      memory?.planned.get(key!) ??
      planWeightMoves(
        planning,
        stages,
        held,
        planned.holdings,
        both ? [] : stageChanges(plan, planned.holdings, stay),
        stay,
      );
    memory?.planned.set(key!, moves);
    return moves;
  };
  const estimate = (): readonly ChangeEstimate[] => {
    const key = memory && layoutKey(plan);
    const sizes = new Map(weights.map((stage) => [stage.stage, weightSizes(stage)]));
    const estimates =
      memory?.estimates.get(key!) ?? estimateChanges(planning, changes, planned.holdings, sizes);
    memory?.estimates.set(key!, estimates);
    return estimates;
  };
  const lowerOnce = (moves: PlannedMoves, { transitions, renaming }: Settled): (() => LoweredMoves) => {
    let lowered: LoweredMoves | undefined;
    return () => {
      lowered ??=
        memory?.lowered.get(moves) ??
        lowerMoves(
          planning,
          stages,
          moves,
          planned.holdings,
          new Set(transitions.resident),
          programReads(drafts, renaming),
        );
      memory?.lowered.set(moves, lowered);
      return lowered;
    };
  };
  const settle = (partly: boolean): SettledMoves => {
    const settled = settleResidence(plan, inTurns, changes, estimate, layOut, partly);
    const moves = planMoves(settled);
    const lowered = lowerOnce(moves, settled);
    const foreseen = memory && moves.foreseen();
    const known = foreseen ?? lowered().known;
    const layout = known ? layOut(settled.held.map(weightSizes), known) : settled.layout;
    return { ...settled, moves, lowered, layout, isForeseen: foreseen !== undefined };
  };
  const best = settle(true);
  // What transitions need can be more than was counted on when layers were chosen to stay.
  const tight = best.transitions.residence?.layers !== undefined && whyUnfit(plan, best.layout) !== undefined;
  const settled = tight ? settle(false) : best;
  const tier = carryingTier(plan);
  const pageBytes = neutralPageBytes(plan);
  const copyBytes = settled.moves.own.length === 0 ? 0 : copyBytesOf(drafts.flatMap(({ shards }) => shards));
  const hostRoom = tier ? hostKvRoom(plan, tier, copyBytes) : 0;
  const hostPages = Math.floor(hostRoom / pageBytes);
  const problems = ({ pools, devices }: MemoryLayout): readonly Diagnostic[] => [
    ...memoryProblems(plan, stages, devices, pools),
    ...handOverProblems(plan, settled.transitions.kv, hostRoom, copyBytes),
  ];
  const lowerRest = (): LowerResult => {
    const { placements, moves, lasting, known, reshards: reshardsOf } = settled.lowered();
    const layout =
      settled.isForeseen && known ? layOut(settled.held.map(weightSizes), known) : settled.layout;
    const { pools, devices } = layout;
    const transitions: TransitionGraph = {
      ...settled.transitions,
      weights: reshards ? reshardsOf() : [],
      ...(lasting.length > 0 && { lasting }),
    };
    const disk = tier && spillTier(plan);
    const { stored: _, ...model } = plan.model;
    const graph: RuntimeGraph = {
      format: RUNTIME_GRAPH_FORMAT,
      version: RUNTIME_GRAPH_VERSION,
      plan: plan.name,
      model,
      devices,
      stages: drafts.map((draft) =>
        finishStage(draft, placements.get(draft.stage.name)!, pools, settled.renaming),
      ),
      pools,
      ...(tier && {
        hostTier: {
          name: tier.name,
          pageBytes,
          pages: hostPages,
          ...hostsOf(plan, tier),
        },
      }),
      ...(disk && {
        diskTier: {
          name: disk.name,
          directory: disk.directory!,
          pages: diskPages(plan),
          origin: disk.origin,
        },
      }),
      kv: {
        pageTokens: plan.kv.pageTokens,
        dtype: plan.kv.dtype,
        edges: transitions.kv,
        costs: loadCosts(plan, pools, tier, disk, planning.roads.routes),
      },
      flow: { stages: plan.flow.stages, rules: plan.flow.rules, origin: plan.flow.origin },
      transitions: moves,
    };
    return { graph, transitions, diagnostics: problems(layout) };
  };
  const { layout } = settled;
  const resident = new Set(settled.transitions.resident);
  return {
    pools: layout.pools,
    transitions: settled.moves.own.map(({ transition: { from, to } }) => {
      const change = estimate().find((each) => each.from === from && each.to === to)!;
      return { from, to, seconds: secondsWithout(change, resident) };
    }),
    hostPages,
    diagnostics: problems(layout),
    lower: lowerRest,
  };
}

interface SettledMoves extends Settled {
  readonly moves: PlannedMoves;
  readonly lowered: () => LoweredMoves;
  /** Whether the layout counts with what moves will need, and they are not lowered yet. */
  readonly isForeseen: boolean;
}

/** A stage as far as the sizes of its steps decide nothing. */
export interface LoweredStage {
  readonly programs: readonly (DraftProgram & { readonly lives: readonly Lifetime[] })[];
  /** In (pp, tp) order, pieces whole. */
  readonly shards: readonly WeightShard[];
  /** Layer of every weight, -1 outside layers. */
  readonly layers: ReadonlyMap<string, number>;
}

function lowerStage({ mesh }: Stage, sharded: ShardedStage, plan: Plan): LoweredStage {
  const context: LoweringContext = {
    shape: plan.model.shape,
    pageTokens: plan.kv.pageTokens,
    kvDtype: plan.kv.dtype,
  };
  const layout = { tp: mesh.tp, kvReplicas: sharded.kvReplicas };
  const factsOf = factsOfBlocks(sharded);
  const programs = sharded.segments.map(({ pp }) => {
    const program = lowerProgram(sharded, pp, context, factsOf);
    return { ...program, lives: lifetimes(program.values, program.ops) };
  });
  const lowerShard = shardLowering(layout);
  return {
    programs,
    shards: programs.flatMap(({ recipes }, pp) =>
      Array.from({ length: layout.tp }, (_, tp) => lowerShard(recipes, pp, tp)),
    ),
    layers: new Map(programs.flatMap(({ recipes }) => recipes.map(({ id, layer }) => [id, layer]))),
  };
}

/** As `lowerStage`, which is done once for stages that compute the same. */
function loweredOnce(stage: Stage, sharded: ShardedStage, plan: Plan, memory: SearchMemory): LoweredStage {
  const { embed, layers, head, segments, kvReplicas } = sharded;
  const key = JSON.stringify([embed, layers, head, segments, kvReplicas, stage.mesh.tp]);
  const lowered = memory.stages.get(key) ?? lowerStage(stage, sharded, plan);
  memory.stages.set(key, lowered);
  return lowered;
}

interface DraftStage extends Pick<LoweredStage, 'shards' | 'layers'> {
  readonly stage: Stage;
  readonly ranks: readonly RuntimeRank[];
  readonly sharded: ShardedStage;
  readonly sizes: StepSizes;
  readonly programs: readonly { readonly ops: readonly DraftOp[]; readonly slots: SlotAssignment }[];
}

function draftStage(stage: Stage, sharded: ShardedStage, plan: Plan, memory?: SearchMemory): DraftStage {
  const { programs, shards, layers } = memory
    ? loweredOnce(stage, sharded, plan, memory)
    : lowerStage(stage, sharded, plan);
  const sizes = stepSizes(stage);
  const maxRows = { tokens: sizes.maxTokens, samples: sizes.maxSequences };
  return {
    stage,
    ranks: stageRanks(stage),
    sharded,
    sizes,
    programs: programs.map(({ values, ops, lives }) => ({
      ops,
      slots: assignSlots(values, ops, maxRows, lives),
    })),
    shards,
    layers,
  };
}

/** Adds what the ranks of a stage need to what others need on their devices. */
function addRankMemory(
  byDevice: Map<number, RankMemory[]>,
  { stage, ranks, sizes: steps, programs }: DraftStage,
  { sizes, devices }: WeightSizes,
  plan: Plan,
): void {
  const stepBytes = stepArgumentBytes(steps, plan.model.shape, plan.kv.pageTokens);
  const needOf = once((program: number) =>
    once((size: number): RankMemory => {
      const { slots } = programs[program]!.slots;
      return { stage: stage.name, ...sizes[size]!, slots, stepBytes };
    }),
  );
  for (const { device, program } of ranks) {
    const need = needOf(program)(devices.get(device)!);
    const others = byDevice.get(device);
    if (others) others.push(need);
    else byDevice.set(device, [need]);
  }
}

function stageWeights(draft: DraftStage): StageWeights {
  const devices = new Map(draft.ranks.map((rank) => [rank.device, rank.shard]));
  const layerOf = (weight: string): number => draft.layers.get(weight) ?? -1;
  return { stage: draft.stage.name, shards: draft.shards, devices, layerOf };
}

/** When the programs of stages read their weights last, under the names that these have in the end. */
function programReads(
  drafts: readonly DraftStage[],
  renaming: Renaming | undefined,
): (stage: string, program: number) => LastReads {
  return (name, program) => {
    const { programs } = drafts.find(({ stage }) => stage.name === name)!;
    return lastReads(programs[program]!.ops, renaming?.get(name));
  };
}

function finishStage(
  draft: DraftStage,
  placement: StagePlacement,
  pools: readonly KvPool[],
  renaming: Renaming | undefined,
): RuntimeStage {
  const { stage, sizes } = draft;
  const pool = pools.find((candidate) => candidate.stages.includes(stage.name))!;
  const ranks = placedRanks(stage, placement.devices);
  const names = renaming?.get(stage.name);
  const programs = draft.programs.map((program, pp): Program => {
    const rank = ranks.find((candidate) => candidate.pp === pp)!;
    const { groups } = pool.ranks.find((candidate) => candidate.device === rank.device)!;
    return {
      pp,
      layers: segmentLayers(draft.sharded, pp),
      ...program.slots,
      ops: numberOps(
        bindKvGroups(program.ops, groups).map((op) => (names ? renameOp(op, names) : op)),
        program.slots,
      ),
    };
  });
  return {
    name: stage.name,
    phases: stage.phases,
    mesh: stage.mesh,
    ...sizes,
    batchRequests: stage.batchRequests,
    pool: pool.id,
    programs,
    shards: placement.cut,
    ranks,
    origin: stage.origin,
  };
}

function numberOps(ops: readonly DraftOp[], { values }: SlotAssignment): readonly RuntimeOp[] {
  const after = dependencies(values, ops);
  return ops.map((op, id): RuntimeOp => ({ id, after: after[id]!, ...op }));
}
