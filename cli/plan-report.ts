/** What a compiled plan asks of its machine: memory per device, traffic per step and link, bytes per transition. */
import { sentElementBytes } from '../compiler/cost/group-hardware.js';
import { groupBy } from '../compiler/group-by.js';
import type { RuntimeGraph, RuntimeStage } from '../compiler/ir/runtime-graph.js';
import type { ProgramValue } from '../compiler/ir/runtime-program.js';
import type { TransitionGraph } from '../compiler/ir/transitions.js';
import { cappedPools, type CappedPool } from '../compiler/passes/largest-binding.js';
import { unevenRooms, type UnevenRoom } from '../compiler/passes/uneven-room.js';
import type { Topology } from '../compiler/plan/plan.js';
import {
  describeKvCost,
  describeResidence,
  describeReshard,
  reportKvCost,
  reportReshard,
  type KvCostReport,
  type ReshardReport,
} from '../compiler/reshard/describe.js';
import { nameDevices } from './device-names.js';
import { formatBytes, formatTable } from './format.js';

interface StageTraffic {
  readonly stage: string;
  readonly mesh: RuntimeStage['mesh'];
  /** Tokens and sequences that one step of a replica carries at most. */
  readonly maxTokens: number;
  readonly maxSequences: number;
  /** Bytes per token over all pipeline stages of a replica: summed tensors, gathered ones, and those handed on. */
  readonly perToken: { readonly allReduce: number; readonly allGather: number; readonly send: number };
}

export interface PlanReport {
  readonly plan: string;
  readonly model: string;
  readonly devices: RuntimeGraph['devices'];
  readonly stages: readonly StageTraffic[];
  readonly kv: readonly {
    readonly from: string;
    readonly to: string;
    readonly path: 'shared' | 'tier';
    readonly tier?: string;
    readonly bytesPerToken: { readonly out: number; readonly in: number };
    /** Bytes per link and token, predicted time, lower bound. */
    readonly cost: KvCostReport;
  }[];
  readonly weights: readonly ReshardReport[];
  /** Pools that are as small as they are because of the largest binding of a device. */
  readonly cappedPools: readonly CappedPool[];
  /** Pools that are as small as they are because of the devices with the least room. */
  readonly unevenRooms: readonly UnevenRoom[];
  /** Whether stages that could take turns on their devices are resident together, and why. */
  readonly residence?: NonNullable<TransitionGraph['residence']>;
}

/** Gathers the report, a plain JSON value. */
export function planReport(
  graph: RuntimeGraph,
  transitions: TransitionGraph,
  topology: Pick<Topology, 'devices' | 'overhead'>,
): PlanReport {
  const element = sentElementBytes(topology);
  return {
    plan: graph.plan,
    model: graph.model.name,
    devices: graph.devices,
    stages: graph.stages.map((stage) => ({
      stage: stage.name,
      mesh: stage.mesh,
      maxTokens: stage.maxTokens,
      maxSequences: stage.maxSequences,
      perToken: trafficPerToken(stage, element),
    })),
    kv: transitions.kv.map(({ from, to, path, tier, bytesPerToken }, index) => ({
      from,
      to,
      path,
      ...(tier === undefined ? {} : { tier }),
      bytesPerToken,
      cost: reportKvCost(transitions.kvCosts[index]!),
    })),
    weights: transitions.weights.map(reportReshard),
    cappedPools: cappedPools(topology, graph.pools, graph.devices),
    unevenRooms: unevenRooms(graph.pools, graph.devices, GOOD_PART),
    ...(transitions.residence && { residence: transitions.residence }),
  };
}

function trafficPerToken(stage: RuntimeStage, element: number): StageTraffic['perToken'] {
  const { tp } = stage.mesh;
  const sums = { allReduce: 0, allGather: 0, send: 0 };
  for (const program of stage.programs) {
    const bytes = new Map(program.values.map((value) => [value.id, rowBytes(value, element)]));
    for (const op of program.ops) {
      // A ring moves every element over all links but one: an all-gather once, an all-reduce out and back.
      if (op.op === 'send') sums.send += bytes.get(op.value)! * tp;
      else if (op.op !== 'collective') continue;
      else if (op.kind === 'all_reduce') sums.allReduce += bytes.get(op.value)! * 2 * (tp - 1);
      else sums.allGather += bytes.get(op.out)! * (tp - 1);
    }
  }
  return sums;
}

