/**
 * Readers turn the expression of a property into a typed value or report why it is none. They are the cells of the
 * property tables in `properties.ts`.
 */
import type { Expr, Name, RecordExpr } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import type { Fix, Origin } from '../diagnostics/diagnostic.js';
import { describe, describeScalar, evaluate, plainName } from './evaluate.js';
import { removal, replacement } from './fixes.js';
import { exactly } from './other-units.js';
import { at, choices, MOST_CHOICES, type Context } from './scope.js';
import { DIMENSION_WORDS, formatQuantity, UNITS, USUAL_UNITS, type Dimension } from './units.js';

/** Value of an expression, or undefined after reporting; `what` names the property in messages. */
export type Reader<T> = (expr: Expr, cx: Context, what: string) => T | undefined;

export interface Range {
  /** Smallest value allowed; zero itself is refused unless `min` is 0. */
  readonly min?: number;
  readonly max?: number;
  readonly whole?: boolean;
}

/**
 * What any quantity of a dimension lies within, unless its own range says otherwise: far beyond whatever there is, and
 * near enough that products and quotients of a few stay numbers.
 */
const BOUNDS: Readonly<Record<Dimension, Range>> = {
  number: { max: 1e12 },
  bytes: { min: 1, max: 1e18 },
  seconds: { max: 1e9 },
  'bytes/s': { min: 1, max: 1e18 },
  'flop/s': { min: 1e7, max: 1e21 },
  tokens: { max: 1e9 },
  requests: { max: 1e9 },
  fraction: { min: 1e-6, max: 1 },
};

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

/** A value that is out of range, in words. */
function valueWords(value: number, dimension: Dimension): string {
  if (!Number.isFinite(value)) return 'too large to reckon with';
  const shown = formatQuantity(value, dimension);
  return value > 0 && Number.parseFloat(shown) === 0 ? 'too small to reckon with' : shown;
}

/** Dimensions whose unit may be left out: `page: 16` reads as 16 tokens. */
const UNIT_OPTIONAL: ReadonlySet<Dimension> = new Set<Dimension>([
  'tokens',
  'requests',
  'fraction',
  'number',
]);

/** Bare numbers of a size that values of the dimension have in its base unit: seconds are short, all else is much. */
const isInBaseUnit = (value: number, dimension: Dimension): boolean =>
  dimension === 'seconds' ? value > 0 && value < 0.01 : value >= 1e6;

/** Bare numbers that are likelier so many bytes than of a unit of which there is another a thousand times as large. */
const isInBytes = (value: number, dimension: Dimension): boolean => dimension === 'bytes' && value >= 1000;

/** The literal with a unit of the dimension: any that is usual, or the like of the one that is written. */
function otherUnits(expr: Expr, dimension: Dimension, bounds: Range, primary: Origin): readonly Fix[] {
  if (expr.kind === 'number') {
    const { value } = expr;
    if (isInBaseUnit(value, dimension))
      return inRange(value, bounds) ? [replacement(primary, exactly(value, dimension))] : [];
    return [...(isInBytes(value, dimension) ? ['B'] : []), ...USUAL_UNITS[dimension]]
      .filter((unit) => inRange(value * UNITS.get(unit)!.factor, bounds))
      .map((unit) => replacement(primary, withUnit(value, unit)));
  }
  if (expr.kind !== 'quantity') return [];
  const written = expr.unit.text;
  const like = [written.replace(/\/s$/, ''), `${written}/s`].find(
    (unit) => unit !== written && UNITS.get(unit)?.dimension === dimension,
  );
  return like === undefined ? [] : [replacement(primary, withUnit(expr.value, like))];
}

const withUnit = (value: number, unit: string): string => `${value}${unit === '%' ? '' : ' '}${unit}`;

/** The value of the range that is nearest to a literal outside of it, in the unit that is written. */
function nearestValue(expr: Expr, value: number, range: Range, primary: Origin): readonly Fix[] {
  const { min, max, whole } = range;
  const literal = expr.kind === 'unary' ? expr.operand : expr;
  const unit = literal.kind === 'quantity' ? literal.unit.text : undefined;
  const isLiteral = unit !== undefined || literal.kind === 'number';
  if (!isLiteral || !Number.isFinite(value)) return [];
  const bound = max !== undefined && value > max ? max : min !== undefined && value < min ? min : value;
  const near = whole === true && bound === value ? Math.max(min ?? 1, Math.round(value)) : bound;
  // Zero has no nearest neighbour where it is refused itself.
  if (near === value) return [];
  const shown = near / (unit === undefined ? 1 : UNITS.get(unit)!.factor);
  return [replacement(primary, unit === undefined ? String(shown) : withUnit(shown, unit))];
}

