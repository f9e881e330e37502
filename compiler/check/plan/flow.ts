/** The flow: the order of stages, and the rules that switch between those that share devices. */
import { suggest } from '../../../grammar/did-you-mean.js';
import type { FlowDecl, Name } from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import type { Fix, Origin } from '../../diagnostics/diagnostic.js';
import { countInCommon } from '../../in-common.js';
import type { Condition, DefaultTaken, Flow, FlowRule, KvSpec, Stage } from '../../plan/plan.js';
import { insertion, removal } from '../fixes.js';
import { at, choices, meant, type Context } from '../scope.js';
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

/** The path of a flow as written, and the stages that it does not name. */
interface Written {
  readonly path: readonly Name[];
  readonly unnamed: readonly Stage[];
  readonly cx: Context;
  readonly use: FlowUse;
}

function readOrder({ path }: FlowDecl, cx: Context, use: FlowUse): readonly string[] | undefined {
  const unnamed = use.stages.filter((s) => !path.some(({ text }) => text === s.name));
  const written: Written = { path, unnamed, cx, use };
  const begin = readEnd('requests', written);
  const end = readEnd('results', written);
  let failed = begin !== 'there' || end !== 'there' || path.some(({ text }) => text === '');
  const order: string[] = [];
  for (const name of path.slice(begin === 'lacking' ? 0 : 1, end === 'lacking' ? path.length : -1)) {
    if (name.text === '') continue;
    const known = use.stages.some((s) => s.name === name.text);
    if (known && !order.includes(name.text)) {
      order.push(name.text);
      continue;
    }
    failed = true;
    if (known)
      cx.report(
        report(
          'stage-repeated',
          { stage: name.text },
          { primary: at(cx, name), fixes: withoutName(name, written) },
        ),
      );
    else reportUnknownStage(name, cx, use, written);
  }
  return failed ? undefined : order;
}

type End = 'requests' | 'results';

/**
 * What stands at an end of a flow: that end, a word that was meant to be it, or something else; the last two are reported.
 * A name that is missing there may have been the end, and the parser has said so.
 */
function readEnd(end: End, written: Written): 'there' | 'misspelt' | 'lacking' {
  const { path, cx } = written;
  const name = end === 'requests' ? path[0] : path.at(-1);
  if (name?.text === end) return 'there';
  if (name === undefined || name.text === '') return 'lacking';
  const primary = at(cx, name);
  const isIt = isMeant(end, name.text, written);
  const fixes = isIt ? meant(primary, end).fixes : [addedEnd(end, name, written)];
  cx.report(report('flow-ends', { end, found: name.text }, { primary, fixes }));
  return isIt ? 'misspelt' : 'lacking';
}

/** Whether a word that is no stage stands for an end of the flow: it is near to that, or all stages are named beside it. */
function isMeant(end: End, word: string, { path, unnamed, use }: Written): boolean {
  if (use.stages.some((s) => s.name === word)) return false;
  const isOtherEnd = word === 'requests' || word === 'results';
  const near = isOtherEnd ? undefined : suggest(word, [end, ...unnamed.map((s) => s.name)]);
  return near === end || (near === undefined && unnamed.length === 0 && path.length > 1);
}

/** Puts an end to a flow, with the stages that it does not name as far as they belong there. */
function addedEnd(end: End, { span }: Name, { unnamed, cx, use }: Written): Fix {
  const named = use.stages.filter((s) => !unnamed.includes(s)).map(turnOf);
  const isFirst = end === 'requests';
  const missing = defaultOrder(
    unnamed.filter((s) => named.every((turn) => (isFirst ? turnOf(s) < turn : turnOf(s) >= turn))),
  );
  const added = (isFirst ? [end, ...missing] : [...missing, end]).join(' -> ');
  return isFirst
    ? insertion(cx, span.start, `${added} -> `, `Add \`${added}\``)
    : insertion(cx, span.end, ` -> ${added}`, `Add \`${added}\``);
}

/** Takes a name out of a path with the arrow before it. */
function withoutName(name: Name, { path, cx }: Written): readonly Fix[] {
  const before = path[path.indexOf(name) - 1];
  if (before === undefined) return [];
  return [removal(cx, { start: before.span.end, end: name.span.end }, `this \`${name.text}\``)];
}

/** Reports what is no stage. In a path it was meant for one that has no place there yet, and is too many without any. */
function reportUnknownStage(name: Name, cx: Context, use: FlowUse, written?: Written): void {
  if (name.text === '') return;
  const primary = at(cx, name);
  const open = written?.unnamed ?? use.stages;
  const names = open.map((s) => s.name);
  const advice =
    written !== undefined && open.length === 0
      ? { fixes: withoutName(name, written) }
      : choices(primary, name.text, names, 'stages');
  cx.report(report('unknown-stage', { stage: name.text, plan: use.plan }, { primary, ...advice }));
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
  return [...stages].sort((a, b) => turnOf(a) - turnOf(b)).map((s) => s.name);
}

/** The place of a stage among others by its phases. */
function turnOf({ phases }: Stage): number {
  return phases.length === 2 ? 1 : phases[0] === 'prefill' ? 0 : 2;
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
