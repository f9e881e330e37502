/**
 * Draws transitions as one self-contained SVG: for every pair of stages that hand over, who owns which layers and kv
 * heads before and after (a grid for each replica, a colour for each device), and what each device keeps, copies,
 * receives, uploads and evicts on the way.
 */
import { groupBy } from '../group-by.js';
import { bytesByDevice } from '../ir/reshard-groups.js';
import type { TransitionGraph, WeightReshard } from '../ir/transitions.js';
import { DRAWN_ALONE } from '../plan/ranges.js';
import { describeKvCost, formatTime, formatTimes, reportKvCost, reportReshard } from './describe.js';
import {
  drawHead,
  drawStage,
  drawStages,
  HEAD,
  MARGIN,
  pictureWidth,
  secondColumn,
  stageLook,
  type Drawn,
  type DrawOptions,
  type StageLook,
} from './draw-holdings.js';
import { BOLD, element, SMALL, svgDocument, text, textWidth } from './svg.js';

const ROW = 20;
/** Of the longest bar, at least. */
const BAR_WIDTH = 200;

/** Parts of a device's bar, in order. `evict` stands behind the bar: it is no part of the new stage. */
const PARTS = ['keep', 'copy', 'peer', 'upload', 'evict'] as const;
type Part = (typeof PARTS)[number];
const PART_FILL: Readonly<Record<Part, string>> = {
  keep: '#3d5a80',
  copy: '#84a9c9',
  peer: '#4f9d69',
  upload: '#e8a33d',
  evict: 'url(#evicted)',
};
const PART_NAME: Readonly<Record<Part, string>> = {
  keep: 'kept in place',
  copy: 'copied on the device',
  peer: 'from other devices',
  upload: 'uploaded',
  evict: 'evicted',
};

/** The drawing; a plan without transitions gets its title and a line that says so. */
export function drawTransitions(graph: TransitionGraph, options: DrawOptions): string {
  const pairs = stagePairs(graph);
  const look = stageLook(
    graph.holdings,
    options,
    graph.weights.flatMap((reshard) => moveWidths(reshard, options)),
  );
  const kv = pairs.flatMap((pair) => kvLines(graph, pair, options));
  const head = drawHead(look, options);
  const width = pictureWidth(look, [...head.widths, ...kv.map((line) => textWidth(line))]);
  const svg = [...head.svg];
  let y = HEAD;
  const still = whyStill(graph);
  if (still === undefined) {
    const key = legend(y + 20);
    svg.push(...key.svg);
    y = key.bottom;
  } else {
    svg.push(text(MARGIN, y + 20, still));
    y += 20;
  }
  if (pairs.length === 0) {
    const stages = drawStages(graph.holdings, y + 16, look, options);
    svg.push(...stages.svg);
    y = stages.bottom;
  }
  for (const pair of pairs) {
    const section = drawPair(graph, pair, y + 16, look, options);
    svg.push(...section.svg);
    y = section.bottom;
  }
  return svgDocument({ width, height: Math.ceil(y + MARGIN) }, [HATCH, ...look.stripes], svg);
}

/** Why no weights move, unless they do. What KV does is said of every hand-over. */
function whyStill({ kv, weights }: TransitionGraph): string | undefined {
  if (weights.length > 0) return undefined;
  return kv.length === 0
    ? 'One stage, or stages with equal shardings: nothing moves.'
    : 'No devices change stage, or their weights stay: no weights move.';
}

const HATCH = element('pattern', { id: 'evicted', width: 6, height: 6, patternUnits: 'userSpaceOnUse' }, [
  element('rect', { width: 6, height: 6, fill: '#f1f1f1' }),
  element('path', { d: 'M0 6 L6 0', stroke: '#b5b5b5' }),
]);

type StagePair = readonly [from: string, to: string];

/** Pairs of stages in flow order, each once: those of the KV edges, then re-shards that no edge names. */
function stagePairs(graph: TransitionGraph): readonly StagePair[] {
  const pairs: StagePair[] = [];
  for (const { from, to } of [...graph.kv, ...graph.weights]) {
    if (!pairs.some((pair) => pair.includes(from) && pair.includes(to))) pairs.push([from, to]);
  }
  return pairs;
}

function drawPair(
  graph: TransitionGraph,
  [from, to]: StagePair,
  top: number,
  look: StageLook,
  options: DrawOptions,
): Drawn {
  const svg: string[] = [];
  const right = secondColumn(look);
  const grids = [
    drawStage(from, graph.holdings[from] ?? [], MARGIN, top, look, options),
    drawStage(to, graph.holdings[to] ?? [], right, top, look, options),
  ];
  svg.push(...grids.flatMap((grid) => grid.svg));
  let y = Math.max(...grids.map((grid) => grid.bottom)) + 8;
  const lines = kvLines(graph, [from, to], options);
  lines.forEach((line, index) => svg.push(text(MARGIN, y + 14 + index * ROW, line, { fill: '#333' })));
  if (lines.length > 0) y += lines.length * ROW + 8;
  const columns = [
    [from, to, MARGIN],
    [to, from, right],
  ] as const;
  const bars = columns.flatMap(([a, b, x]) => {
    const reshard = graph.weights.find((candidate) => candidate.from === a && candidate.to === b);
    return reshard ? [drawMoves(reshard, x, y, look, options)] : [];
  });
  svg.push(...bars.flatMap((bar) => bar.svg));
  return { svg, bottom: Math.max(y, ...bars.map((bar) => bar.bottom)) };
}

