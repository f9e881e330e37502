/** Conditions of rules and bounds, and comparisons in them whose sign is wrong or missing. */
import type { CstNode } from 'chevrotain';
import type { Build } from './build-context.js';
import { buildExpression } from './build-expression.js';
import { after, node, spanOfNode, tokens } from './cst.js';
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
  const written = tokens(rest, 'sign');
  const expected = meantBy(
    written.map(({ image }) => image),
    signs,
  );
  const wanted = expected.map((each) => `\`${each}\``).join(' or ');
  const helps = [`a comparison is written with ${wanted}`];
  if (written.length === 0) {
    build.report('FC0114', after(left.span), `expected ${wanted} here`, { helps, expected });
  } else {
    const span = { start: spanOf(written[0]!).start, end: spanOf(written.at(-1)!).end };
    const image = build.text.slice(span.start, span.end);
    build.report('FC0101', span, `unexpected \`${image}\``, { helps, expected, data: { found: image } });
  }
  return error;
}

/** What signs that stand side by side may be meant as: any of `signs` where they have no order and nothing else tells. */
function meantBy(written: readonly string[], signs: readonly string[]): readonly string[] {
  const image = written.join('');
  const orders = ['<', '>'].filter((order) => image.includes(order));
  if (orders.length === 1) return [image.includes('=') ? `${orders[0]!}=` : orders[0]!];
  if (orders.length === 2 || image.includes('!')) return ['!='];
  return written.includes('==') && signs.includes('==') ? ['=='] : signs;
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
