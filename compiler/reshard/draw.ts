/**
 * Draws transitions as one self-contained SVG: for every pair of stages that hand over, who owns which layers and kv
 * heads before and after (a grid for each replica, a colour for each device), and what each device keeps, copies,
 * receives, uploads and evicts on the way.
 */
import { formatBytes } from '../check/units.js';
import { evictionsOf, movesOf } from '../ir/reshard-groups.js';
import type { KvReshard, RankHolding, TransitionGraph, WeightReshard } from '../ir/transitions.js';
import { describeKvCost, formatTime, formatTimes, reportKvCost, reportReshard } from './describe.js';
import { element, text } from './svg.js';

export interface DrawOptions {
  readonly title: string;
  readonly layers: number;
  readonly kvHeads: number;
  /** `gpu[3]` for a device id. */
  readonly devicePath: (device: number) => string;
  /** `(pp: 4)` for a stage name. */
  readonly mesh: (stage: string) => string;
}

const WIDTH = 980;
const MARGIN = 28;
const HALF = (WIDTH - 3 * MARGIN) / 2;
const GRID_HEIGHT = 240;
/** Replicas drawn side by side; further ones look the same and are counted. */
const REPLICAS_DRAWN = 4;
const ROW = 20;

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

/** Something drawn, and how far down it reaches. */
interface Drawn {
  readonly svg: readonly string[];
  readonly bottom: number;
}

/** The drawing; a plan without transitions gets its title and a line that says so. */
export function drawTransitions(graph: TransitionGraph, options: DrawOptions): string {
  const pairs = stagePairs(graph);
  const devices = [...new Set(Object.values(graph.holdings).flatMap((ranks) => ranks.map((r) => r.device)))];
  const colour = colours(devices);
  const head = [text(MARGIN, 40, options.title, { 'font-size': 20, 'font-weight': 600 })];
  let y = 44;
  if (pairs.length === 0) {
    head.push(text(MARGIN, y + 20, 'One stage, or stages with equal shardings: nothing moves.'));
    y = Math.max(
      y + 20,
      ...Object.entries(graph.holdings).map(([stage, ranks], column) => {
        const grid = drawStage(stage, ranks, MARGIN + column * (MARGIN + HALF), y + 36, colour, options);
        head.push(...grid.svg);
        return grid.bottom;
      }),
    );
  } else if (graph.weights.length > 0) {
    const key = legend(y + 20);
    head.push(...key.svg);
    y = key.bottom;
  }
  for (const [from, to] of pairs) {
    const section = drawPair(graph, from, to, y + 16, colour, options);
    head.push(...section.svg);
    y = section.bottom;
  }
  return document(y + MARGIN, head);
}

/** Pairs of stages in flow order, each once: those of the KV edges, then re-shards that no edge names. */
function stagePairs(graph: TransitionGraph): readonly (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  for (const { from, to } of [...graph.kv, ...graph.weights]) {
    if (!pairs.some((pair) => pair.includes(from) && pair.includes(to))) pairs.push([from, to]);
  }
  return pairs;
}

function drawPair(
  graph: TransitionGraph,
  from: string,
  to: string,
  top: number,
  colour: (device: number) => string,
  options: DrawOptions,
): Drawn {
  const svg: string[] = [];
  const right = 2 * MARGIN + HALF;
  const grids = [
    drawStage(from, graph.holdings[from] ?? [], MARGIN, top, colour, options),
    drawStage(to, graph.holdings[to] ?? [], right, top, colour, options),
  ];
  svg.push(...grids.flatMap((grid) => grid.svg));
  let y = Math.max(...grids.map((grid) => grid.bottom)) + 8;
  const edge = graph.kv.findIndex((candidate) => candidate.from === from && candidate.to === to);
  if (edge >= 0) {
    const lines = kvLines(graph.kv[edge]!, graph, edge);
    lines.forEach((line, index) => svg.push(text(MARGIN, y + 14 + index * ROW, line, { fill: '#333' })));
    y += lines.length * ROW + 8;
  }
  const columns = [
    [from, to, MARGIN],
    [to, from, right],
  ] as const;
  const bars = columns.flatMap(([a, b, x]) => {
    const reshard = graph.weights.find((candidate) => candidate.from === a && candidate.to === b);
    return reshard ? [drawMoves(reshard, x, y, colour, options)] : [];
  });
  svg.push(...bars.flatMap((bar) => bar.svg));
  return { svg, bottom: Math.max(y, ...bars.map((bar) => bar.bottom)) };
}

