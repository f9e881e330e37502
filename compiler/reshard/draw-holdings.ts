/**
 * Draws who owns which layers and kv heads in every stage: a grid for each replica, a colour for each device. Part of
 * the drawing of transitions, and a drawing of its own.
 */
import { groupBy } from '../group-by.js';
import { intervalLength } from '../ir/rectangles.js';
import type { Interval, RankHolding, TransitionGraph } from '../ir/transitions.js';
import { DRAWN_ALONE, rangesOf } from '../plan/ranges.js';
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
  /** What lies on `tp` in a stage, in lines: heads are drawn, the rest is not. */
  readonly shardings: (stage: string) => readonly string[];
}

type Holdings = TransitionGraph['holdings'];

export const MARGIN = 28;
/** Where what is drawn below the title and the key begins. */
export const HEAD = 64;
/** Of each of the two columns, unless its texts need more. */
const COLUMN_WIDTH = 448;
const STAGE_TITLE: Attributes = { 'font-size': 15, ...BOLD };
const GRID_HEIGHT = 240;
const CAPTION_LINE = 17;
/** Between replicas, and what the numbers of layers take beside them. */
const GAP = 14;
const AXIS = 34;
/** Replicas drawn side by side; further ones look the same and are counted. */
const REPLICAS_DRAWN = 4;

/** Something drawn, and how far down it reaches. */
export interface Drawn {
  readonly svg: readonly string[];
  readonly bottom: number;
}

/** What all stages of a picture have in common. */
export interface StageLook {
  /** Width of each of the two columns. */
  readonly column: number;
  /** Lines under the titles of stages, those of the one that has most: grids beside each other are level. */
  readonly captionLines: number;
  readonly colour: (device: number) => string;
  /** Patterns of the boxes that several devices share, which a picture defines. */
  readonly stripes: readonly string[];
  /** Whether some device is drawn with its number alone. */
  readonly numbered: boolean;
}

/** All stages as a picture of its own. */
export function drawShardings({ holdings }: TransitionGraph, options: DrawOptions): string {
  const look = stageLook(holdings, options);
  const { svg, bottom } = drawStages(holdings, HEAD + 12, look, options);
  const head = drawHead(look, options);
  const width = pictureWidth(look, head.widths);
  return svgDocument({ width, height: Math.ceil(bottom + MARGIN) }, look.stripes, [...head.svg, ...svg]);
}

/** The look of stages where other parts of a column are so wide. */
export function stageLook(
  holdings: Holdings,
  options: DrawOptions,
  parts: readonly number[] = [],
): StageLook {
  const stages = Object.entries(holdings);
  const texts = stages.map(([stage, ranks]) => stageTexts(stage, ranks, options));
  const widths = texts.flatMap(({ title, captions }) => [
    textWidth(title, STAGE_TITLE),
    ...captions.map((line) => textWidth(line, SMALL)),
  ]);
  const boxes = stages.map(([, ranks]) => placedBoxes(ranks, COLUMN_WIDTH, options));
  // In a wider column no more boxes are too thin for their labels.
  const listed = boxes.flatMap((own) =>
    listOf(own, options).map(({ line }) => LIST + textWidth(line, SMALL)),
  );
  const colour = colours(holdings);
  const column = Math.ceil(Math.max(COLUMN_WIDTH, ...parts, ...widths, ...listed));
  const drawn = stages.flatMap(([, ranks]) => placedBoxes(ranks, column, options));
  return {
    column,
    captionLines: Math.max(0, ...texts.map(({ captions }) => captions.length)),
    colour,
    stripes: [...new Set(boxes.flat().flatMap(({ devices }) => stripesOf(devices, colour)))],
    numbered: drawn.some(({ devices, label }) => label?.name === numbersOf(devices)),
  };
}

/** Width of a picture of two columns, with lines so wide above and below them. */
export function pictureWidth({ column }: StageLook, lines: readonly number[]): number {
  return Math.ceil(Math.max(2 * column + 3 * MARGIN, ...lines.map((line) => line + 2 * MARGIN)));
}

/** Left edge of the second column. */
export function secondColumn({ column }: StageLook): number {
  return column + 2 * MARGIN;
}

/** Title and key, and the widths of both. */
export function drawHead(
  { stripes, numbered }: StageLook,
  { title, devicePath }: DrawOptions,
): { readonly svg: readonly string[]; readonly widths: readonly number[] } {
  const key =
    'A box is what a device holds: layers downwards, kv heads across.' +
    (numbered ? ` A number is that of a device: 0 is ${devicePath(0)}.` : '') +
    (stripes.length > 0 ? ' Striped: several devices hold the same.' : '');
  return {
    svg: [text(MARGIN, 40, title, TITLE), text(MARGIN, 60, key, SMALL)],
    widths: [textWidth(title, TITLE), textWidth(key, SMALL)],
  };
}

