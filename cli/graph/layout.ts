/**
 * Where the parts of a diagram go in a picture: boxes are laid out from the inside out, each in columns from left to
 * right.
 *
 * - *Columns*: an item stands behind every earlier item that has an edge to it; a label takes a column of its own, and an
 *   edge that passes a column takes a place in it, so that no edge runs through an item.
 * - *Order in a column*: by the mean height of what an item is joined to in the column before; equal ones keep their order.
 * - *Heights*: as near to that mean as the items above allow, from left to right and back again.
 *
 * An edge that leads back is laid out as if it led forwards.
 */
import { isBox, type Diagram, type DiagramEdge, type DiagramItem, type DiagramNode } from './diagram.js';

/** A rectangle, in pixels from the upper left. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The way of an edge. */
export interface Route {
  readonly edge: DiagramEdge;
  /** Places between the ends, from left to right; the one of the label is as large as the label. */
  readonly via: readonly Rect[];
  /** Index of the label's place in `via`. */
  readonly label?: number;
  /**
   * How far to the right the edge stays level behind its left end and behind each place of `via`: to the end of their
   * columns, in which others may be wider. Behind an end in a box of its own no further than that goes.
   */
  readonly level: readonly number[];
  /** Leads from right to left. */
  readonly back: boolean;
}

/** Where everything goes, in pixels. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Places of nodes and boxes, by their ids. */
  readonly rects: ReadonlyMap<string, Rect>;
  readonly routes: readonly Route[];
}