/** Bytes of a token on links between devices. */
function rowBytes({ rows, cols }: ProgramValue, element: number): number {
  return rows === 'tokens' ? cols * element : 0;
}

/** A part of the budget that is worth a word where it cannot be used. */
const GOOD_PART = 0.1;

/** What keeps pools as small as they are where memory would not. */
export function describeCap({ pool, device, largestBinding, unused }: CappedPool): string {
  const binding = `\`largest_binding\` of ${device}, ${formatBytes(largestBinding)}`;
  return `KV of ${pool} is capped by ${binding}, not by memory: ${formatBytes(unused)} or more of every device stay unused`;
}

/** What keeps pools as small as they are where most devices have room for more. */
export function describeUneven({ pool, full, others, unused }: UnevenRoom): string {
  const most = others.length === 1 ? formatBytes(unused) : `up to ${formatBytes(unused)} each`;
  return `KV of ${pool} has as many pages as ${full} has room for: ${most} of ${nameDevices(others)} stay unused`;
}

/** The report for people. */
export function describePlan(report: PlanReport): string {
  const { plan, model, devices, stages, kv, weights, residence } = report;
  const gathers = stages.some(({ perToken }) => perToken.allGather > 0);
  const steps = formatTable(
    [
      [
        ...['stage', 'mesh', 'tokens/step', 'all-reduce/token'],
        ...(gathers ? ['all-gather/token'] : []),
        'send/token',
      ],
      ...stages.map(({ stage, mesh, maxTokens, perToken }) => [
        stage,
        `dp ${mesh.dp}, pp ${mesh.pp}, tp ${mesh.tp}`,
        String(maxTokens),
        formatBytes(perToken.allReduce),
        ...(gathers ? [formatBytes(perToken.allGather)] : []),
        formatBytes(perToken.send),
      ]),
    ],
    [false, false, true, true, true, ...(gathers ? [true] : [])],
  );
  const edges = kv.flatMap(({ from, to, path, tier, bytesPerToken, cost }) =>
    path === 'shared'
      ? [`KV ${from} -> ${to}: shared pages, nothing moves`]
      : [
          `KV ${from} -> ${to}: through ${tier}, ${formatBytes(bytesPerToken.out)} out and ${formatBytes(bytesPerToken.in)} in per token`,
          ...describeKvCost(cost, formatBytes),
        ],
  );
  const stay = residence ? [describeResidence(residence)] : [];
  const switches = weights.flatMap((report) => describeReshard(report, formatBytes));
  const caps = report.cappedPools.filter(({ unusedPart }) => unusedPart >= GOOD_PART).map(describeCap);
  const uneven = report.unevenRooms.map(describeUneven);
  const body = [memoryTable(devices), ...caps, ...uneven, '', steps, '', ...edges, ...stay, ...switches]
    .join('\n')
    .trimEnd();
  return `plan ${plan}, model ${model}\n${body.replace(/^(?=.)/gm, '  ')}`;
}

/** Peak memory of every device by what it is for; devices with equal figures in one row. */
export function memoryTable(devices: PlanReport['devices']): string {
  return formatTable(
    [
      ['device', 'weights', 'workspace', 'KV', 'peak', 'may use'],
      ...groupEqual(devices).map(({ paths, peak, budget }) => [
        paths,
        ...[peak.weights, peak.workspace, peak.kv, peak.total, budget].map(formatBytes),
      ]),
    ],
    [false, true, true, true, true, true],
  );
}

/** Devices with equal figures in one row. */
function groupEqual(
  devices: PlanReport['devices'],
): readonly (PlanReport['devices'][number] & { paths: string })[] {
  const groups = groupBy(devices, ({ peak, budget }) => JSON.stringify([peak, budget]));
  return [...groups.values()].map((group) => ({ ...group[0]!, paths: nameDevices(group) }));
}
