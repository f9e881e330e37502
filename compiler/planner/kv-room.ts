/**
 * How many KV pages the stages of a plan have at most, before it is compiled: what weights and workspace leave, dealt
 * out by the rules of compiled plans. What transitions need of memory is known only then, and what packing pages takes hangs
 * on the pages: both take from this.
 */
import { weightBytes } from '../check/plan/capacity.js';
import { TP_DIMS } from '../check/plan/sharding.js';
import { ringSizes } from '../ir/device-weights.js';
import { overlaidBuffers } from '../ir/workspace.js';
import { intervalLength } from '../ir/rectangles.js';
import type { KvReshard, RankHolding } from '../ir/transitions.js';
import { kvEdges } from '../passes/kv-edges.js';
import { dealPages, draftPools, layerPageBytes, layOutPools, type PoolDraft } from '../passes/kv-pools.js';
import { numbered } from '../numbered.js';
import { bindingBytes } from '../passes/largest-binding.js';
import { packingByDevice } from '../passes/page-packing.js';
import { stepArgumentBytes } from '../passes/step-sizes.js';
import type { Plan, Stage } from '../plan/plan.js';
import type { StageOutline } from './stage-outline.js';

/** What a stage needs of the memory of its devices, whatever other stages are beside it. */
export interface StageNeeds {
  readonly stage: Stage;
  readonly outline: StageOutline;
  /** Bytes of weights on a rank of every pipeline stage, at least. */
  readonly weights: readonly number[];
  /** Bytes of step arguments on each rank. */
  readonly stepBytes: number;
  /** Layers and KV heads that each rank holds pages of, in rank order. */
  readonly holdings: readonly RankHolding[];
  /** Bytes that a page takes on each rank, in rank order. */
  readonly pageBytes: readonly number[];
}

/** The room for KV of a plan's stages, and how KV gets from one to another. */
export interface PlanKvRoom {
  /** The most KV pages of a replica, by name of the stage. */
  readonly pages: ReadonlyMap<string, number>;
  /** Names of stages that hand their KV over through the host tier. */
  readonly handsOver: ReadonlySet<string>;
  /** Names of stages that take KV over from the host tier. */
  readonly takesOver: ReadonlySet<string>;
  /**
   * Some stage that only prefills shares no pages with one that decodes: what it prefills goes through the host tier.
   */
  readonly throughHost: boolean;
}

/** What a stage needs of memory, for steps of the size that its outline has. */
export function stageNeeds(
  plan: Plan,
  stage: Stage,
  outline: StageOutline,
  { holdings, pageBytes }: StageKv = stageKv(plan, stage, outline),
): StageNeeds {
  return {
    stage,
    outline,
    weights: leastWeightBytes(plan, stage),
    stepBytes: stepArgumentBytes(outline.sizes, plan.model.shape, plan.kv.pageTokens),
    holdings,
    pageBytes,
  };
}

/** What the ranks of a stage hold of KV, whatever the sizes of its steps. */
export type StageKv = Pick<StageNeeds, 'holdings' | 'pageBytes'>;

/** What the ranks of a stage hold of KV, and what a page takes on each. */
export function stageKv(plan: Plan, stage: Stage, outline: StageOutline): StageKv {
  const holdings = holdingsOf(stage, outline);
  const pageBytes = holdings.map(({ kv }) => intervalLength(kv.layers) * layerPageBytes(plan, kv.heads));
  return { holdings, pageBytes };
}

/** The room for KV of a plan's stages, which are in flow order; undefined where not even the weights fit. */
export function planKvRoom(plan: Plan, stages: readonly StageNeeds[]): PlanKvRoom | undefined {
  const holdings = Object.fromEntries(stages.map((each) => [each.stage.name, each.holdings]));
  const edges = kvEdges(plan, holdings);
  const pages = pagesBeside(plan, stages, holdings, edges);
  const overTier = edges.filter(({ path }) => path === 'tier');
  const handsOver = new Set(overTier.map(({ from }) => from));
  const inPlace = new Set(edges.filter(({ path }) => path === 'shared').map(({ from }) => from));
  return (
    pages && {
      pages,
      handsOver,
      takesOver: new Set(overTier.map(({ to }) => to)),
      throughHost: stages.some(
        ({ stage: { name, phases } }) =>
          handsOver.has(name) && !inPlace.has(name) && !phases.includes('decode'),
      ),
    }
  );
}

/** The most KV pages of a replica of a stage with devices of its own; undefined where not even the weights fit. */
export function kvRoomAlone(plan: Plan, needs: StageNeeds): number | undefined {
  const { name } = needs.stage;
  return pagesBeside(plan, [needs], { [name]: needs.holdings }, [])?.get(name);
}

function pagesBeside(
  plan: Plan,
  needs: readonly StageNeeds[],
  holdings: Readonly<Record<string, readonly RankHolding[]>>,
  edges: readonly KvReshard[],
): ReadonlyMap<string, number> | undefined {
  const room = roomByDevice(plan, needs, mayStayTogether(plan, needs) ? 0 : leastRing(needs));
  if (room === undefined) return undefined;
  const stages = needs.map(({ stage }) => stage);
  const drafts = draftPools(plan, stages, holdings, edges);
  const { pages, lenders } = dealPages(plan, drafts, room, bindingBytes(plan));
  const partRoom = drafts.length - lenders.size > 1;
  const slack = drafts.length < 2 ? 0 : dealingSlack(needs, partRoom ? mostPacking(plan, drafts, room) : 0);
  return new Map(
    drafts.flatMap((draft) => draft.stages.map(({ name }) => [name, pages.get(draft.id)! + slack] as const)),
  );
}

