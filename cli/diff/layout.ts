/** What a plan says besides figures: which devices do what, where KV lies, and when stages take turns. */
import { showCondition } from '../../compiler/check/plan/flow.js';
import { groupBy } from '../../compiler/group-by.js';
import { printMesh } from '../../compiler/ir/print.js';
import type { TransitionGraph } from '../../compiler/ir/transitions.js';
import type { KvTier, Plan, Stage } from '../../compiler/plan/plan.js';
import { showShardings } from '../../compiler/plan/print-plan.js';
import { rangesOf } from '../../compiler/plan/ranges.js';
import { showKvCap } from '../explain/constants.js';

type Line = readonly [name: string, value: string | number];

/** Lines of the stages, then of the whole plan. */
export function layoutLines(plan: Plan, { residence }: Pick<TransitionGraph, 'residence'>): readonly Line[] {
  const { kv, flow } = plan;
  return [
    ...plan.stages.flatMap((stage) => stageLines(stage, plan)),
    ...(residence === undefined ? [] : [['residence', residenceOf(plan, residence)] as const]),
    ['KV: tokens of a page', kv.pageTokens],
    ['KV: type', kv.dtype],
    ['KV: tiers', kv.tiers.map((tier) => tierOf(plan, tier)).join(' -> ')],
    ['flow', ['requests', ...flow.stages, 'results'].join(' -> ')],
    ...[...groupBy(flow.rules, ({ to }) => to)].map(([to, rules]): Line => [
      `flow: to ${to}`,
      rules.map(({ when }) => `when ${showCondition(when)}`).join(', '),
    ]),
  ];
}

function stageLines(stage: Stage, plan: Plan): readonly Line[] {
  const { name, mesh, phases } = stage;
  return [
    [`${name}: devices`, devicesOf(stage, plan)],
    [`${name}: mesh`, printMesh(mesh)],
    ...(mesh.pp > 1 ? [[`${name}: layers`, stage.layerSplit.join(', ')] as const] : []),
    ...(mesh.tp > 1 ? [[`${name}: sharding`, showShardings(stage).join('; ')] as const] : []),
    // The other of the two means nothing to a stage of one phase.
    ...(phases.includes('prefill') ? [[`${name}: tokens of a step`, stage.microbatchTokens] as const] : []),
    ...(phases.includes('decode') ? [[`${name}: requests at once`, stage.batchRequests] as const] : []),
  ];
}

/** How many devices of which kind a stage has, and which: `4 l4 on gpu[0..3]`. */
function devicesOf({ devices }: Stage, { topology }: Plan): string {
  const placed = devices.map((device) => topology.devices[device]!);
  return [...groupBy(placed, ({ kind }) => kind.name)]
    .map(([kind, alike]) => `${alike.length} ${kind} on ${rangesOf(alike.map(({ path }) => path))}`)
    .join(', ');
}

/** What the plan says, and what the compiler makes of it where that is left to it. */
function residenceOf(
  { residence: word = 'switch' }: Plan,
  { both, layers = [] }: NonNullable<TransitionGraph['residence']>,
): string {
  if (word !== 'auto') return word;
  if (both) return 'auto: weights stay together';
  return layers.length === 0
    ? 'auto: weights take turns'
    : `auto: weights of ${layers.length} layers stay together`;
}

/** `host up to 20 GiB in each of 2, 40 GiB in all`; where the plan says no cap, the name alone. */
function tierOf(plan: Plan, tier: KvTier): string {
  return tier.cap === undefined ? tier.name : `${tier.name} up to ${showKvCap(plan, tier)}`;
}