/** Grids of a stage: layers downwards, kv heads across, one grid per replica. */
function drawStage(
  stage: string,
  ranks: readonly RankHolding[],
  left: number,
  top: number,
  colour: (device: number) => string,
  options: DrawOptions,
): Drawn {
  const replicas = [...new Set(ranks.map((rank) => rank.dp))];
  const drawn = replicas.slice(0, REPLICAS_DRAWN);
  const gap = 14;
  const axis = 34;
  const width = (HALF - axis - gap * (drawn.length - 1)) / Math.max(1, drawn.length);
  const y = top + 62;
  const more = replicas.length > drawn.length ? `; ${drawn.length} of ${replicas.length} replicas drawn` : '';
  const paths = ranks.map((rank) => options.devicePath(rank.device));
  const where = paths.length > 1 ? `${paths[0]} to ${paths.at(-1)}` : (paths[0] ?? 'no device');
  const svg = [
    text(left, top + 14, `${stage} ${options.mesh(stage)}`, { 'font-size': 15, 'font-weight': 600 }),
    text(left, top + 33, `${where}; kv heads 0 to ${options.kvHeads - 1} across${more}`, { class: 'small' }),
    text(left, y + 10, 'layer', { class: 'small' }),
    text(left + axis - 6, y + 24, '0', { class: 'small', 'text-anchor': 'end' }),
    text(left + axis - 6, y + GRID_HEIGHT, String(options.layers - 1), {
      class: 'small',
      'text-anchor': 'end',
    }),
  ];
  drawn.forEach((dp, column) => {
    const x = left + axis + column * (width + gap);
    if (drawn.length > 1) svg.push(text(x, y - 8, `replica ${dp}`, { class: 'small' }));
    for (const rank of ranks.filter((candidate) => candidate.dp === dp))
      svg.push(...drawRank(rank, ranks, x, y, width, colour, options));
  });
  return { svg, bottom: y + GRID_HEIGHT };
}

/** A rank's part of the grid; ranks that hold the same part share it side by side. */
function drawRank(
  rank: RankHolding,
  ranks: readonly RankHolding[],
  left: number,
  top: number,
  width: number,
  colour: (device: number) => string,
  { layers, kvHeads, devicePath }: DrawOptions,
): readonly string[] {
  const same = ranks.filter(
    ({ dp, kv }) =>
      dp === rank.dp &&
      kv.layers.join() === rank.kv.layers.join() &&
      kv.heads.join() === rank.kv.heads.join(),
  );
  const [head, headEnd] = rank.kv.heads;
  const [layer, layerEnd] = rank.kv.layers;
  const share = (((headEnd - head) / kvHeads) * width) / same.length;
  const x = left + (head / kvHeads) * width + same.indexOf(rank) * share;
  const y = top + (layer / layers) * GRID_HEIGHT;
  const height = ((layerEnd - layer) / layers) * GRID_HEIGHT;
  const name = devicePath(rank.device);
  const label = share > 7 * name.length ? name : String(rank.device);
  const upright = share > 7 * label.length;
  const title = `${name}: layers ${layer} to ${layerEnd - 1}, kv heads ${head} to ${headEnd - 1}`;
  const box = { x: x + 1, y: y + 1, width: Math.max(1, share - 2), height: Math.max(1, height - 2), rx: 3 };
  return [
    element('rect', { ...box, fill: colour(rank.device) }, [element('title', {}, [title])]),
    ...rankLabel(label, x + share / 2, y + height / 2, upright ? [share, height] : [height, share], upright),
  ];
}

/** A label in the middle of a box, lying on its side in a narrow one; none where it does not fit `room` either way. */
function rankLabel(
  label: string,
  x: number,
  y: number,
  [along, across]: readonly [number, number],
  upright: boolean,
): readonly string[] {
  if (along <= 7 * label.length || across < 9) return [];
  const style = { class: 'small', 'text-anchor': 'middle' };
  const turned = { ...style, transform: `rotate(-90 ${x.toFixed(2)} ${y.toFixed(2)})` };
  return [text(x, y + 4, label, upright ? style : turned)];
}

