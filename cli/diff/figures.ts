/** The figures of a compiled plan that a change to it may move: what `diff` compares. */
import type { CompileResult } from '../../compiler/compile.js';
import { tensorSizes, type ModelSpec } from '../../compiler/model/shape.js';
import type { RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { modelFeatures } from '../../compiler/plan/print-plan.js';
import type { Simulation } from '../../runtime/clock/simulation.js';
import { ownedConstants, type ConstantTexts } from '../explain/constants.js';
import { tokenLoads, type TokenLoad } from '../graph/link-use.js';
import { linkWay, waysOver } from '../link-way.js';
import { planReport } from '../plan-report.js';
import { simulationReport } from '../simulation-report.js';
import { layoutLines } from './layout.js';

export type Unit = 'text' | 'count' | 'bytes' | 'seconds' | 'rate';

/** A figure of a plan. */
export interface Figure {
  /** What it belongs to: figures of two plans with equal group and name are compared. */
  readonly group: FigureGroup;
  readonly name: FigureName;
  readonly unit: Unit;
  readonly value: number | string;
  /** Of constants of the unit `text` that are a size: what `value` rounds, in a unit of its own. */
  readonly bytes?: number;
  /** The device, tier or link that a constant is of: `name` then begins with it. */
  readonly owner?: ConstantOwner;
  /** Other figures mean less where it is not zero: it is then shown though both plans have the same. */
  readonly standing?: true;
}

/** A name, whole or in parts: those that name something of a topology are as the plan calls it. */
export type FigureName = string | readonly (string | Called)[];

/**
 * What is called so: a device kind, a tier or a link as its constants are, the tier of each kind that the plan keeps KV in,
 * or a way over a link.
 */
export interface Called {
  readonly kind: ConstantOwner['kind'] | KvTierKind | 'way';
  readonly name: string;
}

/** A plan has one of each at most, whichever groups have a tier of that name. */
export type KvTierKind = 'host tier' | 'disk tier';

/** A device kind, tier or link that constants are of. */
export interface ConstantOwner {
  readonly kind: 'device' | 'tier' | 'link';
  readonly name: string;
  /** What other figures call it: a link by the ways over it. Always as many, in one order. */
  readonly others: readonly Called[];
  /** Where it stands in the topology, whatever it is called. */
  readonly place: string;
  /** What it is, in short. */
  readonly summary: string;
}

export const FIGURE_GROUPS = [
  'model',
  'layout',
  'constants',
  'ops of a step',
  'bytes per link',
  'peak per tier',
  'predicted',
] as const;

export type FigureGroup = (typeof FIGURE_GROUPS)[number];

/** Figures in the order in which they are shown; `simulation` where there is a workload. */
export function figuresOf(
  plan: Plan,
  { runtime, transitions }: Pick<CompileResult, 'runtime' | 'transitions'>,
  simulation: Simulation | undefined,
  texts: ConstantTexts,
): readonly Figure[] {
  const report = planReport(runtime, transitions, plan.topology);
  const bytes = (name: FigureName, value: number): Figure => ({
    group: 'bytes per link',
    name,
    unit: 'bytes',
    value,
  });
  const peak = (name: FigureName, value: number): Figure => ({
    group: 'peak per tier',
    name,
    unit: 'bytes',
    value,
  });
  const most = (pick: (device: (typeof runtime.devices)[number]) => number): number =>
    Math.max(0, ...runtime.devices.map(pick));
  return [
    ...modelFigures(plan.model),
    ...layoutLines(plan, transitions).map(([name, value]) =>
      typeof value === 'number' ? count('layout', name, value) : text('layout', name, value),
    ),
    ...constantFigures(plan, texts),
    ...runtime.stages.flatMap(opsOf),
    ...runtime.stages.flatMap((stage) =>
      tokenLoads(plan, stage).map((load) =>
        bytes(
          [`${stage.name}: ${EXCHANGES[load.exchange]} per token, `, way(linkWay(load))],
          Math.round(load.bytes),
        ),
      ),
    ),
    ...report.kv.flatMap(({ from, to, cost }) =>
      cost.links.map((link) => bytes([`KV ${from} -> ${to} per token, `, way(linkWay(link))], link.bytes)),
    ),
    ...report.weights.flatMap(({ from, to, links }) =>
      links.map((link) => bytes([`weights ${from} -> ${to}, `, way(linkWay(link))], link.bytes)),
    ),
    peak(
      'device',
      most((device) => device.peak.total),
    ),
    peak(
      'device: weights',
      most((device) => device.peak.weights),
    ),
    peak(
      'device: workspace',
      most((device) => device.peak.workspace),
    ),
    peak(
      'device: KV',
      most((device) => device.peak.kv),
    ),
    ...(
      [
        { kind: 'host tier', tier: runtime.hostTier, most: simulation?.tierPeak.host },
        { kind: 'disk tier', tier: runtime.diskTier, most: simulation?.tierPeak.disk },
      ] as const
    ).flatMap(({ kind, tier, most }) => {
      if (tier === undefined) return [];
      const called: Called = { kind, name: tier.name };
      return [
        peak([called, ': room for KV'], tier.pages * (runtime.hostTier?.pageBytes ?? 0)),
        ...(most === undefined ? [] : [peak([called, ': KV'], most)]),
      ];
    }),
    // As if nothing else went on: in a simulation devices wait for each other, and KV moves as well.
    ...report.weights.map(({ from, to, seconds }) =>
      predicted(`transition ${from} -> ${to}, its weights alone`, 'seconds', seconds),
    ),
    ...(simulation === undefined ? [] : simulatedFigures(plan.name, simulation)),
  ];
}

function simulatedFigures(plan: string, simulation: Simulation): readonly Figure[] {
  const {
    requestsPerSecond,
    outputTokensPerSecond,
    makespan,
    devices,
    transitions,
    linkUse,
    latency,
    requests,
  } = simulationReport({ plan, simulation });
  const idle = devices.reduce((sum, device) => sum + device.idle, 0) / devices.length;
  return [
    predicted('requests per second', 'rate', requestsPerSecond),
    // Rates of plans that do less than was asked for are not those of others.
    { ...predicted('requests rejected', 'count', requests.rejected), standing: true },
    { ...predicted('answers cut short', 'count', requests.cut), standing: true },
    predicted('output tokens per second', 'rate', outputTokensPerSecond),
    predicted('time of the workload', 'seconds', makespan),
    predicted('time between tokens', 'seconds', latency.betweenTokens),
    predicted('idle time of a device', 'seconds', idle),
    predicted('transitions', 'count', transitions.count),
    predicted('time of all transitions', 'seconds', transitions.seconds),
    ...linkUse.map(({ link, bytes }) => predicted(['bytes over ', way(link)], 'bytes', bytes)),
  ];
}

/** Which model it is, and what makes its graph and its weights. */
function modelFigures({ name, shape, weights, stored }: ModelSpec): readonly Figure[] {
  const types = stored === undefined ? [weights] : [...new Set(Object.values(stored))].sort();
  const { ropeScaling: scaling } = shape;
  return [
    text('model', 'name', name),
    text('model', 'weights', types.join(', ')),
    text('model', 'family', shape.family),
    ...tensorSizes(shape).map(([size, value]) => count('model', size, value)),
    count('model', 'context', shape.context),
    text('model', 'norm_eps', String(shape.normEps)),
    text('model', 'rope_theta', String(shape.ropeTheta)),
    text('model', 'rope', scaling === undefined ? 'not scaled' : `${scaling.type} x${scaling.factor}`),
    text('model', 'features', modelFeatures(shape).join(', ') || 'none'),
  ];
}

/** What predictions depend on; caps of KV are in the layout. */
function constantFigures(plan: Plan, texts: ConstantTexts): readonly Figure[] {
  return ownedConstants(plan, texts).flatMap(({ kind, name, place, link, constants }) => {
    if (kind === 'kv') return [];
    const shown = constants.map(({ what, value, bytes, origin }) => ({
      property: what.slice(`${name}: `.length),
      value,
      bytes,
      origin,
    }));
    // Plans and engines are there once, whatever they are called.
    if (kind === 'plan' || kind === 'engine')
      return shown.map(({ property, value }) => text('constants', property, value));
    const summary = shown
      .filter(({ property, origin }) => SUMMARISED.test(property) && origin !== 'default')
      .map(({ property, value }) => `${property} ${value}`)
      .join(', ');
    const others: readonly Called[] = link ? waysOver(link).map(way) : [];
    const owner: ConstantOwner = { kind, name, others, place, summary };
    return shown.map(({ property, value, bytes }) => ({
      ...text('constants', [{ kind, name }, `: ${property}`], value),
      owner,
      ...(bytes !== undefined && { bytes }),
    }));
  });
}

/** Properties that say in short what a device, a tier or a link is. */
const SUMMARISED = /^(memory|bandwidth|compute \w+|capacity|latency)$/;

/** Ops of one step of a replica, on all its ranks. */
function opsOf({ name, programs, mesh }: RuntimeStage): readonly Figure[] {
  const counts = new Map<string, number>();
  for (const program of programs)
    for (const op of program.ops) {
      const kind = op.op === 'kernel' ? op.kernel : op.op === 'collective' ? op.kind : op.op;
      counts.set(kind, (counts.get(kind) ?? 0) + mesh.tp);
    }
  return [...counts].map(([kind, amount]) => count('ops of a step', `${name}: ${kind}`, amount));
}

const EXCHANGES: Readonly<Record<TokenLoad['exchange'], string>> = {
  allReduce: 'all-reduce',
  allGather: 'all-gather',
  send: 'send',
};

const way = (name: string): Called => ({ kind: 'way', name });

const text = (group: FigureGroup, name: FigureName, value: string): Figure => ({
  group,
  name,
  unit: 'text',
  value,
});

const count = (group: FigureGroup, name: string, value: number): Figure => ({
  group,
  name,
  unit: 'count',
  value,
});

const predicted = (name: FigureName, unit: Unit, value: number): Figure => ({
  group: 'predicted',
  name,
  unit,
  value,
});
