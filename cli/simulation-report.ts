/** What a simulation found, for people and for machines. */
import type { EngineModel } from '../compiler/cost/engine-model.js';
import { groupBy } from '../compiler/group-by.js';
import type { Stage } from '../compiler/plan/plan.js';
import type { LaneUse } from '../runtime/clock/lanes.js';
import type { Simulation } from '../runtime/clock/simulation.js';
import { timeTable } from './device-times.js';
import { describeEffects } from './engine-effects.js';
import { describeReuse } from './reuse.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRequestRate,
  formatTable,
  indent,
  plural,
} from './format.js';
import { describePassedOver, type PassedOver } from './passed-over.js';
import { linkWay } from './link-way.js';

export interface NamedSimulation {
  readonly plan: string;
  readonly simulation: Simulation;
}

/** Traffic over all lanes of a link one way, or both where its ends are alike. */
interface LinkUse {
  /** With the way: `gpu <-> host, gpu to host`. */
  readonly link: string;
  readonly bytes: number;
  /** Fraction of the time that its busiest lane is occupied. */
  readonly busiest: number;
}

export interface SimulationReport extends Simulation {
  readonly plan: string;
  readonly requestsPerSecond: number;
  /** Prompt and output tokens together. */
  readonly tokensPerSecond: number;
  readonly outputTokensPerSecond: number;
  readonly linkUse: readonly LinkUse[];
}

/** With the effects that were simulated. */
export interface EngineReport extends SimulationReport {
  readonly engine: EngineModel;
  readonly passedOver?: PassedOver;
}

/** Adds the rates to a simulation. */
export function simulationReport({ plan, simulation }: NamedSimulation): SimulationReport {
  const { makespan, requests, tokens } = simulation;
  const per = (count: number): number => (makespan > 0 ? count / makespan : 0);
  return {
    plan,
    requestsPerSecond: per(requests.finished),
    tokensPerSecond: per(tokens.prompt + tokens.output),
    outputTokensPerSecond: per(tokens.output),
    ...simulation,
    linkUse: linkUse(simulation.links, makespan),
  };
}

