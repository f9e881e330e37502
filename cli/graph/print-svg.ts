/** Diagrams as self-contained SVG. */
import {
  BOLD,
  element,
  SMALL,
  svgDocument,
  text,
  textWidth,
  TITLE,
  type Attributes,
} from '../../compiler/reshard/svg.js';
import { groupBy } from '../../compiler/group-by.js';
import { edgeWidth, isBox, NODE_LOOK, type Diagram, type DiagramItem, type DiagramNode } from './diagram.js';
import { layoutDiagram, type Layout, type Measure, type Rect, type Route } from './layout.js';

const MARGIN = 28;
const HEAD = 72;
const LINE = 16;
const PADDING = 9;
const EDGE = '#5b6678';

/** Width of the widest of small lines. */
const linesWidth = (lines: readonly string[]): number =>
  Math.max(0, ...lines.map((line) => textWidth(line, SMALL)));

const MEASURE: Measure = {
  node: ({ title, lines }) => ({
    width: Math.ceil(Math.max(textWidth(title, BOLD), linesWidth(lines), 40)) + 2 * PADDING,
    height: LINE * (lines.length + 1) + 2 * PADDING - 2,
  }),
  label: (lines) => ({
    width: Math.ceil(linesWidth(lines)) + 8,
    height: 14 * lines.length + 4,
  }),
  boxTitle: (title) => ({ width: Math.ceil(textWidth(title, BOLD)), height: 22 }),
};

/** A whole SVG file. */
export function printSvg(diagram: Diagram): string {
  const layout = layoutDiagram(diagram, MEASURE);
  const least = Math.max(textWidth(diagram.title, TITLE), textWidth(diagram.caption, SMALL));
  const width = Math.ceil(Math.max(layout.width, least) + 2 * MARGIN);
  const height = Math.ceil(HEAD + layout.height + MARGIN);
  const ports = portsOf(layout);
  const place = element('g', { transform: `translate(${MARGIN} ${HEAD})` }, [
    ...diagram.items.flatMap((item) => drawBoxes(item, layout)),
    ...layout.routes.map((route) => drawEdge(route, layout, ports.get(route)!)),
    ...diagram.items.flatMap((item) => drawNodes(item, layout)),
    ...layout.routes.map(drawLabel),
  ]);
  const arrow = element(
    'marker',
    {
      id: 'arrow',
      viewBox: '0 0 8 8',
      refX: 7,
      refY: 4,
      markerWidth: 8,
      markerHeight: 8,
      orient: 'auto-start-reverse',
      markerUnits: 'userSpaceOnUse',
    },
    [element('path', { d: 'M0 0.5 L8 4 L0 7.5 Z', fill: EDGE })],
  );
  return svgDocument(
    { width, height },
    [arrow],
    [
      text(MARGIN, 36, diagram.title, TITLE),
      text(MARGIN, 55, diagram.caption, { ...SMALL, fill: '#5b6678' }),
      place,
    ],
  );
}

function rectangle({ x, y, width, height }: Rect, more: Attributes): string {
  return element('rect', { x, y, width, height, ...more });
}

/** Boxes lie under edges, outer ones under inner ones. */
function drawBoxes(item: DiagramItem, layout: Layout): readonly string[] {
  if (!isBox(item)) return [];
  const rect = layout.rects.get(item.id)!;
  return [
    rectangle(rect, { rx: 10, fill: '#fafbfc', stroke: '#c9cfd9' }),
    text(rect.x + 14, rect.y + 22, item.title, BOLD),
    ...item.items.flatMap((inner) => drawBoxes(inner, layout)),
  ];
}

function drawNodes(item: DiagramItem, layout: Layout): readonly string[] {
  if (isBox(item)) return item.items.flatMap((inner) => drawNodes(inner, layout));
  return [drawNode(item, layout.rects.get(item.id)!)];
}

