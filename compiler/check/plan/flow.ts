/** The flow: the order of stages, and the rules that switch between those that share devices. */
import type { FlowDecl, Name } from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import type { Origin } from '../../diagnostics/diagnostic.js';
import { countInCommon } from '../../in-common.js';
import type { Condition, DefaultTaken, Flow, FlowRule, KvSpec, Stage } from '../../plan/plan.js';
import { insertion, removal } from '../fixes.js';
import { at, choices, type Context } from '../scope.js';
import { readCondition } from './conditions.js';
import type { Placed } from './merge-plan.js';

interface FlowUse {
  readonly plan: string;
  readonly stages: readonly Stage[];
  readonly kv: KvSpec;
  /** Where a default flow is said to come from. */
  readonly origin: Origin;
}

export interface CheckedFlow {
  readonly flow: Flow;
  readonly defaults: readonly DefaultTaken[];
}

/** Share of the tier under which decode has drained it enough to prefill again. */
export const LOW_WATER = 0.2;

/** The flow as written, or the default one; undefined after reporting. */
export function readFlow(written: Placed<FlowDecl> | undefined, use: FlowUse): CheckedFlow | undefined {
  const order = written ? readOrder(written.node, written.cx, use) : defaultOrder(use.stages);
  const rules = written ? readRules(written.node, written.cx, use) : [];
  if (!order || !rules) return undefined;
  const added = defaultRules(order, rules, use);
  const defaults: DefaultTaken[] = added.map((rule) => ({
    what: `flow rule to ${rule.to}`,
    value: `when ${showCondition(rule.when)}`,
    why: 'as few transitions as the tier allows',
  }));
  if (!written)
    defaults.unshift({
      what: 'flow',
      value: ['requests', ...order, 'results'].join(' -> '),
      why: 'prefill comes before decode',
    });
  const origin = written
    ? {
        file: written.cx.scope.path,
        span: {
          start: written.node.span.start,
          end: written.node.path.at(-1)?.span.end ?? written.node.span.end,
        },
      }
    : use.origin;
  return { flow: { stages: order, rules: [...rules, ...added], origin }, defaults };
}

function readOrder(decl: FlowDecl, cx: Context, use: FlowUse): readonly string[] | undefined {
  let failed = false;
  const names = [...decl.path];
  const expectEnd = (name: Name | undefined, end: 'requests' | 'results'): boolean => {
    if (name?.text === end) return true;
    failed = true;
    if (name !== undefined && name.text !== '') {
      const [place, text] =
        end === 'requests' ? [name.span.start, 'requests -> '] : [name.span.end, ' -> results'];
      const fixes = [insertion(cx, place, text, `Add \`${end}\``)];
      cx.report(report('flow-ends', { end, found: name.text }, { primary: at(cx, name), fixes }));
    }
    return false;
  };
  if (expectEnd(decl.path[0], 'requests')) names.shift();
  if (expectEnd(decl.path.at(-1), 'results')) names.pop();
  const order: string[] = [];
  for (const name of names) {
    if (name.text === '') failed = true;
    else if (!use.stages.some((s) => s.name === name.text)) {
      failed = true;
      reportUnknownStage(name, cx, use);
    } else if (order.includes(name.text)) {
      failed = true;
      const before = decl.path[decl.path.indexOf(name) - 1]!;
      const again = { start: before.span.end, end: name.span.end };
      const fixes = [removal(cx, again, `this \`${name.text}\``)];
      cx.report(report('stage-repeated', { stage: name.text }, { primary: at(cx, name), fixes }));
    } else order.push(name.text);
  }
  return failed ? undefined : order;
}

function reportUnknownStage(name: Name, cx: Context, use: FlowUse): void {
  if (name.text === '') return;
  const primary = at(cx, name);
  const known = use.stages.map((s) => s.name);
  cx.report(
    report(
      'unknown-stage',
      { stage: name.text, plan: use.plan },
      { primary, ...choices(primary, name.text, known, 'stages') },
    ),
  );
}

function readRules(decl: FlowDecl, cx: Context, use: FlowUse): readonly FlowRule[] | undefined {
  const rules: FlowRule[] = [];
  let failed = false;
  const tiers = use.kv.tiers.map((t) => t.name);
  for (const rule of decl.rules) {
    if (rule.kind === 'unknown') continue;
    const when = readCondition(rule.when, cx, tiers);
    const known = use.stages.some((s) => s.name === rule.to.text);
    if (!known) reportUnknownStage(rule.to, cx, use);
    if (when && known) rules.push({ to: rule.to.text, when, origin: at(cx, rule) });
    else failed = true;
  }
  return failed ? undefined : rules;
}

/** Prefill stages first, then those that do both, then decode; of equals as declared. */
function defaultOrder(stages: readonly Stage[]): readonly string[] {
  const rank = (stage: Stage): number =>
    stage.phases.length === 2 ? 1 : stage.phases[0] === 'prefill' ? 0 : 2;
  return [...stages].sort((a, b) => rank(a) - rank(b)).map((s) => s.name);
}

/** Whether going from one stage to the other changes what some device holds. */
export function needsTransition(a: Stage, b: Stage): boolean {
  if (countInCommon(a.devices, b.devices) === 0) return false;
  const layout = (s: Stage): string =>
    JSON.stringify([
      s.devices,
      s.mesh,
      s.layerSplit,
      s.sharding,
      s.overrides.map((o) => ({ ...o, origin: 0 })),
    ]);
  return layout(a) !== layout(b);
}

/** Rules for switching stages that nothing written switches to: prefill into the deepest tier, then drain it. */
export function defaultRules(
  order: readonly string[],
  written: readonly FlowRule[],
  use: Pick<FlowUse, 'stages' | 'kv'>,
): readonly FlowRule[] {
  const tier = use.kv.tiers.findLast((t) => t.medium !== 'device');
  if (!tier) return [];
  const stages = order.map((name) => use.stages.find((s) => s.name === name)!);
  const switching = stages.filter((a) => stages.some((b) => a !== b && needsTransition(a, b)));
  const toDecode: Condition = {
    kind: 'or',
    left: { kind: 'tier_full', tier: tier.name },
    right: { kind: 'requests_empty' },
  };
  const toPrefill: Condition = { kind: 'tier_used', tier: tier.name, op: '<', fraction: LOW_WATER };
  return switching
    .filter((s) => !written.some((r) => r.to === s.name))
    .map((s): FlowRule => ({ to: s.name, when: s.phases.includes('prefill') ? toPrefill : toDecode }));
}

/** A condition as a plan writes it. */
export function showCondition(condition: Condition): string {
  switch (condition.kind) {
    case 'tier_full':
      return `${condition.tier}.full`;
    case 'tier_empty':
      return `${condition.tier}.empty`;
    case 'tier_used':
      return `${condition.tier}.used ${condition.op} ${Number((condition.fraction * 100).toPrecision(6))}%`;
    case 'requests_empty':
      return 'requests.empty';
    case 'not':
      return `not (${showCondition(condition.operand)})`;
    case 'and':
    case 'or': {
      const part = (c: Condition): string =>
        (c.kind === 'and' || c.kind === 'or') && c.kind !== condition.kind
          ? `(${showCondition(c)})`
          : showCondition(c);
      return `${part(condition.left)} ${condition.kind} ${part(condition.right)}`;
    }
  }
}