/** Lanes in the order in which links and ways are first met. What two ends of a lane count is there once. */
function linkUse(lanes: readonly LaneUse[], makespan: number): readonly LinkUse[] {
  const used = lanes.filter(({ bytes }) => bytes > 0);
  return [...groupBy(used, linkWay)].map(([link, along]) => {
    const ends = [...groupBy(along, ({ direction }) => direction).values()].map((same) =>
      same.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    const busy = Math.max(...along.map((lane) => lane.busy));
    return { link, bytes: Math.max(...ends), busiest: makespan > 0 ? busy / makespan : 0 };
  });
}

/**
 * What must be known before rates are compared: where requests were left out or answers cut short there was less to do,
 * for one plan perhaps less than for another. Nothing where all was done.
 */
export function describeUndone({
  plan,
  requests: { finished, rejected, cut },
}: Pick<SimulationReport, 'plan' | 'requests'>): readonly string[] {
  const share = (part: number, all: number, one: string, many: string): string =>
    `${formatCount(part)} of ${plural(all, 'request')}: ${part === 1 ? one : many}`;
  return [
    ...(rejected > 0
      ? [
          `plan ${plan} can never fit ${share(rejected, finished + rejected, 'it is left out', 'they are left out')}, and rates are not those of the workload`,
        ]
      : []),
    ...(cut > 0
      ? [
          `plan ${plan} has no room for the whole answers of ${share(cut, finished, 'it is cut short', 'they are cut short')}, and rates are not those of the workload`,
        ]
      : []),
  ];
}

/**
 * One line per plan, best first, with how each compares with the best, and how many requests were left out and answers
 * cut short where any were.
 */
export function describeThroughput(reports: readonly SimulationReport[]): string {
  const ranked = [...reports].sort((a, b) => b.requestsPerSecond - a.requestsPerSecond);
  const best = ranked[0]?.requestsPerSecond ?? 0;
  const anyRejected = ranked.some(({ requests }) => requests.rejected > 0);
  const anyCut = ranked.some(({ requests }) => requests.cut > 0);
  const rows = ranked.map((report) => [
    report.plan,
    formatRequestRate(report.requestsPerSecond),
    formatCount(report.tokensPerSecond),
    formatCount(report.outputTokensPerSecond),
    formatDuration(report.makespan),
    report.meanDecodeBatch.toFixed(1),
    String(report.transitions.count),
    best > 0 ? `${(report.requestsPerSecond / best).toFixed(2)}x` : '-',
    ...(anyRejected ? [formatCount(report.requests.rejected)] : []),
    ...(anyCut ? [formatCount(report.requests.cut)] : []),
  ]);
  const heading = [
    'plan',
    'requests/s',
    'tokens/s',
    'output tokens/s',
    'time',
    'decode batch',
    'transitions',
    'of best',
    ...(anyRejected ? ['rejected'] : []),
    ...(anyCut ? ['answers cut'] : []),
  ];
  return formatTable(
    [heading, ...rows],
    heading.map((_, column) => column > 0),
  );
}

/** What moved, by what it was; what did not move at all is left out. */
export function movedBytes({
  transitions,
  bytes,
}: Simulation): readonly (readonly [what: string, bytes: number])[] {
  const all: readonly (readonly [string, number])[] = [
    ['weights', transitions.bytes],
    ['KV out', bytes.kvOut],
    ['KV in', bytes.kvIn],
    ['KV to disk', bytes.kvSpilled],
    ['KV from disk', bytes.kvFetched],
    ['all-reduce', bytes.allReduce],
    ['all-gather', bytes.allGather],
    ['send', bytes.send],
  ];
  return all.filter(([, amount]) => amount > 0);
}

/** Exchanges count what each rank gives and takes, links what crosses them: that is not the same, nor a part of it. */
const EXCHANGED = new Set(['all-reduce', 'all-gather']);

/** Where the time of one plan goes, what moves, and how full links and KV get. */
export function describeSimulation(report: EngineReport, stages: readonly Stage[]): string {
  const { plan, devices, transitions, requests, preemptions } = report;
  const effects = describeEffects(report.engine);
  const [exchanged, moved] = [true, false].map((wanted) =>
    movedBytes(report)
      .filter(([name]) => EXCHANGED.has(name) === wanted)
      .map(([name, amount]) => `${name} ${formatBytes(amount)}`)
      .join(', '),
  );
  const held: readonly (readonly [string, number])[] = [
    ['devices', devices.reduce((sum, { peak }) => sum + peak.kv, 0)],
    ['host', report.tierPeak.host],
    ['disk', report.tierPeak.disk],
  ];
  const lines = [
    `plan ${plan}`,
    ...(effects.length > 0 ? [`  engine       ${effects.join(', ')}`] : []),
    indent(timeTable(report, stages)),
    `  transitions  ${transitions.count}, ${formatDuration(transitions.seconds)} in all`,
    `  bytes moved  ${moved || 'none'}`,
    ...(exchanged ? [`  exchanged    ${exchanged}, given and taken by ranks`] : []),
    ...report.linkUse.map(
      ({ link, bytes: amount, busiest }) =>
        `  link         ${link}: ${formatBytes(amount)}, busiest lane occupied ${(100 * busiest).toFixed(1)}% of the time`,
    ),
    `  KV at most   ${held.map(([tier, amount]) => `${tier} ${formatBytes(amount)}`).join(', ')}`,
    ...(report.passedOver ? [`  disk         ${describePassedOver(report.passedOver)}`] : []),
    ...reuseLines(report),
    `  preempted    ${preemptions.swapped} swapped out, ${preemptions.dropped} computed again`,
    ...(requests.cut > 0
      ? [`  cut short    ${plural(requests.cut, 'request')}: no room for the whole answer`]
      : []),
    ...(requests.rejected > 0
      ? [`  rejected     ${plural(requests.rejected, 'request')} can never fit`]
      : []),
  ];
  return lines.join('\n');
}

/** Prompt tokens that were found, as a run tells it; nothing where prompts have nothing in common. */
function reuseLines({ tokens, reused, copiedPages }: Simulation): readonly string[] {
  const text = describeReuse(
    tokens.prompt,
    reused,
    copiedPages,
    `${formatCount(tokens.prompt)} prompt tokens`,
  );
  return text === undefined ? [] : [`  prefix reuse ${text}`];
}
