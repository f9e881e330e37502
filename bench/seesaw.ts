/**
 * What re-sharding gains on the machines, models and workloads of Seesaw (arXiv 2503.06433), by simulation: the best
 * static plan and the best re-sharded one, with the effects of the engine switched on one after the other, and with the
 * uncertain constants varied. Constants are fixed in plans/seesaw from their sources; nothing is fitted to a result.
 *
 *   npm run bench:seesaw -- [--all] [machine | model | workload ...]
 *
 * `--all` prints every pair of meshes, not only the best.
 */
import { resolve } from 'node:path';
import { checkFile } from '../compiler/check/check-file.js';
import { compilePlan } from '../compiler/compile.js';
import type { EngineModel } from '../compiler/cost/engine-model.js';
import { candidateBound } from '../compiler/planner/bound.js';
import { createBoundContext } from '../compiler/planner/bounded-stage.js';
import {
  candidateLabel,
  candidatePlan,
  findCandidates,
  type Candidate,
  type Strategy,
} from '../compiler/planner/candidates.js';
import { demandOf } from '../compiler/planner/demand.js';
import type { Plan } from '../compiler/plan/plan.js';
import type { Workload } from '../compiler/plan/workload.js';
import { drawRequests } from '../runtime/clock/lengths.js';
import { simulate } from '../runtime/clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../runtime/clock/simulation.js';
import type { TransitionMode } from '../runtime/scheduler/types.js';
import { fileHost } from '../runtime/file-host.js';
import { formatTable } from '../cli/format.js';

const MACHINES = ['a10', 'l4', 'a100'];

/** Prefill steps of static plans to try: the paper tunes the chunk of the baseline for every point. */
const CHUNKS = [1024, 2048, 4096];
/** The artifact packs whole prompts up to this many tokens. */
const SEESAW_MICROBATCH = 4096;
const BATCH = 256;

/** An ideal engine with 16-bit activations and copy engines, as GPUs have. */
const IDEAL: EngineModel = {
  hostOverhead: false,
  smallGemmLoss: false,
  virtualEngines: false,
  copyEngines: true,
  fullReload: false,
  activationBytes: 2,
};

/** Engines from ideal to what the paper compared with; each line adds one effect. */
const ENGINES: readonly (readonly [name: string, engine: EngineModel])[] = [
  ['ideal', IDEAL],
  ['+ small GEMM loss', { ...IDEAL, smallGemmLoss: true }],
  ['+ host time', { ...IDEAL, smallGemmLoss: true, hostOverhead: true }],
  ['+ virtual engines', { ...IDEAL, smallGemmLoss: true, hostOverhead: true, virtualEngines: true }],
];

interface Best {
  readonly label: string;
  readonly rate: number;
  readonly simulation: Simulation;
}

function rateOf({ requests, makespan }: Simulation): number {
  return requests.finished / makespan;
}

interface Search {
  readonly engine: EngineModel;
  readonly transitions: TransitionMode;
  readonly onEach?: (label: string, rate: number) => void;
}

const compiledPlans = new Map<string, ReturnType<typeof compilePlan>>();

function compiled(plan: Plan): ReturnType<typeof compilePlan> {
  const { microbatchTokens } = plan.stages[0]!;
  const key = `${plan.topology.name} ${plan.name} ${microbatchTokens}`;
  const found = compiledPlans.get(key) ?? compilePlan(plan);
  compiledPlans.set(key, found);
  return found;
}

/** The fastest candidate; those that cannot win by their bounds are left out unless every one is asked for. */
function best(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  { engine, transitions, onEach }: Search,
): Best | undefined {
  const bounded = candidates
    .map((candidate) => ({ candidate, least: leastSeconds(candidate, requests, engine) }))
    .sort((a, b) => a.least - b.least);
  let found: Best | undefined;
  for (const { candidate, least } of bounded) {
    if (onEach === undefined && found !== undefined && least >= found.simulation.makespan) break;
    const plan = candidatePlan(candidate);
    const { runtime, diagnostics } = compiled(plan);
    if (diagnostics.some(({ severity }) => severity === 'error')) continue;
    const simulation = simulate(runtime, plan, requests, { engine, transitions });
    if (simulation.requests.rejected > 0) continue;
    const label = `${candidateLabel(candidate)}, ${plan.stages[0]!.microbatchTokens}`;
    onEach?.(label, rateOf(simulation));
    if (found === undefined || simulation.makespan < found.simulation.makespan)
      found = { label, rate: rateOf(simulation), simulation };
  }
  return found;
}

function leastSeconds(
  candidate: Candidate,
  requests: readonly SimulatedRequest[],
  engine: EngineModel,
): number {
  const { topology, kv } = candidate.base;
  const bound = candidateBound(candidate, createBoundContext(topology, engine));
  return bound?.least(demandOf(requests, kv.pageTokens)) ?? Infinity;
}

