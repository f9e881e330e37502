/**
 * Draws who owns which layers and kv heads in every stage: a grid for each replica, a colour for each device. Part of
 * the drawing of transitions, and a drawing of its own.
 */
import type { RankHolding, TransitionGraph } from '../ir/transitions.js';
import { rangesOf } from '../plan/ranges.js';
import { element, svgDocument, text, type Attributes } from './svg.js';

export interface DrawOptions {
  readonly title: string;
  readonly layers: number;
  readonly kvHeads: number;
  /** `gpu[3]` for a device id. */
  readonly devicePath: (device: number) => string;
  /** `(pp: 4)` for a stage name. */
  readonly mesh: (stage: string) => string;
}

export const WIDTH = 980;
export const MARGIN = 28;
export const HALF = (WIDTH - 3 * MARGIN) / 2;
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
  const { svg, bottom } = drawStages(holdings, 56, options);
  const height = Math.ceil(bottom + MARGIN);
  return svgDocument({ width: WIDTH, height }, [], [drawTitle(options), ...svg]);
}

export function drawTitle({ title }: DrawOptions): string {
  return text(MARGIN, 40, title, { 'font-size': 20, 'font-weight': 600 });
}

/** Stages in two columns. */
export function drawStages(holdings: TransitionGraph['holdings'], top: number, options: DrawOptions): Drawn {
  const colour = colours(holdings);
  const svg: string[] = [];
  let bottom = top;
  Object.entries(holdings).forEach(([stage, ranks], index) => {
    const right = index % 2 === 1;
    if (!right) top = index === 0 ? top : bottom + 16;
    const grid = drawStage(stage, ranks, right ? 2 * MARGIN + HALF : MARGIN, top, colour, options);
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
  colour: (device: number) => string,
  options: DrawOptions,
): Drawn {
  const replicas = [...new Set(ranks.map((rank) => rank.dp))];
  const drawn = replicas.slice(0, REPLICAS_DRAWN);
  const gap = 14;
  const axis = 34;
  const width = (HALF - axis - gap * (drawn.length - 1)) / Math.max(1, drawn.length);
  const y = top + 62;
  const more = replicas.length > drawn.length ? `; ${drawn.length} of ${replicas.length} replicas` : '';
  const where = rangesOf(ranks.map((rank) => options.devicePath(rank.device)));
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
  const size: Attributes = across < 16 ? { 'font-size': across * 0.72 } : { class: 'small' };
  const style = { ...size, 'text-anchor': 'middle' };
  const turned = { ...style, transform: `rotate(-90 ${x.toFixed(2)} ${y.toFixed(2)})` };
  return [text(x, y + (across < 16 ? across * 0.26 : 4), label, upright ? style : turned)];
}

/** Light, evenly spaced hues for the devices that are drawn; neighbours are told apart by lightness too. */
export function colours(holdings: TransitionGraph['holdings']): (device: number) => string {
  const drawn = Object.values(holdings).flatMap((ranks) => {
    const replicas = new Set([...new Set(ranks.map(({ dp }) => dp))].slice(0, REPLICAS_DRAWN));
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
