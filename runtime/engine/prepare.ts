/**
 * From a runtime graph to devices that are ready to run it: weights resident, KV pages allocated, every kernel of
 * every stage compiled and bound. Happens once per plan.
 */
import { tableEntries } from '../../compiler/passes/step-sizes.js';
import type { Origin } from '../../compiler/diagnostics/diagnostic.js';
import type {
  DeviceMoves,
  RuntimeGraph,
  RuntimeStage,
  RuntimeTransition,
} from '../../compiler/ir/runtime-graph.js';
import { BYTES_OF } from '../../compiler/model/shape.js';
import type { Device } from '../device/device.js';
import { openDiskTier } from '../kv/disk-tier.js';
import type { DiskTier } from '../kv/disk-tier.js';
import { createCopyPage, openPageCopies } from '../kv/page-copies.js';
import { createHostPages } from '../kv/host-pages.js';
import type { HostPages } from '../kv/host-pages.js';
import { createPipeline } from '../exec/pipeline.js';
import { createPassages } from '../exec/passages.js';
import type { Pipeline, Traffic } from '../exec/pipeline.js';
import { createPagePool, openPoolStaging } from '../kv/pool.js';
import type { PagePool } from '../kv/pool.js';
import type { TierFiles } from '../kv/tier-files.js';
import { openRank } from '../exec/rank.js';
import { createResidentWeights } from '../exec/resident-weights.js';
import type { ResidentWeights, TraceWeight } from '../exec/resident-weights.js';
import type { MoveSpan } from '../exec/staging-ring.js';
import { ropeBuffers } from '../exec/rope.js';
import { createPageVerifier } from '../kv/verify-pages.js';
import type { PageVerifier } from '../kv/verify-pages.js';
import { stepArgsLayout } from '../exec/step-args.js';
import type { StepArgsLayout } from '../exec/step-args.js';
import { createTurns } from '../exec/turns.js';
import { createWorkspace } from '../exec/workspace.js';
import type { WorkspaceStage } from '../exec/workspace.js';
import type { KernelLibrary } from '../kernels/kernel.js';
import type { TransitionMode } from '../scheduler/types.js';
import type { WeightSource } from '../weights/weight-source.js';
import { deviceLane } from '../trace/tracer.js';
import type { Lane, Tracer } from '../trace/tracer.js';
import { createExposureClock } from './clock.js';
import type { ExposureClock } from './clock.js';
import {
  deviceResidences,
  deviceTransitions,
  residencesOf,
  transitionBetween,
  weightUrgency,
} from '../../compiler/ir/residences.js';
import type { StageResidence } from '../../compiler/ir/residences.js';

export interface PreparedStage {
  readonly stage: RuntimeStage;
  readonly layout: StepArgsLayout;
  readonly pipeline: Pipeline;
}

export interface Prepared {
  readonly stages: ReadonlyMap<string, PreparedStage>;
  readonly pools: ReadonlyMap<string, PagePool>;
  /** Absent where the graph has no disk tier. */
  readonly disk: DiskTier | undefined;
  readonly traffic: Traffic;
  /** Bytes of weights uploaded to start with. */
  readonly loadedBytes: number;
  /** Seconds within transitions in which no kernels ran on their devices, as far as the host can tell. */
  readonly exposedSeconds: () => number;
  /**
   * Begins the uploads of the transition that the group will make next, as far as there is memory for what no device
   * has a place for yet. Once between two transitions.
   */
  prepareSwitch(from: string, to: string): void;
  /**
   * Carries out a transition on all devices of a group: each weight is moved when the steps given out before are past
   * what lies in its place, and steps given out later wait for the weights they use. Resolves with the bytes uploaded once all
   * moves are enqueued, as a barrier once they are done.
   */
  switchTo(from: string, to: string, mode: TransitionMode): Promise<number>;
}

/** A transition of a group to a residence. */
interface Change extends StageResidence, Pick<RuntimeTransition, 'origin'> {
  readonly devices: readonly { readonly device: number; readonly moves: DeviceMoves }[];
}

/** What `prepare` reports as it goes, for a progress line. */
export type PrepareProgress = (what: string) => void;

