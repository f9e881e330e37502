/**
 * How fast a plan can be at best: a lower bound on the time of a workload that no simulation of the plan goes below.
 * A plan whose bound is above the time of another need not be simulated.
 *
 * Every device must at least
 * - compute its part of all prompt tokens, at the best speed it has, and take part in their all-reduces;
 * - read its weights once for every decode step there must be: rows to decode over rows in a step, which the batch
 *   bounds, and the KV room, as a running sequence holds at least the shortest prompt.
 * Stages that take turns add up on a device. In a fused stage a step may do both at once, so that the larger counts.
 * The host prepares every step. Everything else (bubbles, attention, latency, tails) is taken to be free.
 */
import { kvBytesPerToken, matrixElements, weightBytes } from '../check/plan/capacity.js';
import type { EngineModel } from '../cost/engine-model.js';
import { allReduceCost } from '../cost/links.js';
import { deviceRates } from '../cost/rates.js';
import type { Plan, Stage } from '../plan/plan.js';
import { routesOf, type Routes } from '../plan/routes.js';
import { bytesPerElement, vectorType } from '../model/weight-types.js';
import { stepSizes } from '../passes/step-sizes.js';

/** What a workload asks for, as far as the bound knows. */
export interface Demand {
  readonly promptTokens: number;
  /** Tokens sampled after the first of each request. */
  readonly decodeRows: number;
  /** Tokens of the shortest prompt. */
  readonly shortestPrompt: number;
}

/** Sums up the requests of a workload. */
export function demandOf(
  requests: readonly { readonly promptTokens: number; readonly outputTokens: number }[],
): Demand {
  const sum = (pick: (request: (typeof requests)[number]) => number): number =>
    requests.reduce((total, request) => total + pick(request), 0);
  return {
    promptTokens: sum((request) => request.promptTokens),
    decodeRows: sum((request) => request.outputTokens - 1),
    shortestPrompt: requests.reduce((least, { promptTokens }) => Math.min(least, promptTokens), Infinity),
  };
}

/** What one stage asks of a device, and of the host, in the replica that has the mean of the work. */
interface StageLoad {
  readonly seconds: { readonly prefill: number; readonly decode: number };
  /** Of all replicas. */
  readonly steps: { readonly prefill: number; readonly decode: number };
}

/** Seconds that the workload takes at least. */
export function leastSeconds(plan: Plan, demand: Demand, engine: EngineModel): number {
  const routes = routesOf(plan.topology);
  const busy = new Map<number, number>();
  let hostSteps = 0;
  for (const stage of plan.stages) {
    // A mixed step of a fused stage does both at once.
    const join = stage.phases.length === 2 ? Math.max : (a: number, b: number): number => a + b;
    const loads = stage.devices.map((_, rank) => rankLoad(plan, stage, rank, demand, engine, routes));
    stage.devices.forEach((device, rank) => {
      const { prefill, decode } = loads[rank]!.seconds;
      busy.set(device, (busy.get(device) ?? 0) + join(prefill, decode));
    });
    hostSteps += join(loads[0]!.steps.prefill, loads[0]!.steps.decode);
  }
  const host = engine.hostOverhead ? hostSteps * plan.topology.overhead.step : 0;
  return Math.max(host, ...busy.values());
}

function rankLoad(
  plan: Plan,
  stage: Stage,
  rank: number,
  demand: Demand,
  engine: EngineModel,
  routes: Routes,
): StageLoad {
  const { mesh, devices } = stage;
  const { shape, weights } = plan.model;
  const { devices: placed, overhead } = plan.topology;
  const pp = Math.floor(rank / mesh.tp) % mesh.pp;
  const layers = layersOf(stage, pp);
  const elements = layers.reduce((sum, layer) => sum + matrixElements(shape, stage, layer), 0);
  const rates = deviceRates(placed[devices[rank]!]!.kind, false);
  const first = rank - (rank % mesh.tp);
  const group = devices.slice(first, first + mesh.tp).map((device) => placed[device]!.path);
  const reduce = mesh.tp > 1 ? allReduceCost(routes, group) : undefined;
  const reducedBytes = 2 * layers.length * shape.hidden * engine.activationBytes;
  const { maxTokens, maxSequences } = stepSizes(stage);

  /** Computing so many rows in so many steps: weights are read in each, while rows are computed. */
  const seconds = (rows: number, steps: number): number =>
    Math.max(
      (2 * rows * elements) / rates.bestGemmFlops(vectorType(weights)),
      (steps * elements * bytesPerElement(weights)) / rates.bandwidth,
    ) +
    (reduce === undefined ? 0 : steps * 2 * layers.length * reduce.latency) +
    (reduce === undefined ? 0 : (rows * reducedBytes) / reduce.bandwidth) +
    (engine.hostOverhead ? steps * layers.length * overhead.layer : 0);

  const prompts = stage.phases.includes('prefill') ? demand.promptTokens / mesh.dp : 0;
  const rows = stage.phases.includes('decode') ? demand.decodeRows / mesh.dp : 0;
  const inStep = Math.max(1, Math.min(maxSequences, sequencesInStep(plan, stage, demand)));
  const steps = { prefill: prompts / maxTokens, decode: rows / inStep };
  return {
    seconds: { prefill: seconds(prompts, steps.prefill), decode: seconds(rows, steps.decode) },
    steps: { prefill: steps.prefill * mesh.dp, decode: steps.decode * mesh.dp },
  };
}

/** Most sequences in a decode step of a replica, for want of room for more: those running are dealt over `pp` steps. */
function sequencesInStep(plan: Plan, stage: Stage, { shortestPrompt }: Demand): number {
  const { shape, weights } = plan.model;
  const held = weightBytes(shape, weights, stage);
  const perToken = kvBytesPerToken(shape, plan.kv.dtype, stage);
  const memory = Math.max(...stage.devices.map((id) => plan.topology.devices[id]!.kind.memory));
  const tokens = perToken.map((bytes, pp) => (memory * plan.memoryUse - held[pp]!) / bytes);
  const running = Math.max(1, Math.floor(Math.min(...tokens) / shortestPrompt));
  return Math.ceil(running / stage.mesh.pp);
}

function layersOf({ layerSplit }: Stage, pp: number): readonly number[] {
  const first = layerSplit.slice(0, pp).reduce((sum, layers) => sum + layers, 0);
  return Array.from({ length: layerSplit[pp]! }, (_, i) => first + i);
}
