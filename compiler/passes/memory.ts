/**
 * Device memory: what each device holds at its peak, against what the plan may use.
 *
 *     peak = weights + workspace + KV pages      <=      memory * memory_use
 *
 * Weights count the largest of the stages that take turns on the device, and where a device re-shards also what moves
 * need: gaps in the arena, a stash, staging slots (`turning-weights.ts`). The slots of stages that take turns lie over each other; step arguments, logit
 * adjustments and sample output are kept for every stage. Workspace too is what packing KV pages takes (`page-packing.ts`).
 */
import { formatBinaryBytes, formatBytes, formatQuantity } from '../check/units.js';
import { report } from '../diagnostics/catalogue.js';
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import { numbered } from '../numbered.js';
import { kvView } from '../model/kv-window.js';
import { overlaidBuffers } from '../ir/workspace.js';
import type { KvPool, RuntimeDevice } from '../ir/runtime-graph.js';
import type { WeightReshard } from '../ir/transitions.js';
import { meshPlace } from '../plan/mesh-place.js';
import type { Plan, Stage } from '../plan/plan.js';
import { shareDevices } from '../plan/share-devices.js';
import { decodingPages, leastKv } from './kv-pools.js';
import { cappedPools, type CappedPool } from './largest-binding.js';
import { packingByDevice } from './page-packing.js';

/** Bytes a rank of a stage needs on its device; one value for all that need the same. */
export interface RankMemory {
  readonly stage: string;
  readonly weights: number;
  readonly largestWeight: number;
  /** Slots of its program. */
  readonly slots: readonly { readonly id: number; readonly bytes: number }[];
  /** Bytes of step arguments and sample output; the same for all ranks of the stage. */
  readonly stepBytes: number;
}

export interface DeviceMemory {
  readonly device: number;
  readonly budget: number;
  readonly weights: number;
  /** Without what packing KV pages takes. */
  readonly workspace: number;
}

/** Bytes of weights by device, for devices of which they are known. */
export interface KnownWeights {
  /** Weights of all stages stay; without it stages that re-shard take turns. */
  readonly resident?: ReadonlyMap<number, number>;
  /** With everything that transitions need. Until it is known, a buffer as large as the largest weight is counted. */
  readonly turning?: ReadonlyMap<number, number>;
}

/**
 * Weights and workspace per device, by device id.
 *
 * @param ranks by device
 * @param changes stages that take turns on devices
 */
export function fixedMemory(
  plan: Plan,
  ranks: ReadonlyMap<number, readonly RankMemory[]>,
  changes: readonly Pick<WeightReshard, 'from' | 'to'>[],
  { resident, turning }: KnownWeights = {},
): readonly DeviceMemory[] {
  const devices = [...ranks].sort(([a], [b]) => a - b);
  const switches = (a: RankMemory, b: RankMemory): boolean =>
    changes.some(({ from, to }) => from === a.stage && to === b.stage);
  const needs = (mine: readonly RankMemory[]): Pick<DeviceMemory, 'weights' | 'workspace'> => {
    const inTurn = mine.some((a) => mine.some((b) => switches(a, b)));
    const weights = Math.max(...mine.map((rank) => rank.weights));
    const spare = inTurn ? Math.max(...mine.map((rank) => rank.largestWeight)) : 0;
    return {
      weights: weights + spare,
      workspace: workspaceBytes(mine, resident === undefined ? switches : () => false),
    };
  };
  // Devices whose ranks need the same are looked at once.
  const rankId = numbered<RankMemory>();
  const known = new Map<string, ReturnType<typeof needs>>();
  return devices.map(([device, mine]) => {
    const key = mine.map(rankId).join();
    const needed = known.get(key) ?? needs(mine);
    known.set(key, needed);
    return {
      device,
      budget: Math.floor(plan.topology.devices[device]!.kind.memory * plan.memoryUse),
      weights: resident?.get(device) ?? turning?.get(device) ?? needed.weights,
      workspace: needed.workspace,
    };
  });
}

/** Slots of ranks that take turns share memory; ranks that do not have theirs side by side. */
function workspaceBytes(
  ranks: readonly RankMemory[],
  inTurn: (a: RankMemory, b: RankMemory) => boolean,
): number {
  const together: RankMemory[][] = [];
  for (const rank of ranks) {
    const others = together.find(
      (group) => !group.some((other) => inTurn(rank, other) || inTurn(other, rank)),
    );
    if (others) others.push(rank);
    else together.push([rank]);
  }
  const sets = together.map((group) => group.flatMap(({ slots }) => slots));
  const stepBytes = ranks.reduce((sum, rank) => sum + rank.stepBytes, 0);
  return overlaidBuffers(sets).reduce((sum, bytes) => sum + bytes, stepBytes);
}

/** Peaks with the pools' pages, and what packing these takes. */
export function devicePeaks(
  plan: Plan,
  fixed: readonly DeviceMemory[],
  pools: readonly KvPool[],
): readonly RuntimeDevice[] {
  const pageBytes = new Map<number, number>();
  for (const { ranks, pages, within } of pools)
    if (within === undefined)
      for (const rank of ranks)
        pageBytes.set(rank.device, (pageBytes.get(rank.device) ?? 0) + pages * rank.pageBytes);
  const packing = packingByDevice(plan, pools);
  return fixed.map((memory) => {
    const { device, budget, weights } = memory;
    const kv = pageBytes.get(device) ?? 0;
    const workspace = memory.workspace + (packing.get(device) ?? 0);
    return {
      id: device,
      path: plan.topology.devices[device]!.path,
      budget,
      peak: { weights, workspace, kv, total: weights + workspace + kv },
    };
  });
}