/** Told of weights that move on a device (topology device id), once the device has done it. */
export type OnMove = (device: number, span: MoveSpan) => void;

export async function prepare(
  graph: RuntimeGraph,
  devices: ReadonlyMap<number, Device>,
  library: KernelLibrary,
  source: WeightSource,
  progress: PrepareProgress,
  verifyMoves: boolean,
  tracer: Tracer,
  files?: TierFiles,
  onMove?: OnMove,
): Promise<Prepared> {
  const residences = residencesOf(graph);
  const traffic: Traffic = { allReduce: 0, allGather: 0, send: 0 };
  const passages = createPassages();
  const turns = createTurns();
  const paths = new Map(graph.devices.map(({ id, path }) => [id, path]));
  const pathOf = (device: number): string => paths.get(device)!;
  const exposures = new Map<string, ExposureClock>();
  for (const { group } of residences.values()) exposures.set(group, createExposureClock());
  const { shape } = graph.model;
  const headBytes = graph.kv.pageTokens * 2 * shape.headDim * BYTES_OF[graph.kv.dtype];
  const host =
    graph.hostTier === undefined
      ? undefined
      : createHostPages(graph.hostTier.pages, { layers: shape.layers, heads: shape.kvHeads, headBytes });

  progress('loading weights');
  const weights = new Map<number, ResidentWeights>();
  let loadedBytes = 0;
  for (const [id, device] of devices) {
    const mine = deviceResidences(graph, residences, id);
    const moves = deviceTransitions(graph, residences, id);
    const urgency = weightUrgency(graph, residences, id);
    const { budget, peak } = graph.devices.find((each) => each.id === id)!;
    const resident = createResidentWeights(device, mine, moves, source, {
      spare: budget - peak.total,
      turns,
      urgency,
      ...(onMove === undefined ? {} : { onMove: (span: MoveSpan) => onMove(id, span) }),
    });
    weights.set(id, resident);
    const first = firstResidence(graph, residences, id);
    if (first === undefined) continue;
    const { origin } = graph.stages.find(
      ({ name, ranks }) =>
        residences.get(name)!.residence === first && ranks.some(({ device }) => device === id),
    )!;
    const slice = tracer.begin(deviceLane(pathOf(id), 'weights'), `load ${first}`, { origin });
    const bytes = await resident.load(first);
    slice.end({ bytes });
    loadedBytes += bytes;
  }

  progress('allocating KV pages');
  const verifier = verifyMoves ? createPageVerifier(headBytes) : undefined;
  const staging = await openPoolStaging(graph.pools, headBytes, devices, host !== undefined);
  const pools = new Map<string, PagePool>();
  // Pools that lie within others come after those.
  const ordered = graph.pools.toSorted(
    (a, b) => Number(a.within !== undefined) - Number(b.within !== undefined),
  );
  for (const pool of ordered) {
    const owner = pool.within === undefined ? undefined : pools.get(pool.within)!;
    pools.set(pool.id, createPagePool(pool, headBytes, staging, host, verifier, owner));
  }
  const ropes = new Map([...devices].map(([id, device]) => [id, ropeBuffers(shape, device)]));

  const workspaces = new Map(
    [...devices].map(([id, device]) => [id, createWorkspace(device, workspaceStages(graph, residences, id))]),
  );

  progress('compiling kernels');
  const copying = new Map(
    await Promise.all([...devices].map(async ([id, device]) => [id, await openPageCopies(device)] as const)),
  );
  const stages = new Map<string, PreparedStage>();
  for (const stage of graph.stages) {
    const entries = tableEntries(stage, shape, graph.kv.pageTokens);
    const layout = stepArgsLayout(stage.maxTokens, stage.maxSequences, entries);
    const { residence, group } = residences.get(stage.name)!;
    const ranks = await Promise.all(
      stage.ranks.map((rank) =>
        openRank(stage, rank, {
          device: devices.get(rank.device)!,
          library,
          layout,
          weightPlace: (weight) => weights.get(rank.device)!.place(residence, weight),
          weightArrival: (weight) => weights.get(rank.device)!.arrival(residence, weight),
          kvBuffer: (group) => pools.get(stage.pool)!.buffer(rank.device, group),
          copyPage: createCopyPage(
            devices.get(rank.device)!,
            copying.get(rank.device)!,
            pools.get(stage.pool)!.groups(rank.device),
          ),
          rope: (table) => ropes.get(rank.device)!.get(table)!,
          slot: (id) => workspaces.get(rank.device)!(stage.name, id),
        }),
      ),
    );
    const { compute } = exposures.get(group)!;
    const pipeline = createPipeline(stage, ranks, {
      ...{ traffic, passages, residence, tracer, pathOf },
      computing: compute,
    });
    stages.set(stage.name, { stage, layout, pipeline });
  }
  await Promise.all([...devices.values()].map((device) => device.idle()));
  const disk = await openDisk(graph, host, verifier, files);

  const change = (from: string, to: string): Change => {
    const transition = transitionBetween(graph, residences, from, to);
    if (transition === undefined) throw new Error(`no transition from ${from} to ${to}`);
    const changing = transition.devices.map(({ device, moves }) => ({
      device,
      moves: transition.moves[moves]!,
    }));
    return { ...residences.get(to)!, devices: changing, origin: transition.origin };
  };
  const traceOn =
    (lane: Lane, origin: Origin): TraceWeight =>
    (weight, args) =>
      tracer.begin(lane, weight, { ...args, origin });
  /** Ends the slice of what is prefetched, by device. */
  const prefetching = new Map<number, () => void>();
  return {
    stages,
    pools,
    disk,
    traffic,
    loadedBytes,
    exposedSeconds: () => [...exposures.values()].reduce((sum, clock) => sum + clock.seconds(), 0),
    prepareSwitch(from, to) {
      const { residence, devices: changing, origin } = change(from, to);
      for (const { device, moves } of changing) {
        const lane = deviceLane(pathOf(device), 'weights');
        const slice = tracer.begin(lane, `prefetch ${from} -> ${to}`, { origin });
        const prefetch = weights.get(device)!.prepare(residence, moves, traceOn(lane, origin));
        prefetching.set(device, () => slice.end({ bytes: prefetch.bytes() }));
      }
    },
    async switchTo(from, to, mode) {
      const { residence, group, devices: changing, origin } = change(from, to);
      const end = exposures.get(group)!.transition();
      try {
        const uploaded = await Promise.all(
          changing.map(async ({ device, moves }) => {
            prefetching.get(device)?.();
            prefetching.delete(device);
            const lane = deviceLane(pathOf(device), 'weights');
            const slice = tracer.begin(lane, `${from} -> ${to}`, { origin });
            const steps = passages.leaving(device);
            const bytes = await weights
              .get(device)!
              .transition(residence, moves, steps, traceOn(lane, origin));
            slice.end({ bytes });
            if (mode === 'barrier') await devices.get(device)!.idle();
            if (verifyMoves) await weights.get(device)!.verify();
            return bytes;
          }),
        );
        return uploaded.reduce((sum, bytes) => sum + bytes, 0);
      } finally {
        end();
      }
    },
  };
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

async function openDisk(
  graph: RuntimeGraph,
  host: HostPages | undefined,
  verifier: PageVerifier | undefined,
  files: TierFiles | undefined,
): Promise<DiskTier | undefined> {
  const { diskTier, kv, model } = graph;
  if (diskTier === undefined || host === undefined) return undefined;
  const { layers, kvHeads, headDim } = model.shape;
  return openDiskTier({
    directory: diskTier.directory,
    pages: diskTier.pages,
    host,
    identity: {
      model: JSON.stringify(model),
      layers,
      kvHeads,
      pageTokens: kv.pageTokens,
      headDim,
      dtype: kv.dtype,
    },
    ...(verifier && { verifier }),
    ...(files && { files }),
  });
}

/** The residence a device starts with: that of the first stage of the flow that runs on it. */
function firstResidence(
  graph: RuntimeGraph,
  residences: ReadonlyMap<string, StageResidence>,
  device: number,
): string | undefined {
  const name = graph.flow.stages.find((stage) =>
    graph.stages.some((s) => s.name === stage && s.ranks.some((rank) => rank.device === device)),
  );
  return name === undefined ? undefined : residences.get(name)!.residence;
}