function candidates(plan: Plan, strategy: Strategy, chunks: readonly number[]): readonly Candidate[] {
  return findCandidates(plan, [strategy], { microbatchTokens: chunks, batchRequests: [BATCH] });
}

/** A plan whose machine is varied within what is not known. */
interface Variation {
  readonly name: string;
  readonly vary: (plan: Plan) => Plan;
}

const scaleAllReduce = (plan: Plan, factor: number): Plan => ({
  ...plan,
  topology: {
    ...plan.topology,
    name: `${plan.topology.name} all-reduce x${factor}`,
    links: plan.topology.links.map((link) => ({
      ...link,
      allreduce: Object.fromEntries(
        Object.entries(link.allreduce).map(([ranks, rate]) => [ranks, rate * factor]),
      ),
    })),
  },
});

const scaleCompute = (plan: Plan, factor: number): Plan => ({
  ...plan,
  topology: {
    ...plan.topology,
    name: `${plan.topology.name} compute x${factor}`,
    devices: plan.topology.devices.map((device) => ({
      ...device,
      kind: {
        ...device.kind,
        sustained: { ...device.kind.sustained, compute: device.kind.sustained.compute * factor },
      },
    })),
  },
});

const VARIATIONS: readonly Variation[] = [
  { name: 'all-reduce x0.5', vary: (plan) => scaleAllReduce(plan, 0.5) },
  { name: 'all-reduce x2', vary: (plan) => scaleAllReduce(plan, 2) },
  { name: 'compute x0.8', vary: (plan) => scaleCompute(plan, 0.8) },
  { name: 'compute x1.2', vary: (plan) => scaleCompute(plan, 1.2) },
];

/** Prints the table of one machine, model and workload. */
function report(plan: Plan, requests: readonly SimulatedRequest[], title: string, all: boolean): void {
  console.log(`\n${title}`);
  const onEach = all
    ? (label: string, rate: number): void => console.log(`    ${rate.toFixed(3)} requests/s  ${label}`)
    : undefined;
  const row = (name: string, varied: Plan, engine: EngineModel): string[] => {
    const each = onEach && { onEach };
    const fixed = best(candidates(varied, 'static', CHUNKS), requests, {
      engine,
      transitions: 'dataflow',
      ...each,
    });
    const pairs = candidates(varied, 're-sharded', [SEESAW_MICROBATCH]);
    const dataflow = best(pairs, requests, { engine, transitions: 'dataflow', ...each });
    const reload = { ...engine, fullReload: true };
    const drained = best(pairs, requests, { engine: reload, transitions: 'barrier' });
    const gain = (other: Best | undefined): string =>
      fixed && other ? `${(other.rate / fixed.rate).toFixed(2)}x` : '-';
    return [
      name,
      fixed ? fixed.rate.toFixed(3) : '-',
      fixed?.label ?? 'none fits',
      drained ? drained.rate.toFixed(3) : '-',
      gain(drained),
      dataflow ? dataflow.rate.toFixed(3) : '-',
      dataflow?.label ?? 'none fits',
      gain(dataflow),
    ];
  };
  const heading = [
    'engine or constant',
    'static',
    'meshes, chunk',
    'drain and reload',
    'gain',
    'dataflow',
    'meshes, microbatch',
    'gain',
  ];
  const engines = ENGINES.map(([name, engine]) => row(name, plan, engine));
  const full = ENGINES.at(-1)![1];
  const varied = VARIATIONS.map(({ name, vary }) => row(name, vary(plan), full));
  console.log(
    formatTable([heading, ...engines, ...varied], [false, true, false, true, true, true, false, true]),
  );
}

/** Runs the combinations that the words pick out of machine, model and workload; all without words. */
export function benchSeesaw(args: readonly string[]): void {
  const all = args.includes('--all');
  const words = args.filter((arg) => !arg.startsWith('--'));
  const { workloads } = checkFile(fileHost(), resolve('plans/seesaw/workloads.plan'));
  for (const machine of MACHINES) {
    const { plans } = checkFile(fileHost(), resolve(`plans/seesaw/${machine}.plan`));
    for (const plan of plans) {
      for (const workload of workloads) {
        const names = [machine, plan.name, workload.name];
        if (!words.every((word) => names.includes(word))) continue;
        report(plan, requestsOf(workload, plan), names.join(', '), all);
        compiledPlans.clear();
      }
    }
  }
}

function requestsOf({ name, requests }: Workload, plan: Plan): readonly SimulatedRequest[] {
  if (requests.kind !== 'drawn') throw new Error(`workload ${name} is a file`);
  return drawRequests(requests, plan.model.shape.context);
}

benchSeesaw(process.argv.slice(2));