/** What may be meant by a literal out of range. The bounds that every quantity has are no advice. */
function inRangeInstead(
  expr: Expr,
  value: number,
  dimension: Dimension,
  range: Range,
  primary: Origin,
): readonly Fix[] {
  const isPercent =
    dimension === 'fraction' && expr.kind === 'number' && value > 1 && inRange(value / 100, range);
  return isPercent ? [replacement(primary, withUnit(value, '%'))] : nearestValue(expr, value, range, primary);
}

/** A number of `dimension` within `range`, in base units. */
export function quantity(dimension: Dimension, range: Range = {}): Reader<number> {
  const bounds: Range = { ...BOUNDS[dimension], ...range };
  return (expr, cx, what) => {
    const value = evaluate(expr, cx, what, dimension);
    if (!value) return undefined;
    const primary = at(cx, expr);
    if (value.kind !== 'number') {
      reportType(expr, cx, { what, expected: DIMENSION_WORDS[dimension], found: describeScalar(value) });
      return undefined;
    }
    const bare = value.dimension === 'number' && UNIT_OPTIONAL.has(dimension);
    if (value.dimension !== dimension && !bare) {
      cx.report(
        report(
          'unit-mismatch',
          { what, expected: DIMENSION_WORDS[dimension], found: DIMENSION_WORDS[value.dimension] },
          { primary, fixes: otherUnits(expr, dimension, bounds, primary) },
        ),
      );
      return undefined;
    }
    if (!inRange(value.value, bounds)) {
      cx.report(
        report(
          'out-of-range',
          {
            what,
            value: valueWords(value.value, dimension),
            must: rangeWords(bounds, dimension),
          },
          { primary, fixes: inRangeInstead(expr, value.value, dimension, range, primary) },
        ),
      );
      return undefined;
    }
    return value.value;
  };
}

/** A whole number of at least 1. */
export const count: Reader<number> = quantity('number', { whole: true, min: 1 });

/** Part of a whole, `0 < x <= 1`, and never next to nothing. */
export const fraction: Reader<number> = quantity('fraction', { max: 1 });

export const text: Reader<string> = (expr, cx, what) => {
  const bare = plainName(expr);
  if (bare && cx.scope.names.get(bare.text)?.decl.kind !== 'param') {
    const primary = at(cx, expr);
    const facts = { what, expected: 'a string in quotes', found: `the bare word \`${bare.text}\`` };
    cx.report(
      report('wrong-type', facts, { primary, fixes: [replacement(primary, JSON.stringify(bare.text))] }),
    );
    return undefined;
  }
  const value = evaluate(expr, cx, what);
  if (value?.kind === 'string') return value.value;
  if (value) reportType(expr, cx, { what, expected: 'a string in quotes', found: describeScalar(value) });
  return undefined;
};

/** A text that is not empty; `expected` is what it must be, in words. */
export function filledText(expected: string): Reader<string> {
  return (expr, cx, what) => {
    const value = text(expr, cx, what);
    if (value !== '') return value;
    reportType(expr, cx, { what, expected, found: 'an empty text' });
    return undefined;
  };
}

/** Words for truths that are none here. */
const OTHER_TRUTHS: ReadonlyMap<string, boolean> = new Map([
  ...['yes', 'on', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['no', 'off', 'False', 'FALSE'].map((word) => [word, false] as const),
]);

export const truth: Reader<boolean> = (expr, cx, what) => {
  const bare = plainName(expr);
  if (bare && !cx.scope.names.has(bare.text)) {
    const primary = at(cx, expr);
    const meant = OTHER_TRUTHS.get(bare.text);
    const facts = { what, expected: '`true` or `false`', found: `\`${bare.text}\`` };
    const fixes = (meant === undefined ? [true, false] : [meant]).map((each) =>
      replacement(primary, String(each)),
    );
    cx.report(report('wrong-type', facts, { primary, fixes }));
    return undefined;
  }
  const value = evaluate(expr, cx, what);
  if (value?.kind === 'bool') return value.value;
  if (value) reportType(expr, cx, { what, expected: '`true` or `false`', found: describeScalar(value) });
  return undefined;
};

function reportType(
  expr: Expr,
  cx: Context,
  facts: { readonly what: string; readonly expected: string; readonly found: string },
): void {
  cx.report(report('wrong-type', facts, { primary: at(cx, expr) }));
}

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
          {
            primary,
            fixes:
              expr.kind === 'string' && (known as readonly string[]).includes(expr.value)
                ? [replacement(primary, expr.value)]
                : known.length <= MOST_CHOICES
                  ? known.map((word) => replacement(primary, word))
                  : [],
          },
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
        { primary, ...choices(primary, String(word), known, what) },
      ),
    );
    return undefined;
  };
}