/** What is drawn of a re-shard, as far as it is known without places. */
interface Moves {
  readonly title: string;
  readonly caption: string;
  readonly devices: readonly number[];
  readonly rows: readonly { readonly device: number; readonly name: string }[];
  /** Bytes of a part of a device's bar. */
  readonly of: (device: number, part: Part) => number;
  /** Width of the names beside the bars. */
  readonly names: number;
  readonly links: readonly string[];
}

function movesOf(reshard: WeightReshard, options: DrawOptions): Moves {
  const report = reportReshard(reshard);
  const bytes = bytesByDevice(reshard);
  const devices = [...bytes.keys()];
  const of = (device: number, part: Part): number => {
    const { peers, ...sums } = bytes.get(device)!;
    return part === 'peer' ? [...peers.values()].reduce((sum, each) => sum + each, 0) : sums[part];
  };
  const rows = drawnRows(devices, (device) => PARTS.map((part) => of(device, part)).join(), options);
  return {
    title: `weights ${reshard.from} → ${reshard.to}`,
    caption:
      `${formatTime(report.seconds)} predicted, ${formatTime(report.boundSeconds)} at best; ` +
      `${options.bytes(report.linkBytes)} over links, ${formatTimes(report.timesBound)} the lower bound`,
    devices,
    rows,
    of,
    names: 20 + Math.max(...rows.map(({ name }) => textWidth(name, SMALL))),
    links: report.links.map(({ link, from, to, bytes: sum, busiest }) => {
      const way = link.endsWith('memory') ? link : `${link} (${from} to ${to})`;
      return `${way}: ${options.bytes(sum)}, ${formatTime(busiest.seconds)} at ${busiest.place}`;
    }),
  };
}

/** Widths that a re-shard takes in a column. */
function moveWidths(reshard: WeightReshard, options: DrawOptions): readonly number[] {
  const { title, caption, names, links } = movesOf(reshard, options);
  return [
    textWidth(title, BOLD),
    ...[caption, ...links].map((line) => textWidth(line, SMALL)),
    names + BAR_WIDTH,
  ];
}

/** One bar per device, or of many for those that do the same, all to one scale, and the links below. */
function drawMoves(
  reshard: WeightReshard,
  left: number,
  top: number,
  { column, colour }: StageLook,
  options: DrawOptions,
): Drawn {
  const { title, caption, devices, rows, of, names, links } = movesOf(reshard, options);
  const longest = Math.max(
    1,
    ...devices.map((device) => PARTS.reduce((sum, part) => sum + of(device, part), 0)),
  );
  const scale = (column - names - 6) / longest;
  const svg = [text(left, top + 16, title, BOLD), text(left, top + 34, caption, SMALL)];
  let y = top + 44;
  for (const { device, name } of rows) {
    svg.push(element('rect', { x: left, y: y + 4, width: 8, height: 12, rx: 2, fill: colour(device) }));
    svg.push(text(left + 13, y + 14, name, SMALL));
    let x = left + names;
    for (const part of PARTS) {
      const width = of(device, part) * scale;
      if (width === 0) continue;
      const hint = `${PART_NAME[part]}: ${options.bytes(of(device, part))}`;
      const box = { x, y: y + 2, width, height: 16, fill: PART_FILL[part] };
      svg.push(element('rect', box, [element('title', {}, [hint])]));
      const label = options.bytes(of(device, part));
      if (width > textWidth(label, SMALL))
        svg.push(
          text(x + width / 2, y + 14, label, {
            ...SMALL,
            'text-anchor': 'middle',
            fill: part === 'keep' ? '#fff' : '#111',
          }),
        );
      x += width;
    }
    y += ROW + 2;
  }
  for (const line of links) {
    svg.push(text(left, y + 14, line, SMALL));
    y += ROW - 3;
  }
  return { svg, bottom: y };
}

/** Devices that have a bar: each of a few, else one of those with the same bytes, which are counted. */
function drawnRows(
  devices: readonly number[],
  bytesOf: (device: number) => string,
  { devicePath }: DrawOptions,
): readonly { readonly device: number; readonly name: string }[] {
  if (devices.length <= DRAWN_ALONE) return devices.map((device) => ({ device, name: devicePath(device) }));
  return [...groupBy(devices, bytesOf).values()].map((members) => {
    const [device] = members as [number];
    const more = members.length > 1 ? ` and ${members.length - 1} more` : '';
    return { device, name: `${devicePath(device)}${more}` };
  });
}

/** What the KV of an edge does, where the pair has one. */
function kvLines(
  { kv, kvCosts }: TransitionGraph,
  [from, to]: StagePair,
  { bytes: show }: DrawOptions,
): readonly string[] {
  const index = kv.findIndex((each) => each.from === from && each.to === to);
  if (index < 0) return [];
  const { path, tier, bytesPerToken } = kv[index]!;
  if (path === 'shared') return [`KV ${from} → ${to}: the same pages, nothing moves`];
  const cost = kvCosts[index];
  const bytes = `${show(bytesPerToken.out)} out and ${show(bytesPerToken.in)} in per token`;
  const figures = cost ? describeKvCost(reportKvCost(cost), show).at(-1) : undefined;
  return [
    `KV ${from} → ${to}: through ${tier ?? 'no tier'}, ${bytes}${figures ? `; ${figures.trim()}` : ''}`,
  ];
}

function legend(top: number): Drawn {
  let x = MARGIN;
  const svg = PARTS.flatMap((part) => {
    const at = x;
    x += 34 + textWidth(PART_NAME[part], SMALL);
    return [
      element('rect', { x: at, y: top - 10, width: 14, height: 14, fill: PART_FILL[part] }),
      text(at + 20, top + 2, PART_NAME[part], SMALL),
    ];
  });
  return { svg, bottom: top + 10 };
}
