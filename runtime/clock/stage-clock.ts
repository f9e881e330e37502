/**
 * A stage on the clock: per replica a row of tp groups, each with the cost of its program and the devices that it
 * occupies.
 */
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import { groupHardware, hardwareKey, type GroupHardware } from '../../compiler/cost/group-hardware.js';
import {
  pairsOf,
  seenBy,
  tiledRows,
  type StepSize,
  type TiledRows,
} from '../../compiler/cost/kernel-work.js';
import { programCost, type ProgramCost } from '../../compiler/cost/program-cost.js';
import type { RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import { numbered } from '../../compiler/numbered.js';
import type { DeviceKind, Plan, Topology } from '../../compiler/plan/plan.js';
import type { Routes } from '../../compiler/plan/routes.js';
import type { Roads } from '../../compiler/reshard/roads.js';
import type { LaneShare } from './lanes.js';
import type { StepItem } from '../scheduler/types.js';

/** The tp group of one replica and pipeline stage. */
export interface TpGroup {
  /** Its devices, in the order of their tp ranks. */
  readonly devices: readonly number[];
  /** What a step takes: of every kernel as long as the slowest device needs. */
  readonly cost: ProgramCost;
  /**
   * Its devices kind by kind, with what they do of that: one kind as a rule, whose cost is that of the group. Groups that
   * are alike have equal costs here in equal order.
   */
  readonly kinds: readonly KindCost[];
  /** Groups of the stage with the same number take the same time for a step. */
  readonly alike: number;
  /** Its link declares `allreduce`: exchanges take what that says, whatever a ring would carry. */
  readonly declaredExchange: boolean;
}

/** The devices of one kind in a tp group. */
export interface KindCost {
  readonly devices: readonly number[];
  /** As of a group that has this kind alone: the rest of the group's time these devices wait for the others. */
  readonly cost: ProgramCost;
}

/**
 * The lanes that a ring of the group's ranks uses, each rank sending to the next and the last to the first, with how
 * many ranks use each lane.
 */
export function ringLanes({ devices }: TpGroup, roads: Roads): readonly LaneShare[] {
  const times = new Map<number, number>();
  if (devices.length < 2) return [];
  devices.forEach((device, tp) => {
    for (const lane of roads.betweenDevices(device, devices[(tp + 1) % devices.length]!)?.lanes ?? [])
      times.set(lane, (times.get(lane) ?? 0) + 1);
  });
  return [...times].map(([lane, count]) => ({ lane, times: count }));
}

/** Groups of every replica, in pipeline order: `groups[dp][pp]`. Equal groups share a cost. */
export function stageGroups(
  stage: RuntimeStage,
  plan: Plan,
  routes: Routes,
  engine: EngineModel,
): readonly (readonly TpGroup[])[] {
  const { topology } = plan;
  const at = (dp: number, pp: number): readonly number[] =>
    stage.ranks
      .filter((rank) => rank.dp === dp && rank.pp === pp)
      .sort((a, b) => a.tp - b.tp)
      .map(({ device }) => device);
  const costs = new Map<string, GroupCosts>();
  const [alikeOf, kindOf] = [numbered<string>(), numbered<DeviceKind>()];
  return Array.from({ length: stage.mesh.dp }, (_, dp) => {
    const members = stage.programs.map((_program, pp) => at(dp, pp));
    return stage.programs.map((program, pp): TpGroup => {
      const devices = members[pp]!;
      const hardware = groupHardware(topology, routes, devices, members[pp + 1]);
      const ofHardware = hardwareKey(hardware, kindOf);
      const key = `${pp} ${ofHardware}`;
      const known = costs.get(key) ?? groupCosts(program, hardware, engine);
      costs.set(key, known);
      const { cost, ofKinds } = known;
      const kinds = hardware.kinds.map((kind, index) => ({
        devices: devices.filter((device) => topology.devices[device]!.kind === kind),
        cost: ofKinds[index]!,
      }));
      const alike = alikeOf(`${cost.signature} ${ofHardware}`);
      return { devices, cost, kinds, alike, declaredExchange: hardware.allReduce?.declared === true };
    });
  });
}

/** The cost of a program on a tp group, and on each kind of its devices. */
interface GroupCosts extends Pick<TpGroup, 'cost'> {
  readonly ofKinds: readonly ProgramCost[];
}

function groupCosts(
  program: RuntimeStage['programs'][number],
  hardware: GroupHardware,
  engine: EngineModel,
): GroupCosts {
  const { kinds } = hardware;
  const cost = programCost(program, hardware, engine);
  if (kinds.length === 1) return { cost, ofKinds: [cost] };
  return { cost, ofKinds: kinds.map((kind) => programCost(program, { ...hardware, kinds: [kind] }, engine)) };
}

/** The numbers of rows that attention computes together on devices of a topology, where they are more than one. */
export function attentionTiles({ devices }: Topology): readonly number[] {
  return [...new Set(devices.map(({ kind }) => kind.attentionRows ?? 1))].filter((rows) => rows > 1);
}

/** How attention of a plan computes rows and what they see. */
export interface AttentionShape {
  /** Rows that it computes together on some device. */
  readonly tiles?: readonly number[];
  /** Positions that a row sees in layers that do not see all. */
  readonly window?: number | undefined;
}

/** The sizes of a step that its costs depend on. */
export function stepSize(
  items: readonly StepItem[],
  pageTokens: number,
  { tiles = [], window = Infinity }: AttentionShape = {},
): StepSize {
  let [tokens, samples, copied, pairs, keys] = [0, 0, 0, 0, 0];
  let [singleRows, passesWindow] = [true, false];
  // Simulations have millions of rows.
  for (const { start, count, sample, copyOf } of items) {
    if (count > 1) singleRows = false;
    if (copyOf !== undefined) copied += pageTokens;
    if (start + count > window) passesWindow = true;
    tokens += count;
    if (sample) samples++;
    pairs += pairsOf(start, count);
    keys += start + count;
  }
  const size = { tokens, samples, copied, singleRows, pairs, keys };
  const inTiles = singleRows ? [] : tiles;
  if (inTiles.length === 0 && !passesWindow) return size;
  return {
    ...size,
    ...(inTiles.length > 0 && { inTiles: tilesOf(items, inTiles) }),
    ...(passesWindow && { inWindow: seenInWindow(items, inTiles, window) }),
  };
}

/** What the rows of a step see of a window of their sequences. */
function seenInWindow(
  items: readonly StepItem[],
  tiles: readonly number[],
  window: number,
): NonNullable<StepSize['inWindow']> {
  let [pairs, keys] = [0, 0];
  for (const { start, count } of items) {
    const own = seenBy(start, count, window);
    pairs += own.pairs;
    keys += own.keys;
  }
  if (tiles.length === 0) return { pairs, keys };
  return { pairs, keys, inTiles: tilesOf(items, tiles, window) };
}

function tilesOf(
  items: readonly StepItem[],
  tiles: readonly number[],
  window?: number,
): NonNullable<StepSize['inTiles']> {
  return Object.fromEntries(tiles.map((rows) => [rows, allTiles(items, rows, window)]));
}

function allTiles(items: readonly StepItem[], tileRows: number, window?: number): TiledRows {
  let [rows, pairs] = [0, 0];
  for (const { start, count } of items) {
    const own = tiledRows(start, count, tileRows, window);
    rows += own.rows;
    pairs += own.pairs;
  }
  return { rows, pairs };
}
