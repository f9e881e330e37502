/**
 * Values of expressions: numbers with a dimension, texts and truths. Whatever is wrong is reported once at the
 * token that is wrong and the answer is undefined, which callers pass on in silence.
 */
import type { BinaryExpr, Expr, PathExpr } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import type { Fix, Origin } from '../diagnostics/diagnostic.js';
import { PARAM_TYPES } from './param-types.js';
import { replacement } from './fixes.js';
import { sameAmounts } from './other-units.js';
import { at, suggestions, type Context } from './scope.js';
import { combine, DIMENSION_WORDS, UNITS, type Dimension } from './units.js';

export type Scalar =
  | { readonly kind: 'number'; readonly value: number; readonly dimension: Dimension }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'bool'; readonly value: boolean };

/** The only segment of a path that is a plain name, without index. */
export function plainName(expr: Expr): PathExpr['segments'][number]['name'] | undefined {
  if (expr.kind !== 'path' || expr.segments.length !== 1) return undefined;
  const only = expr.segments[0]!;
  return only.index ? undefined : only.name;
}

/** The text of a path as written, without spaces: `node[0..7].gpu`. */
export function pathText(path: PathExpr, text: string): string {
  return text.slice(path.span.start, path.span.end).replace(/\s+/g, '');
}

/** What a value is, in words for a message. */
export function describe(expr: Expr): string {
  switch (expr.kind) {
    case 'number':
      return 'a number';
    case 'quantity':
      return `a quantity in ${expr.unit.text}`;
    case 'string':
      return 'a string';
    case 'bool':
      return `\`${expr.value}\``;
    case 'path':
      return 'a name';
    case 'list':
      return 'a list';
    case 'record':
      return 'a record';
    case 'mesh':
      return 'a mesh';
    case 'call':
      return `\`${expr.callee.text}(...)\``;
    case 'chain':
      return 'a chain';
    case 'unary':
    case 'binary':
      return 'a calculation';
    case 'error':
      return 'nothing';
  }
}

/** Dimension words for a scalar. */
export function describeScalar(value: Scalar): string {
  return value.kind === 'number'
    ? DIMENSION_WORDS[value.dimension]
    : value.kind === 'string'
      ? 'a string'
      : 'true or false';
}

/** Dimensions whose units are all of one size, so that a misspelt one is mended without changing the value. */
const UNSCALED: ReadonlySet<Dimension> = new Set<Dimension>(['tokens', 'requests']);

/**
 * What may be meant by a quantity in a unit that is none, where a `wanted` one is needed or any. No fix changes the
 * amount, unless it stands beside one that does not.
 */