function stageTexts(
  stage: string,
  ranks: readonly RankHolding[],
  { mesh, shardings, devicePath, kvHeads }: DrawOptions,
): { readonly title: string; readonly captions: readonly string[] } {
  const replicas = replicasOf(ranks).length;
  const more = replicas > REPLICAS_DRAWN ? `; ${REPLICAS_DRAWN} of ${replicas} replicas` : '';
  const where = rangesOf(ranks.map((rank) => devicePath(rank.device)));
  return {
    title: `${stage} ${mesh(stage)}`,
    captions: [`${where}; kv heads 0 to ${kvHeads - 1} across${more}`, ...shardings(stage)],
  };
}

function replicasOf(ranks: readonly RankHolding[]): readonly number[] {
  return [...new Set(ranks.map((rank) => rank.dp))];
}

/** Stages in two columns. */
export function drawStages(holdings: Holdings, top: number, look: StageLook, options: DrawOptions): Drawn {
  const svg: string[] = [];
  let bottom = top;
  Object.entries(holdings).forEach(([stage, ranks], index) => {
    const right = index % 2 === 1;
    if (!right) top = index === 0 ? top : bottom + 16;
    const grid = drawStage(stage, ranks, right ? secondColumn(look) : MARGIN, top, look, options);
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
  look: StageLook,
  options: DrawOptions,
): Drawn {
  const { title, captions } = stageTexts(stage, ranks, options);
  const y = top + 45 + CAPTION_LINE * look.captionLines;
  const boxes = placedBoxes(ranks, look.column, options);
  const svg = [
    text(left, top + 14, title, STAGE_TITLE),
    ...captions.map((line, index) => text(left, top + 33 + CAPTION_LINE * index, line, SMALL)),
    text(left, y + 10, 'layer', SMALL),
    text(left + AXIS - 6, y + 24, '0', { ...SMALL, 'text-anchor': 'end' }),
    text(left + AXIS - 6, y + GRID_HEIGHT, String(options.layers - 1), { ...SMALL, 'text-anchor': 'end' }),
  ];
  const replicas = replicasOf(ranks).slice(0, REPLICAS_DRAWN);
  if (replicas.length > 1)
    replicas.forEach((dp, place) => {
      const x = left + AXIS + place * (gridWidth(replicas.length, look.column) + GAP);
      svg.push(text(x, y - 8, `replica ${dp}`, SMALL));
    });
  svg.push(...boxes.flatMap((box) => drawBox(box, left, y, look, options)));
  let bottom = y + GRID_HEIGHT;
  for (const { box, line } of listOf(boxes, options)) {
    if (box) {
      const swatch = { x: left, y: bottom + 8, width: 8, height: 10, rx: 2 };
      svg.push(element('rect', { ...swatch, fill: fillOf(box, look) }));
    }
    svg.push(text(left + LIST, bottom + 17, line, SMALL));
    bottom += CAPTION_LINE;
  }
  return { svg, bottom };
}

/** Devices of a replica that hold the same. */
interface Box {
  readonly devices: readonly number[];
  readonly dp: number;
  readonly layers: Interval;
  readonly heads: Interval;
}

function boxesOf(ranks: readonly RankHolding[]): readonly Box[] {
  const alike = groupBy(ranks, ({ dp, kv: { layers, heads } }) => `${dp} ${layers.join()} ${heads.join()}`);
  return [...alike.values()].map((members) => {
    const { dp, kv } = members[0]!;
    return { devices: members.map(({ device }) => device), dp, ...kv };
  });
}

/** Where a box is beside the top left corner of its stage's grids, and its name, lying on its side in a narrow one. */
interface PlacedBox extends Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Absent where it does not fit either way. */
  readonly label?: { readonly name: string; readonly upright: boolean; readonly across: number };
}

function gridWidth(replicas: number, column: number): number {
  return (column - AXIS - GAP * (replicas - 1)) / Math.max(1, replicas);
}

/** Boxes of the replicas that are drawn, in a column so wide. */
function placedBoxes(
  ranks: readonly RankHolding[],
  column: number,
  { layers, kvHeads, devicePath }: DrawOptions,
): readonly PlacedBox[] {
  const drawn = replicasOf(ranks).slice(0, REPLICAS_DRAWN);
  const width = gridWidth(drawn.length, column);
  return boxesOf(ranks.filter(({ dp }) => drawn.includes(dp))).map((box) => {
    const size = {
      width: (intervalLength(box.heads) / kvHeads) * width,
      height: (intervalLength(box.layers) / layers) * GRID_HEIGHT,
    };
    const label = labelOf(box, size, devicePath);
    return {
      ...box,
      ...size,
      x: AXIS + drawn.indexOf(box.dp) * (width + GAP) + (box.heads[0] / kvHeads) * width,
      y: (box.layers[0] / layers) * GRID_HEIGHT,
      ...(label && { label }),
    };
  });
}

/** Paths where there is room for them, else numbers. */
function labelOf(
  { devices }: Box,
  { width, height }: Pick<PlacedBox, 'width' | 'height'>,
  devicePath: DrawOptions['devicePath'],
): PlacedBox['label'] {
  const fits = (name: string, along: number, across: number): boolean =>
    along > textWidth(name, SMALL) + 2 && across >= 9;
  const [paths, numbers] = [rangesOf(devices.map(devicePath)), numbersOf(devices)];
  for (const name of [...(devices.length > 1 ? [`${paths} each`] : []), paths, numbers])
    if (fits(name, width, height)) return { name, upright: true, across: height };
  return fits(numbers, height, width) ? { name: numbers, upright: false, across: width } : undefined;
}

/** `0..3` of devices in a row, else `0, 2`. */
function numbersOf(devices: readonly number[]): string {
  const [first, last] = [devices[0]!, devices.at(-1)!];
  const inRow = devices.length > 1 && devices.every((device, place) => device === first + place);
  return inRow ? `${first}..${last}` : devices.join(', ');
}

/** What devices hold, in words. */
function boxWords({ devices, layers, heads }: Box, { devicePath }: DrawOptions): string {
  const each = devices.length > 1 ? ' each' : '';
  return `${rangesOf(devices.map(devicePath))}${each}: ${spanOf('layer', layers)}, ${spanOf('kv head', heads)}`;
}

/** `layer 3`, `layers 0 to 7`. */
export function spanOf(noun: string, interval: Interval): string {
  const [start, end] = interval;
  return intervalLength(interval) === 1 ? `${noun} ${start}` : `${noun}s ${start} to ${end - 1}`;
}

function drawBox(
  box: PlacedBox,
  left: number,
  top: number,
  look: StageLook,
  options: DrawOptions,
): readonly string[] {
  const [x, y] = [left + box.x, top + box.y];
  const { width, height, label } = box;
  const rect = { x: x + 1, y: y + 1, width: Math.max(1, width - 2), height: Math.max(1, height - 2), rx: 3 };
  return [
    element('rect', { ...rect, fill: fillOf(box, look) }, [element('title', {}, [boxWords(box, options)])]),
    ...(label ? [drawLabel(label, x + width / 2, y + height / 2)] : []),
  ];
}

/** Colour of a device, or the stripes of several. */
function fillOf({ devices }: Box, { colour }: StageLook): string {
  return devices.length === 1 ? colour(devices[0]!) : `url(#${stripesName(devices)})`;
}

function stripesName(devices: readonly number[]): string {
  return `devices-${devices.join('-')}`;
}

/** A pattern in the colours of several devices; none for one. */
function stripesOf(devices: readonly number[], colour: StageLook['colour']): readonly string[] {
  if (devices.length === 1) return [];
  const stripes = devices.map((device, place) =>
    element('rect', { x: STRIPE * place, width: STRIPE, height: STRIPE, fill: colour(device) }),
  );
  const size = { width: STRIPE * devices.length, height: STRIPE };
  const way = { patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' };
  return [element('pattern', { id: stripesName(devices), ...size, ...way }, stripes)];
}

const STRIPE = 12;

/** A label around a point. */
function drawLabel({ name, upright, across }: NonNullable<PlacedBox['label']>, x: number, y: number): string {
  const size: Attributes = across < 16 ? { 'font-size': across * 0.72 } : SMALL;
  const style = { ...size, 'text-anchor': 'middle' };
  const turned = { ...style, transform: `rotate(-90 ${x.toFixed(2)} ${y.toFixed(2)})` };
  return text(x, y + (across < 16 ? across * 0.26 : 4), name, upright ? style : turned);
}

/** What lines of a list stand behind: the colour that they are about. */
const LIST = 14;

/** Boxes that have no room for a label, each with a line that says what it is; many are counted. */
function listOf(
  boxes: readonly PlacedBox[],
  options: DrawOptions,
): readonly { readonly box?: Box; readonly line: string }[] {
  const bare = boxes.filter(({ label }) => label === undefined);
  const more = bare.length - DRAWN_ALONE;
  return [
    ...bare.slice(0, DRAWN_ALONE).map((box) => ({ box, line: boxWords(box, options) })),
    ...(more > 0 ? [{ line: `and ${more} more without a label` }] : []),
  ];
}

/** Light, evenly spaced hues for the devices that are drawn; neighbours are told apart by lightness too. */
function colours(holdings: Holdings): (device: number) => string {
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