/** Pixels that texts take. */
export interface Measure {
  readonly node: (node: DiagramNode) => Size;
  readonly label: (lines: readonly string[]) => Size;
  readonly boxTitle: (title: string) => Size;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

const COLUMN_GAP = 44;
const ROW_GAP = 14;
const BOX_PADDING = 14;

/** Lays a diagram out. */
export function layoutDiagram({ items, edges }: Diagram, measure: Measure): Layout {
  return layoutItems(items, edges, measure);
}

/** Something in a column: an item, or the place of an edge that passes. */
interface Slot extends Size {
  readonly column: number;
  /** Slots of the columns beside it that it is joined to. */
  readonly before: Slot[];
  readonly after: Slot[];
  y: number;
}

function layoutItems(items: readonly DiagramItem[], edges: readonly DiagramEdge[], measure: Measure): Layout {
  const inner = items.map((item) => (isBox(item) ? layoutBox(item, edges, measure) : undefined));
  const owner = new Map<string, number>();
  items.forEach((item, index) => {
    owner.set(item.id, index);
    for (const id of inner[index]?.rects.keys() ?? []) owner.set(id, index);
  });
  const here = edges.flatMap((edge) => {
    const [from, to] = [owner.get(edge.from), owner.get(edge.to)];
    if (from === undefined || to === undefined || from === to) return [];
    return [{ edge, first: Math.min(from, to), second: Math.max(from, to), back: from > to }];
  });
  const column = items.map(() => 0);
  // Items only depend on earlier ones.
  for (const index of items.keys())
    for (const { edge, first, second } of here)
      if (second === index)
        column[index] = Math.max(column[index]!, column[first]! + (edge.label.length > 0 ? 2 : 1));
  const slots = items.map((item, index): Slot => {
    const size = inner[index] ?? measure.node(item as DiagramNode);
    return { width: size.width, height: size.height, column: column[index]!, before: [], after: [], y: 0 };
  });
  const passing: Slot[] = [];
  const ways = here.map(({ edge, first, second, back }) => {
    const [start, end] = [slots[first]!, slots[second]!];
    const between = end.column - start.column - 1;
    const label = edge.label.length > 0 ? Math.floor((between - 1) / 2) : undefined;
    const via = Array.from({ length: between }, (_, at): Slot => {
      const size = at === label ? measure.label(edge.label) : { width: 0, height: 0 };
      return { ...size, column: start.column + 1 + at, before: [], after: [], y: 0 };
    });
    passing.push(...via);
    const chain = [start, ...via, end];
    for (const [at, slot] of chain.slice(1).entries()) {
      slot.before.push(chain[at]!);
      chain[at]!.after.push(slot);
    }
    const isWithin = items[first]!.id !== (back ? edge.to : edge.from);
    return { edge, start, via, label, back, isWithin };
  });
  const columns = inColumns([...slots, ...passing]);
  placeRows(columns);
  const lefts: number[] = [];
  const rights: number[] = [];
  for (const [index, each] of columns.entries()) {
    lefts[index] = index === 0 ? 0 : rights[index - 1]! + COLUMN_GAP;
    rights[index] = lefts[index]! + Math.max(0, ...each.map(({ width }) => width));
  }
  const all = columns.flat();
  const top = Math.min(0, ...all.map(({ y }) => y));
  const rectOf = (slot: Slot): Rect => {
    return { x: lefts[slot.column]!, y: slot.y - top, width: slot.width, height: slot.height };
  };
  const rects = new Map<string, Rect>();
  const routes: Route[] = [];
  items.forEach((item, index) => {
    const rect = rectOf(slots[index]!);
    rects.set(item.id, rect);
    for (const [id, within] of inner[index]?.rects ?? []) rects.set(id, moved(within, rect));
    for (const route of inner[index]?.routes ?? []) routes.push(movedRoute(route, rect));
  });
  for (const { edge, start, via, label, back, isWithin } of ways) {
    const within = isWithin ? rects.get(back ? edge.to : edge.from) : undefined;
    const level = [
      within === undefined ? rights[start.column]! : within.x + within.width,
      ...via.map(({ column: at }) => rights[at]!),
    ];
    routes.push({ edge, via: via.map(rectOf), ...(label !== undefined && { label }), level, back });
  }
  return {
    width: rights.at(-1) ?? 0,
    height: Math.max(0, ...all.map(({ y, height }) => y + height)) - top,
    rects,
    routes,
  };
}

/** The inside of a box with its title and padding around. */
function layoutBox(
  { title, items }: Extract<DiagramItem, { items: unknown }>,
  edges: readonly DiagramEdge[],
  measure: Measure,
): Layout {
  const inside = layoutItems(items, edges, measure);
  const head = measure.boxTitle(title);
  const by = { x: BOX_PADDING, y: BOX_PADDING + head.height };
  return {
    width: Math.max(inside.width, head.width) + 2 * BOX_PADDING,
    height: inside.height + head.height + 2 * BOX_PADDING,
    rects: new Map([...inside.rects].map(([id, rect]) => [id, moved(rect, by)])),
    routes: inside.routes.map((route) => movedRoute(route, by)),
  };
}

function inColumns(slots: readonly Slot[]): readonly Slot[][] {
  const columns: Slot[][] = [];
  for (const slot of slots) (columns[slot.column] ??= []).push(slot);
  return Array.from(columns, (column) => column ?? []);
}

function placeRows(columns: readonly Slot[][]): void {
  for (const column of columns) {
    const wanted = new Map(column.map((slot) => [slot, meanCentre(slot.before)]));
    if (column.every((slot) => wanted.get(slot) !== undefined))
      column.sort((a, b) => wanted.get(a)! - wanted.get(b)!);
    settle(column, (slot) => wanted.get(slot));
  }
  for (const column of columns.toReversed()) settle(column, ({ after }) => meanCentre(after));
  for (const column of columns) settle(column, ({ before }) => meanCentre(before));
}

const centre = ({ y, height }: Slot): number => y + height / 2;

function meanCentre(slots: readonly Slot[]): number | undefined {
  return slots.length === 0 ? undefined : slots.reduce((sum, slot) => sum + centre(slot), 0) / slots.length;
}

/**
 * Puts the centres of a column as near to where they are wanted as their order and gaps allow: in a row downwards, then
 * the whole moved back by what it was pushed on average. Slots that nothing wants anywhere stay where they are.
 */
function settle(column: readonly Slot[], wanted: (slot: Slot) => number | undefined): void {
  const goals = column.map((slot) => (wanted(slot) ?? centre(slot)) - slot.height / 2);
  let free = -Infinity;
  column.forEach((slot, index) => {
    slot.y = Math.max(goals[index]!, free);
    free = slot.y + slot.height + ROW_GAP;
  });
  const pushed =
    column.reduce((sum, slot, index) => sum + slot.y - goals[index]!, 0) / Math.max(1, column.length);
  for (const slot of column) slot.y -= pushed;
}

function movedRoute(route: Route, by: Pick<Rect, 'x' | 'y'>): Route {
  return {
    ...route,
    via: route.via.map((rect) => moved(rect, by)),
    level: route.level.map((x) => x + by.x),
  };
}

function moved(rect: Rect, by: Pick<Rect, 'x' | 'y'>): Rect {
  return { ...rect, x: rect.x + by.x, y: rect.y + by.y };
}
