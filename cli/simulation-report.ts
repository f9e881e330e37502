/** What a simulation found, for people and for machines. */
import { COST_KINDS, type CostKind } from '../compiler/cost/program-cost.js';
import type { LaneUse } from '../runtime/clock/lanes.js';
import type { Simulation } from '../runtime/clock/simulation.js';
import { formatBytes, formatCount, formatSeconds, formatTable } from './format.js';

export interface NamedSimulation {
  readonly plan: string;
  readonly simulation: Simulation;
}

/** Traffic over all lanes of a link in one direction. */
interface LinkUse {
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

function linkUse(lanes: readonly LaneUse[], makespan: number): readonly LinkUse[] {
  const links = new Map<string, { bytes: number; busiest: number }>();
  for (const { link, direction, bytes, busy } of lanes) {
    if (bytes === 0) continue;
    const name = direction === 'within' ? link : `${link}, ${direction}`;
    const sum = links.get(name) ?? { bytes: 0, busiest: 0 };
    sum.bytes += bytes;
    sum.busiest = Math.max(sum.busiest, makespan > 0 ? busy / makespan : 0);
    links.set(name, sum);
  }
  return [...links].map(([link, use]) => ({ link, ...use }));
}

const HEADINGS: Readonly<Record<CostKind, string>> = {
  gemm: 'gemm',
  attention: 'attention',
  elementwise: 'other kernels',
  all_reduce: 'all-reduce',
  send: 'send',
  launch: 'launch',
};

/** One line per plan, best first, with how each compares with the best. */
export function describeThroughput(reports: readonly SimulationReport[]): string {
  const ranked = [...reports].sort((a, b) => b.requestsPerSecond - a.requestsPerSecond);
  const best = ranked[0]?.requestsPerSecond ?? 0;
  const rows = ranked.map((report) => [
    report.plan,
    report.requestsPerSecond.toPrecision(3),
    formatCount(report.tokensPerSecond),
    formatCount(report.outputTokensPerSecond),
    formatSeconds(report.makespan),
    report.meanDecodeBatch.toFixed(1),
    String(report.transitions.count),
    best > 0 ? `${(report.requestsPerSecond / best).toFixed(2)}x` : '-',
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
  ];
  return formatTable([heading, ...rows], [false, true, true, true, true, true, true, true]);
}

/** Where the time of one plan goes, what moves, and how full links and KV get. */
export function describeSimulation(report: SimulationReport): string {
  const { plan, devices, makespan, transitions, bytes, requests, preemptions } = report;
  const share = (seconds: number): string =>
    makespan > 0 ? `${((100 * seconds) / makespan).toFixed(1)}%` : '-';
  const kinds = COST_KINDS.filter((kind) => devices.some(({ seconds }) => seconds[kind] > 0));
  const time = formatTable(
    [
      [
        'device',
        ...kinds.map((kind) => HEADINGS[kind]),
        ...['page moves', 'waits for weights', 'bubbles', 'warm-up and tail', 'peak memory', 'KV of it'],
      ],
      ...groupEqual(devices, share).map(({ names, cells }) => [names, ...cells(kinds)]),
    ],
    [false, ...kinds.map(() => true), true, true, true, true, true, true],
  );
  const moved: readonly (readonly [string, number])[] = [
    ['weights', transitions.bytes],
    ['KV out', bytes.kvOut],
    ['KV in', bytes.kvIn],
    ['KV to disk', bytes.kvSpilled],
    ['KV from disk', bytes.kvFetched],
    ['all-reduce', bytes.allReduce],
    ['send', bytes.send],
  ];
  const movedText = moved
    .filter(([, amount]) => amount > 0)
    .map(([name, amount]) => `${name} ${formatBytes(amount)}`)
    .join(', ');
  const held: readonly (readonly [string, number])[] = [
    ['devices', devices.reduce((sum, { peak }) => sum + peak.kv, 0)],
    ['host', report.tierPeak.host],
    ['disk', report.tierPeak.disk],
  ];
  const lines = [
    `plan ${plan}`,
    indent(time),
    `  transitions  ${transitions.count}, ${formatSeconds(transitions.seconds)} in all`,
    `  bytes moved  ${movedText || 'none'}`,
    ...report.linkUse.map(
      ({ link, bytes: amount, busiest }) =>
        `  link         ${link}: ${formatBytes(amount)}, busiest lane occupied ${(100 * busiest).toFixed(1)}% of the time`,
    ),
    `  KV at most   ${held.map(([tier, amount]) => `${tier} ${formatBytes(amount)}`).join(', ')}`,
    `  preempted    ${preemptions.swapped} swapped out, ${preemptions.dropped} computed again`,
    ...(requests.rejected > 0 ? [`  rejected     ${requests.rejected} requests can never fit`] : []),
  ];
  return lines.join('\n');
}

type DeviceRow = SimulationReport['devices'][number];

/** Devices whose shares print alike in one row. */
function groupEqual(
  devices: readonly DeviceRow[],
  share: (seconds: number) => string,
): readonly { readonly names: string; readonly cells: (kinds: readonly CostKind[]) => readonly string[] }[] {
  const groups = new Map<string, DeviceRow[]>();
  const cells = (row: DeviceRow, kinds: readonly CostKind[]): readonly string[] => [
    ...kinds.map((kind) => share(row.seconds[kind])),
    share(row.pages),
    share(row.exposedTransition),
    share(row.bubbles),
    share(row.idle - row.bubbles),
    formatBytes(row.peak.total),
    formatBytes(row.peak.kv),
  ];
  for (const row of devices) {
    const key = cells(row, COST_KINDS).join();
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((rows) => ({
    names:
      rows.length === 1
        ? rows[0]!.device
        : `${rows[0]!.device} … ${rows.at(-1)!.device} (${rows.length} devices)`,
    cells: (kinds) => cells(rows[0]!, kinds),
  }));
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}
