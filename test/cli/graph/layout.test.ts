/** Layout of any diagram: nothing overlaps, boxes hold what is theirs, and edges run from left to right. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isBox, type Diagram, type DiagramEdge, type DiagramItem } from '../../../cli/graph/diagram.js';
import { layoutDiagram, type Measure, type Rect } from '../../../cli/graph/layout.js';

const measure: Measure = {
  node: ({ title, lines }) => ({ width: 20 + 5 * title.length, height: 12 + 10 * lines.length }),
  label: (lines) => ({ width: 40, height: 14 * lines.length }),
  boxTitle: () => ({ width: 60, height: 20 }),
};

interface Sketch {
  readonly shape: readonly (number | readonly number[])[];
  readonly edges: readonly (readonly [number, number, number])[];
}

/** Items are nodes with so many lines, or boxes of such; edges name items by number, those in boxes too. */
function diagramOf({ shape, edges }: Sketch): Diagram {
  const ids: { readonly id: string; readonly within?: string }[] = [];
  const node = (lines: number, within?: string): DiagramItem => {
    const id = `n${ids.length}`;
    ids.push({ id, ...(within !== undefined && { within }) });
    return { id, kind: 'device', title: id, lines: Array.from({ length: lines }, () => 'line') };
  };
  const items = shape.map((each): DiagramItem => {
    if (typeof each === 'number') return node(each);
    const id = `n${ids.length}`;
    ids.push({ id });
    return { id, title: id, items: each.map((lines) => node(lines, id)) };
  });
  const drawn = edges.flatMap(([from, to, label]): DiagramEdge[] => {
    const [a, b] = [ids[from % ids.length]!, ids[to % ids.length]!];
    if (a === b || a.within === b.id || b.within === a.id) return [];
    return [{ from: a.id, to: b.id, label: Array.from({ length: label }, () => 'text'), kind: 'flow' }];
  });
  return { title: '', caption: '', items, edges: drawn };
}

const lines = fc.nat(4);
const sketch: fc.Arbitrary<Sketch> = fc.record({
  shape: fc.array(fc.oneof(lines, fc.array(lines, { minLength: 1, maxLength: 4 })), {
    minLength: 1,
    maxLength: 7,
  }),
  edges: fc.array(fc.tuple(fc.nat(30), fc.nat(30), fc.nat(2)), { maxLength: 10 }),
});

const overlap = (a: Rect, b: Rect): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

const holds = (outer: Rect, inner: Rect): boolean =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width + 1e-6 &&
  inner.y + inner.height <= outer.y + outer.height + 1e-6;

describe('layout', () => {
  it('keeps items and labels apart, and what is in a box inside', () => {
    fc.assert(
      fc.property(sketch, (given) => {
        const diagram = diagramOf(given);
        const { width, height, rects, routes } = layoutDiagram(diagram, measure);
        const whole = { x: 0, y: 0, width, height };
        const check = (items: readonly DiagramItem[], around: Rect): void => {
          items.forEach((item, index) => {
            const rect = rects.get(item.id)!;
            expect(holds(around, rect)).toBe(true);
            for (const other of items.slice(index + 1))
              expect(overlap(rect, rects.get(other.id)!)).toBe(false);
            if (isBox(item)) check(item.items, rect);
          });
        };
        check(diagram.items, whole);
        expect(routes).toHaveLength(diagram.edges.length);
        const nodes = diagram.items.flatMap((item) => (isBox(item) ? item.items : [item]));
        const labels = routes.flatMap(({ label, via }) => (label === undefined ? [] : [via[label]!]));
        labels.forEach((label, index) => {
          expect(holds(whole, label)).toBe(true);
          for (const { id } of nodes) expect(overlap(label, rects.get(id)!)).toBe(false);
          for (const other of labels.slice(index + 1)) expect(overlap(label, other)).toBe(false);
        });
        for (const { edge, back, via, level } of routes) {
          const [first, last] = back ? [edge.to, edge.from] : [edge.from, edge.to];
          const way = [rects.get(first)!, ...via, rects.get(last)!];
          // Edges bend where the column has ended, whatever else is in it.
          expect(level).toHaveLength(via.length + 1);
          for (const [index, end] of level.entries()) {
            const { x, width: wide } = way[index]!;
            const inColumn = index === 0 && isInBox(diagram, first) ? [] : diagram.items;
            const beside = inColumn.map(({ id }) => rects.get(id)!).filter((rect) => rect.x === x);
            for (const rect of beside) expect(end).toBeGreaterThanOrEqual(rect.x + rect.width);
            expect(end).toBeGreaterThanOrEqual(x + wide);
            expect(end).toBeLessThan(way[index + 1]!.x);
          }
          for (const [index, rect] of way.slice(1).entries())
            if (index > 0 || !isInBox(diagram, first)) expect(rect.x).toBeGreaterThan(way[index]!.x);
        }
      }),
    );
  });
});

function isInBox({ items }: Diagram, id: string): boolean {
  return items.some((item) => isBox(item) && item.items.some((inner) => inner.id === id));
}
