/**
 * What bringing KV back from a tier costs beside computing it again, by the declared rates. Schedulers weigh the two
 * and executors replace the figures by what they measure.
 */
import { deviceRates } from '../cost/rates.js';
import type { KvPool, LoadCosts } from '../ir/runtime-graph.js';
import type { ModelShape } from '../model/shape.js';
import { vectorType } from '../model/weight-types.js';
import type { KvTier, Phase, Plan, Stage } from '../plan/plan.js';
import { once } from '../once.js';
import { tierFor, type Routes } from '../plan/routes.js';
import { neutralPageBytes } from './kv-pools.js';

/**
 * Seconds per token and page, of a replica: all have their own devices and links. Prefill: the multiply-adds of the layers'
 * matrices over what the products of a full step reach on its devices together; attention over earlier tokens is left out,
 * which favours computing again where contexts are long. Pages: their bytes over the bandwidth of the links, the slowest
 * rank deciding; nothing where no link is declared.
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
  const pageBytes = neutralPageBytes(plan);
  return {
    prefillToken: prefillToken(plan),
    hostPage: host === undefined ? 0 : hostPage(plan, pools, host, routes),
    diskPage: host === undefined || disk === undefined ? 0 : diskPage(plan, host, disk, pageBytes, routes),
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

/** Pages lie with the hosts of those that prefill, which on other nodes are not those of the devices that decode. */
function hostPage(plan: Plan, pools: readonly KvPool[], host: KvTier, routes: Routes): number {
  const { devices } = plan.topology;
  const hostOf = once((group: string) => tierFor(plan.topology, group, host.name)?.path);
  const decoding = stageFor(plan, 'decode');
  const pool = pools.find((each) => decoding !== undefined && each.stages.includes(decoding.name));
  const homes = (stageFor(plan, 'prefill')?.devices ?? []).map((id) => hostOf(devices[id]!.group));
  return Math.max(
    0,
    ...(pool?.ranks ?? []).map(({ device, pageBytes }) => {
      const { path, group } = devices[device]!;
      const beside = hostOf(group);
      return seconds(pageBytes, homes.includes(beside) ? beside : homes[0], path, routes);
    }),
  );
}

function diskPage(plan: Plan, host: KvTier, disk: KvTier, pageBytes: number, routes: Routes): number {
  const { topology } = plan;
  const group = topology.devices[plan.stages[0]!.devices[0]!]!.group;
  const [from, to] = [tierFor(topology, group, disk.name)?.path, tierFor(topology, group, host.name)?.path];
  return seconds(pageBytes, from, to, routes);
}

function seconds(bytes: number, from: string | undefined, to: string | undefined, routes: Routes): number {
  const route = from === undefined || to === undefined ? undefined : routes.find(from, to);
  return route === undefined ? 0 : bytes / route.bandwidth;
}