function drawNode({ kind, title, lines }: DiagramNode, rect: Rect): string {
  const { fill, stroke } = NODE_LOOK[kind];
  const rx = kind === 'end' ? rect.height / 2 : kind === 'link' ? 12 : 6;
  const x = kind === 'end' ? rect.x + rect.width / 2 : rect.x + PADDING;
  const anchor: Attributes = kind === 'end' ? { 'text-anchor': 'middle' } : {};
  const first = rect.y + PADDING + 11;
  return element('g', {}, [
    rectangle(rect, { rx, fill, stroke }),
    text(x, first, title, { ...BOLD, ...anchor }),
    ...lines.map((line, index) => text(x, first + LINE * (index + 1), line, { ...SMALL, ...anchor })),
  ]);
}

/** Heights at which an edge leaves the item on its left and reaches the one on its right. */
interface Ports {
  left: number;
  right: number;
}

/** Items that an edge joins, from left to right. */
function joined({ edge: { from, to } }: Route, { rects }: Layout): readonly [string, string] {
  return rects.get(from)!.x <= rects.get(to)!.x ? [from, to] : [to, from];
}

const middle = ({ y, height }: Rect): number => y + height / 2;

/**
 * Edges on one side of an item are spread over it, in the order of where they come from, so that each can be told from
 * the others and an arrow is seen to be that of its own edge.
 */
function portsOf(layout: Layout): ReadonlyMap<Route, Ports> {
  const { routes, rects } = layout;
  const ports = new Map(routes.map((route): [Route, Ports] => [route, { left: 0, right: 0 }]));
  const sides = [
    [
      'left',
      (route: Route) => joined(route, layout)[0],
      (route: Route) => [...route.via, rects.get(joined(route, layout)[1])!][0]!,
    ],
    [
      'right',
      (route: Route) => joined(route, layout)[1],
      (route: Route) => [rects.get(joined(route, layout)[0])!, ...route.via].at(-1)!,
    ],
  ] as const;
  for (const [side, itemOf, neighbourOf] of sides)
    for (const [id, beside] of groupBy(routes, itemOf)) {
      const { y, height } = rects.get(id)!;
      const inOrder = beside.toSorted((a, b) => middle(neighbourOf(a)) - middle(neighbourOf(b)));
      inOrder.forEach((route, index) => {
        ports.get(route)![side] = y + (height * (index + 1)) / (inOrder.length + 1);
      });
    }
  return ports;
}

/** A curve through the places of the edge, level where it passes them. */
function drawEdge(route: Route, layout: Layout, ports: Ports): string {
  const { edge, via, level, back } = route;
  const [left, right] = joined(route, layout).map((id) => layout.rects.get(id)!) as [Rect, Rect];
  const ends = [
    { x: left.x + left.width, y: ports.left },
    { x: level[0]!, y: ports.left },
    ...via.flatMap((rect, index) => [
      { x: rect.x, y: middle(rect) },
      { x: level[index + 1]!, y: middle(rect) },
    ]),
    { x: right.x, y: ports.right },
  ].filter(({ x, y }, index, all) => x !== all[index - 1]?.x || y !== all[index - 1]?.y);
  const number = (value: number): string => String(Math.round(value * 10) / 10);
  const point = (x: number, y: number): string => `${number(x)} ${number(y)}`;
  const curves = ends.slice(1).map(({ x, y }, index) => {
    const from = ends[index]!;
    const half = (from.x + x) / 2;
    return `C${point(half, from.y)} ${point(half, y)} ${point(x, y)}`;
  });
  const heads = {
    ...((back || edge.kind === 'swaps') && { 'marker-start': 'url(#arrow)' }),
    ...((!back || edge.kind === 'swaps') && { 'marker-end': 'url(#arrow)' }),
  };
  return element('path', {
    d: `M${point(ends[0]!.x, ends[0]!.y)} ${curves.join(' ')}`,
    fill: 'none',
    stroke: EDGE,
    'stroke-width': edgeWidth(edge),
    ...(edge.kind === 'turns' && { 'stroke-dasharray': '5 4' }),
    ...(edge.kind !== 'joins' && heads),
  });
}

function drawLabel({ edge, via, label }: Route): string {
  if (label === undefined) return '';
  const rect = via[label]!;
  return element('g', {}, [
    rectangle(rect, { fill: '#ffffff', 'fill-opacity': 0.92 }),
    ...edge.label.map((line, index) =>
      text(rect.x + rect.width / 2, rect.y + 13 + 14 * index, line, { ...SMALL, 'text-anchor': 'middle' }),
    ),
  ]);
}