/**
 * Pages that a pool may have more than it is dealt here beside another one. Whole pages of the other leave up to one of its
 * pages more or less. What packing takes of a device leaves the other up to half as much less, and so this one more
 * on devices where packing takes nothing.
 */
function dealingSlack(needs: readonly StageNeeds[], packing: number): number {
  const bytes = needs.flatMap(({ pageBytes }) => pageBytes);
  const least = Math.min(...bytes);
  return Math.ceil((Math.max(...bytes) / least) * (1 + packing / 2 / least));
}

/** Bytes that packing takes of a device at most. */
function mostPacking(plan: Plan, drafts: readonly PoolDraft[], room: ReadonlyMap<number, number>): number {
  const pools = layOutPools(plan, drafts, room, bindingBytes(plan));
  return Math.max(0, ...packingByDevice(plan, pools).values());
}

/** Whether the weights of a stage by themselves fit its devices. */
export function weightsFit(plan: Plan, stage: Stage): boolean {
  const { pp, tp } = stage.mesh;
  const bytes = leastWeightBytes(plan, stage);
  return stage.devices.every((device, rank) => bytes[Math.floor(rank / tp) % pp]! <= budgetOf(plan, device));
}

/**
 * Whether the weights of all stages may be on their devices at once. Matrices that stages cut differently are there more
 * than once then; vectors may be there for all of them.
 */
export function mayStayTogether(plan: Plan, stages: readonly StageNeeds[]): boolean {
  const { layers, hidden } = plan.model.shape;
  const vectors = (VECTORS_OF_LAYER * layers + 1) * hidden * 4;
  const held = new Map<number, number>();
  for (const { stage, weights } of stages) {
    const { pp, tp } = stage.mesh;
    const { onTp, kvReplicas } = stage.sharding;
    const isCut = TP_DIMS.every((dim) => onTp.includes(dim)) && kvReplicas === 1 && !stage.overrides.length;
    if (!isCut || stages.some((other) => other.stage !== stage && other.stage.mesh.tp === tp)) return true;
    stage.devices.forEach((device, rank) => {
      const matrices = Math.max(0, weights[Math.floor(rank / tp) % pp]! - vectors);
      held.set(device, (held.get(device) ?? 0) + matrices);
    });
  }
  return [...held].every(([device, bytes]) => bytes <= budgetOf(plan, device));
}

/** At most, each no longer than the hidden dimension in f32: norms, and those of queries and keys. */
const VECTORS_OF_LAYER = 8;

/** Bytes of weights on a rank of every pipeline stage, at least: tensors of a file may have types of their own. */
function leastWeightBytes({ model }: Plan, stage: Stage): readonly number[] {
  return weightBytes(model.shape, model.stored?.smallest ?? model.weights, stage);
}

function budgetOf({ topology, memoryUse }: Plan, device: number): number {
  return Math.floor(topology.devices[device]!.kind.memory * memoryUse);
}

/** Bytes of the ring by way of which weights change on each device, at least: some weight is as large as their mean. */
function leastRing(stages: readonly StageNeeds[]): number {
  const means = stages.map(({ weights, outline }) =>
    Math.min(...weights.map((bytes, pp) => bytes / outline.programs[pp]!.recipes.length)),
  );
  return ringSizes(Math.floor(Math.max(...means))).bytes;
}

/**
 * Bytes left for KV on each device at most.
 *
 * @param changing bytes that a device of several stages needs for changing between them
 */
function roomByDevice(
  plan: Plan,
  stages: readonly StageNeeds[],
  changing: number,
): ReadonlyMap<number, number> | undefined {
  const held = new Map<number, { weights: number; step: number; slots: StageOutline['slots'][number][] }>();
  for (const { stage, outline, weights, stepBytes } of stages) {
    stage.devices.forEach((device, rank) => {
      const pp = Math.floor(rank / stage.mesh.tp) % stage.mesh.pp;
      const known = held.get(device) ?? { weights: 0, step: 0, slots: [] };
      known.weights = Math.max(known.weights, weights[pp]!);
      known.step += stepBytes;
      known.slots.push(outline.slots[pp]!);
      held.set(device, known);
    });
  }
  const room = new Map<number, number>();
  const workspaceOf = workspaces();
  for (const [device, { weights: resident, step, slots }] of held) {
    const workspace = step + workspaceOf(slots);
    const left = budgetOf(plan, device) - resident - workspace - (slots.length > 1 ? changing : 0);
    if (left < 0) return undefined;
    room.set(device, left);
  }
  return room;
}

/** Bytes of slots that lie over each other; those of most devices are the same. */
function workspaces(): (slots: readonly StageOutline['slots'][number][]) => number {
  const idOf = numbered<StageOutline['slots'][number]>();
  const known = new Map<string, number>();
  return (slots) => {
    const key = slots.map(idOf).join();
    const bytes = known.get(key) ?? overlaidBuffers(slots).reduce((sum, each) => sum + each, 0);
    known.set(key, bytes);
    return bytes;
  };
}

function holdingsOf({ mesh, devices }: Stage, { layers, heads }: StageOutline): readonly RankHolding[] {
  return devices.map((device, rank): RankHolding => {
    const tp = rank % mesh.tp;
    const pp = Math.floor(rank / mesh.tp) % mesh.pp;
    const dp = Math.floor(rank / (mesh.tp * mesh.pp));
    return { device, dp, pp, tp, weights: [], kv: { layers: layers[pp]!, heads: heads[tp]! } };
  });
}
