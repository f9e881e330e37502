/** The explanation of a plan as text for people. */
import { describeKvCost, describeReshard, describeResidence } from '../../compiler/reshard/describe.js';
import { formatBytes, formatCount, formatTable, indent, plural } from '../format.js';
import type { Constant } from './constants.js';
import { nameDevices } from '../device-names.js';
import { describePassedOver } from '../passed-over.js';
import { describeCap, describeUneven, memoryTable } from '../plan-report.js';
import {
  describeSplit,
  type EdgeExplanation,
  type InsertedOp,
  type PlanExplanation,
  type StageExplanation,
} from './explain-plan.js';

/** What each strategy means for the devices. */
const STRATEGIES: Readonly<Record<EdgeExplanation['strategy'], string>> = {
  fused: 'one stage does both phases, and their tokens share steps',
  static: 'the same devices with weights in the same places; no weights move',
  're-sharded': 'the same devices, but weights in other places',
  disaggregated: 'each stage has devices of their own; both are resident and run at once',
};

/** Several lines, without a line end. */
export function describeExplanation(explained: PlanExplanation): string {
  const { plan, model, topology, layout, kvRoom, passedOver, defaults, constants } = explained;
  const lines = [
    `plan ${plan}: model ${model} on ${topology}`,
    ...layout.flatMap((stage) => ['', ...describeStage(stage, explained).map(indent)]),
    '',
    ...describeFlow(explained).map(indent),
    '',
    '  memory per device',
    ...below(memoryTable(explained.devices).split('\n')),
    '',
    '  room for KV',
    ...below(roomTable(kvRoom).split('\n')),
    ...below(passedOver ? [describePassedOver(passedOver)] : []),
    ...below(explained.cappedPools.map(describeCap)),
    ...below(explained.unevenRooms.map(describeUneven)),
    '',
    defaults.length === 0 ? '  no defaults were taken' : '  defaults taken',
    ...below(defaults.map(({ what, value, why }) => `${what} = ${value}: ${why}`)),
    '',
    '  constants of its simulation',
    ...below(describeConstants(constants)),
  ];
  return lines.join('\n');
}

function roomTable(rooms: PlanExplanation['kvRoom']): string {
  const rows = rooms.map(({ place, pages, tokens, bytes }) => [
    ...[place, formatCount(pages), formatCount(tokens)],
    formatBytes(bytes),
  ]);
  return formatTable([['place', 'pages', 'tokens', 'bytes'], ...rows], [false, true, true, true]);
}

/** A line each; the sources of shipped figures once, below. */
function describeConstants(constants: readonly Constant[]): string[] {
  const table = formatTable(
    constants.map(({ what, value, origin, at }) => [
      what,
      value,
      origin === 'declared' ? at : `${origin}, ${at}`,
    ]),
  );
  const sources = new Map(
    constants.flatMap(({ what, source }) => (source ? [[source, what] as const] : [])).reverse(),
  );
  return [
    ...table.split('\n'),
    ...[...sources].reverse().map(([source, what]) => `source of ${what}: ${source}`),
  ];
}

function describeStage(stage: StageExplanation, { stages, devices: all }: PlanExplanation): string[] {
  const { name, phases, devices, mesh, segments, inserted } = stage;
  const { perToken, maxTokens, maxSequences } = stages.find((candidate) => candidate.stage === name)!;
  const axes = (['dp', 'pp', 'tp'] as const).filter((axis) => mesh[axis] > 1);
  const shown = axes.length === 0 ? 'tp: 1' : axes.map((axis) => `${axis}: ${mesh[axis]}`).join(', ');
  const byPath = new Map(all.map((device) => [device.path, device]));
  const on = nameDevices(devices.map((path) => byPath.get(path)!));
  return [
    `stage ${name} (${phases.join(' + ')}) on ${on}: ${plural(devices.length, 'device')}, mesh (${shown})`,
    ...(mesh.dp > 1 ? [`  requests are dealt to ${mesh.dp} replicas, each with all that follows`] : []),
    ...segments.map((segment, pp) => `  pp ${pp}  ${segment}`),
    ...(segments.length > 1
      ? [`  each hands its activations to the next: ${formatBytes(perToken.send)} per token in all`]
      : []),
    `  ${describeSplit(stage.sharding, mesh.tp)}`,
    ...stage.overrides.map((line) => `  except ${line}`),
    ...describeInserted(inserted, perToken),
    `  a step carries at most ${plural(maxTokens, 'token')} and samples for at most ${plural(maxSequences, 'request')}`,
  ];
}

function describeInserted(
  inserted: readonly InsertedOp[],
  { allReduce, allGather }: PlanExplanation['stages'][number]['perToken'],
): string[] {
  if (inserted.length === 0) return ['  no collectives: no rank holds a part of a value'];
  const blocks = [...new Set(inserted.map(({ block }) => block))];
  const moved = [
    ...(allReduce > 0 ? [`all-reduce: ${formatBytes(allReduce)}`] : []),
    ...(allGather > 0 ? [`all-gather: ${formatBytes(allGather)}`] : []),
  ];
  const traffic = moved.length > 0 ? ` (${moved.join(', ')} per token over all layers)` : '';
  return [
    `  inserted where ranks hold parts of a value${traffic}`,
    ...blocks.flatMap((block) => {
      const ops = inserted.filter((candidate) => candidate.block === block);
      const where = block.startsWith('layer') ? `in each of ${block}` : `in the ${block}`;
      return [
        `    ${plural(ops.length, 'collective')} ${where}`,
        ...ops.map(({ op, reason }) => `      ${op}: ${reason}`),
      ];
    }),
  ];
}

function describeFlow({ layout, edges, kv, weights, residence, rules }: PlanExplanation): string[] {
  const fused = layout.filter(({ phases }) => phases.length > 1);
  return [
    'flow',
    ...fused.map(({ name }) => `  ${name}: fused: ${STRATEGIES.fused}`),
    ...edges.flatMap(({ from, to, strategy }) => {
      const pages = kv.find((edge) => edge.from === from && edge.to === to);
      return [
        `  ${from} -> ${to}: ${strategy}: ${STRATEGIES[strategy]}`,
        ...(pages === undefined
          ? []
          : below([describeKv(pages), ...describeKvCost(pages.cost, formatBytes)])),
      ];
    }),
    ...(residence ? [`  ${describeResidence(residence)}`] : []),
    ...weights.flatMap((report) => describeReshard(report, formatBytes)).map(indent),
    ...rules.map(({ to, when, default: taken }) => `  to ${to} when ${when}${taken ? ' (default)' : ''}`),
  ];
}

function describeKv({ path, tier, bytesPerToken }: PlanExplanation['kv'][number]): string {
  if (path === 'shared') return 'KV: shared pages, nothing moves';
  return `KV: through ${tier}, ${formatBytes(bytesPerToken.out)} per token out and ${formatBytes(bytesPerToken.in)} in`;
}

/** Lines below a heading that is indented itself. */
function below(lines: readonly string[]): string[] {
  return lines.map((line) => indent(indent(line)));
}
