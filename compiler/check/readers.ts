/**
 * Readers turn the expression of a property into a typed value or report why it is none. They are the cells of the
 * property tables in `properties.ts`.
 */
import type { Expr } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import { describe, describeScalar, evaluate, plainName } from './evaluate.js';
import { at, suggestions, type Context } from './scope.js';
import { DIMENSION_WORDS, formatQuantity, type Dimension } from './units.js';

/** Value of an expression, or undefined after reporting; `what` names the property in messages. */
export type Reader<T> = (expr: Expr, cx: Context, what: string) => T | undefined;

export interface Range {
  /** Smallest value allowed; zero itself is refused unless `min` is 0. */
  readonly min?: number;
  readonly max?: number;
  readonly whole?: boolean;
}

function inRange(value: number, range: Range): boolean {
  if (!Number.isFinite(value)) return false;
  if (range.whole === true && !Number.isInteger(value)) return false;
  if (range.min === undefined ? value <= 0 : value < range.min) return false;
  return range.max === undefined || value <= range.max;
}

function rangeWords(range: Range, dimension: Dimension): string {
  const noun = range.whole === true ? 'a whole number' : 'a value';
  const low = range.min === undefined ? 'above zero' : `of at least ${formatQuantity(range.min, dimension)}`;
  const high = range.max === undefined ? '' : ` and at most ${formatQuantity(range.max, dimension)}`;
  return `${noun} ${low}${high}`;
}

/** Dimensions whose unit may be left out: `page: 16` reads as 16 tokens. */
const UNIT_OPTIONAL: ReadonlySet<Dimension> = new Set<Dimension>([
  'tokens',
  'requests',
  'fraction',
  'number',
]);

/** A number of `dimension` within `range`, in base units. */
export function quantity(dimension: Dimension, range: Range = {}): Reader<number> {
  return (expr, cx, what) => {
    const value = evaluate(expr, cx, what);
    if (!value) return undefined;
    const primary = at(cx, expr);
    if (value.kind !== 'number') {
      cx.report(
        report(
          'wrong-type',
          { what, expected: DIMENSION_WORDS[dimension], found: describeScalar(value) },
          { primary },
        ),
      );
      return undefined;
    }
    const bare = value.dimension === 'number' && UNIT_OPTIONAL.has(dimension);
    if (value.dimension !== dimension && !bare) {
      cx.report(
        report(
          'unit-mismatch',
          { what, expected: DIMENSION_WORDS[dimension], found: DIMENSION_WORDS[value.dimension] },
          { primary },
        ),
      );
      return undefined;
    }
    if (!inRange(value.value, range)) {
      cx.report(
        report(
          'out-of-range',
          { what, value: formatQuantity(value.value, dimension), must: rangeWords(range, dimension) },
          { primary },
        ),
      );
      return undefined;
    }
    return value.value;
  };
}

/** A whole number of at least 1. */
export const count: Reader<number> = quantity('number', { whole: true, min: 1 });

/** Part of a whole, `0 < x <= 1`. */
export const fraction: Reader<number> = quantity('fraction', { max: 1 });

export const text: Reader<string> = (expr, cx, what) => {
  const value = evaluate(expr, cx, what);
  if (!value) return undefined;
  if (value.kind === 'string') return value.value;
  cx.report(
    report(
      'wrong-type',
      { what, expected: 'a string in quotes', found: describeScalar(value) },
      { primary: at(cx, expr) },
    ),
  );
  return undefined;
};

export const truth: Reader<boolean> = (expr, cx, what) => {
  const value = evaluate(expr, cx, what);
  if (!value) return undefined;
  if (value.kind === 'bool') return value.value;
  cx.report(
    report(
      'wrong-type',
      { what, expected: '`true` or `false`', found: describeScalar(value) },
      { primary: at(cx, expr) },
    ),
  );
  return undefined;
};

/** One of a few words; a param of type `name` may stand for it. */
export function oneOf<const W extends string>(known: readonly W[]): Reader<W> {
  return (expr, cx, what) => {
    if (expr.kind === 'error') return undefined;
    const name = plainName(expr);
    const primary = at(cx, expr);
    if (!name) {
      cx.report(
        report(
          'wrong-type',
          { what, expected: `one of ${known.join(', ')}`, found: describe(expr) },
          { primary },
        ),
      );
      return undefined;
    }
    const binding = cx.scope.names.get(name.text);
    const word = binding?.decl.kind === 'param' ? cx.param(binding.decl) : name.text;
    if (word === undefined) return undefined;
    if ((known as readonly unknown[]).includes(word)) return word as W;
    cx.report(
      report(
        'unknown-value',
        { what, value: String(word), known },
        { primary, ...suggestions(primary, String(word), known, what) },
      ),
    );
    return undefined;
  };
}

/** A record whose keys `key` accepts; every value is read by `value`. */
export function recordOf<T>(
  keyWords: string,
  acceptKey: (key: string) => boolean,
  value: Reader<T>,
): Reader<Readonly<Record<string, T>>> {
  return (expr, cx, what) => {
    if (expr.kind === 'error') return undefined;
    if (expr.kind !== 'record') {
      cx.report(
        report(
          'wrong-type',
          { what, expected: `a record { ${keyWords}: ... }`, found: describe(expr) },
          { primary: at(cx, expr) },
        ),
      );
      return undefined;
    }
    const out: Record<string, T> = {};
    for (const entry of expr.entries) {
      const key = entry.key.text;
      if (!acceptKey(key)) {
        cx.report(
          report(
            'wrong-type',
            { what, expected: `keys such as ${keyWords}`, found: `\`${key}\`` },
            { primary: at(cx, entry.key) },
          ),
        );
        continue;
      }
      if (Object.hasOwn(out, key)) {
        cx.report(
          report('duplicate-property', { property: key, block: 'record' }, { primary: at(cx, entry.key) }),
        );
        continue;
      }
      const read = value(entry.value, cx, `\`${key}\` of ${what}`);
      if (read !== undefined) out[key] = read;
    }
    return out;
  };
}

/** The expression itself, for values that need more than one look. */
export const raw: Reader<Expr> = (expr) => (expr.kind === 'error' ? undefined : expr);
