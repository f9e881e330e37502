/**
 * What bringing KV back from a tier costs beside computing it again, by the declared rates. Schedulers weigh the two
 * and executors replace the figures by what they measure.
 */
import { deviceRates } from '../cost/rates.js';
import { groupBy } from '../group-by.js';
import { hostShares, hostTraffic, pageOwners, type SliceMovers } from '../ir/page-slices.js';
import type { KvPool, LoadCosts } from '../ir/runtime-graph.js';
import type { ModelShape } from '../model/shape.js';
import { vectorType } from '../model/weight-types.js';
import type { KvTier, Phase, Plan, Stage } from '../plan/plan.js';
import { tierBeside, type Routes } from '../plan/routes.js';
import { neutralPageBytes } from './kv-pools.js';

/**
 * Seconds per token and page, of a replica: all have their own devices and links. Prefill: the multiply-adds of the layers'
 * matrices over what the products of a full step reach on its devices together; attention over earlier tokens is left out,
 * which favours computing again where contexts are long. Pages: their bytes over the bandwidth of the links, first from disks
 * to the hosts beside them, then from host to host, then to the devices, the slowest of each deciding; nothing where no link
 * is declared.
 *
 * @param routes those of the plan's topology
 */
export function loadCosts(
  plan: Plan,
  pools: readonly KvPool[],
  host: KvTier | undefined,
  disk: KvTier | undefined,
  routes: Routes,
): LoadCosts {
  return {
    prefillToken: prefillToken(plan),
    hostPage: host === undefined ? 0 : hostPage(plan, pools, host, routes),
    diskPage: host === undefined || disk === undefined ? 0 : diskPage(plan, pools, host, disk, routes),
  };
}

function prefillToken(plan: Plan): number {
  const { shape, weights } = plan.model;
  const stage = stageFor(plan, 'prefill');
  if (stage === undefined) return 0;
  const { devices, mesh, microbatchTokens } = stage;
  const flops = devices
    .map((id) =>
      deviceRates(plan.topology.devices[id]!.kind).gemmFlops(vectorType(weights), microbatchTokens),
    )
    .reduce((sum, each) => sum + each, 0);
  return flops === 0 ? 0 : (2 * layerWeights(shape) * shape.layers * mesh.dp) / flops;
}

function stageFor({ stages }: Plan, phase: Phase): Stage | undefined {
  return stages.find(({ phases }) => phases.includes(phase));
}

/** Elements of the matrices that every token meets in a layer. */
function layerWeights({ hidden, heads, kvHeads, headDim, ffn }: ModelShape): number {
  return hidden * headDim * (2 * heads + 2 * kvHeads) + 3 * hidden * ffn;
}

/** Replicas that move pages of the pool of a phase, with their ranks. */
function moversOf(plan: Plan, pools: readonly KvPool[], phase: Phase): readonly Pick<KvPool, 'ranks'>[] {
  const stage = stageFor(plan, phase)?.name;
  const pool = pools.find(({ stages }) => stage !== undefined && stages.includes(stage));
  const ranks = groupBy(pool?.ranks ?? [], ({ dp }) => dp);
  return [...ranks.values()].map((each) => ({ ranks: each }));
}

/** A replica takes in what one that prefills put out, its own where they are one. */
function hostPage(plan: Plan, pools: readonly KvPool[], host: KvTier, routes: Routes): number {
  const { devices } = plan.topology;
  const hostOf = tierBeside(plan.topology, host.name);
  const writers = writersOf(plan, pools);
  const between = hostTraffic(hostOf);
  const taken = moversOf(plan, pools, 'decode').map((reader, replica) => {
    const traffic = writers.length === 0 ? [] : between(writers[replica % writers.length]!, reader);
    const gathered = traffic.map(({ from, to, pageBytes }) => seconds(pageBytes, from, to, routes));
    const moved = reader.ranks.map(({ device, pageBytes }) =>
      seconds(pageBytes, hostOf(device), devices[device]!.path, routes),
    );
    return Math.max(0, ...gathered) + Math.max(0, ...moved);
  });
  return Math.max(0, ...taken);
}

/** Every disk has what the hosts beside it have. */
function diskPage(plan: Plan, pools: readonly KvPool[], host: KvTier, disk: KvTier, routes: Routes): number {
  const [hostOf, diskOf] = [host, disk].map(({ name }) => tierBeside(plan.topology, name));
  const pageBytes = neutralPageBytes(plan);
  const fetched = writersOf(plan, pools).flatMap((writer) =>
    hostShares(writer, hostOf!).map(({ device, part }) =>
      seconds(pageBytes * part, diskOf!(device), hostOf!(device), routes),
    ),
  );
  return Math.max(0, ...fetched);
}

/** Of ranks with the same slice one alone puts it out. */
function writersOf(plan: Plan, pools: readonly KvPool[]): readonly SliceMovers[] {
  return moversOf(plan, pools, 'prefill').map(({ ranks }) => ({ ranks: [...pageOwners({ ranks })] }));
}

function seconds(bytes: number, from: string | undefined, to: string | undefined, routes: Routes): number {
  const route = from === undefined || to === undefined ? undefined : routes.find(from, to);
  return route === undefined ? 0 : bytes / route.bandwidth;
}
