/**
 * Draws a timeline on a canvas of the page and lets it be zoomed. The function goes into the page as its own text, so it
 * uses nothing from outside of itself; of the browser it sees the few things that the interfaces here name.
 */
import type { TimelineData } from './timeline-data.js';

interface Pen {
  fillStyle: string;
  strokeStyle: string;
  font: string;
  textAlign: string;
  textBaseline: string;
  globalAlpha: number;
  lineWidth: number;
  setTransform(a: number, b: number, c: number, d: number, e: number, f: number): void;
  clearRect(x: number, y: number, width: number, height: number): void;
  fillRect(x: number, y: number, width: number, height: number): void;
  fillText(text: string, x: number, y: number): void;
  measureText(text: string): { readonly width: number };
  beginPath(): void;
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  closePath(): void;
  fill(): void;
  stroke(): void;
}

interface PageEvent {
  readonly clientX: number;
  readonly clientY: number;
  readonly deltaY: number;
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly pointerId: number;
  preventDefault(): void;
}

interface Listens {
  addEventListener(
    type: string,
    listener: (event: PageEvent) => void,
    options?: { readonly passive: boolean },
  ): void;
}

export interface Canvas extends Listens {
  width: number;
  height: number;
  readonly clientWidth: number;
  readonly style: { height: string };
  getContext(kind: '2d'): Pen;
  getBoundingClientRect(): { readonly left: number; readonly top: number };
  setPointerCapture(pointer: number): void;
}

export interface Tip {
  textContent: string | null;
  hidden: boolean;
  readonly offsetWidth: number;
  readonly style: { left: string; top: string };
}

export interface ViewParts {
  readonly canvas: Canvas;
  readonly tip: Tip;
  readonly zoomIn: Listens;
  readonly zoomOut: Listens;
  readonly reset: Listens;
  /** Pixels of the screen for one of the page. */
  readonly pixelRatio: number;
  /** The value of a custom property of the page's style. */
  readonly colour: (name: string) => string;
}