/** One bar per device, all to one scale, and the links below. */
function drawMoves(
  reshard: WeightReshard,
  left: number,
  top: number,
  colour: (device: number) => string,
  options: DrawOptions,
): Drawn {
  const report = reportReshard(reshard);
  const moves = movesOf(reshard);
  const devices = [...new Set(moves.map((move) => move.device))];
  const bytes = new Map<string, number>();
  const count = (device: number, part: Part, more: number): void => {
    const key = `${device} ${part}`;
    bytes.set(key, (bytes.get(key) ?? 0) + more);
  };
  for (const move of moves) count(move.device, move.kind, move.bytes);
  for (const entry of evictionsOf(reshard)) count(entry.device, 'evict', entry.bytes);
  const of = (device: number, part: Part): number => bytes.get(`${device} ${part}`) ?? 0;
  const longest = Math.max(
    1,
    ...devices.map((device) => PARTS.reduce((sum, part) => sum + of(device, part), 0)),
  );
  const names = 12 + 7 * Math.max(...devices.map((device) => options.devicePath(device).length));
  const scale = (HALF - names - 6) / longest;
  const svg = [
    text(left, top + 16, `weights ${reshard.from} → ${reshard.to}`, { 'font-weight': 600 }),
    text(
      left,
      top + 34,
      `${formatTime(report.seconds)} predicted, ${formatTime(report.boundSeconds)} at best; ` +
        `${formatBytes(report.linkBytes)} over links, ${formatTimes(report.timesBound)} the lower bound`,
      { class: 'small' },
    ),
  ];
  let y = top + 44;
  for (const device of devices) {
    svg.push(element('rect', { x: left, y: y + 4, width: 8, height: 12, rx: 2, fill: colour(device) }));
    svg.push(text(left + 13, y + 14, options.devicePath(device), { class: 'small' }));
    let x = left + names;
    for (const part of PARTS) {
      const width = of(device, part) * scale;
      if (width === 0) continue;
      const hint = `${PART_NAME[part]}: ${formatBytes(of(device, part))}`;
      const box = { x, y: y + 2, width, height: 16, fill: PART_FILL[part] };
      svg.push(element('rect', box, [element('title', {}, [hint])]));
      const label = formatBytes(of(device, part));
      if (width > 7 * label.length)
        svg.push(
          text(x + width / 2, y + 14, label, {
            class: 'small',
            'text-anchor': 'middle',
            fill: part === 'keep' ? '#fff' : '#111',
          }),
        );
      x += width;
    }
    y += ROW + 2;
  }
  for (const { link, from, to, bytes: sum, busiest } of report.links) {
    const way = link.endsWith('memory') ? link : `${link} (${from} to ${to})`;
    const line = `${way}: ${formatBytes(sum)}, ${busiest.place} longest with ${formatTime(busiest.seconds)}`;
    svg.push(text(left, y + 14, line, { class: 'small' }));
    y += ROW - 3;
  }
  return { svg, bottom: y };
}

function kvLines(edge: KvReshard, graph: TransitionGraph, index: number): readonly string[] {
  const { from, to, path, tier, bytesPerToken } = edge;
  if (path === 'shared') return [`KV ${from} → ${to}: the same pages, nothing moves`];
  const cost = graph.kvCosts[index];
  const bytes = `${formatBytes(bytesPerToken.out)} out and ${formatBytes(bytesPerToken.in)} in per token`;
  const figures = cost ? describeKvCost(reportKvCost(cost)).at(-1) : undefined;
  return [
    `KV ${from} → ${to}: through ${tier ?? 'no tier'}, ${bytes}${figures ? `; ${figures.trim()}` : ''}`,
  ];
}

function legend(top: number): Drawn {
  let x = MARGIN;
  const svg = PARTS.flatMap((part) => {
    const at = x;
    x += 34 + 7 * PART_NAME[part].length;
    return [
      element('rect', { x: at, y: top - 10, width: 14, height: 14, fill: PART_FILL[part] }),
      text(at + 20, top + 2, PART_NAME[part], { class: 'small' }),
    ];
  });
  return { svg, bottom: top + 10 };
}

/** Light, evenly spaced hues; neighbours are told apart by lightness too. */
function colours(devices: readonly number[]): (device: number) => string {
  return (device) => {
    const at = devices.indexOf(device);
    const hue = Math.round((at * 360) / Math.max(1, devices.length));
    return `hsl(${hue}, 58%, ${at % 2 === 0 ? 72 : 80}%)`;
  };
}

function document(height: number, content: readonly string[]): string {
  const hatch = element('pattern', { id: 'evicted', width: 6, height: 6, patternUnits: 'userSpaceOnUse' }, [
    element('rect', { width: 6, height: 6, fill: '#f1f1f1' }),
    element('path', { d: 'M0 6 L6 0', stroke: '#b5b5b5' }),
  ]);
  const size = { width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${Math.ceil(height)}` };
  return `${element('svg', { xmlns: 'http://www.w3.org/2000/svg', ...size }, [
    element('style', {}, [
      'text { font-family: system-ui, sans-serif; font-size: 13px; fill: #111 } .small { font-size: 11.5px }',
    ]),
    element('defs', {}, [hatch]),
    element('rect', { width: WIDTH, height, fill: '#fff' }),
    ...content,
  ])}\n`;
}
