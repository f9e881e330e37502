/** Conditions of rules and bounds, and comparisons in them whose sign is wrong or missing. */
import type { CstNode } from 'chevrotain';
import type { Build } from './build-context.js';
import { buildExpression } from './build-expression.js';
import { after, node, spanOfNode, token } from './cst.js';
import { spanOf } from './lex.js';
import { isComparison } from './operators.js';
import type { Expr } from './syntax.js';

/** An expression, or the comparison that it was to be, whose sign is wrong or missing; `signs` are those that may be meant. */
export function buildComparison(
  build: Build,
  item: CstNode,
  condition: CstNode,
  signs: readonly string[],
): Expr {
  const found = build.problems.length;
  const left = buildExpression(build, condition);
  const rest = node(item, 'miscompared');
  if (rest === undefined) return left;
  const restSpan = spanOfNode(rest);
  const error: Expr = { kind: 'error', span: { start: left.span.start, end: restSpan.end } };
  // A sign that lacks its value is told of there.
  if (build.problems.length > found) return error;
  if (isCondition(left)) {
    const surplus = build.text.slice(restSpan.start, restSpan.end);
    build.report('FC0101', restSpan, `unexpected \`${surplus}\``, {
      helps: [`take the \`${surplus}\` out`],
      data: { found: surplus, surplus: true },
    });
    return error;
  }
  const [sign, order] = [token(rest, 'sign'), token(rest, 'order')];
  const expected = order === undefined ? signs : [`${order.image}=`];
  const helps = [`a comparison is written with ${expected.map((each) => `\`${each}\``).join(' or ')}`];
  if (sign === undefined) {
    const message = `expected ${expected.map((each) => `\`${each}\``).join(' or ')} here`;
    build.report('FC0114', after(left.span), message, { helps, expected });
  } else {
    const written = spanOf(order ?? sign);
    const [again = ''] = /^\s*=/.exec(build.text.slice(written.end)) ?? [];
    const span = { start: sign.startOffset, end: written.end + again.length };
    const image = build.text.slice(span.start, span.end);
    build.report('FC0101', span, `unexpected \`${image}\``, { helps, expected, data: { found: image } });
  }
  return error;
}

/** Measures of tiers and requests that hold or do not. */
const TRUTHS: readonly string[] = ['full', 'empty'];

/** Whether an expression is a condition as it stands, so that no comparison follows. */
function isCondition(expr: Expr): boolean {
  if (expr.kind === 'path')
    return expr.segments.length > 1 && TRUTHS.includes(expr.segments.at(-1)!.name.text);
  if (expr.kind !== 'binary') return false;
  return expr.op === 'and' || expr.op === 'or' ? isCondition(expr.right) : isComparison(expr.op);
}
