/** Conditions of flow rules: `host.full or requests.empty`, `host.used < 20%`. */
import type { BinaryExpr, Expr, PathExpr } from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import type { Condition } from '../../plan/plan.js';
import { quantity } from '../readers.js';
import { at, suggestions, type Context } from '../scope.js';

const MEASURES = ['full', 'used', 'empty'];
const share = quantity('fraction', { min: 0, max: 1 });

type Order = '<' | '<=' | '>' | '>=';
const MIRRORED: Readonly<Record<Order, Order>> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=' };
const isOrder = (op: string): op is Order => Object.hasOwn(MIRRORED, op);

/** The condition of an expression over the plan's `tiers`, or undefined after reporting. */
export function readCondition(expr: Expr, cx: Context, tiers: readonly string[]): Condition | undefined {
  switch (expr.kind) {
    case 'error':
      return undefined;
    case 'unary': {
      if (expr.op !== 'not') return unknown(expr, cx);
      const operand = readCondition(expr.operand, cx, tiers);
      return operand && { kind: 'not', operand };
    }
    case 'binary': {
      if (expr.op === 'and' || expr.op === 'or') {
        const left = readCondition(expr.left, cx, tiers);
        const right = readCondition(expr.right, cx, tiers);
        return left && right && { kind: expr.op, left, right };
      }
      return readUsed(expr, cx, tiers);
    }
    case 'path':
      return readState(expr, cx, tiers);
    default:
      return unknown(expr, cx);
  }
}

function unknown(expr: Expr, cx: Context): undefined {
  const found = cx.scope.file.text.slice(expr.span.start, expr.span.end).replaceAll(/\s+/g, ' ');
  cx.report(
    report(
      'unknown-condition',
      { found },
      {
        primary: at(cx, expr),
        helps: ['a rule can watch `requests.empty` and, of a tier, `.full`, `.empty` and `.used < 20%`'],
      },
    ),
  );
  return undefined;
}

/** `tier.measure` as written: both words, or undefined after reporting. */
function readPath(
  expr: PathExpr,
  cx: Context,
  tiers: readonly string[],
): { readonly subject: string; readonly measure: string } | undefined {
  const [subject, measure, more] = expr.segments;
  if (!subject || !measure || more || subject.index || measure.index) return unknown(expr, cx);
  const name = subject.name.text;
  if (name !== 'requests' && !tiers.includes(name)) {
    const primary = at(cx, subject.name);
    cx.report(
      report(
        'unknown-name',
        { kind: 'KV tier', name },
        { primary, ...suggestions(primary, name, [...tiers, 'requests'], 'tiers of this plan') },
      ),
    );
    return undefined;
  }
  const known = name === 'requests' ? ['empty'] : MEASURES;
  if (!known.includes(measure.name.text)) {
    const primary = at(cx, measure.name);
    cx.report(
      report(
        'unknown-condition',
        { found: `${name}.${measure.name.text}` },
        { primary, ...suggestions(primary, measure.name.text, known, name) },
      ),
    );
    return undefined;
  }
  return { subject: name, measure: measure.name.text };
}

function readState(expr: PathExpr, cx: Context, tiers: readonly string[]): Condition | undefined {
  const path = readPath(expr, cx, tiers);
  if (!path) return undefined;
  if (path.subject === 'requests') return { kind: 'requests_empty' };
  if (path.measure === 'full') return { kind: 'tier_full', tier: path.subject };
  if (path.measure === 'empty') return { kind: 'tier_empty', tier: path.subject };
  return unknown(expr, cx);
}

function readUsed(expr: BinaryExpr, cx: Context, tiers: readonly string[]): Condition | undefined {
  const turned = expr.left.kind !== 'path' && expr.right.kind === 'path';
  const [subject, bound] = turned ? [expr.right, expr.left] : [expr.left, expr.right];
  if (subject.kind !== 'path' || !isOrder(expr.op)) return unknown(expr, cx);
  const path = readPath(subject, cx, tiers);
  if (!path) return undefined;
  if (path.measure !== 'used') return unknown(expr, cx);
  const fraction = share(bound, cx, `\`${path.subject}.used\``);
  if (fraction === undefined) return undefined;
  const op = turned ? MIRRORED[expr.op] : expr.op;
  return { kind: 'tier_used', tier: path.subject, op, fraction };
}