/** Problems of capacity: weights that do not fit, and pools too small for the sequences they serve. */
export function memoryProblems(
  plan: Plan,
  stages: readonly Stage[],
  devices: readonly RuntimeDevice[],
  pools: readonly KvPool[],
): readonly Diagnostic[] {
  const over = devices.filter((device) => device.peak.weights + device.peak.workspace > device.budget);
  if (over.length > 0) return [overBudget(plan, stages, over)];
  const all = decodingPages(plan);
  const tight = pools.filter(({ pages }) => pages < all);
  // Hardly any plan that is compiled has one: a search compiles many.
  if (tight.length === 0) return [];
  const capped = cappedPools(plan.topology, pools, devices);
  return tight.flatMap((pool) => poolProblems(plan, stages, devices, pools, pool, capped));
}

function overBudget(plan: Plan, stages: readonly Stage[], over: readonly RuntimeDevice[]): Diagnostic {
  const worst = over.reduce((a, b) => (a.peak.total - a.budget >= b.peak.total - b.budget ? a : b));
  const { weights, workspace } = worst.peak;
  const stage = stages.find((candidate) => candidate.devices.includes(worst.id))!;
  const memory = plan.topology.devices[worst.id]!.kind.memory;
  const needed = formatBinaryBytes(weights + workspace);
  const budget = formatBinaryBytes(worst.budget);
  return report(
    'weights-do-not-fit',
    { stage: stage.name, needed, budget, device: worst.path },
    {
      ...meshPlace(plan, stage),
      notes: [
        `weights ${formatBinaryBytes(weights)} + workspace ${formatBinaryBytes(workspace)} = ${needed}`,
        `memory ${formatBytes(memory)} * memory_use ${formatQuantity(plan.memoryUse, 'fraction')} = ${budget}`,
        ...(over.length > 1 ? [`${over.length} devices are over their budget`] : []),
      ],
      helps: [
        ...(plan.residence === 'both' && shareDevices(stages)
          ? ['`residence: switch` needs room for one of the shardings only']
          : []),
        'a larger `tp` or `pp` puts less of the model on a device',
        'a smaller microbatch needs less workspace',
      ],
    },
  );
}

/** Of a pool with fewer pages than the longest sequence has. */
function poolProblems(
  plan: Plan,
  stages: readonly Stage[],
  devices: readonly RuntimeDevice[],
  pools: readonly KvPool[],
  pool: KvPool,
  capped: readonly CappedPool[],
): readonly Diagnostic[] {
  const { pageTokens } = plan.kv;
  const { context } = plan.model.shape;
  const stage = stages.find((candidate) => pool.stages.includes(candidate.name))!;
  const view = kvView(plan.model.shape, pageTokens);
  const least = leastKv(plan, stage);
  const tokens = pool.pages * pageTokens;
  const all = decodingPages(plan);
  const notes = [
    `${pool.pages} pages of ${pageTokens} tokens = ${tokens} tokens for each replica`,
    ...(view.window === undefined
      ? []
      : [`every layer sees ${view.window} tokens: a sequence of any length needs ${all} pages`]),
  ];
  const cap = capped.find(({ pool: id }) => id === (pool.within ?? pool.id));
  if (cap)
    notes.push(
      `a kernel of ${cap.device} sees ${formatBytes(cap.largestBinding)} of a buffer, and the pages of a layer lie in one: ${formatBinaryBytes(cap.unused)} stay unused`,
    );
  const helps = [
    cap
      ? 'an engine whose kernels see more of a buffer says so by `largest_binding` of the device'
      : 'a larger `tp` or `pp` leaves more room',
    'a smaller `dtype` in `kv` needs less',
  ];
  const around = { ...meshPlace(plan, stage), notes, helps };
  if (pool.pages < least.pages) {
    const rank = pool.ranks.reduce((a, b) => (a.pageBytes >= b.pageBytes ? a : b));
    const { budget, peak } = devices.find((device) => device.id === rank.device)!;
    const packing = (some: readonly KvPool[]): number => packingByDevice(plan, some).get(rank.device) ?? 0;
    // A binding that caps pages leaves room for packing them.
    const packed = cap ? 0 : packing([{ ...pool, pages: least.pages }]);
    if (packed > 0)
      notes.push(
        `${formatBinaryBytes(packed)} of what they need is for packing pages on their way to the host`,
      );
    const room = cap ? pool.pages * rank.pageBytes : budget - peak.weights - peak.workspace + packing(pools);
    const needed = least.pages * rank.pageBytes + packed;
    return [
      report(
        'kv-does-not-fit',
        {
          stage: stage.name,
          room: formatBinaryBytes(room),
          needed: formatBinaryBytes(needed),
          tokens: least.tokens,
        },
        around,
      ),
    ];
  }
  return [report('kv-tight', { stage: stage.name, tokens, context }, around)];
}