/** Draws and listens. What it returns draws anew, for when the page has changed its size or colours. */
export function viewTimeline(parts: ViewParts, data: TimelineData): () => void {
  const { canvas, tip, colour } = parts;
  const { makespan, lanes, samples, kinds, labels } = data;
  const pen = canvas.getContext('2d');
  const GUTTER = 132;
  const RIGHT = 14;
  const AXIS = 26;
  const CHART = 92;
  const CHART_GAP = 30;
  const many = new Set(lanes.map(({ process }) => process)).size > 14;
  const heightOf = (thread: string): number => (thread === 'queue' ? (many ? 14 : 26) : many ? 4 : 7);

  // Rows from top to bottom.
  let y = AXIS;
  const rows = lanes.map((lane, index) => {
    if (index > 0 && lane.process !== lanes[index - 1]!.process) y += many ? 3 : 9;
    const row = { lane, y, height: heightOf(lane.thread) };
    y += row.height + 2;
    return row;
  });
  const charts = [
    {
      title: 'KV in use',
      top: (y += CHART_GAP),
      stacked: false,
      format: (value: number): string => `${(100 * value).toFixed(0)}%`,
      series: [
        { name: 'devices', colour: '--kv-device', of: samples.map((sample) => sample.device) },
        { name: 'host', colour: '--kv-host', of: samples.map((sample) => sample.host) },
        { name: 'disk', colour: '--kv-disk', of: samples.map((sample) => sample.disk) },
      ].filter(({ name, of }) => name === 'devices' || of.some((value) => value > 0)),
    },
    {
      title: 'requests',
      top: (y += CHART + CHART_GAP),
      stacked: true,
      format: (value: number): string => String(Math.round(value)),
      series: [
        { name: 'running', colour: '--r-running', of: samples.map((sample) => sample.running) },
        { name: 'moving', colour: '--r-moving', of: samples.map((sample) => sample.moving) },
        { name: 'on host', colour: '--r-host', of: samples.map((sample) => sample.onHost) },
        { name: 'on disk', colour: '--r-disk', of: samples.map((sample) => sample.onDisk) },
        { name: 'prefilling', colour: '--r-prefilling', of: samples.map((sample) => sample.prefilling) },
        { name: 'waiting', colour: '--r-waiting', of: samples.map((sample) => sample.waiting) },
      ].filter(({ of }) => of.some((value) => value > 0)),
    },
  ];
  const height = y + CHART + 10;

  let [from, to] = [0, makespan];
  let pointer: { x: number; y: number } | undefined;
  let selecting: number | undefined;
  let panning: { x: number; from: number; to: number } | undefined;

  const width = (): number => canvas.clientWidth;
  const span = (): number => width() - GUTTER - RIGHT;
  const xOf = (time: number): number => GUTTER + ((time - from) / (to - from)) * span();
  const timeAt = (x: number): number => from + ((x - GUTTER) / span()) * (to - from);
  const clampView = (low: number, high: number): void => {
    const length = Math.min(makespan, Math.max(makespan * 1e-6, high - low));
    from = Math.min(Math.max(0, low), makespan - length);
    to = from + length;
    draw();
  };
  const zoom = (factor: number, around: number): void =>
    clampView(around - (around - from) * factor, around + (to - around) * factor);

  function seconds(value: number): string {
    const size = Math.abs(value);
    if (size >= 120) {
      const rest = Math.round(value % 60);
      return `${Math.floor(value / 60)} min${rest > 0 ? ` ${rest} s` : ''}`;
    }
    if (size >= 1) return `${Number(value.toPrecision(4))} s`;
    if (size >= 1e-3) return `${Number((1e3 * value).toPrecision(4))} ms`;
    return `${Number((1e6 * value).toPrecision(3))} µs`;
  }

  function drawAxis(): void {
    const rough = (to - from) / Math.max(2, span() / 110);
    // Tenths and tens of seconds below a minute; above, tens of minutes.
    const unit = rough > 50 ? 60 : 1;
    const power = 10 ** Math.floor(Math.log10(rough / unit));
    const step = [1, 2, 5, 10].map((each) => each * power * unit).find((each) => each >= rough)!;
    pen.font = '11px system-ui, sans-serif';
    pen.textAlign = 'center';
    pen.textBaseline = 'middle';
    for (let mark = Math.ceil(from / step) * step; mark <= to; mark += step) {
      const x = Math.round(xOf(mark)) + 0.5;
      pen.strokeStyle = colour('--grid');
      pen.beginPath();
      pen.moveTo(x, AXIS - 6);
      pen.lineTo(x, height);
      pen.stroke();
      pen.fillStyle = colour('--muted');
      if (x > GUTTER + 8 && x < width() - 24) pen.fillText(mark === 0 ? '0' : seconds(mark), x, 10);
    }
  }

  function drawSlices(flat: readonly number[], top: number, tall: number, alpha: number): void {
    const scale = makespan / data.ticks;
    const edge = GUTTER + span();
    // Of slices narrower than a pixel only one is drawn per pixel.
    let drawn = -Infinity;
    let last = '';
    pen.globalAlpha = alpha;
    for (let i = 0; i < flat.length; i += 5) {
      const start = xOf(flat[i]! * scale);
      const end = xOf((flat[i]! + flat[i + 1]!) * scale);
      if (end < GUTTER || start > edge) continue;
      if (end < drawn) continue;
      const left = Math.max(GUTTER, start);
      const right = Math.min(edge, Math.max(end, start + 0.75));
      const kind = kinds[flat[i + 2]!]!;
      if (kind !== last) pen.fillStyle = colour(`--k-${kind}`);
      last = kind;
      const gap = right - left > 4 ? 0.75 : 0;
      pen.fillRect(left, top, right - left - gap, tall);
      drawn = end - start < 0.5 ? end + 0.5 : -Infinity;
    }
    pen.globalAlpha = 1;
  }

  function drawRows(): void {
    pen.textBaseline = 'middle';
    let named = '';
    for (const { lane, y: top, height: tall } of rows) {
      pen.textAlign = 'left';
      if (lane.process !== named) {
        pen.font = '600 12px system-ui, sans-serif';
        pen.fillStyle = colour('--ink');
        pen.fillText(lane.process, 2, top + Math.min(tall, 14) / 2 + (tall > 14 ? 3 : 0));
        named = lane.process;
      }
      pen.textAlign = 'right';
      pen.font = '10px system-ui, sans-serif';
      pen.fillStyle = colour('--muted');
      if (!many) pen.fillText(lane.thread, GUTTER - 8, top + tall / 2);
      pen.fillStyle = colour('--lane');
      pen.fillRect(GUTTER, top, span(), tall);
      // Steps above, what is within them below.
      const split = lane.within.length > 0 ? Math.round(tall * 0.58) : tall;
      drawSlices(lane.slices, top, split, lane.thread === 'weights' ? 0.6 : 1);
      if (split < tall) drawSlices(lane.within, top + split + 1, tall - split - 1, 1);
    }
  }

  function drawChart(chart: (typeof charts)[number]): void {
    const { top, series, stacked } = chart;
    const bottom = top + CHART;
    const most = stacked
      ? Math.max(1, ...samples.map((_, i) => series.reduce((sum, { of }) => sum + of[i]!, 0)))
      : 1;
    const yOf = (value: number): number => bottom - (value / most) * CHART;
    pen.textAlign = 'left';
    pen.textBaseline = 'middle';
    pen.font = '600 12px system-ui, sans-serif';
    pen.fillStyle = colour('--ink');
    pen.fillText(chart.title, 2, top + 6);
    pen.font = '10px system-ui, sans-serif';
    series.forEach(({ name, colour: key }, i) => {
      pen.fillStyle = colour(key);
      pen.fillRect(2, top + 22 + 14 * i, 8, 8);
      pen.fillStyle = colour('--muted');
      pen.fillText(name, 15, top + 26 + 14 * i);
    });
    pen.textAlign = 'right';
    pen.fillText(chart.format(most), GUTTER - 8, top + 5);
    pen.fillText('0', GUTTER - 8, bottom - 5);
    pen.fillStyle = colour('--lane');
    pen.fillRect(GUTTER, top, span(), CHART);
    // A value holds until the next sample.
    const base = samples.map(() => 0);
    for (const { of, colour: key } of series) {
      const [lower, upper] = [[...base], of.map((value, i) => (stacked ? base[i]! + value : value))];
      pen.fillStyle = colour(key);
      pen.strokeStyle = colour(key);
      const outline = (values: readonly number[], back: boolean): void => {
        const indices = samples.map((_, i) => (back ? samples.length - 1 - i : i));
        for (const i of indices) {
          const start = Math.min(Math.max(xOf(samples[i]!.time), GUTTER), GUTTER + span());
          const next = samples[i + 1]?.time ?? makespan;
          const end = Math.min(Math.max(xOf(next), GUTTER), GUTTER + span());
          pen.lineTo(back ? end : start, yOf(values[i]!));
          pen.lineTo(back ? start : end, yOf(values[i]!));
        }
      };
      pen.beginPath();
      pen.moveTo(GUTTER, yOf(lower[0] ?? 0));
      outline(upper, false);
      outline(lower, true);
      pen.closePath();
      pen.globalAlpha = stacked ? 0.9 : 0.25;
      pen.fill();
      pen.globalAlpha = 1;
      if (!stacked) {
        pen.lineWidth = 1.5;
        pen.beginPath();
        outline(upper, false);
        pen.stroke();
        pen.lineWidth = 1;
      }
      if (stacked) upper.forEach((value, i) => (base[i] = value));
    }
  }

  /** What the pointer is on, in words; empty where there is nothing. */
  function told(x: number, at: number): string {
    if (x < GUTTER || x > GUTTER + span()) return '';
    const time = timeAt(x);
    for (const chart of charts) {
      if (at < chart.top || at > chart.top + CHART) continue;
      let index = samples.findIndex((sample) => sample.time > time) - 1;
      if (index < 0) index = samples.length - 1;
      const values = chart.series.map(({ name, of }) => `${name} ${chart.format(of[index] ?? 0)}`);
      return [`at ${seconds(time)}`, ...values].join('\n');
    }
    const row = rows.find(({ y: top, height: tall }) => at >= top && at <= top + tall + 1);
    if (row === undefined) return '';
    const { lane } = row;
    const inside = lane.within.length > 0 && at > row.y + row.height * 0.58;
    const flat = inside ? lane.within : lane.slices;
    const tick = data.ticks / makespan;
    const slack = (2 / span()) * (to - from) * tick;
    let best = -1;
    let distance = slack;
    for (let i = 0; i < flat.length; i += 5) {
      const away = Math.max(flat[i]! - time * tick, time * tick - flat[i]! - flat[i + 1]!, 0);
      if (away <= distance) [best, distance] = [i, away];
      if (away === 0) break;
    }
    if (best < 0) return '';
    const count = flat[best + 4]!;
    const text = (labels[flat[best + 3]!] ?? '').split(' · ');
    return [
      `${lane.process} · ${lane.thread}`,
      ...(count > 1 ? [`${text[0]}, ${count} in a row`] : text),
      `${seconds(flat[best + 1]! / tick)} from ${seconds(flat[best]! / tick)}`,
    ].join('\n');
  }

  function draw(): void {
    const ratio = parts.pixelRatio;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width() * ratio);
    canvas.height = Math.round(height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width(), height);
    drawAxis();
    drawRows();
    charts.forEach(drawChart);
    tip.hidden = true;
    if (pointer === undefined) return;
    const { x, y: at } = pointer;
    if (selecting !== undefined) {
      pen.fillStyle = colour('--select');
      pen.fillRect(Math.min(x, selecting), AXIS, Math.abs(x - selecting), height - AXIS);
    } else if (x >= GUTTER && x <= GUTTER + span()) {
      pen.fillStyle = colour('--cursor');
      pen.fillRect(x, AXIS, 1, height - AXIS);
    }
    const text = panning === undefined && selecting === undefined ? told(x, at) : '';
    if (text === '') return;
    tip.textContent = text;
    tip.hidden = false;
    tip.style.left = `${Math.min(x + 14, width() - tip.offsetWidth - 6)}px`;
    tip.style.top = `${at + 16}px`;
  }

  const place = ({ clientX, clientY }: PageEvent): { x: number; y: number } => {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };
  canvas.addEventListener('pointermove', (event) => {
    pointer = place(event);
    if (panning === undefined) return draw();
    const moved = ((panning.x - pointer.x) / span()) * (panning.to - panning.from);
    clampView(panning.from + moved, panning.to + moved);
  });
  canvas.addEventListener('pointerdown', (event) => {
    pointer = place(event);
    canvas.setPointerCapture(event.pointerId);
    if (event.shiftKey) panning = { x: pointer.x, from, to };
    else selecting = Math.max(GUTTER, pointer.x);
  });
  canvas.addEventListener('pointerup', (event) => {
    const { x } = place(event);
    const begun = selecting;
    selecting = panning = undefined;
    if (begun === undefined || Math.abs(x - begun) < 5) return draw();
    const [low, high] = [timeAt(Math.min(x, begun)), timeAt(Math.max(x, begun))];
    clampView(Math.max(0, low), Math.min(makespan, high));
  });
  canvas.addEventListener('pointerleave', () => {
    pointer = undefined;
    draw();
  });
  canvas.addEventListener('dblclick', () => clampView(0, makespan));
  canvas.addEventListener(
    'wheel',
    (event) => {
      // A wheel alone scrolls the page.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(place(event).x));
    },
    { passive: false },
  );
  canvas.addEventListener('keydown', (event) => {
    const step = (to - from) / 8;
    if (event.key === 'ArrowLeft') clampView(from - step, to - step);
    else if (event.key === 'ArrowRight') clampView(from + step, to + step);
    else if (event.key === '+' || event.key === '=') zoom(0.5, (from + to) / 2);
    else if (event.key === '-') zoom(2, (from + to) / 2);
    else if (event.key === '0') clampView(0, makespan);
    else return;
    event.preventDefault();
  });
  parts.zoomIn.addEventListener('click', () => zoom(0.5, (from + to) / 2));
  parts.zoomOut.addEventListener('click', () => zoom(2, (from + to) / 2));
  parts.reset.addEventListener('click', () => clampView(0, makespan));
  draw();
  return draw;
}