/** Keys that a record takes: some words, or whole numbers from `least` on. */
export type Keys = readonly string[] | { readonly least: number };

/** Sizes of groups of devices. */
export const SEVERAL: Keys = { least: 2 };
/** Sizes of anything. */
export const SIZES: Keys = { least: 1 };

const isWords = (keys: Keys): keys is readonly string[] => Array.isArray(keys);

/** A key as it is kept, whole numbers without what parts their digits; undefined for what is no key. */
function keptKey(keys: Keys, key: string): string | undefined {
  if (isWords(keys)) return keys.includes(key) ? key : undefined;
  const digits = key.replace(/(?<=\d)_(?=\d)/g, '');
  return isSize(digits) && Number(digits) >= keys.least ? digits : undefined;
}

/** The whole number that is meant by a key such as `064`, `1e3`, `-2` or `tp2`, where that may be one. */
function sizeMeant(keys: Keys, key: string): string | undefined {
  const written = /^[A-Za-z_]+(\d+)$/.exec(key)?.[1] ?? key.replaceAll('_', '');
  return keptKey(keys, String(Math.abs(Number(written))));
}

function reportKey(key: Name, keys: Keys, all: RecordExpr['entries'], cx: Context, what: string): void {
  const primary = at(cx, key);
  const found = `\`${key.text}\``;
  const expected = isWords(keys)
    ? `keys such as ${keys.slice(0, 2).join(', ')}`
    : `whole numbers from ${keys.least} on as keys`;
  const meant = sizeMeant(keys, key.text);
  const isTaken = all.some((entry) => keptKey(keys, entry.key.text) === meant);
  const near = isWords(keys)
    ? choices(primary, key.text, keys, 'keys')
    : { fixes: meant === undefined || isTaken ? [] : [replacement(primary, meant)] };
  cx.report(report('wrong-type', { what, expected, found }, { primary, ...near }));
}

/** A record of `keys`, which is never empty; every value is read by `value`. */
export function recordOf<T>(keys: Keys, value: Reader<T>): Reader<Readonly<Record<string, T>>> {
  return (expr, cx, what) => {
    if (expr.kind === 'error') return undefined;
    const empty = expr.kind === 'record' && expr.entries.length === 0;
    if (expr.kind !== 'record' || empty) {
      cx.report(
        report(
          'wrong-type',
          {
            what,
            expected: `a record { ${isWords(keys) ? keys[0]! : keys.least}: ... }`,
            found: empty ? 'an empty one' : describe(expr),
          },
          { primary: at(cx, expr) },
        ),
      );
      return undefined;
    }
    const out: Record<string, T> = {};
    for (const entry of expr.entries) {
      const key = keptKey(keys, entry.key.text);
      if (key === undefined) {
        reportKey(entry.key, keys, expr.entries, cx, what);
        continue;
      }
      if (Object.hasOwn(out, key)) {
        cx.report(
          report(
            'duplicate-property',
            { property: entry.key.text, block: 'record' },
            {
              primary: at(cx, entry.key),
              fixes: [
                removal(
                  cx,
                  { start: entry.key.span.start, end: entry.value.span.end },
                  `this \`${entry.key.text}\``,
                ),
              ],
            },
          ),
        );
        continue;
      }
      const read = value(entry.value, cx, `\`${key}\` of ${what}`);
      if (read !== undefined) out[key] = read;
    }
    return out;
  };
}

/** Whether a key of a record is a whole number above zero, and not beyond all reason. */
function isSize(key: string): boolean {
  return /^[1-9]\d{0,8}$/.test(key);
}
