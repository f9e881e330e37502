/**
 * Shows a timeline on a canvas of the page and lets it be zoomed. The function goes into the page as its own text, so it
 * uses nothing from outside of itself but the tools that it is given, which go there in the same way.
 */
import type { Canvas, Listens, PageEvent, Tip } from './browser.js';
import type { TimelineData } from './timeline-data.js';
import type { layTimeline } from './timeline-layout.js';
import type { paintTimeline } from './timeline-paint.js';

/** The elements of the page that show a timeline. */
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

/** Functions that the view uses, which go into the page with it. */
export interface ViewTools {
  readonly layTimeline: typeof layTimeline;
  readonly paintTimeline: typeof paintTimeline;
  readonly seconds: typeof seconds;
}

/**
 * A duration for a label: `1.5 ms`.
 *
 * @param step seconds that it is to be told apart from others by, where four digits may not do
 */
export function seconds(value: number, step = Infinity): string {
  const size = Math.abs(value);
  const placesOf = (unit: number): number => Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9));
  const told = (unit: number, digits: number): number => {
    const places = Math.max(digits - 1 - Math.floor(Math.log10(size / unit)), placesOf(unit));
    return Number((value / unit).toFixed(Math.min(20, Math.max(0, places))));
  };
  // What rounds to a minute is one.
  if (size >= 1 && told(1, 4) >= 60) {
    const places = placesOf(1);
    const whole = Number(value.toFixed(places));
    const rest = Number((whole % 60).toFixed(places));
    return `${Math.floor(whole / 60)} min${rest > 0 ? ` ${rest} s` : ''}`;
  }
  if (size >= 1) return `${told(1, 4)} s`;
  if (size >= 1e-3) return `${told(1e-3, 4)} ms`;
  return `${told(1e-6, 3)} µs`;
}

/** Draws and listens. What it returns draws anew, for when the page has changed its size or colours. */
export function viewTimeline(parts: ViewParts, data: TimelineData, tools: ViewTools): () => void {
  const { canvas, tip, colour } = parts;
  const { makespan, samples, labels } = data;
  const pen = canvas.getContext('2d');
  const layout = tools.layTimeline(data);
  const { gutter, axis, height, rows, charts } = layout;
  const { seconds } = tools;
  let [from, to] = [0, makespan];
  let pointer: { x: number; y: number } | undefined;
  let selecting: number | undefined;
  let panning: { x: number; from: number; to: number } | undefined;

  const width = (): number => canvas.clientWidth;
  const span = (): number => width() - gutter - layout.right;
  const xOf = (time: number): number => gutter + ((time - from) / (to - from)) * span();
  /** A place beside the drawing as the nearest one in it. */
  const clampX = (x: number): number => Math.min(Math.max(gutter, x), gutter + span());
  const timeAt = (x: number): number => from + ((x - gutter) / span()) * (to - from);
  const clampView = (low: number, high: number): void => {
    const length = Math.min(makespan, Math.max(makespan * 1e-6, high - low));
    from = Math.min(Math.max(0, low), makespan - length);
    to = from + length;
    draw();
  };
  const zoom = (factor: number, around: number): void =>
    clampView(around - (around - from) * factor, around + (to - around) * factor);

  /** What the pointer is on, in words; empty where there is nothing. */
  function told(x: number, at: number): string {
    if (x < gutter || x > gutter + span()) return '';
    const time = timeAt(x);
    const pixel = (to - from) / span();
    for (const chart of charts) {
      if (at < chart.top || at > chart.top + layout.chart) continue;
      let index = samples.findIndex((sample) => sample.time > time) - 1;
      if (index < 0) index = samples.length - 1;
      const values = chart.series.map(({ name, of }) => `${name} ${chart.format(of[index] ?? 0)}`);
      return [`at ${seconds(time, pixel)}`, ...values].join('\n');
    }
    const row = rows.find(({ y: top, height: tall }) => at >= top && at <= top + tall + 1);
    if (row === undefined) return '';
    const { lane } = row;
    const inside = lane.within.length > 0 && at > row.y + row.height * 0.58;
    const flat = inside ? lane.within : lane.slices;
    const tick = data.ticks / makespan;
    const slack = 2 * pixel * tick;
    let best = -1;
    let distance = slack;
    for (let i = 0; i < flat.length; i += 6) {
      const away = Math.max(flat[i]! - time * tick, time * tick - flat[i]! - flat[i + 1]!, 0);
      if (away <= distance) [best, distance] = [i, away];
      if (away === 0) break;
    }
    if (best < 0) return '';
    const count = flat[best + 4]!;
    const [name, ...facts] = (labels[flat[best + 3]!] ?? '').split(' · ');
    const lasts = seconds(flat[best + 1]! / tick);
    const when = `${lasts} from ${seconds(flat[best]! / tick, pixel)}`;
    const where = `${lane.process} · ${lane.thread}`;
    if (count === 1) return [where, name, ...facts, when].join('\n');
    // Those of a kind within a step take turns with others.
    const all = inside
      ? [name, `${count} in this step, ${lasts} in all`]
      : [`${name}, ${count} in a row`, when];
    return [where, ...all].join('\n');
  }

  function draw(): void {
    const ratio = parts.pixelRatio;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width() * ratio);
    canvas.height = Math.round(height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width(), height);
    tools.paintTimeline(pen, data, layout, { from, to, span: span(), xOf, seconds, colour });
    tip.hidden = true;
    if (pointer === undefined) return;
    const { x, y: at } = pointer;
    if (selecting !== undefined) {
      const end = clampX(x);
      pen.fillStyle = colour('--select');
      pen.fillRect(Math.min(end, selecting), axis, Math.abs(end - selecting), height - axis);
    } else if (x >= gutter && x <= gutter + span()) {
      pen.fillStyle = colour('--cursor');
      pen.fillRect(x, axis, 1, height - axis);
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
    if (event.button !== 0) return;
    pointer = place(event);
    canvas.setPointerCapture(event.pointerId);
    if (event.shiftKey) panning = { x: pointer.x, from, to };
    else selecting = clampX(pointer.x);
  });
  canvas.addEventListener('pointerup', (event) => {
    const end = clampX(place(event).x);
    const begun = selecting;
    selecting = panning = undefined;
    if (begun === undefined || Math.abs(end - begun) < 5) return draw();
    clampView(timeAt(Math.min(end, begun)), timeAt(Math.max(end, begun)));
  });
  // The browser has made another gesture of it.
  canvas.addEventListener('pointercancel', () => {
    pointer = selecting = panning = undefined;
    draw();
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
