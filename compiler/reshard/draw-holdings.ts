/**
 * Draws who owns which layers and kv heads in every stage: a grid for each replica, a colour for each device. Part of
 * the drawing of transitions, and a drawing of its own.
 */
import type { RankHolding, TransitionGraph } from '../ir/transitions.js';
import { rangesOf } from '../plan/ranges.js';
import type { ShowBytes } from './describe.js';
import { BOLD, element, SMALL, svgDocument, text, textWidth, TITLE, type Attributes } from './svg.js';

export interface DrawOptions {
  readonly title: string;
  readonly layers: number;
  readonly kvHeads: number;
  /** `gpu[3]` for a device id. */
  readonly devicePath: (device: number) => string;
  readonly bytes: ShowBytes;
  /** `(pp: 4)` for a stage name. */
  readonly mesh: (stage: string) => string;
}

export const MARGIN = 28;
/** Of each of the two columns, unless its texts need more. */
const COLUMN_WIDTH = 448;
const STAGE_TITLE: Attributes = { 'font-size': 15, ...BOLD };
const GRID_HEIGHT = 240;
/** Replicas drawn side by side; further ones look the same and are counted. */
const REPLICAS_DRAWN = 4;

/** Something drawn, and how far down it reaches. */
export interface Drawn {
  readonly svg: readonly string[];
  readonly bottom: number;
}

/** All stages as a picture of its own. */
export function drawShardings({ holdings }: TransitionGraph, options: DrawOptions): string {
  const column = columnWidth(stageWidths(holdings, options));
  const { svg, bottom } = drawStages(holdings, 56, column, options);
  const width = pictureWidth(column, [textWidth(options.title, TITLE)]);
  const height = Math.ceil(bottom + MARGIN);
  return svgDocument({ width, height }, [], [drawTitle(options), ...svg]);
}

/** Width of a column with parts so wide in it. */
export function columnWidth(parts: readonly number[]): number {
  return Math.ceil(Math.max(COLUMN_WIDTH, ...parts));
}

/** Width of a picture of two columns, with lines so wide above and below them. */
export function pictureWidth(column: number, lines: readonly number[]): number {
  return Math.ceil(Math.max(2 * column + 3 * MARGIN, ...lines.map((line) => line + 2 * MARGIN)));
}

/** Left edge of the second column. */
export function secondColumn(column: number): number {
  return column + 2 * MARGIN;
}

export function drawTitle({ title }: DrawOptions): string {
  return text(MARGIN, 40, title, TITLE);
}

/** Widths that the texts of stages take in a column. */
export function stageWidths(holdings: TransitionGraph['holdings'], options: DrawOptions): readonly number[] {
  return Object.entries(holdings).flatMap(([stage, ranks]) => {
    const { title, caption } = stageTexts(stage, ranks, options);
    return [textWidth(title, STAGE_TITLE), textWidth(caption, SMALL)];
  });
}

function stageTexts(
  stage: string,
  ranks: readonly RankHolding[],
  { mesh, devicePath, kvHeads }: DrawOptions,
): { readonly title: string; readonly caption: string } {
  const replicas = replicasOf(ranks).length;
  const more = replicas > REPLICAS_DRAWN ? `; ${REPLICAS_DRAWN} of ${replicas} replicas` : '';
  const where = rangesOf(ranks.map((rank) => devicePath(rank.device)));
  return {
    title: `${stage} ${mesh(stage)}`,
    caption: `${where}; kv heads 0 to ${kvHeads - 1} across${more}`,
  };
}

function replicasOf(ranks: readonly RankHolding[]): readonly number[] {
  return [...new Set(ranks.map((rank) => rank.dp))];
}

/** Stages in two columns of a width. */
export function drawStages(
  holdings: TransitionGraph['holdings'],
  top: number,
  column: number,
  options: DrawOptions,
): Drawn {
  const colour = colours(holdings);
  const svg: string[] = [];
  let bottom = top;
  Object.entries(holdings).forEach(([stage, ranks], index) => {
    const right = index % 2 === 1;
    if (!right) top = index === 0 ? top : bottom + 16;
    const grid = drawStage(stage, ranks, right ? secondColumn(column) : MARGIN, top, column, colour, options);
    svg.push(...grid.svg);
    bottom = Math.max(bottom, grid.bottom);
  });
  return { svg, bottom };
}

/** Grids of a stage: layers downwards, kv heads across, one grid per replica. */
export function drawStage(
  stage: string,
  ranks: readonly RankHolding[],
  left: number,
  top: number,
  column: number,
  colour: (device: number) => string,
  options: DrawOptions,
): Drawn {
  const drawn = replicasOf(ranks).slice(0, REPLICAS_DRAWN);
  const gap = 14;
  const axis = 34;
  const width = (column - axis - gap * (drawn.length - 1)) / Math.max(1, drawn.length);
  const y = top + 62;
  const { title, caption } = stageTexts(stage, ranks, options);
  const svg = [
    text(left, top + 14, title, STAGE_TITLE),
    text(left, top + 33, caption, SMALL),
    text(left, y + 10, 'layer', SMALL),
    text(left + axis - 6, y + 24, '0', { ...SMALL, 'text-anchor': 'end' }),
    text(left + axis - 6, y + GRID_HEIGHT, String(options.layers - 1), { ...SMALL, 'text-anchor': 'end' }),
  ];
  drawn.forEach((dp, place) => {
    const x = left + axis + place * (width + gap);
    if (drawn.length > 1) svg.push(text(x, y - 8, `replica ${dp}`, SMALL));
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
  const label = share > textWidth(name, SMALL) + 2 ? name : String(rank.device);
  const upright = share > textWidth(label, SMALL) + 2;
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
  if (along <= textWidth(label, SMALL) + 2 || across < 9) return [];
  const size: Attributes = across < 16 ? { 'font-size': across * 0.72 } : SMALL;
  const style = { ...size, 'text-anchor': 'middle' };
  const turned = { ...style, transform: `rotate(-90 ${x.toFixed(2)} ${y.toFixed(2)})` };
  return [text(x, y + (across < 16 ? across * 0.26 : 4), label, upright ? style : turned)];
}

/** Light, evenly spaced hues for the devices that are drawn; neighbours are told apart by lightness too. */
export function colours(holdings: TransitionGraph['holdings']): (device: number) => string {
  const drawn = Object.values(holdings).flatMap((ranks) => {
    const replicas = new Set(replicasOf(ranks).slice(0, REPLICAS_DRAWN));
    return ranks.filter(({ dp }) => replicas.has(dp)).map(({ device }) => device);
  });
  const devices = [...new Set(drawn)];
  const places = new Map(devices.map((device, place) => [device, place]));
  return (device) => {
    const at = places.get(device) ?? 0;
    const hue = Math.round((at * 360) / Math.max(1, devices.length));
    return `hsl(${hue}, 58%, ${at % 2 === 0 ? 72 : 80}%)`;
  };
}
