/**
 * From a runtime graph to devices that are ready to run it: weights resident, KV pages allocated, every kernel of
 * every stage compiled and bound. Happens once per plan.
 */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { residencesOf } from '../../compiler/ir/residences.js';
import { BYTES_OF } from '../../compiler/model/shape.js';
import type { Device } from '../device/device.js';
import { createFifos } from '../exec/fifo.js';
import { createPassages } from '../exec/passages.js';
import type { Traffic } from '../exec/pipeline.js';
import type { MoveSpan } from '../exec/staging-ring.js';
import type { KernelLibrary } from '../kernels/kernel.js';
import { openDiskTier } from '../kv/disk-tier.js';
import type { DiskTier } from '../kv/disk-tier.js';
import { createHostPages } from '../kv/host-pages.js';
import type { HostPages } from '../kv/host-pages.js';
import type { MoveStaging } from '../kv/page-mover.js';
import { createPagePool, openPoolStaging } from '../kv/pool.js';
import type { PagePool } from '../kv/pool.js';
import type { TierFiles } from '../kv/tier-files.js';
import { createPageVerifier } from '../kv/verify-pages.js';
import type { PageVerifier } from '../kv/verify-pages.js';
import type { Tracer } from '../trace/tracer.js';
import type { WeightSource } from '../weights/weight-source.js';
import { createExposureClock } from './clock.js';
import { loadWeights } from './load-weights.js';
import { openStages } from './open-stages.js';
import type { PreparedStage, StageGround } from './open-stages.js';
import { createStageSwitch } from './stage-switch.js';
import type { StageSwitch } from './stage-switch.js';

/** What `prepare` reports as it goes, for a progress line. */
export type PrepareProgress = (what: string) => void;

/** Told of weights that move on a device (topology device id), once the device has done it. */
export type OnMove = (device: number, span: MoveSpan) => void;

export interface PrepareOptions {
  readonly graph: RuntimeGraph;
  /** One open device per runtime device, by topology device id. */
  readonly devices: ReadonlyMap<number, Device>;
  readonly library: KernelLibrary;
  /** Where weights are read from: files, or a host copy of them when transitions need them again. */
  readonly source: WeightSource;
  readonly progress: PrepareProgress;
  /** Checks everything that moves end to end; slow. */
  readonly verifyMoves: boolean;
  readonly tracer: Tracer;
  /** Files of the disk tier; default: those of the system. */
  readonly tierFiles?: TierFiles;
  /** Told of every slot's worth of weights that moved, with its times: what a trace shows. */
  readonly onMove?: OnMove;
}

export interface Prepared extends StageSwitch {
  readonly stages: ReadonlyMap<string, PreparedStage>;
  readonly pools: ReadonlyMap<string, PagePool>;
  /** Absent where the graph has no disk tier. */
  readonly disk: DiskTier | undefined;
  readonly traffic: Traffic;
  /** Bytes of weights uploaded to start with. */
  readonly loadedBytes: number;
  /** Seconds within transitions in which no kernels ran on their devices, as far as the host can tell. */
  readonly exposedSeconds: () => number;
}

/** Rejects with RuntimeFailure when a device refuses memory or a directory cannot hold the disk tier. */
export async function prepare(options: PrepareOptions): Promise<Prepared> {
  const { graph, devices, progress, verifyMoves, tracer, tierFiles } = options;
  const { shape } = graph.model;
  const residences = residencesOf(graph);
  const traffic: Traffic = { allReduce: 0, allGather: 0, send: 0 };
  const paths = new Map(graph.devices.map(({ id, path }) => [id, path]));
  const pathOf = (device: number): string => paths.get(device)!;
  const groups = new Set([...residences.values()].map(({ group }) => group));
  const exposures = new Map([...groups].map((group) => [group, createExposureClock()]));
  const headBytes = graph.kv.pageTokens * 2 * shape.headDim * BYTES_OF[graph.kv.dtype];
  const host =
    graph.hostTier === undefined
      ? undefined
      : createHostPages(graph.hostTier.pages, { layers: shape.layers, heads: shape.kvHeads, headBytes });

  progress('loading weights');
  const { weights, loadedBytes } = await loadWeights(options, residences, pathOf);

  progress('allocating KV pages');
  const verifier = verifyMoves ? createPageVerifier(headBytes) : undefined;
  const staging = await openPoolStaging(graph.pools, devices, host !== undefined);
  const pools = openPools(options, headBytes, staging, host, verifier);

  progress('compiling kernels');
  const passages = createPassages((device, busy) => staging.get(device)?.besideSteps(busy));
  const ground: StageGround = {
    residences,
    weights,
    pools,
    exposures,
    traffic,
    passages,
    tracer,
    pathOf,
    turns: createFifos(),
  };
  const stages = await openStages(options, ground);
  await Promise.all([...devices.values()].map((device) => device.idle()));
  const disk = await openDisk(graph, host, verifier, tierFiles);
  return {
    stages,
    pools,
    disk,
    traffic,
    loadedBytes,
    exposedSeconds: () => [...exposures.values()].reduce((sum, clock) => sum + clock.seconds(), 0),
    ...createStageSwitch(options, ground),
  };
}

/** Pools by id. */
function openPools(
  { graph }: PrepareOptions,
  headBytes: number,
  staging: ReadonlyMap<number, MoveStaging>,
  host: HostPages | undefined,
  verifier: PageVerifier | undefined,
): ReadonlyMap<string, PagePool> {
  const pools = new Map<string, PagePool>();
  // Pools that lie within others come after those.
  const ordered = graph.pools.toSorted(
    (a, b) => Number(a.within !== undefined) - Number(b.within !== undefined),
  );
  for (const pool of ordered) {
    const owner = pool.within === undefined ? undefined : pools.get(pool.within)!;
    pools.set(pool.id, createPagePool(pool, headBytes, staging, host, verifier, owner));
  }
  return pools;
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
