/** Where the time of devices goes, in a table for people. */
import { COST_KINDS, type CostKind } from '../compiler/cost/program-cost.js';
import { groupBy } from '../compiler/group-by.js';
import type { Stage } from '../compiler/plan/plan.js';
import type { DeviceTime, Simulation } from '../runtime/clock/simulation.js';
import { nameDevices } from './device-names.js';
import { formatBytes, formatTable } from './format.js';

/** Names of categories for people. */
export const COST_HEADINGS: Readonly<Record<CostKind, string>> = {
  gemm: 'gemm',
  attention: 'attention',
  elementwise: 'other kernels',
  all_reduce: 'all-reduce',
  all_gather: 'all-gather',
  send: 'send',
  launch: 'launch',
};

/** Rows up to which devices that differ in any figure have rows of their own. */
const MOST_ROWS = 16;

type Times = Pick<Simulation, 'devices' | 'makespan'>;

/**
 * The time of all devices. Of many that differ a little, those at one place in the pipelines of the same stages are one
 * row, with their means.
 */
export function timeTable(times: Times, stages: readonly Stage[]): string {
  const { devices, makespan } = times;
  const kinds = COST_KINDS.filter((kind) => devices.some(({ seconds }) => seconds[kind] > 0));
  const headings = [
    ...kinds.map((kind) => COST_HEADINGS[kind]),
    ...['page moves', 'waits for weights', 'bubbles', 'warm-up and tail', 'peak memory', 'KV of it'],
  ];
  const right = [false, ...headings.map(() => true)];
  const groups = deviceGroups(times);
  if (groups.length <= MOST_ROWS) {
    const rows = groups.map(({ names, device }) => [names, ...timeCells(device, kinds, makespan)]);
    return formatTable([['device', ...headings], ...rows], right);
  }
  const roleOf = rolesIn(stages);
  const rows = [...groupBy(devices, ({ id }) => roleOf(id))].map(([role, members]) => [
    role === '' ? namesOf(members) : `${role}: ${namesOf(members)}`,
    ...timeCells(meanOf(members), kinds, makespan),
    inUse(members, makespan),
  ]);
  const table = formatTable([['device', ...headings, 'in use, least to most'], ...rows], [...right, true]);
  return `${table}\nmeans over the devices of a row; --json has every device`;
}

/** Of each device the stages that it is in, and where in their pipelines; nothing of one that is in none. */
function rolesIn(stages: readonly Stage[]): (device: number) => string {
  const roles = new Map<number, string>();
  for (const { name, mesh, devices } of stages)
    devices.forEach((device, rank) => {
      const role = mesh.pp === 1 ? name : `${name} pp ${Math.floor(rank / mesh.tp) % mesh.pp}`;
      const before = roles.get(device);
      roles.set(device, before === undefined ? role : `${before}, ${role}`);
    });
  return (device) => roles.get(device) ?? '';
}

function meanOf(devices: readonly DeviceTime[]): DeviceTime {
  const mean = (pick: (device: DeviceTime) => number): number =>
    devices.reduce((sum, device) => sum + pick(device), 0) / devices.length;
  const seconds = COST_KINDS.map((kind) => [kind, mean((device) => device.seconds[kind])] as const);
  return {
    ...devices[0]!,
    seconds: Object.fromEntries(seconds) as Record<CostKind, number>,
    exposedTransition: mean(({ exposedTransition }) => exposedTransition),
    pages: mean(({ pages }) => pages),
    idle: mean(({ idle }) => idle),
    bubbles: mean(({ bubbles }) => bubbles),
    peak: {
      weights: Math.round(mean(({ peak }) => peak.weights)),
      workspace: Math.round(mean(({ peak }) => peak.workspace)),
      kv: Math.round(mean(({ peak }) => peak.kv)),
      total: Math.round(mean(({ peak }) => peak.total)),
    },
  };
}

/** Shares of the time of the devices that is not idle: `61.0% to 87.2%`. */
function inUse(devices: readonly DeviceTime[], makespan: number): string {
  const idle = devices.map((device) => device.idle);
  const [least, most] = [Math.max(...idle), Math.min(...idle)].map((time) =>
    share(makespan - time, makespan),
  );
  return least === most ? least! : `${least} to ${most}`;
}

const share = (time: number, makespan: number): string =>
  makespan > 0 ? `${((100 * time) / makespan).toFixed(1)}%` : '-';

/** Shares of the whole time, and memory. */
function timeCells(
  { seconds, pages, exposedTransition, bubbles, idle, peak }: DeviceTime,
  kinds: readonly CostKind[],
  makespan: number,
): readonly string[] {
  const times = [
    ...kinds.map((kind) => seconds[kind]),
    ...[pages, exposedTransition, bubbles, idle - bubbles],
  ];
  return [...times.map((time) => share(time, makespan)), formatBytes(peak.total), formatBytes(peak.kv)];
}

/** Devices whose shares print alike, with one that stands for them. */
export function deviceGroups({ devices, makespan }: Times): readonly {
  readonly names: string;
  readonly device: DeviceTime;
}[] {
  const groups = groupBy(devices, (device) => timeCells(device, COST_KINDS, makespan).join());
  return [...groups.values()].map((group) => ({ names: namesOf(group), device: group[0]! }));
}

function namesOf(devices: readonly DeviceTime[]): string {
  return nameDevices(
    devices.map(({ id, device }) => ({ id, path: device })),
    { counted: true },
  );
}