function otherUnit(
  expr: Extract<Expr, { readonly kind: 'quantity' }>,
  unit: Origin,
  wanted: Dimension | undefined,
): ReturnType<typeof suggestions> {
  const { text } = expr.unit;
  if (wanted === 'number') return { helps: ['a plain number is needed, without a unit'], fixes: [] };
  const same = sameAmounts(expr.value, text, wanted);
  if (same.length > 0) {
    const all = { file: unit.file, span: expr.span };
    return {
      helps: [`did you mean ${same.map((each) => `\`${each.unit ?? each.text}\``).join(' or ')}?`],
      fixes: same.map((each) =>
        each.unit === undefined ? replacement(all, each.text) : replacement(unit, each.unit),
      ),
    };
  }
  const units = [...UNITS].filter(([, { dimension }]) => wanted === undefined || dimension === wanted);
  const near = suggestions(
    unit,
    text,
    units.map(([name]) => name),
    'units',
  );
  if (near.helps.length === 0) return { ...near, helps: [`units are of ${ALL_DIMENSIONS}`] };
  const isUnscaled = ({ edits }: Fix): boolean =>
    edits.every(({ newText }) => UNSCALED.has(UNITS.get(newText)!.dimension));
  return { ...near, fixes: near.fixes.filter(isUnscaled) };
}

const ALL_DIMENSIONS = Object.entries(DIMENSION_WORDS)
  .flatMap(([dimension, words]) => (dimension === 'number' ? [] : [words]))
  .join(', ');

/**
 * Value of an expression that must be a scalar.
 *
 * @param what its place in messages (`\`memory\``)
 * @param wanted what it is to measure; only to help with a unit that is none
 */
export function evaluate(expr: Expr, cx: Context, what: string, wanted?: Dimension): Scalar | undefined {
  switch (expr.kind) {
    case 'number':
      return { kind: 'number', value: expr.value, dimension: 'number' };
    case 'quantity': {
      const unit = UNITS.get(expr.unit.text);
      if (!unit) {
        const primary = at(cx, expr.unit);
        cx.report(
          report('unknown-unit', { unit: expr.unit.text }, { primary, ...otherUnit(expr, primary, wanted) }),
        );
        return undefined;
      }
      return { kind: 'number', value: expr.value * unit.factor, dimension: unit.dimension };
    }
    case 'string':
    case 'bool':
      return expr as Scalar;
    case 'path':
      return evaluateName(expr, cx, what, wanted);
    case 'unary': {
      const operand = evaluate(expr.operand, cx, what);
      if (!operand) return undefined;
      if (expr.op === '-' && operand.kind === 'number') return { ...operand, value: -operand.value };
      if (expr.op === 'not' && operand.kind === 'bool') return { kind: 'bool', value: !operand.value };
      break;
    }
    case 'binary':
      return evaluateBinary(expr, cx, what);
    case 'error':
      return undefined;
    default:
      break;
  }
  cx.report(
    report(
      'wrong-type',
      { what, expected: 'a single value', found: describe(expr) },
      { primary: at(cx, expr) },
    ),
  );
  return undefined;
}

/** The type of a param that holds a quantity of a dimension, with a value. */
function paramOf(wanted: Dimension): string {
  const [type] = [...PARAM_TYPES].find(([, t]) => t.kind === 'number' && t.dimension === wanted) ?? [
    'number',
  ];
  const example = /`(.*)`/.exec(DIMENSION_WORDS[wanted])?.[1] ?? '1';
  return `${type} = ${example}`;
}

function evaluateName(
  expr: PathExpr,
  cx: Context,
  what: string,
  wanted: Dimension = 'number',
): Scalar | undefined {
  const name = plainName(expr);
  const binding = name && cx.scope.names.get(name.text);
  if (binding?.decl.kind === 'param') {
    const value = cx.param(binding.decl);
    if (value === undefined) return undefined;
    if (typeof value === 'number') {
      const type = PARAM_TYPES.get(binding.decl.type.text);
      return { kind: 'number', value, dimension: type?.kind === 'number' ? type.dimension : 'number' };
    }
    return typeof value === 'string' ? { kind: 'string', value } : { kind: 'bool', value };
  }
  const params = [...cx.scope.names].filter(([, b]) => b.decl.kind === 'param').map(([n]) => n);
  const primary = at(cx, expr);
  if (name && binding) {
    cx.report(
      report(
        'wrong-type',
        { what, expected: 'a value', found: `the ${binding.decl.kind} \`${name.text}\`` },
        { primary },
      ),
    );
  } else {
    const word = pathText(expr, cx.scope.file.text);
    const near = suggestions(primary, word, params, 'params');
    const helps =
      name === undefined || near.helps.length > 0
        ? near.helps
        : [
            `write ${wanted === 'number' ? 'a number' : DIMENSION_WORDS[wanted]}, or declare a param: \`param ${word}: ${paramOf(wanted)}\``,
          ];
    cx.report(report('unknown-name', { kind: 'param', name: word }, { primary, ...near, helps }));
  }
  return undefined;
}

/** Reports a unit that is written as a division: `300 GB / s`, where no param is called `s`. */
function reportDividedUnit({ op, left, right }: BinaryExpr, cx: Context): boolean {
  const time = plainName(right)?.text ?? '';
  if (op !== '/' || left.kind !== 'quantity' || cx.scope.names.has(time)) return false;
  const unit = `${left.unit.text}/${time}`;
  if (!UNITS.has(unit)) return false;
  const written = { start: left.unit.span.start, end: right.span.end };
  const primary = at(cx, { span: written });
  const facts = { unit: cx.scope.file.text.slice(written.start, written.end) };
  const helps = [`a unit is one word: \`${unit}\``];
  cx.report(report('unknown-unit', facts, { primary, helps, fixes: [replacement(primary, unit)] }));
  return true;
}

function evaluateBinary(expr: BinaryExpr, cx: Context, what: string): Scalar | undefined {
  if (reportDividedUnit(expr, cx)) return undefined;
  const left = evaluate(expr.left, cx, what);
  const right = evaluate(expr.right, cx, what);
  if (!left || !right) return undefined;
  const { op } = expr;
  if (
    left.kind === 'number' &&
    right.kind === 'number' &&
    (op === '+' || op === '-' || op === '*' || op === '/')
  ) {
    const dimension = combine(op, left.dimension, right.dimension);
    if (dimension !== undefined) {
      if (op === '/' && right.value === 0) {
        const helps = ['divide by a number above or below zero, whatever values its params take'];
        cx.report(report('division-by-zero', {}, { primary: at(cx, expr.right), helps }));
        return undefined;
      }
      const value =
        op === '+'
          ? left.value + right.value
          : op === '-'
            ? left.value - right.value
            : op === '*'
              ? left.value * right.value
              : left.value / right.value;
      return { kind: 'number', value, dimension };
    }
  }
  cx.report(
    report(
      'unit-arithmetic',
      { op, left: describeScalar(left), right: describeScalar(right) },
      {
        primary: at(cx, expr),
        helps: op === '+' || op === '-' ? [`both sides of \`${op}\` measure the same`] : [],
      },
    ),
  );
  return undefined;
}
