/** Exact arithmetic on half-open intervals and rectangles; what every re-shard is computed with. */
import type { Interval } from './transitions.js';

export interface Rectangle {
  readonly rows: Interval;
  readonly cols: Interval;
}

/** What a slice of KV is of all layers and heads. */
export function sliceRectangle({ layers, heads }: Record<'layers' | 'heads', Interval>): Rectangle {
  return { rows: layers, cols: heads };
}

export function intervalLength(interval: Interval): number {
  return interval[1] - interval[0];
}

export function intersectIntervals(a: Interval, b: Interval): Interval | undefined {
  const start = Math.max(a[0], b[0]);
  const end = Math.min(a[1], b[1]);
  return start < end ? [start, end] : undefined;
}

export function area(rectangle: Rectangle): number {
  return intervalLength(rectangle.rows) * intervalLength(rectangle.cols);
}

export function sameInterval(a: Interval, b: Interval): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

export function sameRectangle(a: Rectangle, b: Rectangle): boolean {
  return sameInterval(a.rows, b.rows) && sameInterval(a.cols, b.cols);
}

export function containsInterval(outer: Interval, inner: Interval): boolean {
  return outer[0] <= inner[0] && inner[1] <= outer[1];
}

export function contains(outer: Rectangle, inner: Rectangle): boolean {
  return containsInterval(outer.rows, inner.rows) && containsInterval(outer.cols, inner.cols);
}

/** Whether one of some rectangles has all of another. */
export function isInOneOf(others: readonly Rectangle[], piece: Rectangle): boolean {
  for (const other of others) if (contains(other, piece)) return true;
  return false;
}

/** Whether one of some rectangles has an element in common with another. */
export function meetsOneOf(others: readonly Rectangle[], piece: Rectangle): boolean {
  for (const other of others) if (meets(other, piece)) return true;
  return false;
}

/** Whether two rectangles have an element in common. */
export function meets(a: Rectangle, b: Rectangle): boolean {
  return (
    Math.max(a.rows[0], b.rows[0]) < Math.min(a.rows[1], b.rows[1]) &&
    Math.max(a.cols[0], b.cols[0]) < Math.min(a.cols[1], b.cols[1])
  );
}

export function intersect(a: Rectangle, b: Rectangle): Rectangle | undefined {
  const rows = intersectIntervals(a.rows, b.rows);
  const cols = intersectIntervals(a.cols, b.cols);
  return rows && cols ? { rows, cols } : undefined;
}

/**
 * `a` without `b`, as at most four disjoint rectangles: the full-width bands above and below the intersection, then
 * what is left and right of it.
 */
export function subtract(a: Rectangle, b: Rectangle): readonly Rectangle[] {
  const common = intersect(a, b);
  if (!common) return [a];
  const { rows, cols } = common;
  const parts: Rectangle[] = [];
  if (a.rows[0] < rows[0]) parts.push({ rows: [a.rows[0], rows[0]], cols: a.cols });
  if (rows[1] < a.rows[1]) parts.push({ rows: [rows[1], a.rows[1]], cols: a.cols });
  if (a.cols[0] < cols[0]) parts.push({ rows, cols: [a.cols[0], cols[0]] });
  if (cols[1] < a.cols[1]) parts.push({ rows, cols: [cols[1], a.cols[1]] });
  return parts;
}

/** `a` without any of `others`, as disjoint rectangles. */
export function subtractAll(a: Rectangle, others: readonly Rectangle[]): readonly Rectangle[] {
  let rest: readonly Rectangle[] = [a];
  for (const other of others) {
    if (!rest.some((part) => meets(part, other))) continue;
    rest = rest.length === 1 ? subtract(rest[0]!, other) : rest.flatMap((part) => subtract(part, other));
  }
  return rest;
}

/** The same area in fewer rectangles: neighbours that make one are joined, first across, then down. */
export function joinRectangles(rectangles: readonly Rectangle[]): readonly Rectangle[] {
  if (rectangles.length < 2) return rectangles.map(({ rows, cols }) => ({ rows, cols }));
  const join = (all: readonly Rectangle[], along: 'rows' | 'cols', other: 'rows' | 'cols'): Rectangle[] => {
    const joined: Rectangle[] = [];
    const sorted = [...all].sort(
      (a, b) => a[other][0] - b[other][0] || a[other][1] - b[other][1] || a[along][0] - b[along][0],
    );
    for (const next of sorted) {
      const last = joined.at(-1);
      if (last && sameInterval(last[other], next[other]) && last[along][1] === next[along][0])
        joined[joined.length - 1] = { ...last, [along]: [last[along][0], next[along][1]] };
      else joined.push({ rows: next.rows, cols: next.cols });
    }
    return joined;
  };
  return join(join(rectangles, 'cols', 'rows'), 'rows', 'cols');
}
